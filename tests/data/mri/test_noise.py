import math

import pytest
import torch
from torch import Tensor

from medrecon.data.mri.noise import add_noise, sigma_for_snr
from medrecon.data.mri.simulation import Simulation, simulate_volume
from medrecon.data.phantoms.mri_phantoms import brain_volume


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


def test_refusals(clean: Tensor) -> None:
    for snr in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="takes an SNR above zero"):
            add_noise(clean, snr, generator())
    with pytest.raises(ValueError, match="takes k-space with a signal"):
        add_noise(torch.zeros_like(clean), 10, generator())
    with pytest.raises(ValueError, match=r"sigma_for_snr takes complex k-space .*got \(4, 5\) torch.complex64"):
        sigma_for_snr(torch.ones(4, 5, dtype=torch.complex64), 10)
    with pytest.raises(ValueError, match="sigma_for_snr takes complex k-space"):
        sigma_for_snr(torch.ones(2, 4, 5), 10)
