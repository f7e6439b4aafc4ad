"""Checks of sinograms: each tells what is wrong, and says nothing of sound data."""

import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from medrecon.data.ct.attenuation import AttenuationUnit
from medrecon.data.ct.geometry_files import CTScan, default_grid, geometry_text
from medrecon.data.ct.photons import count_photons
from medrecon.data.ct.projections import phantom_sinogram
from medrecon.data.ct.sinograms import SinogramSample
from medrecon.data.phantoms.ellipses import Ellipse, Phantom
from medrecon.errors import InputError
from medrecon.geometry import Arc, FanBeam, Geometry, ParallelBeam
from medrecon.scans.ct_checks import sinogram_findings
from medrecon.scans.ct_geometry_checks import measured_offset
from tests.program import images, medrecon

#: A body of water off the center, with bone and gas in it; it ends 43 mm from the center.
BODY = Phantom(
    (
        Ellipse(0.02, (2.0, -3.0), (32.0, 40.0), 0.2),
        Ellipse(0.03, (-14.0, 18.0), (6.0, 6.0)),
        Ellipse(-0.02, (12.0, -10.0), (4.0, 8.0)),
    )
)
DISK = Phantom((Ellipse(0.02, (0.0, 0.0), (40.0, 40.0)),))

HALF = ParallelBeam(Arc.half_turn(180), 144, 0.75)
FULL = ParallelBeam(Arc(0.3, 2 * math.pi / 150, 150), 150, 0.7)
FEW = ParallelBeam(Arc.half_turn(60), 80, 1.5)
FLAT = FanBeam(Arc.full_turn(240), 160, 1.2, 200.0, 150.0)
CURVED = FanBeam(Arc.full_turn(180), 128, 1.5, 250.0, 150.0, curved=True)
SHORT = FanBeam(Arc(0.2, math.radians(230) / 200, 200), 160, 1.2, 200.0, 150.0)
OFFSET = FanBeam(Arc.full_turn(240), 120, 1.2, 200.0, 150.0, offset=36.0)
GEOMETRIES: list[Geometry] = [HALF, FULL, FEW, FLAT, CURVED, SHORT, OFFSET]


def sampled(sinogram: Tensor, geometry: Geometry) -> SinogramSample:
    return SinogramSample(
        sinogram=sinogram.float(),
        geometry=geometry,
        grid=default_grid(geometry),
        target=None,
        unit=AttenuationUnit.PER_MM,
        photons=None,
        name="s.h5",
        index=0,
    )


def measured(geometry: Geometry, phantom: Phantom = BODY, photons: float | None = None) -> Tensor:
    clean = phantom_sinogram(phantom, geometry)
    return clean if photons is None else count_photons(clean, photons, torch.Generator().manual_seed(4)).double()


def found(sinogram: Tensor, geometry: Geometry) -> dict[str, str]:
    return {finding.name: finding.text for finding in sinogram_findings(sampled(sinogram, geometry))}


def saved(folder: Path, sinogram: Tensor, geometry: Geometry) -> tuple[object, ...]:
    np.save(folder / "s.npy", sinogram.float().numpy())
    (folder / "s.yaml").write_text(geometry_text(CTScan(geometry, default_grid(geometry))))
    return "reconstruct", folder / "s.npy", "-o", folder / "x.h5"


@pytest.mark.parametrize("photons", [None, 1e6, 1e4, 300.0])
@pytest.mark.parametrize("phantom", [BODY, DISK])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_nothing_is_found_in_sound_data(geometry: Geometry, phantom: Phantom, photons: float | None) -> None:
    assert found(measured(geometry, phantom, photons), geometry) == {}


@pytest.mark.parametrize("geometry", [HALF, FEW, FLAT, CURVED])
@pytest.mark.parametrize(("blank", "name"), [(1.0, "transmission"), (0.93, "transmission"), (2e4, "opaque")])
def test_transmission_and_counts_are_no_line_integrals(geometry: Geometry, blank: float, name: str) -> None:
    for phantom in (BODY, DISK):
        passed = blank * torch.exp(-measured(geometry, phantom))
        assert list(found(passed, geometry)) == [name]
        noisy = torch.poisson(2000 * passed / blank, torch.Generator().manual_seed(1)) / 2000 * blank
        assert list(found(noisy, geometry)) == [name]


def test_a_lost_sign_is_noticed() -> None:
    assert list(found(-measured(HALF, photons=1e4), HALF)) == ["negative"]
    assert list(found(torch.full(HALF.shape, -0.1), HALF)) == ["negative"]


def test_nothing_but_zeros_is_told() -> None:
    assert list(found(torch.zeros(HALF.shape), HALF)) == ["empty"]


