"""Images by a denoiser: plug-and-play, and samples of what the measurements leave open, by one annealed loop."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from medrecon.calibration import measurement_noise
from medrecon.calibration.sinogram_noise import grid_error, photon_noise
from medrecon.operators import Diagonal, LinearOperator
from medrecon.reconstructors.scaling import intensity
from medrecon.solvers import conjugate_gradient, run
from medrecon.spaces import Space

__all__ = ["Denoiser", "DiffusionSampler", "PlugAndPlay"]

_WEIGHT = 0.23  # of a denoised image, over the variance of its level
_CG = 5  # iterations of a step towards the data: more changes nothing that matters
_START = 10  # iterations of the image that the loop begins with
_LEAST_NOISE = 1e-4  # of the intensity: below it, measurements are as good as exact


class Denoiser(Protocol):
    """Takes white noise off images, and knows how far off it is itself.

    `denoiser(x, sigma)` takes images `(..., y, x)` and the standard deviation of the noise of each real or imaginary part, of the
    shape of the leading axes; it knows no unit: `D(c x, c sigma) = c D(x, sigma)`. `denoiser.error(sigma, scale)` is the mean
    squared error of a real or imaginary part of what it gives, for images of the intensity `scale`.
    """

    def __call__(self, x: Tensor, sigma: Tensor, /) -> Tensor: ...

    def error(self, sigma: Tensor, scale: Tensor, /) -> Tensor: ...


@dataclass(frozen=True, eq=False)
class PlugAndPlay:
    """Denoise, go towards the data, and again with less noise: half-quadratic splitting with a denoiser in place of a prior.

    Each of `steps` solves `argmin |A x - y|^2 / noise^2 + 0.23 |x - d|^2 / sigma^2` by conjugate gradients from `d`, the denoised
    image, where `noise` is that of the measurements, and `sigma` the level; the factor is the published one. (Were `d` held to by
    its own error, as a draw is, steps without noise would stop at the first.) Levels fall from `largest` to `smallest`, in units of
    the image's intensity. `noise` is the standard deviation of each real or imaginary part of the measurements; None reads it from
    them, and weighs line integrals by their photons.
    Zhang et al., Plug-and-play image restoration with deep denoiser prior, IEEE Trans Pattern Anal 44:6360 (2022).

    Raises
    ------
    ValueError
        if there is less than one step, not `0 < smallest <= largest`, or a negative noise.
    """

    denoiser: Denoiser
    steps: int = 30
    largest: float = 0.6
    smallest: float = 0.03
    noise: float | None = None

    def __post_init__(self) -> None:
        _require(self)

    def __call__(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        return _anneal(self, _measured(y, A, self.noise, type(self).__name__), None)


@dataclass(frozen=True, eq=False)
class DiffusionSampler:
    """Images that the measurements leave possible, by what a denoiser knows of images: draws, and called, the mean of `samples`.

    The loop of `PlugAndPlay`, from its image on, with noise: each step towards the data is not their best image but a draw of them
    all, by moving measurements and denoised image by noise of their own strength, for the latter the denoiser's error `v`, and
    solving for those (perturb and solve); then noise of the next level is added. Samples spread as the posterior does where `v`
    holds for every pixel alike. Where few views leave streaks it does not, and their mean lies below plug-and-play.
    Papandreou & Yuille, Gaussian sampling by local perturbations, NeurIPS (2010); Orieux et al., Sampling high-dimensional
    Gaussian distributions, IEEE Trans Image Process 21:4310 (2012); Wu et al., Principled probabilistic imaging using
    diffusion models as plug-and-play priors, NeurIPS (2024).

    Raises
    ------
    ValueError
        if there is less than one step or sample, not `0 < smallest <= largest`, or a negative noise.
    """

    denoiser: Denoiser
    steps: int = 10
    largest: float = 0.4
    smallest: float = 0.01
    samples: int = 8
    seed: int = 0
    noise: float | None = None

    def __post_init__(self) -> None:
        _require(self)
        if self.samples < 1:
            raise ValueError(f"DiffusionSampler takes at least one sample, got {self.samples}")

    def __call__(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        total: Tensor | None = None
        for sample in self.drawn(y, A):
            total = sample if total is None else total + sample
        assert total is not None
        return total / self.samples

    def drawn(self, y: Tensor, A: LinearOperator) -> Iterator[Tensor]:
        """Give the images whose mean is that of a call, one after the other."""
        data = self._begun(y, A)
        draws = _Draws(torch.Generator(y.device).manual_seed(self.seed), alike=True)
        return (_anneal(self, data, draws) for _ in range(self.samples))

    def sample(self, y: Tensor, A: LinearOperator, generator: torch.Generator) -> Tensor:
        """Draw one image `(..., y, x)` for each of a batch of scans; the generator is on the device of `y`."""
        return _anneal(self, self._begun(y, A), _Draws(generator))

    def _begun(self, y: Tensor, A: LinearOperator) -> _Measured:
        """The measurements, and the image of plug-and-play: an error that is larger than the first noise would stay."""
        data = _measured(y, A, self.noise, type(self).__name__)
        return replace(data, start=_anneal(PlugAndPlay(self.denoiser), data, None))


@dataclass(frozen=True, eq=False)
class _Draws:
    """Standard normal values, in each real and imaginary part; with `alike`, the same for each of a batch."""

    generator: torch.Generator
    alike: bool = False

    def __call__(self, like: Tensor, space: Space) -> Tensor:
        shape = space.shape if self.alike else like.shape
        dtype = torch.complex64 if like.is_complex() else torch.float32  # in double precision they would be others
        values = torch.randn(shape, generator=self.generator, dtype=dtype, device=like.device).to(like.dtype)
        return values * math.sqrt(2) if like.is_complex() else values


@dataclass(frozen=True, eq=False)
class _Measured:
    """Measurements whose noise has the standard deviation `noise`, alike in all of them, an image near, and its intensity."""

    y: Tensor
    A: LinearOperator
    noise: Tensor
    start: Tensor
    scale: Tensor


def _measured(y: Tensor, A: LinearOperator, given: float | None, who: str) -> _Measured:
    A.range.require(y, who)
    batch = A.range.batch_shape(y)
    if given is not None:
        noise = y.real.new_full(batch, given)
    elif A.domain.is_complex:
        noise = measurement_noise(y, A)
    else:
        variance = torch.exp(y) * A.range.expand(photon_noise(y, A)) + A.range.expand(grid_error(y, A))
        y, A = y * variance.rsqrt(), Diagonal(variance.rsqrt(), A.range) @ A
        noise = y.new_ones(batch)
    b = A.H(y)
    start = run(conjugate_gradient(A.gram, b, torch.zeros_like(b)), max_iterations=_START).x
    scale = intensity(start, A)
    return _Measured(y, A, torch.maximum(noise, _LEAST_NOISE * scale), start, scale)


def _anneal(method: PlugAndPlay | DiffusionSampler, data: _Measured, draws: _Draws | None) -> Tensor:
    space, x = data.A.domain, data.start
    for level in _levels(method.largest, method.smallest, method.steps):
        sigma = level * data.scale
        if draws is not None:
            x = x + space.expand(sigma) * draws(x, space)
        of_images = torch.as_tensor(space.expand(sigma))[..., 0, 0].expand(x.shape[:-2])
        v = sigma.square() / _WEIGHT if draws is None else method.denoiser.error(sigma, data.scale)
        x = _towards_data(method.denoiser(x, of_images), v, data, draws)
    seen = (data.start.abs() > 0).any(-1).any(-1)  # nothing comes of nothing
    return torch.where(seen[..., None, None], x, 0)


def _towards_data(d: Tensor, v: Tensor, data: _Measured, draws: _Draws | None) -> Tensor:
    """The minimizer of `|A x - y|^2 / noise^2 + |x - d|^2 / v`, or with draws one of the distribution that this describes."""
    A, y = data.A, data.y
    if draws is not None:
        y = y + A.range.expand(data.noise) * draws(y, A.range)
        d = d + A.domain.expand(v.sqrt()) * draws(d, A.domain)
    weight = torch.as_tensor(A.domain.expand(data.noise.square() / v))
    states = conjugate_gradient(A.gram + Diagonal(weight, A.domain), A.H(y) + weight * d, d)
    return run(states, max_iterations=_CG).x


def _levels(largest: float, smallest: float, steps: int) -> list[float]:
    """Levels that fall by one ratio from the largest to the smallest; a single one is the largest."""
    ratio = (smallest / largest) ** (1 / max(1, steps - 1))
    return [largest * ratio**step for step in range(steps)]


def _require(method: PlugAndPlay | DiffusionSampler) -> None:
    if method.steps < 1 or not 0 < method.smallest <= method.largest:
        raise ValueError(
            f"{type(method).__name__} takes at least one step and 0 < smallest <= largest, "
            f"got {method.steps}, {method.smallest}, {method.largest}"
        )
    if method.noise is not None and not method.noise >= 0:
        raise ValueError(f"{type(method).__name__} takes a noise of at least 0, or None, got {method.noise}")
