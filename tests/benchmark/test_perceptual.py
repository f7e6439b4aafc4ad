"""LPIPS with something in the place of the package: what it is given, and what a user sees where it is not there."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from medrecon.benchmark import Workers, perceptual, run_benchmark
from medrecon.benchmark.cases import Case
from medrecon.benchmark.perceptual import lpips_distance
from medrecon.benchmark.schedule import make_schedule
from medrecon.errors import InputError

from .settings import ct, mri


class Distance(torch.nn.Module):
    """The mean of what differs, in place of LPIPS."""

    def __init__(self, net: str, verbose: bool) -> None:
        super().__init__()
        assert (net, verbose) == ("alex", False)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        assert a.shape[:2] == b.shape[:2] == (1, 3)
        assert max(float(a.abs().max()), float(b.abs().max())) <= 1
        return (a - b).abs().mean().reshape(1, 1, 1, 1)


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A package of this name, and the folder of its weights, which is empty."""
    module = ModuleType("lpips")
    module.LPIPS = Distance  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lpips", module)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    perceptual._network.cache_clear()
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def present(package: Path) -> None:
    (package / "alexnet-owt-7be5be79.pth").touch()


def settings(kind: Any, lpips: bool = True) -> Any:
    return kind().model_copy(update={"lpips": lpips})


@pytest.mark.usefixtures("present")
def test_it_is_a_column_where_it_is_asked_for(tmp_path: Path) -> None:
    done = run_benchmark(settings(mri), tmp_path, Workers(0))
    assert all(row.lpips is not None and 0 < row.lpips < 2 for row in done.rows)
    assert ",lpips (lpips-alex-0.1),nmse" in (tmp_path / "rows.csv").read_text().splitlines()[0]
    text = (tmp_path / "summary.md").read_text()
    assert "| LPIPS (lpips-alex-0.1) |" in text
    assert "- LPIPS (lpips-alex-0.1): a distance" in text
    method = done.summaries[0].methods[0]
    assert method.lpips is not None
    assert method.lpips.mean == pytest.approx(sum(row.lpips or 0 for row in done.rows[::2]) / 2)


def test_it_is_off_unless_asked_for(tmp_path: Path) -> None:
    done = run_benchmark(settings(ct, lpips=False), tmp_path, Workers(0))
    assert all(row.lpips is None for row in done.rows)
    assert "lpips" not in (tmp_path / "rows.csv").read_text()
    assert "LPIPS" not in (tmp_path / "summary.md").read_text()


@pytest.mark.usefixtures("present")
def test_rows_without_it_do_not_count_for_those_with_it() -> None:
    def keys(lpips: bool) -> set[str]:
        cases: tuple[Case, ...] = make_schedule(settings(mri, lpips)).cases
        return {case.key for case in cases}

    assert not keys(True) & keys(False)


@pytest.mark.usefixtures("present")
def test_the_range_is_moved_and_what_is_outside_is_clipped() -> None:
    target = torch.tensor([[2.0, 4.0]])
    assert lpips_distance(target, target, low=2.0, data_range=2.0) == 0
    assert lpips_distance(target + torch.tensor([[1.0, 9.0]]), target, low=2.0, data_range=2.0) == pytest.approx(0.5)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "lpips", None)
    with pytest.raises(InputError, match="lpips: the package is not installed; `pip install lpips`"):
        run_benchmark(settings(mri), tmp_path / "out", Workers(0))
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("package")
def test_without_the_weights() -> None:
    with pytest.raises(InputError, match=r"weights of AlexNet are not in .*fetches them once, or leave lpips out"):
        make_schedule(settings(ct))
