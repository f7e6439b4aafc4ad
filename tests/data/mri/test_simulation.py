import math
from itertools import islice

import numpy as np
import pytest
import sigpy.mri
import torch
from torch import Tensor

from medrecon.data.mri.birdcage import background_phase, birdcage_maps, birdcage_section, normalize_maps
from medrecon.data.mri.noise import sigma_for_snr
from medrecon.data.mri.simulation import Simulation, multicoil_kspace, simulate_volume
from medrecon.data.phantoms.mri_phantoms import brain, brain_volume, shepp_logan, shepp_logan_volume


def images(kspace: Tensor) -> Tensor:
    axes = (-2, -1)
    return torch.fft.fftshift(torch.fft.ifft2(torch.fft.ifftshift(kspace, dim=axes), norm="ortho"), dim=axes)


@pytest.mark.parametrize(("n_coils", "shape"), [(8, (64, 48)), (1, (8, 6)), (5, (20, 30))])
def test_birdcage_equals_sigpy_in_2d(n_coils: int, shape: tuple[int, int]) -> None:
    maps = normalize_maps(birdcage_maps(n_coils, shape))
    assert maps.dtype == torch.complex64
    np.testing.assert_allclose(maps.numpy(), sigpy.mri.birdcage_maps((n_coils, *shape)), atol=1e-6)


@pytest.mark.parametrize(("n_coils", "per_ring"), [(8, 8), (16, 8), (12, 6), (4, 4)])
def test_birdcage_equals_sigpy_in_3d(n_coils: int, per_ring: int) -> None:
    maps = normalize_maps(birdcage_maps(n_coils, (6, 16, 20), radius=1.7))
    peer = sigpy.mri.birdcage_maps((n_coils, 6, 16, 20), r=1.7, nzz=per_ring)
    np.testing.assert_allclose(maps.numpy(), peer, atol=1e-6)


def test_birdcage_section_and_extent() -> None:
    volume = birdcage_maps(16, (8, 16, 20))
    torch.testing.assert_close(birdcage_section(16, -0.25, (16, 20)), volume[:, 3])  # (3 - 4) * 2 / 8
    torch.testing.assert_close(birdcage_maps(6, (32, 20), (2.0, 1.0))[:, 8:24], birdcage_maps(6, (16, 20)))


def test_normalized_maps_have_unit_root_sum_of_squares() -> None:
    maps = birdcage_maps(8, (32, 32))
    maps[:, :4] = 0
    rss = torch.linalg.vector_norm(normalize_maps(maps), dim=0)
    torch.testing.assert_close(rss[4:], torch.ones(28, 32))
    assert not bool(rss[:4].any())
    assert bool(torch.isfinite(birdcage_maps(4, (8, 8), (3.0, 3.0)).real).all())  # a pixel on a coil


def test_background_phase_is_smooth_bounded_and_the_same_on_every_grid() -> None:
    coarse = background_phase((40, 30), torch.Generator().manual_seed(4))
    fine = background_phase((80, 60), torch.Generator().manual_seed(4))
    torch.testing.assert_close(coarse, fine[::2, ::2])
    torch.testing.assert_close(coarse.abs(), torch.ones(40, 30))
    assert float(coarse.angle().abs().max()) <= math.pi / 2 + 1e-5
    assert 0.01 < float(fine.angle().diff(dim=0).abs().max()) < 0.1
    assert not torch.allclose(coarse, background_phase((40, 30), torch.Generator().manual_seed(5)))


@pytest.mark.parametrize("extent", [None, (2.0, 1.0)])
@pytest.mark.parametrize("shape", [(64, 64), (65, 48)])
def test_unit_maps_give_the_closed_form(extent: tuple[float, float] | None, shape: tuple[int, int]) -> None:
    ones = torch.ones(2, *(math.ceil(1.25 * n) for n in shape), dtype=torch.complex64)
    kspace = multicoil_kspace(brain(), ones, shape, extent)
    expected = brain().kspace(shape, extent)
    assert kspace.shape == (2, *shape)
    for coil in kspace:
        assert float((coil - expected).norm() / expected.norm()) < 1e-6


