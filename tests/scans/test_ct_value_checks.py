"""Values that are no line integrals, and line integrals that stop at a ceiling."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from medrecon.data.ct.photons import count_photons
from medrecon.data.phantoms.ellipses import Ellipse, Phantom
from medrecon.findings import Severity
from medrecon.geometry import Geometry
from medrecon.scans.ct_value_checks import no_line_integrals, saturation
from tests.scans.test_ct_checks import BODY, DISK, FLAT, HALF, found, measured

DENSE = Phantom((Ellipse(0.05, (0.0, 0.0), (40.0, 30.0)), Ellipse(0.8, (5.0, 8.0), (8.0, 12.0))))


def named(y: Tensor) -> str:
    finding = no_line_integrals(y.float().double().numpy())
    return "" if finding is None else finding.name


@pytest.mark.parametrize("photons", [None, 1e5, 2e3])
@pytest.mark.parametrize("floor", [1e-2, 1e-4, 1e-6])
@pytest.mark.parametrize("geometry", [HALF, FLAT])
def test_a_logarithm_of_line_integrals_is_named(geometry: Geometry, floor: float, photons: float | None) -> None:
    for phantom in (BODY, DISK):
        y = measured(geometry, phantom, photons)
        assert named(-torch.log(y.clamp_min(floor))) == "logarithm-twice"
        assert list(found(-torch.log(y.clamp_min(floor)), geometry)) == ["logarithm-twice"]  # and no truncation


@pytest.mark.parametrize("photons", [None, 1e5, 2e3, 300.0])
@pytest.mark.parametrize("geometry", [HALF, FLAT])
def test_the_inverse_of_transmission_is_named(geometry: Geometry, photons: float | None) -> None:
    for phantom in (BODY, DISK):
        assert list(found(torch.exp(measured(geometry, phantom, photons)), geometry)) == ["no-logarithm"]


@pytest.mark.parametrize("photons", [None, 1e4])
def test_line_integrals_of_another_unit_are_no_logarithm_too_many(photons: float | None) -> None:
    assert named(1000 * measured(HALF, photons=photons)) == "opaque"


@pytest.mark.parametrize("blank", [0.2, 3.0, 9.0])
def test_transmission_of_any_blank_scan_is_named(blank: float) -> None:
    assert named(blank * torch.exp(-measured(HALF, photons=1e4))) == "transmission"


@pytest.mark.parametrize("wall", [3.0, 10.0])
def test_the_middle_of_a_tube_is_no_transmission(wall: float) -> None:
    """Seen by a detector that ends within its hollow, values rise towards both ends."""
    tube = Phantom((Ellipse(0.02, (0.0, 0.0), (50.0, 50.0)), Ellipse(-0.02, (0.0, 0.0), (50.0 - wall, 50.0 - wall))))
    middle = measured(HALF, tube)[:, 22:-22]
    assert named(middle) == ""


@pytest.mark.parametrize("photons", [None, 2e4, 500.0])
@pytest.mark.parametrize(("share", "geometry"), [(0.95, FLAT), (0.8, HALF), (0.5, HALF), (0.5, FLAT)])
def test_a_ceiling_is_named_with_its_value(share: float, geometry: Geometry, photons: float | None) -> None:
    y = measured(geometry, BODY, photons)
    ceiling = share * float(measured(geometry, BODY).max())
    clipped = y.clamp_max(ceiling)
    finding = saturation(clipped.double().numpy())
    assert finding is not None
    assert f"stop at {ceiling:.4g}, which" in finding.text
    rays = float((y >= ceiling).sum() / (y > 0.05 * ceiling).sum())
    assert f"which {100 * rays:.2g} % of the rays" in finding.text
    assert finding.severity is Severity.PROBLEM
    assert next(iter(found(clipped, geometry))) == "saturated"


def test_photons_that_do_not_pass_are_a_ceiling_of_few_rays() -> None:
    """Metal through which nearly nothing passes, with counts floored at one."""
    y = torch.poisson(1e4 * torch.exp(-measured(HALF, DENSE)), torch.Generator().manual_seed(0)).clamp_min(1.0)
    finding = saturation(-torch.log(y / 1e4).numpy())
    assert finding is not None
    assert f"stop at {math.log(1e4):.4g}" in finding.text


@pytest.mark.parametrize("photons", [30.0, 100.0, 1000.0])
def test_the_noise_of_few_photons_is_no_ceiling(photons: float) -> None:
    for geometry in (HALF, FLAT):
        y = count_photons(measured(geometry, BODY), photons, torch.Generator().manual_seed(1))
        assert saturation(y.double().numpy()) is None


def test_sound_line_integrals_have_no_ceiling() -> None:
    """Neither flat projections of a few views, nor numbers of few bits."""
    box = np.zeros((90, 100))
    box[[0, 45], 30:70] = 2.0
    box[1:45, 35:65] = box[46:, 35:65] = np.hanning(30)
    assert saturation(box) is None
    for levels in (64, 256, 4096):
        y = measured(HALF, DISK)
        assert saturation((y / y.max() * levels).round().numpy()) is None
