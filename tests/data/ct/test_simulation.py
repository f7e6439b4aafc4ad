"""Simulated CT: what the phantoms are, and what is measured of them."""

import math
from dataclasses import replace

import pytest
import torch

from medrecon.data.ct.attenuation import MU_WATER, hounsfield_from_attenuation
from medrecon.data.ct.geometry_files import CTScan
from medrecon.data.ct.phantoms import ABDOMEN_FIELD, HEAD_FIELD, abdomen_volume, head_volume
from medrecon.data.ct.projections import phantom_image, phantom_sinogram
from medrecon.data.ct.simulation import CTSimulation, measured_sinogram, simulate_sections
from medrecon.data.phantoms.ellipses import Ellipse, Phantom
from medrecon.geometry import Arc, FanBeam, Geometry, Grid, ParallelBeam
from tests.sinogram_files import PHANTOM, SCAN

DISK = Phantom((Ellipse(0.02, (3.0, -5.0), (30.0, 30.0)),))
GEOMETRIES = [
    ParallelBeam(Arc.half_turn(7), 90, 1.0, offset=0.25),
    FanBeam(Arc.full_turn(5), 90, 1.3, 300.0, 90.0, curved=True),
]


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=repr)
def test_narrow_bins_measure_the_closed_form(geometry: Geometry) -> None:
    fine = replace(geometry, n_bins=10 * geometry.n_bins, spacing=geometry.spacing / 10)
    torch.testing.assert_close(measured_sinogram(DISK, fine), phantom_sinogram(DISK, fine), rtol=0, atol=0.03)
    wide, exact = measured_sinogram(DISK, geometry), phantom_sinogram(DISK, geometry)
    assert float((wide - exact).abs().median()) < 1e-3


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=repr)
def test_a_bin_takes_the_mean_of_the_intensity_over_its_width(geometry: Geometry) -> None:
    rays = 200
    fine = replace(geometry, n_bins=rays * geometry.n_bins, spacing=geometry.spacing / rays)
    mean = torch.exp(-phantom_sinogram(DISK, fine)).reshape(*geometry.shape, rays).mean(-1)
    torch.testing.assert_close(measured_sinogram(DISK, geometry), -mean.log(), rtol=0, atol=0.02)


def test_sections_repeat_by_their_seed_and_differ_by_height() -> None:
    scan = replace(SCAN, grid=Grid((32, 32), 400 / 32), photons=1e4)
    simulation = CTSimulation(abdomen_volume(), ABDOMEN_FIELD / 2, scan, n_slices=2, seed=4)
    first, again = list(simulate_sections(simulation)), list(simulate_sections(simulation))
    for (one, image), (other, same) in zip(first, again, strict=True):
        assert (one.dtype, image.dtype) == (torch.float32, torch.float32)
        assert torch.equal(one, other)
        assert torch.equal(image, same)
    assert not torch.equal(first[0][1], first[1][1])
    ((seeded, _), _) = simulate_sections(replace(simulation, seed=5))
    assert not torch.equal(seeded, first[0][0])


def test_the_dose_makes_the_noise() -> None:
    clean = measured_sinogram(PHANTOM, SCAN.geometry)
    volume = head_volume()
    scan = replace(SCAN, photons=1e5)
    ((noisy, _),) = simulate_sections(CTSimulation(volume, HEAD_FIELD / 2, scan))
    ((exact, _),) = simulate_sections(CTSimulation(volume, HEAD_FIELD / 2, SCAN))
    score = ((noisy - exact) * torch.exp(-exact / 2) * math.sqrt(1e5)).std()
    assert float(score) == pytest.approx(1, abs=0.05)
    assert float(clean.min()) >= 0


def test_phantoms_have_the_values_of_a_body() -> None:
    for volume, field in ((abdomen_volume(), ABDOMEN_FIELD), (head_volume(), HEAD_FIELD)):
        section = volume.section(0.0)
        assert section is not None
        image = phantom_image(section, Grid((128, 128), field / 128), field / 2)
        hounsfield = hounsfield_from_attenuation(image)
        assert float(image.min()) >= -1e-9  # air
        assert 500 < float(hounsfield.max()) < 1300  # bone
        assert 0.1 < float((image > 0.9 * MU_WATER).float().mean()) < 0.6


def test_empty_heights_and_refusals() -> None:
    scan = CTScan(SCAN.geometry, SCAN.grid)
    flat = head_volume().section(0.0)
    assert flat is not None
    with pytest.raises(ValueError, match="takes a phantom of ellipsoids"):
        CTSimulation(flat, 1.0, scan)
    with pytest.raises(ValueError, match="at least one slice, got 0"):
        CTSimulation(head_volume(), 1.0, scan, n_slices=0)
