"""`--repair`: rings go, dead and missing bins are filled, sound data stay as they are."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from medrecon.data.ct.sinogram_files import SinogramFile
from medrecon.data.phantoms.ellipses import Ellipse, Phantom
from medrecon.errors import InputError
from medrecon.geometry import Arc, Geometry, ParallelBeam
from medrecon.operators import Radon
from medrecon.reconstructors import FilteredBackprojection
from medrecon.scans.ct_bin_checks import axis_bin, bin_findings, dead_bins, uneven_bins
from medrecon.scans.ct_repair import repair
from medrecon.scans.ct_wide_rings import uneven_runs
from tests.program import images, medrecon
from tests.scans.test_ct_checks import BODY, DISK, FEW, FLAT, GEOMETRIES, HALF, OFFSET, measured, sampled, saved


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


RUNS = [(60, 3, 0.2, 0.2), (62, 5, 0.16, 0.24), (85, 8, -0.1, -0.12), (50, 12, 0.1, 0.08)]


@pytest.mark.parametrize("geometry", [HALF, FLAT])
@pytest.mark.parametrize(("first", "width", "size", "last"), RUNS, ids=str)
def test_wide_rings_are_below_a_tenth(geometry: Geometry, first: int, width: int, size: float, last: float) -> None:
    sound = measured(geometry, photons=2e4)
    faulty = sound.clone()
    faulty[:, first : first + width] += torch.linspace(size, last, width, dtype=sound.dtype)
    mended = repair(faulty, axis_bin(geometry))
    assert [k for k, _ in mended.corrected] == list(range(first, first + width))
    assert (mended.sinogram - sound).norm() < 0.1 * (faulty - sound).norm()
    assert list(bin_findings(mended.sinogram.double().numpy(), geometry)) == []


def test_what_repair_did_not_mend_is_not_advised_again() -> None:
    faulty = measured(HALF).numpy()
    faulty[:, 60] += 0.3
    faulty[:, 70] = 0.0
    advised = [finding.text for finding in bin_findings(faulty, HALF)]
    left = [finding.text for finding in bin_findings(faulty, HALF, repaired=True)]
    assert all("give --repair" in text for text in advised)
    assert all("give --repair" not in text and "--repair does not mend them" in text for text in left)
    assert len(advised) == len(left) == 2


@pytest.mark.parametrize("offset", [0.0, 0.4])
@pytest.mark.parametrize("geometry", [HALF, FLAT, OFFSET])
def test_a_tube_about_the_axis_is_no_wide_ring(geometry: Geometry, offset: float) -> None:
    for wall in (2.0, 4.0, 8.0):
        tube = Phantom(
            (Ellipse(0.02, (0.0, 0.0), (38.0, 38.0)), Ellipse(-0.015, (0.0, 0.0), (38.0 - wall, 38.0 - wall)))
        )
        moved = replace(geometry, offset=geometry.offset + offset * geometry.spacing)
        for photons in (None, 2e4):
            assert uneven_runs(measured(moved, tube, photons).numpy(), axis_bin(moved)) == ()


def test_sound_bins_of_a_few_views_are_not_dead() -> None:
    few = replace(HALF, angles=(0.0, 1.05, 2.1))
    sound = measured(few)
    assert dead_bins(sound) == ()
    lost = sound.clone()
    lost[:, 60] = torch.nan
    assert dead_bins(lost) == (60,)


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


def test_what_was_done_to_other_slices_than_the_middle_is_told(tmp_path: Path) -> None:
    sound = measured(FEW, photons=2e4).float()
    faulty, other = sound.clone(), sound.clone()
    faulty[:, 35] += 0.3
    faulty[:, 50] = torch.nan
    other[:, 35] += 0.2
    told = medrecon(
        *saved(tmp_path, torch.stack([faulty, sound, other]), FEW), "--repair", "--json", tmp_path / "r.json"
    )
    assert told.status == 0
    report = json.loads((tmp_path / "r.json").read_text())
    (note,) = report["notes"]
    assert re.fullmatch(
        r"repaired in 2 of 3 slices: filled from their neighbors: bins 50; corrected in all views: bins 35 \(-0.[23]\d* to "
        r"-0.[12]\d*\)",
        note,
    )
    assert report["repaired_bins"] == 2


def test_a_view_that_is_lost_is_not_left_to_repair(tmp_path: Path) -> None:
    lost = measured(FEW).float()
    lost[3] = torch.nan
    command = saved(tmp_path, lost, FEW)
    for options in ((), ("--repair",)):
        refused = medrecon(*command, *options)
        assert refused.status == 2
        assert "leave this slice out, of which whole views are lost" in refused.complaint
        assert "--repair" not in refused.complaint


def test_repair_is_advised_where_there_is_the_option(tmp_path: Path) -> None:
    one = measured(FEW).float()
    one[3, 40] = torch.nan
    command = saved(tmp_path, one, FEW)
    assert "let --repair fill it" in medrecon(*command).complaint
    with pytest.raises(InputError, match=r"floor the counts before it, or leave this slice out$"):
        SinogramFile(tmp_path / "s.npy")[0]  # as training and benchmark read it


MIDDLE = [(80, k, 0.0) for k in (38, 39, 40, 42)] + [
    (81, 40, 0.0),
    (81, 44, 0.0),
    (80, 45, -5.0),
    (80, 39, 0.25),
    (80, 40, 0.25),
]


@pytest.mark.parametrize(("n_bins", "k", "offset"), MIDDLE, ids=str)
def test_a_bin_near_the_axis_is_corrected(n_bins: int, k: int, offset: float) -> None:
    geometry = ParallelBeam(Arc.full_turn(90), n_bins, 1.3, offset=1.3 * offset)
    sound = measured(geometry, photons=2e4)
    faulty = sound.clone()
    faulty[:, k] += 0.2
    mended = repair(faulty, axis_bin(geometry))
    assert dict(mended.corrected) == pytest.approx({k: 0.2}, abs=0.02)
    text = {finding.name: finding.text for finding in bin_findings(faulty.numpy(), geometry)}["uneven-bins"]
    assert f": {k} (+0." in text


@pytest.mark.parametrize("offset", [0.0, 0.25, 0.5, -5.0])
@pytest.mark.parametrize("n_bins", [80, 81])
@pytest.mark.parametrize("radius", [1.4, 2.0, 3.0, 5.0])
def test_a_rod_on_the_axis_is_no_fault(n_bins: int, radius: float, offset: float) -> None:
    geometry = ParallelBeam(Arc.full_turn(90), n_bins, 1.3, offset=1.3 * offset)
    disk = (Ellipse(0.02, (0.0, 0.0), (40.0, 40.0)),)
    rod = Phantom((*disk, Ellipse(0.05, (0.0, 0.0), (1.3 * radius, 1.3 * radius))))
    assert uneven_bins(measured(geometry, rod).numpy(), axis_bin(geometry)) == {}
    for photons in (1e3, 2e4):
        assert list(bin_findings(measured(geometry, rod, photons).numpy(), geometry)) == []


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
