"""The benchmark of the networks, tiny: whether both sides compute the same, and what it says of it."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from medrecon.geometry import Arc, Grid, ParallelBeam
from medrecon.networks import PrimalDualSize

FOLDER = Path(__file__).resolve().parent.parent.parent / "performance"


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    monkeypatch.syspath_prepend(FOLDER)
    names = ("ct_peers", "networks", "network_calls", "network_projectors", "network_cuda")
    return {name: importlib.import_module(name) for name in names}


@pytest.fixture
def quick(modules: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """With fastMRI, without processes for the memory, and without a compiler."""
    pytest.importorskip("fastmri.models")
    monkeypatch.setattr(modules["networks"], "memory_of", lambda *_: 1.0)
    monkeypatch.setattr(modules["networks"], "_compiled_rows", lambda *_: [])
    return modules


def test_inference_agrees_with_the_peer(quick: dict[str, ModuleType]) -> None:
    with torch.no_grad():
        single, low = quick["networks"].inference_rows(quick["network_calls"].SMALL, None, 1)
    assert single[:3] == ["inference", "float32", "fastMRI float32"]
    assert "1e-05: met" in single[-1]
    assert low[1] == "bfloat16"
    assert float(low[6].removeprefix("SSIM ")) > 0.99
    assert low[-1].endswith("0.7 of the memory: not met")
    assert len(single) == len(low) == len(quick["networks"].COLUMNS)


def test_a_step_of_training_agrees_with_the_peer(quick: dict[str, ModuleType]) -> None:
    with torch.no_grad():
        plain, recomputed = quick["networks"].training_rows(quick["network_calls"].SMALL, None, 1)
    for row in (plain, recomputed):
        assert float(row[6].removeprefix("difference ")) < 1e-5
    assert "1.2x" in plain[-1]
    assert "of the memory" in recomputed[-1]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # of DeepInverse
@pytest.mark.parametrize("peer", ["astra", "deep_inverse"])
def test_the_other_projectors_are_ours(modules: dict[str, ModuleType], peer: str) -> None:
    beam = ParallelBeam(Arc(0.05, 0.2, 15), n_bins=93, spacing=4.0)
    scene = modules["ct_peers"].Scene("parallel", Grid((66, 66), 4.0), beam, batch=2)
    rival: Any = getattr(modules["network_projectors"], peer)(scene)
    if rival is None:
        pytest.skip(f"{peer} is not installed")
    x = torch.from_numpy(scene.images()).requires_grad_()
    y = rival.A(x)
    wanted = rival.ours(x.detach())
    assert float((y.detach() - wanted).norm() / wanted.norm()) < 0.03
    (gradient,) = torch.autograd.grad(y, x, wanted)
    expected = rival.ours.H(wanted)
    assert float((gradient - expected).norm() / expected.norm()) < 0.03
    assert torch.allclose(gradient, rival.A.H(wanted), rtol=1e-4)
    rows = modules["networks"].primal_dual_rows(scene, PrimalDualSize(2, features=4), 1)
    assert rows
    assert all(row[-1].endswith(": met") for row in rows)


def test_without_a_card_the_rows_of_a_card_are_left_out_in_words(
    modules: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    modules["network_cuda"].on_cuda(modules["network_calls"].SMALL, None, 1, keep=False)
    assert capsys.readouterr().out == "CUDA is left out: torch sees no card\n"


def test_rows_of_other_groups_are_kept(
    modules: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(modules["networks"], "FOLDER", tmp_path)
    (tmp_path / "networks.json").write_text('{"rows": [["primal-dual", "kept"], ["training", "old"]]}')
    rows = modules["networks"].beside([["training", "new"], ["inference", "new"]], {"training", "inference"})
    assert rows == [["inference", "new"], ["training", "new"], ["primal-dual", "kept"]]
