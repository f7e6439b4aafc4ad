"""The stages for a graphics card, rehearsed on the processor at a small size."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest
import torch

from medrecon.data.ct.attenuation import MU_MAX
from medrecon.data.ct.lodopab import write_lodopab
from medrecon.data.sets.ct_open import CTImages
from medrecon.data.sets.head_images import HeadImages
from medrecon.geometry import lodopab, lodopab_grid
from medrecon.operators import Radon
from tests.training.image_sets import write_ct, write_heads

FOLDER = Path(__file__).resolve().parent.parent.parent / "performance"


@pytest.fixture
def on_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    monkeypatch.syspath_prepend(FOLDER)
    module = importlib.import_module("on_gpu")
    monkeypatch.setattr(module, "FOLDER", tmp_path / "gpu")
    monkeypatch.setattr(module, "SETS", tmp_path / "gpu" / "sets")
    return module


def _run(module: ModuleType, monkeypatch: pytest.MonkeyPatch, *words: str) -> dict[str, object]:
    monkeypatch.setattr("sys.argv", ["on_gpu.py", *words])
    module.main()
    found: dict[str, object] = json.loads((module.FOLDER / f"{words[0]}.json").read_text())
    return found


def test_every_operator_and_method_is_compared(on_gpu: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    found = _run(on_gpu, monkeypatch, "check", "--device", "cpu", "--small")
    assert {"parallel forward", "uneven adjoint", "fan fbp", "sense", "wavelet", "tv", "varnet"} < set(found)
    assert all(found[name] == 0.0 for name in found if name != "device")


def test_the_first_wrong_number_ends_it(on_gpu: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    exact = on_gpu._apart
    monkeypatch.setattr(on_gpu, "_apart", lambda *given: 1e-3 + exact(*given))
    with pytest.raises(SystemExit, match="parallel forward: differs from the processor by"):
        _run(on_gpu, monkeypatch, "check", "--device", "cpu", "--small")
    monkeypatch.setattr(on_gpu, "_apart", lambda *_: float("nan"))
    with pytest.raises(SystemExit, match="parallel forward: differs"):
        _run(on_gpu, monkeypatch, "check", "--device", "cpu", "--small")


def test_packed_images_are_those_of_the_sets(
    on_gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("heads-open", "brain-small"):
        write_heads(tmp_path / name, (40, 40))
    write_ct(tmp_path / "ct-open", 512)
    A = Radon(lodopab_grid(), lodopab())
    y, x = (torch.linspace(-1, 1, size) for size in lodopab_grid().shape)
    image = 0.25 * MU_MAX * (y.square()[:, None] + x.square() < 0.4).float()
    for part in ("train", "validation"):
        (tmp_path / "lodopab-small" / part).mkdir(parents=True)
        write_lodopab(tmp_path / "lodopab-small", part, [(A(image), image)])
    monkeypatch.setattr(on_gpu, "set_path", lambda name: tmp_path / name)
    _run(on_gpu, monkeypatch, "pack")
    packed, heads = (HeadImages(folder) for folder in (on_gpu.SETS / "heads", tmp_path / "heads-open"))
    assert packed.subjects[:3] == heads.subjects
    assert float((packed[0].image - heads[0].image).abs().max()) <= 0.0101
    ct, slices = (CTImages(folder) for folder in (on_gpu.SETS / "ct", tmp_path / "ct-open"))
    assert len(ct) == 3
    assert float((ct[1].hounsfield - slices[1].hounsfield).abs().max()) <= 1.0
    water = (image[181, 181] / 0.0192 - 1) * 1000
    assert float(ct[2].hounsfield[256, 256]) == pytest.approx(float(water), abs=1)


@pytest.mark.parametrize("stage", ["denoiser", "varnet", "primal-dual"])
def test_a_network_is_trained_on_packed_images_and_goes_on(
    on_gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    write_heads(on_gpu.SETS / "heads")
    write_ct(on_gpu.SETS / "ct")
    found = _run(on_gpu, monkeypatch, stage, "--device", "cpu", "--small")
    assert found["steps"] == 2
    assert found["ended"]
    assert (on_gpu.FOLDER / stage / "best.safetensors").is_file()


def test_without_a_card_it_says_how_to_rehearse(
    on_gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit):
        _run(on_gpu, monkeypatch, "check")
    assert "rehearse with --device cpu --small" in capsys.readouterr().err