def test_a_plane_wave_as_map_shifts_the_closed_form() -> None:
    fine, shape = (96, 96), (64, 64)
    wave = torch.polar(torch.ones(96), 2 * math.pi * 5 * (torch.arange(96) - 48) / 96).expand(1, *fine)
    kspace = multicoil_kspace(shepp_logan(), wave, shape)[0]
    expected = shepp_logan().kspace((64, 74))[:, :64] * math.sqrt(64 / 74)  # columns -37, ..., 26
    torch.testing.assert_close(kspace, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("extent", [None, (2.0, 1.0)])
def test_maps_on_finer_grids_agree(extent: tuple[float, float] | None) -> None:
    def scan(fine: int) -> Tensor:
        maps = normalize_maps(birdcage_maps(4, (fine, fine), extent))
        return multicoil_kspace(brain(), maps, (64, 64), extent)

    best = scan(256)
    errors = [float((scan(fine) - best).norm() / best.norm()) for fine in (80, 96, 128)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] < 5e-3
    assert errors[1] < 3e-3
    assert errors[2] < 1e-3


def test_multicoil_in_3d() -> None:
    ones = torch.ones(1, 15, 20, 25, dtype=torch.complex64)
    expected = shepp_logan_volume().kspace((12, 16, 20))
    kspace = multicoil_kspace(shepp_logan_volume(), ones, (12, 16, 20))[0]
    assert float((kspace - expected).norm() / expected.norm()) < 1e-6


def test_refuses_maps_on_the_grid_of_the_scan() -> None:
    with pytest.raises(
        ValueError, match=r"takes maps \(coil, \*at least \(80, 80\)\) for \(64, 64\), got \(1, 64, 64\)"
    ):
        multicoil_kspace(brain(), torch.ones(1, 64, 64, dtype=torch.complex64), (64, 64))


def test_volume_looks_like_a_fastmri_scan() -> None:
    simulation = Simulation(brain_volume(), size=(96, 80), n_slices=3, n_coils=5, seed=3)
    slices = list(simulate_volume(simulation))
    assert [s.shape for s in slices] == [(5, 192, 80)] * 3
    assert all(s.dtype == torch.complex64 for s in slices)
    rss = images(slices[1]).abs().square().sum(0).sqrt()
    cropped = rss[48:144]  # without the readout oversampling
    expected = brain().image((96, 80), (96 / 80, 1.0))
    assert float((cropped - expected).norm() / expected.norm()) < 0.12  # ringing, and pixel means in one of them
    assert float((cropped.flip(0) - expected).norm() / expected.norm()) > 0.2
    assert float(rss[:40].norm() / rss.norm()) < 0.01
    assert float((slices[0] - slices[2]).norm()) > 0


def test_volume_noise_and_seed() -> None:
    def scan(snr: float, seed: int) -> list[Tensor]:
        return list(simulate_volume(Simulation(brain_volume(), (64, 64), 2, 4, snr, seed)))

    clean, noisy, other = scan(math.inf, 0), scan(20.0, 0), scan(20.0, 1)
    sigma = sigma_for_snr(clean[1], 20.0)
    for quiet, loud in zip(clean, noisy, strict=True):
        assert float((loud - quiet).real.std()) == pytest.approx(sigma, rel=0.02)
    assert all(torch.equal(a, b) for a, b in zip(noisy, scan(20.0, 0), strict=True))
    assert not torch.equal(noisy[0], other[0])
    assert not torch.equal(noisy[0] - clean[0], noisy[1] - clean[1])


def test_volume_is_lazy() -> None:
    simulation = Simulation(brain_volume(), (32, 32), n_slices=10**9, n_coils=1)
    assert len(list(islice(simulate_volume(simulation), 2))) == 2


def test_simulation_refusals() -> None:
    with pytest.raises(ValueError, match="Simulation takes a phantom of ellipsoids"):
        Simulation(brain())
    with pytest.raises(ValueError, match="Simulation takes a size, slices and coils"):
        Simulation(brain_volume(), n_slices=0)
    with pytest.raises(ValueError, match="Simulation takes an SNR above zero"):
        Simulation(brain_volume(), snr=0.0)
    with pytest.raises(ValueError, match="at least one coil"):
        birdcage_maps(0, (4, 4))
    with pytest.raises(ValueError, match="birdcage_maps takes a shape"):
        birdcage_maps(2, (4,))
