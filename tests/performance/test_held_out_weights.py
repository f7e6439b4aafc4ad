"""The benchmark of the weights: what it keeps, what its table says, and that a narrower field wraps what is wider."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest
import torch

from medrecon.operators import Fourier
from medrecon.spaces import image_space
from tests.problems import disks

FOLDER = Path(__file__).resolve().parent.parent.parent / "performance"


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    monkeypatch.syspath_prepend(FOLDER)
    names = ("tables", "held_out_scans", "held_out_measures", "held_out_weights")
    return {name: importlib.import_module(name) for name in names}


def test_what_was_measured_is_not_measured_again(modules: dict[str, ModuleType], tmp_path: Path) -> None:
    file, asked = tmp_path / "new" / "kept.jsonl", []

    def measure() -> dict[str, float]:
        asked.append(1)
        return {"psnr": 30.0 + len(asked)}

    for _ in range(2):  # a second run reads the file
        kept = modules["held_out_measures"].Kept(file)
        assert [kept.get(name, measure)["psnr"] for name in ("a", "b", "a")] == [31.0, 32.0, 31.0]


def test_the_table_says_means_and_extremes(modules: dict[str, ModuleType]) -> None:
    Row = modules["held_out_weights"].Row
    rows = [
        Row(group="wrapped", method="tv", without=(20.0, 0.5), default=(default, 0.6), auto=(auto, 0.7), best=(30.0, 0.8),
            is_left=auto > default, cost=3.0)
        for default, auto in ((19.0, 25.0), (25.0, 25.0))
    ]  # fmt: skip
    (line,) = modules["held_out_weights"].table(rows)
    assert line[2:6] == ["20.00 / 0.500", "22.00 / 0.600", "25.00 / 0.700", "30.00 / 0.800"]
    assert line[6:] == ["-1.00 / +0.100", "+0.00 to +6.00", "1 of 2"]


def test_a_narrower_field_wraps_what_is_wider(modules: dict[str, ModuleType]) -> None:
    x = disks((20, 32)).to(torch.complex64)
    x[..., :8] = x[..., 24:] = 0
    x[:, 10, 26] = 5.0
    F, narrow = (Fourier(image_space((20, width))) for width in (32, 16))
    folded = narrow.H(modules["held_out_scans"]._folded(F(x), 16))
    wanted = x[..., 8:24].clone()
    wanted[:, 10, 2] += 5.0
    torch.testing.assert_close(folded, wanted, rtol=0, atol=1e-4)


def test_both_parts_have_the_same_scans_of_other_people(modules: dict[str, ModuleType]) -> None:
    people = ["c", "a", "d", "b", "e"]
    chosen = {
        part: {modules["held_out_scans"]._of(part, people, n) for n in range(9)} for part in ("validation", "test")
    }
    assert chosen == {"validation": {"a", "c", "e"}, "test": {"b", "d"}}
