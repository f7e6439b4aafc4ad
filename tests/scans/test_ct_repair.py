"""`--repair`: rings go, dead and missing bins are filled, sound data stay as they are."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from medrecon.operators import Radon
from medrecon.reconstructors import FilteredBackprojection
from medrecon.scans.ct_repair import repair
from tests.program import images, medrecon
from tests.scans.test_ct_checks import BODY, DISK, FLAT, GEOMETRIES, HALF, measured, sampled, saved


def image(sinogram: Tensor) -> Tensor:
    return FilteredBackprojection()(sinogram.float(), Radon(sampled(measured(HALF), HALF).grid, HALF))


def rings(sinogram: Tensor, sound: Tensor) -> float:
    """By how much an image differs from that without faults."""
    return float((image(sinogram) - image(sound)).square().mean().sqrt())


@pytest.mark.parametrize("bins", [{60: 0.3}, {60: -0.15}, {55: 0.1, 100: -0.3}, {60: 0.2, 61: 0.2}], ids=str)
def test_rings_are_below_a_tenth(bins: dict[int, float]) -> None:
    sound = measured(HALF, photons=2e4)
    faulty = sound.clone()
    for k, size in bins.items():
        faulty[:, k] += size
    mended = repair(faulty)
    assert rings(mended.sinogram, sound) < 0.1 * rings(faulty, sound)
    assert [k for k, _ in mended.corrected] == list(bins)
    assert dict(mended.corrected) == pytest.approx(bins, abs=0.015)
    assert (mended.filled, mended.values) == ((), 0)
    assert "corrected in all views: bins" in mended.words


@pytest.mark.parametrize("value", [0.0, 5.0, torch.nan, torch.inf])
def test_dead_hot_and_missing_bins_are_filled(value: float) -> None:
    sound = measured(HALF, photons=2e4)
    faulty = sound.clone()
    faulty[:, 60] = faulty[:, 90] = faulty[:, 91] = value
    mended = repair(faulty)
    assert mended.filled == (60, 90, 91)
    assert mended.words == "repaired: filled from their neighbors: bins 60, 90, 91"
    others = [k for k in range(144) if k not in mended.filled]
    assert torch.equal(mended.sinogram[:, others], sound[:, others])
    assert rings(mended.sinogram, sound) < 0.05 * rings(faulty.nan_to_num(0.0, 0.0), sound)


def test_single_values_are_filled() -> None:
    sound = measured(HALF)
    faulty = sound.clone()
    faulty[10, 70] = torch.nan
    faulty[90, [40, 41]] = torch.inf
    mended = repair(faulty)
    assert mended.values == 3
    assert (mended.sinogram - sound).abs().max() < 0.05
    lost = sound.clone()
    lost[3] = torch.nan
    assert repair(lost).sinogram[3].isnan().all()


def test_sound_data_stay_as_they_are() -> None:
    for geometry in GEOMETRIES:
        for phantom in (BODY, DISK):
            for photons in (None, 1e4, 500.0):
                sound = measured(geometry, phantom, photons)
                mended = repair(sound)
                assert torch.equal(mended.sinogram, sound)
                assert mended.words == ""


def test_by_the_program(tmp_path: Path) -> None:
    sound = measured(FLAT, photons=2e4).float()
    faulty = sound.clone()
    faulty[:, 70] += 0.3
    faulty[:, 100] = torch.nan
    command = saved(tmp_path, faulty, FLAT)
    refused = medrecon(*command)
    assert refused.status == 2
    assert "--repair fill it from its neighbors" in refused.complaint
    told = medrecon(*command, "--repair")
    assert told.status == 0
    assert "note: repaired: filled from their neighbors: bins 100; corrected in all views: bins 70 (-0.299)" in told.out
    assert "rings" not in told.out
    got = images(tmp_path / "x.h5")
    assert medrecon(*saved(tmp_path, sound, FLAT), "--overwrite").status == 0
    want = images(tmp_path / "x.h5")
    assert float((got - want).square().mean().sqrt()) < 0.01 * float(want.max())
