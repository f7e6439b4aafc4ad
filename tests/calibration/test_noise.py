"""The noise of k-space and of sinograms, read from simulated scans of which it is known."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from medrecon.calibration import noise_level
from medrecon.calibration.sinogram_noise import scan_noise
from medrecon.data.ct.photons import count_photons
from medrecon.data.ct.projections import phantom_sinogram
from medrecon.data.mri.masks import equispaced_mask
from medrecon.data.mri.noise import add_noise_of_sigma, sigma_for_snr
from medrecon.data.mri.simulation import Simulation, simulate_volume
from medrecon.data.phantoms.mri_phantoms import brain_volume
from medrecon.geometry import Arc, ParallelBeam
from tests.sinogram_files import GEOMETRY, PHANTOM

ALL = torch.ones(192, dtype=torch.bool)


@pytest.fixture(scope="module")
def clean() -> Tensor:
    return next(simulate_volume(Simulation(brain_volume(), size=(192, 192), n_coils=4)))


def noisy(clean: Tensor, sigma: float, seed: int = 0) -> Tensor:
    return add_noise_of_sigma(clean, sigma, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("snr", "tolerance"), [(3, 0.03), (10, 0.03), (30, 0.1)])
@pytest.mark.parametrize("outermost", [0.2, 0.05])
def test_the_level_of_a_scan_is_that_of_its_complex_noise(
    clean: Tensor, snr: float, tolerance: float, outermost: float
) -> None:
    sigma = sigma_for_snr(clean, snr)
    level = float(noise_level(noisy(clean, sigma), ALL, outermost)) / math.sqrt(2)
    assert level == pytest.approx(sigma, rel=tolerance)


def test_fewer_samples_hold_less_of_the_signal(clean: Tensor) -> None:
    kspace = noisy(clean, sigma_for_snr(clean, 100))
    assert float(noise_level(kspace, ALL, 0.1)) < float(noise_level(kspace, ALL))


def test_coils_of_their_own_level_are_told_apart_and_zeros_do_not_count(clean: Tensor) -> None:
    sigmas = torch.tensor([0.1, 0.2, 0.4, 0.0])
    kspace = noisy(torch.zeros_like(clean), 1.0) * sigmas[:, None, None]
    sampled = equispaced_mask(192, 4, 0.08, 0).sampled
    padded = kspace.clone()
    padded[..., :20] = 0
    for some, where in ((kspace, ALL), (padded, ALL), (kspace * sampled, sampled)):
        torch.testing.assert_close(noise_level(some[:, None], where) / math.sqrt(2), sigmas, rtol=0.05, atol=0)


def test_levels_of_a_batch_follow_its_scale(clean: Tensor) -> None:
    kspace = noisy(clean, 0.1)
    levels = noise_level(torch.stack((kspace, 3 * kspace)), ALL)
    torch.testing.assert_close(levels, noise_level(kspace, ALL) * torch.tensor([1.0, 3.0]))


@pytest.mark.parametrize("photons", [3e2, 1e3, 1e4, 1e6])
def test_the_dose_is_read_from_the_noise(photons: float, generator: torch.Generator) -> None:
    clean = phantom_sinogram(PHANTOM, ParallelBeam(Arc.half_turn(90), 128, 1.0)).float()
    measured = count_photons(clean, photons, generator)
    variance, per_photon = scan_noise(measured)
    assert 1 / per_photon == pytest.approx(photons, rel=0.3)
    assert variance**0.5 == pytest.approx(float((measured - clean).abs().median()) / 0.6745, rel=0.4)


def test_what_has_no_noise_has_none() -> None:
    assert scan_noise(torch.zeros(8, 8)) == scan_noise(torch.zeros(2, 8)) == scan_noise(torch.zeros(8, 2)) == (0, 0)
    _, per_photon = scan_noise(phantom_sinogram(PHANTOM, replace(GEOMETRY, n_bins=512, spacing=0.25)).float())
    assert per_photon < 1e-7