@pytest.mark.parametrize("photons", [1.0, 3.0, 10.0])
def test_the_noise_of_few_photons_is_no_truncation(photons: float) -> None:
    for phantom in (BODY, DISK):
        assert "truncated" not in found(measured(HALF, phantom, photons), HALF)


def test_a_problem_is_refused_unless_it_is_accepted_by_name(tmp_path: Path) -> None:
    command = saved(tmp_path, torch.exp(-measured(FEW)), FEW)
    refused = medrecon(*command)
    assert refused.status == 2
    assert "give -log(I / I0); --accept transmission takes it all the same" in refused.complaint
    taken = medrecon(*command, "--accept", "transmission")
    assert taken.status == 0
    assert "give -log(I / I0)" in taken.out
    assert "truncated" not in taken.out


@pytest.mark.parametrize("views", [90, 128])
def test_swapped_axes_with_as_many_bins_as_views(views: int) -> None:
    for geometry in (
        ParallelBeam(Arc.half_turn(views), views, 96 / views),
        FanBeam(Arc.full_turn(views), views, 192 / views, 200.0, 150.0),
    ):
        assert list(found(measured(geometry, photons=2e4).T, geometry)) == ["axes-swapped"]
        assert found(measured(geometry, photons=2e4), geometry) == {}


def test_the_middle_of_a_wide_object_is_truncated_and_not_swapped() -> None:
    geometry = replace(HALF, n_bins=60, angles=Arc.half_turn(60))
    assert list(found(measured(geometry), geometry)) == ["truncated"]


SHIFTS = [0.5, -1.7, 6.2]


@pytest.mark.parametrize("photons", [None, 2e4])
@pytest.mark.parametrize("bins", SHIFTS)
@pytest.mark.parametrize("geometry", [HALF, FULL, FEW, FLAT, CURVED, SHORT, OFFSET])
def test_an_axis_elsewhere_is_named_to_a_twentieth_of_a_bin(
    geometry: Geometry, bins: float, photons: float | None
) -> None:
    true = replace(geometry, offset=geometry.offset + bins * geometry.spacing)
    sinogram = measured(true, BODY, photons)
    assert measured_offset(sampled(sinogram, geometry)) == pytest.approx(true.offset, abs=0.05 * geometry.spacing)
    if abs(bins) > 1 or (photons is None and geometry is not OFFSET):
        ((name, text),) = found(sinogram, geometry).items()
        named = float(text.split("`offset: ")[1].split("`")[0])
        assert (name, named) == ("off-axis", pytest.approx(true.offset, abs=0.05 * geometry.spacing))


@pytest.mark.parametrize("geometry", [FLAT, CURVED, SHORT])
@pytest.mark.parametrize("photons", [None, 2e4])
def test_bins_that_count_the_other_way_round_are_reversed(geometry: Geometry, photons: float | None) -> None:
    sinogram = measured(geometry, BODY, photons)
    assert list(found(sinogram.flip(-1), geometry)) == ["flipped-detector"]
    other = replace(geometry, angles=tuple(-angle for angle in geometry.angles))
    assert list(found(measured(other, BODY, photons), geometry)) == ["flipped-detector"]


def test_the_direction_of_an_offset_detector() -> None:
    other = replace(OFFSET, angles=tuple(-angle for angle in OFFSET.angles))
    assert list(found(measured(other), OFFSET)) == ["angle-sign"]
    assert list(found(measured(OFFSET).flip(-1), OFFSET)) == ["flipped-detector"]


def test_a_distance_from_the_source_that_was_to_be_from_the_center() -> None:
    assert list(found(measured(FLAT), replace(FLAT, detector_distance=350.0))) == ["detector-distance"]


#: A disk about the axis, by far the most of the object, and a rod.
CENTERED = Phantom((Ellipse(0.02, (0.0, 0.0), (40.0, 40.0)), Ellipse(0.02, (10.0, 18.0), (8.0, 8.0))))


@pytest.mark.parametrize(("phantom", "photons"), [(BODY, None), (BODY, 2e4), (CENTERED, None), (CENTERED, 1e5)])
@pytest.mark.parametrize("geometry", [FLAT, CURVED, SHORT])
def test_a_wrong_distance_is_named_with_the_better_one(
    geometry: FanBeam, phantom: Phantom, photons: float | None
) -> None:
    sinogram, source, detector = (
        measured(geometry, phantom, photons),
        geometry.source_distance,
        geometry.detector_distance,
    )
    for wrong in (
        replace(geometry, detector_distance=1.4 * detector),
        replace(geometry, source_distance=0.8 * source),
        replace(geometry, source_distance=source + detector),
    ):
        ((name, text),) = found(sinogram, wrong).items()
        assert name == "detector-distance"
        if wrong.detector_distance != detector:
            better = float(text.split("`detector_distance: ")[1].split("`")[0])
            assert better == pytest.approx(detector, abs=0.04 * (source + detector))
        else:
            better = float(text.split("`source_distance: ")[1].split("`")[0])
            assert better == pytest.approx(source, abs=0.04 * (source + detector))
        assert " % as it stands, by " in text
    away = replace(geometry, detector_distance=source + detector)
    assert list(found(sinogram, away)) == ["detector-distance"]


