"""Plug-and-play and samples: the exact posterior where it is known in closed form, and the laws that every sampler obeys."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from medrecon.operators import LinearOperator, Mask, sense
from medrecon.reconstructors import DiffusionSampler, PlugAndPlay
from medrecon.spaces import Space
from tests.denoisers import HaarShrinkage, OfHaarMixture, OfSpectrum
from tests.problems import lines, maps, mri

N, NOISE = 16, 0.1


def _posterior(A: LinearOperator, y: Tensor, power: Tensor) -> tuple[Tensor, Tensor]:
    """The exact mean, and the variance by real part, of images `(N, N)` of this spectrum."""
    basis = torch.eye(N * N, dtype=y.dtype).reshape(-1, N, N)

    def matrix(images: Tensor) -> Tensor:
        return images.reshape(N * N, N * N).T

    inverse = torch.fft.ifft2(torch.fft.fft2(basis, norm="ortho") / power, norm="ortho")
    covariance = torch.linalg.inv(matrix(A.gram(basis)) / NOISE**2 + matrix(inverse))
    mean = covariance @ A.H(y).reshape(-1) / NOISE**2
    return mean.reshape(N, N), covariance.diagonal().real.reshape(N, N)


def _scan(power: Tensor) -> tuple[LinearOperator, Tensor]:
    """A scan by two coils of every fourth line, of an image of this spectrum."""
    generator = torch.Generator().manual_seed(1)
    A = sense(lines(N, 2, 4), maps(2, (N, N)).to(torch.complex128))
    white = math.sqrt(2) * torch.randn(N, N, generator=generator, dtype=torch.complex128)
    x = torch.fft.ifft2(torch.fft.fft2(white, norm="ortho") * power.sqrt(), norm="ortho")
    y = A(x)
    return A, y + NOISE * math.sqrt(2) * torch.randn(y.shape, generator=generator, dtype=y.dtype)


def _spectrum(steep: bool) -> Tensor:
    if not steep:
        return torch.ones(N, N, dtype=torch.float64)
    k = torch.fft.fftfreq(N, dtype=torch.float64).square()
    power = 1 / (k[:, None] + k + 5e-4)
    return power / power.mean()


@pytest.mark.parametrize(("steep", "low", "high", "off"), [(False, 0.95, 1.05, 0.02), (True, 0.8, 1.1, 0.05)])
def test_samples_of_a_normal_prior_are_those_of_the_posterior(steep: bool, low: float, high: float, off: float) -> None:
    power = _spectrum(steep)
    A, y = _scan(power)
    wanted, variance = _posterior(A, y, power)
    sampler = DiffusionSampler(OfSpectrum(power), steps=10, largest=5.0, noise=NOISE)
    samples = sampler.sample(y.expand(300, *y.shape), A, torch.Generator().manual_seed(2))
    spread = samples.var(dim=0, unbiased=True) / 2  # of real and imaginary part together
    assert low < float(spread.sum() / variance.sum()) < high
    assert float((samples.mean(dim=0) - wanted).abs().square().sum() / 2 / variance.sum()) < off
    best = PlugAndPlay(OfSpectrum(power), steps=10, largest=5.0, noise=NOISE)(y, A)
    assert float((best - wanted).abs().square().sum() / 2 / variance.sum()) < off


def test_intervals_of_samples_hold_the_truth_and_the_mean_of_eight_gains_what_it_must() -> None:
    """A sparse prior, neither normal nor stationary: 90 % intervals, and the 2.50 dB between one sample and the mean of eight.

    Were truth and samples alike draws of the posterior, the mean of P would have the squared error of one times (P + 1) / 2 P.
    Bendel et al., A regularized conditional GAN for posterior sampling, NeurIPS (2023).
    """
    generator = torch.Generator().manual_seed(3)
    prior = OfHaarMixture(0.3, 1.0, 0.1)
    truth = prior.draw((30, N, N), generator)
    A = Mask(torch.rand(N, N, generator=generator) < 0.5, Space(("y", "x"), (N, N), is_complex=False))
    y = A(truth + NOISE * torch.randn(truth.shape, generator=generator, dtype=truth.dtype))
    sampler = DiffusionSampler(prior, steps=10, largest=3.0, noise=NOISE)
    samples = torch.stack([sampler.sample(y, A, generator) for _ in range(32)])
    low, high = samples.quantile(0.05, dim=0), samples.quantile(0.95, dim=0)
    unseen = ~A.pattern.expand(truth.shape)
    assert 0.8 < float(((low <= truth) & (truth <= high))[unseen].float().mean()) < 0.97
    one = (samples - truth).square().mean()
    eight = (samples.reshape(4, 8, *truth.shape).mean(dim=1) - truth).square().mean()
    assert float(10 * torch.log10(one / eight)) == pytest.approx(2.5, abs=0.5)


def test_a_sampler_draws_others_from_another_seed_and_the_same_from_the_same() -> None:
    scan = mri((24, 20), 1, noise=0.02)
    first, again, other = (
        DiffusionSampler(HaarShrinkage(), steps=3, samples=2, seed=seed)(scan.y, scan.A) for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.allclose(first, other, rtol=1e-4)


@pytest.mark.parametrize("method", [PlugAndPlay, DiffusionSampler])
def test_settings_that_make_no_sense_are_refused(method: type[PlugAndPlay | DiffusionSampler]) -> None:
    with pytest.raises(ValueError, match=f"{method.__name__} takes at least one step and 0 < smallest <= largest"):
        method(HaarShrinkage(), steps=0)
    with pytest.raises(ValueError, match=r"got 4, 0\.5, 0\.1"):
        method(HaarShrinkage(), steps=4, smallest=0.5, largest=0.1)
    with pytest.raises(ValueError, match="at least one sample, got 0"):
        DiffusionSampler(HaarShrinkage(), samples=0)
    with pytest.raises(ValueError, match="a noise of at least 0, or None, got -1"):
        method(HaarShrinkage(), noise=-1)
