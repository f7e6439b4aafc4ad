import math

import pytest
import torch
from torch import Tensor

from medrecon.data.mri.masks import equispaced_mask
from medrecon.data.mri.noise import add_noise, add_noise_of_sigma, noise_level, sigma_for_snr
from medrecon.data.mri.simulation import Simulation, simulate_volume
from medrecon.data.phantoms.ellipses import Phantom
from medrecon.data.phantoms.mri_phantoms import brain_volume, shepp_logan_volume


def rss(kspace: Tensor) -> Tensor:
    images = torch.fft.fftshift(torch.fft.ifft2(torch.fft.ifftshift(kspace, dim=(-2, -1)), norm="ortho"), dim=(-2, -1))
    return images.abs().square().sum(-3).sqrt()


@pytest.fixture(scope="module")
def clean() -> Tensor:
    return next(simulate_volume(Simulation(brain_volume(), size=(192, 192), n_coils=4)))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_snr_as_measured_in_the_combined_image(clean: Tensor) -> None:
    images = rss(clean)
    inside = images > 0.1 * images.max()
    noisy = torch.stack([rss(add_noise(clean, 40.0, generator(seed))) for seed in range(16)])
    spread = noisy.std(0)[inside].square().mean().sqrt()
    assert float(images[inside].mean() / spread) == pytest.approx(40, rel=0.02)


def test_noise_is_circular_white_and_of_the_stated_sigma(clean: Tensor) -> None:
    noise = add_noise(clean, 25.0, generator()) - clean
    sigma = sigma_for_snr(clean, 25.0)
    assert noise.dtype == torch.complex64
    assert float(noise.real.std()) == pytest.approx(sigma, rel=0.01)
    assert float(noise.imag.std()) == pytest.approx(sigma, rel=0.01)
    assert abs(float((noise.real * noise.imag).mean())) < 0.01 * sigma**2
    neighbors = (noise[..., 1:] * noise[..., :-1].conj()).mean().abs()
    assert float(neighbors) < 0.02 * sigma**2
    coils = (noise[0] * noise[1].conj()).mean().abs()
    assert float(coils) < 0.02 * sigma**2


def test_sigma_is_inverse_to_snr_and_follows_the_scale(clean: Tensor) -> None:
    assert sigma_for_snr(clean, 10) == pytest.approx(2 * sigma_for_snr(clean, 20))
    assert sigma_for_snr(1e-6 * clean, 10) == pytest.approx(1e-6 * sigma_for_snr(clean, 10), rel=1e-4)
    assert torch.equal(add_noise(clean, math.inf, generator()), clean)


def test_the_generator_alone_decides(clean: Tensor) -> None:
    assert torch.equal(add_noise(clean, 10, generator(1)), add_noise(clean, 10, generator(1)))
    assert not torch.equal(add_noise(clean, 10, generator(1)), add_noise(clean, 10, generator(2)))


@pytest.mark.parametrize("phantom", [brain_volume(), shepp_logan_volume()], ids=["brain", "shepp-logan"])
def test_noise_level_within_five_per_cent(phantom: Phantom) -> None:
    kspace = next(simulate_volume(Simulation(phantom, size=(256, 240), n_coils=3)))
    for snr in (3.0, 20.0, 80.0):
        sigma = sigma_for_snr(kspace, snr)
        levels = noise_level(add_noise_of_sigma(kspace, sigma, generator()))
        torch.testing.assert_close(levels, torch.full((3,), sigma), rtol=0.05, atol=0)


def test_noise_level_of_each_coil_with_zeros_and_batch(clean: Tensor) -> None:
    sigmas = torch.tensor([0.01, 0.02, 0.04, 0.0])
    noise = add_noise_of_sigma(torch.zeros_like(clean), 1.0, generator()) * sigmas[:, None, None]
    noisy = (clean + noise) * torch.tensor([1, 1, 1, 0])[:, None, None]
    mask = equispaced_mask(192, 4, 0.08, 0).sampled
    padded = noisy.clone()
    padded[..., :20] = 0
    for kspace, tolerance in ((noisy, 0.05), (padded, 0.05), (noisy * mask, 0.1)):
        torch.testing.assert_close(noise_level(kspace), sigmas, rtol=tolerance, atol=0)
    batch = noise_level(torch.stack((noisy, 3 * noisy)))
    torch.testing.assert_close(batch, torch.stack((noise_level(noisy), 3 * noise_level(noisy))))
    torch.testing.assert_close(noise_level(1e-7 * noisy), 1e-7 * noise_level(noisy))


def test_noise_level_is_not_moved_by_the_signal_itself(clean: Tensor) -> None:
    noisy = add_noise(clean, 50, generator())
    crude = noisy.real.std(dim=(-2, -1))
    assert bool((crude > 4 * noise_level(noisy)).all())  # what the estimate is robust against


def test_refusals(clean: Tensor) -> None:
    for snr in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="takes an SNR above zero"):
            add_noise(clean, snr, generator())
    with pytest.raises(ValueError, match="takes k-space with a signal"):
        add_noise(torch.zeros_like(clean), 10, generator())
    with pytest.raises(ValueError, match=r"noise_level takes complex k-space .*got \(4, 5\) torch.complex64"):
        noise_level(torch.ones(4, 5, dtype=torch.complex64))
    with pytest.raises(ValueError, match="noise_level takes complex k-space"):
        noise_level(torch.ones(2, 4, 5))