def test_distances_that_the_data_do_not_determine_are_not_guessed() -> None:
    """Whatever is round about the axis, and where the axis lies between source and detector, which only scales the image."""
    for photons in (None, 2e4):
        assert found(measured(FLAT, DISK, photons), replace(FLAT, detector_distance=200.0)) == {}
        nearer = replace(FLAT, source_distance=180.0, detector_distance=170.0)
        assert found(measured(FLAT, BODY, photons), nearer) == {}


@pytest.mark.parametrize("phantom", [BODY, CENTERED])
@pytest.mark.parametrize(("bins", "photons"), [(0.5, None), (-1.0, 2e4), (2.0, 2e3), (18.0, 2e4)])
def test_an_axis_that_a_half_fan_sees_elsewhere(phantom: Phantom, bins: float, photons: float | None) -> None:
    true = replace(OFFSET, offset=OFFSET.offset + bins * OFFSET.spacing)
    ((name, text),) = found(measured(true, phantom, photons), OFFSET).items()
    named = float(text.split("`offset: ")[1].split("`")[0])
    assert (name, named) == ("off-axis", pytest.approx(true.offset, abs=0.25 * OFFSET.spacing))


def test_an_offset_is_not_guessed_where_hardly_any_ray_tells_it() -> None:
    narrow = replace(OFFSET, offset=70.0)
    with pytest.raises(InputError, match="do not tell it within 2 bins; give its value in mm"):
        measured_offset(sampled(measured(narrow, BODY, 100.0), narrow))


def test_angles_in_another_order_are_refused() -> None:
    order = np.random.default_rng(0).permutation(180)
    assert list(found(measured(HALF)[order], HALF)) == ["angles"]
    less = replace(FLAT, angles=Arc(0.0, math.radians(270) / 240, 240))
    assert list(found(measured(less), FLAT)) == ["rays-disagree"]


def test_views_of_unequal_sums_are_told() -> None:
    gain = torch.linspace(1.0, 1.3, 180, dtype=torch.float64)
    assert list(found(measured(HALF) * gain[:, None], HALF)) == ["view-sums"]


def test_an_offset_is_taken_that_is_measured_or_given(tmp_path: Path) -> None:
    sinogram = measured(replace(FEW, offset=4.5))
    command = saved(tmp_path, sinogram, FEW)
    refused = medrecon(*command)
    assert refused.status == 2
    assert "or give --offset auto; --accept off-axis takes" in refused.complaint
    (tmp_path / "right").mkdir()
    assert medrecon(*saved(tmp_path / "right", sinogram, replace(FEW, offset=4.5))).status == 0
    right = images(tmp_path / "right" / "x.h5")
    for offset in ("auto", "4.5"):
        taken = medrecon(*command, "--offset", offset, "--size", str(len(right[0])), "--pixel", "1.5", "--overwrite")
        assert (taken.status, "offset by 4." in taken.out) == (0, True), taken.err
        n = images(tmp_path / "x.h5").shape[-1]
        assert n == right.shape[-1]
        assert float((images(tmp_path / "x.h5") - right).norm() / right.norm()) < (0.03 if offset == "auto" else 1e-6)
    assert "left" in medrecon(*command, "--offset", "left", "--overwrite").complaint


def test_reversed_bins_give_the_image_that_right_ones_give(tmp_path: Path) -> None:
    (tmp_path / "right").mkdir()
    assert medrecon(*saved(tmp_path / "right", measured(CURVED), CURVED)).status == 0
    taken = medrecon(*saved(tmp_path, measured(CURVED).flip(-1), CURVED))
    assert taken.status == 0
    assert "note: mended: the detector's bins count the other way round" in taken.out
    assert bool((images(tmp_path / "x.h5") == images(tmp_path / "right" / "x.h5")).all())


@pytest.mark.parametrize("photons", [None, 2e4])
@pytest.mark.parametrize("geometry", [HALF, FULL, FLAT, CURVED, SHORT, OFFSET])
def test_a_bin_that_reads_too_much_or_too_little_is_named_with_its_size(
    geometry: Geometry, photons: float | None
) -> None:
    for phantom in (BODY,) if photons is None else (BODY, DISK):  # of a disk without noise, all bins are constant
        sinogram = measured(geometry, phantom, photons)
        sinogram[:, 55] += 0.3
        sinogram[:, 81] -= 0.12
        ((name, text),) = found(sinogram, geometry).items()
        assert name == "uneven-bins"
        named = re.findall(r"(\d+) \(([+-][.\d]+)\)", text)
        assert [int(k) for k, _ in named] == [55, 81]
        assert [float(size) for _, size in named] == pytest.approx([0.3, -0.12], abs=0.05)


