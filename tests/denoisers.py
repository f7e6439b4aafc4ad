"""Denoisers in closed form: the exact ones of known priors, and one that is simple and good enough."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from medrecon.operators import Wavelet
from medrecon.spaces import Space


def _over_images(sigma: Tensor) -> Tensor:
    return sigma[..., None, None]


@dataclass(frozen=True, eq=False)
class OfSpectrum:
    """The posterior mean of images whose Fourier coefficients are independent and normal, of this variance, by real part."""

    power: Tensor

    def __call__(self, x: Tensor, sigma: Tensor, /) -> Tensor:
        share = self.power / (self.power + _over_images(sigma).square())
        return torch.fft.ifft2(torch.fft.fft2(x, norm="ortho") * share, norm="ortho")

    def error(self, sigma: Tensor, _scale: Tensor, /) -> Tensor:
        square = _over_images(sigma).square()
        return (self.power * square / (self.power + square)).mean((-1, -2))


def _between(sigma: Tensor, levels: Tensor, values: Tensor) -> Tensor:
    """Interpolate logarithms linearly."""
    place = sigma.log().clamp(levels[0], levels[-1])
    right = torch.searchsorted(levels, place.contiguous()).clamp(1, len(levels) - 1)
    part = (place - levels[right - 1]) / (levels[right] - levels[right - 1])
    return torch.lerp(values[right - 1], values[right], part).exp()


@dataclass(frozen=True)
class OfHaarMixture:
    """The posterior mean of real images whose Haar coefficients are independent, `large` with this `share`, else `small`."""

    share: float
    large: float
    small: float

    def __call__(self, x: Tensor, sigma: Tensor, /) -> Tensor:
        mean, _ = self._moments(x, _over_images(sigma))
        return mean

    def error(self, sigma: Tensor, _scale: Tensor, /) -> Tensor:
        """The mean posterior variance over images of the prior: simulated at 24 levels, and read between them."""
        return _between(sigma, *self._errors)

    @cached_property
    def _errors(self) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(5)
        x, levels = self.draw((64, 16, 16), generator), torch.logspace(-3, 2, 24, dtype=torch.float64)
        noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
        found = [self._moments(x + level * noise, level)[1].mean() for level in levels]
        return levels.log(), torch.stack(found).log()

    def draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        large = torch.rand(shape, generator=generator, dtype=torch.float64) < self.share
        deviation = torch.where(large, self.large, self.small)
        return _haar(shape[-2:]).H(deviation * torch.randn(shape, generator=generator, dtype=torch.float64))

    def _moments(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """The posterior mean of each pixel, and the posterior variance of each coefficient."""
        haar = _haar(tuple(x.shape[-2:]))
        seen, square = haar(x), sigma.square()
        variances = torch.tensor([self.large, self.small], dtype=x.dtype).square()[:, *[None] * x.ndim]
        shares = torch.tensor([self.share, 1 - self.share], dtype=x.dtype)[:, *[None] * x.ndim]
        total = variances + square
        chance = torch.softmax(shares.log() - total.log() / 2 - seen.square() / (2 * total), dim=0)
        means, spreads = variances / total * seen, variances * square / total
        mean = (chance * means).sum(0)
        return haar.H(mean), (chance * (spreads + means.square())).sum(0) - mean.square()


@dataclass(frozen=True)
class HaarShrinkage:
    """Haar coefficients but the coarsest, shrunk by `threshold` times the noise: in no unit, for images of any field."""

    threshold: float = 2.0

    def __call__(self, x: Tensor, sigma: Tensor, /) -> Tensor:
        haar = _haar(tuple(x.shape[-2:]), 1, is_complex=x.is_complex())
        c = haar(x)
        size = c.abs()
        least = self.threshold * _over_images(sigma)
        shrunk = torch.where(size > least, c * (1 - least / size.clamp_min(torch.finfo(size.dtype).tiny)), 0)
        ny, nx = (n // 2 for n in x.shape[-2:])
        shrunk[..., :ny, :nx] = c[..., :ny, :nx]
        return haar.H(shrunk)

    def error(self, sigma: Tensor, _scale: Tensor, /) -> Tensor:
        return sigma.square() / 2


def _haar(shape: tuple[int, ...], levels: int = 4, *, is_complex: bool = False) -> Wavelet:
    return Wavelet(Space(("y", "x"), (shape[0], shape[1]), is_complex), "haar", levels)
