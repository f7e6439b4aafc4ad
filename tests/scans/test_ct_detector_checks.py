"""Bins that were rolled, constants that were added, views that are repeated, and lengths of another unit."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from medrecon.data.phantoms.ellipses import Ellipse, Phantom
from medrecon.geometry import Arc, FanBeam, Geometry, ParallelBeam
from tests.scans.test_ct_checks import BODY, CURVED, DISK, FEW, FLAT, FULL, HALF, OFFSET, found, measured

WHOLE: list[Geometry] = [HALF, FULL, FEW, FLAT, CURVED]
#: Alike after half a turn, and its own mirror image.
SYMMETRIC = Phantom((Ellipse(0.02, (0.0, 0.0), (40.0, 28.0)), Ellipse(0.02, (0.0, 0.0), (10.0, 12.0))))


@pytest.mark.parametrize("photons", [None, 1e4, 500.0])
@pytest.mark.parametrize("geometry", WHOLE)
def test_halves_of_the_detector_that_are_swapped_are_named(geometry: Geometry, photons: float | None) -> None:
    told = found(torch.fft.fftshift(measured(geometry, BODY, photons), dim=1), geometry)
    assert list(told) == ["detector-rolled"]
    assert "halves" in told["detector-rolled"]
    assert f"numpy.roll(sinogram, -{(geometry.n_bins + 1) // 2}, axis=-1)" in told["detector-rolled"]


def test_a_roll_of_the_bins_is_named_about() -> None:
    told = found(measured(HALF, BODY, 1e4).roll(50, 1), HALF)
    shift = re.search(r"roll\(sinogram, -(\d+)", told["detector-rolled"])
    assert shift is not None
    assert abs(int(shift[1]) - 50) < 8  # the object does not lie in the middle


@pytest.mark.parametrize(("added", "photons"), [(0.3, None), (0.3, 1e4), (0.1, 1e5), (-0.2, 1e5)])
@pytest.mark.parametrize("geometry", WHOLE)
def test_a_constant_that_was_added_is_named_with_its_value(
    geometry: Geometry, photons: float | None, added: float
) -> None:
    for phantom in (BODY, DISK):
        told = found(measured(geometry, phantom, photons) + added, geometry)
        assert list(told) == ["air-level"]
        size = re.search(r"subtract (-?[\d.]+),", told["air-level"])
        assert size is not None
        assert float(size[1]) == pytest.approx(added, abs=0.01)


@pytest.mark.parametrize("radius", [60.0, 120.0])
@pytest.mark.parametrize("photons", [None, 1e4])
def test_a_bath_that_the_detector_cuts_off_is_cut_off(radius: float, photons: float | None) -> None:
    bath = Phantom((Ellipse(0.02, (0.0, 0.0), (radius, radius)), Ellipse(0.02, (4.0, -6.0), (20.0, 15.0))))
    geometry = ParallelBeam(Arc.half_turn(120), 96, 0.75)
    assert list(found(measured(geometry, bath, photons), geometry)) == ["truncated"]


def frozen(y: Tensor) -> Tensor:
    other = y.clone()
    other[21:24] = y[20]
    return other


@pytest.mark.parametrize("photons", [None, 1e4])
@pytest.mark.parametrize("geometry", [HALF, FULL, FLAT, CURVED, OFFSET])
def test_views_that_were_not_measured_anew_are_named(geometry: Geometry, photons: float | None) -> None:
    for phantom in (BODY, SYMMETRIC):
        told = found(frozen(measured(geometry, phantom, photons)), geometry)
        assert "21, 22, 23" in told["repeated-views"]


def test_half_a_scan_that_was_written_twice_is_named() -> None:
    y = measured(HALF, BODY, 1e4)
    assert "repeated-views" in found(torch.cat([y[:90], y[:90]]), HALF)


@pytest.mark.parametrize("phantom", [DISK, SYMMETRIC])
@pytest.mark.parametrize("geometry", [HALF, FULL, FLAT, CURVED, OFFSET])
def test_views_of_a_symmetric_object_are_alike(geometry: Geometry, phantom: Phantom) -> None:
    assert found(measured(geometry, phantom), geometry) == {}


def test_a_view_may_be_measured_twice() -> None:
    angles = (*np.linspace(0, 2 * math.pi, 121)[:-1].tolist(), 2 * math.pi)
    geometry = ParallelBeam(angles, 150, 0.7)
    assert "repeated-views" not in found(measured(geometry), geometry)


def scaled(geometry: Geometry, by: float) -> Geometry:
    other = replace(geometry, spacing=geometry.spacing * by, offset=geometry.offset * by)
    if isinstance(other, FanBeam):
        distances = other.source_distance * by, other.detector_distance * by
        return replace(other, source_distance=distances[0], detector_distance=distances[1])
    return other


@pytest.mark.parametrize("geometry", [HALF, FLAT, OFFSET])
def test_lengths_in_meters_and_micrometers_are_noted(geometry: Geometry) -> None:
    y = measured(geometry, BODY, 1e5)
    for by in (1e-3, 1e3):
        assert list(found(y, scaled(geometry, by))) == ["lengths"]
    assert found(y, scaled(geometry, 1e-1)) == {}