def test_bins_that_say_nothing_are_named() -> None:
    for phantom in (BODY, DISK):
        sinogram = measured(HALF, phantom, 2e4)
        sinogram[:, 70] = 0
        sinogram[:, 40:42] = 0.1
        assert found(sinogram, HALF)["dead-bins"].startswith("dead bins: 40, 41, 70; they draw rings")


SMALL = Phantom((Ellipse(0.02, (12.0, 18.0), (10.0, 8.0)), Ellipse(0.03, (12.0, 20.0), (2.0, 2.0))))


@pytest.mark.parametrize("views", [30, 100])
@pytest.mark.parametrize("turn", [Arc.half_turn, Arc.full_turn], ids=["half a turn", "a turn"])
def test_noise_of_a_hundred_photons_is_not_taken_for_an_object_at_the_edge_or_for_unequal_views(
    views: int, turn: Callable[[int], Arc]
) -> None:
    """A small object between much air: noise is a fifth of its largest line integrals."""
    for bins in (80, 160):
        geometry = ParallelBeam(turn(views), bins, 100.0 / bins)
        for seed in range(3):
            noisy = count_photons(phantom_sinogram(SMALL, geometry), 100, torch.Generator().manual_seed(seed))
            assert list(sinogram_findings(sampled(noisy, geometry))) == []


def test_an_object_at_the_edge_is_told_in_that_noise_as_well() -> None:
    geometry = ParallelBeam(Arc.half_turn(90), 60, 1.0)
    noisy = count_photons(phantom_sinogram(BODY, geometry), 100, torch.Generator().manual_seed(1))
    assert [finding.name for finding in sinogram_findings(sampled(noisy, geometry))] == ["truncated"]


@pytest.mark.parametrize("geometry", [HALF, FULL], ids=["half a turn", "a turn"])
@pytest.mark.parametrize("bins", [0.5, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("photons", [1000, 10_000])
def test_an_axis_half_a_bin_off_is_noticed_in_the_noise_of_a_thousand_photons(
    geometry: ParallelBeam, bins: float, photons: int
) -> None:
    off = replace(geometry, offset=bins * geometry.spacing)
    noisy = count_photons(phantom_sinogram(BODY, off), photons, torch.Generator().manual_seed(1))
    (found,) = sinogram_findings(sampled(noisy, geometry))
    assert found.name == "off-axis"


def test_views_that_hold_nothing_are_named() -> None:
    y = measured(HALF)
    y[[3, 40, 41]] = 0
    assert "views that hold nothing: 3, 40, 41, counted from 0" in found(y, HALF)["dead-views"]


def test_three_views_have_no_dead_bins() -> None:
    few = replace(HALF, angles=Arc.half_turn(3))
    assert not {"dead-bins", "uneven-bins"} & set(found(measured(few, DISK), few))


def test_an_axis_that_is_not_known_to_a_bin_is_none(tmp_path: Path) -> None:
    """Half of the views in reversed order: no offset mends that."""
    y = measured(HALF)
    y[:90] = y[:90].flip(0)
    assert set(found(y, HALF)) == {"angles"}
    done = medrecon(*saved(tmp_path, y, HALF), "--offset", "auto")
    assert done.status == 2
    assert "--offset auto takes a full turn" in done.complaint


def test_views_in_another_order_are_told_of_an_object_near_the_axis() -> None:
    phantom = Phantom((Ellipse(0.02, (0.0, 0.0), (40.0, 40.0)), Ellipse(0.02, (18.0, -10.0), (8.0, 8.0))))
    y = measured(HALF, phantom)
    assert set(found(y, HALF)) == set()
    shuffled = y[torch.randperm(180, generator=torch.Generator().manual_seed(0))]
    assert set(found(shuffled, HALF)) == {"angles"}


@pytest.mark.parametrize("views", [1, 7])
def test_hardly_any_views_are_told_whatever_the_method(tmp_path: Path, views: int) -> None:
    few = replace(HALF, angles=Arc.half_turn(views))
    for method, words in (("fbp", "draws streaks of so few"), ("tv", "many images have such projections")):
        done = medrecon(*saved(tmp_path, measured(few), few), "--method", method, "--overwrite")
        assert done.status == 0
        assert (done.out + done.err).count(words) == 1
        assert (done.out + done.err).count(f"note: {views} view") == 1
