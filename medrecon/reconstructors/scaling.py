"""The units that regularization weights are measured in, so that one weight means the same on every scan."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from medrecon.calibration import measurement_noise, narrow_doubt
from medrecon.operators import LinearOperator

__all__ = [
    "doubt",
    "image_scale",
    "intensity",
    "projection_unit",
    "rays_per_pixel",
    "relative_noise",
    "require_line_integrals",
    "sparsity_unit",
]

_ALIASING = 0.034  # the relative noise at which noise asks for as much regularization as undersampling does
_MISFIT = 0.015  # the error of coil maps at which it does
_DOUBT = 0.17  # that at which coil maps say half of the image, and zero filling the other half


def intensity(backprojection: Tensor, A: LinearOperator) -> Tensor:
    """The mean intensity of `A.H y`, weighted by energy: `sum |x|^3 / sum |x|^2`, of shape `batch`; 1 for an empty image.

    It scales with the data, and hardly changes with the size of the empty background.
    """
    magnitude = backprojection.abs()
    energy = magnitude.square().sum(A.domain.dims)
    scale = magnitude.pow(3).sum(A.domain.dims) / energy
    return torch.where(energy > 0, scale, 1.0)


def relative_noise(y: Tensor, A: LinearOperator, scale: Tensor) -> Tensor:
    """The standard deviation of the noise in `y` over the intensity of the image; 0 for what is not masked k-space."""
    return measurement_noise(y, A) / scale


def sparsity_unit(y: Tensor, A: LinearOperator, backprojection: Tensor, misfit: Tensor | float = 0.0) -> Tensor:
    """The unit of the weights of sparse reconstructions: `scale (1 + (noise / 0.034)^2 + (misfit / 0.015)^2)`, of shape `batch`.

    `scale` is the intensity of the image, `noise` relative to it, and `misfit` the error of the coil maps. The first term stands
    for the incoherent aliasing, which grows with the image alone; the second is that of a maximum a posteriori estimate,
    `sigma^2 / scale`; the third counts as noise what the maps cannot explain. The constants were fitted to the best weights on
    simulated scans of signal-to-noise ratios from 10 to 100, the last where heads were wider than their fields, or calibrations
    small.
    """
    scale = intensity(backprojection, A)
    noise = relative_noise(y, A, scale) / _ALIASING
    return scale * (1 + noise.square() + torch.as_tensor(misfit / _MISFIT).square())


def doubt(y: Tensor, A: LinearOperator, misfit: Tensor) -> Tensor | None:
    """The `doubt` of `LeastSquares` in an operator of coil maps with this error, `1 / (1 + (0.17 / misfit)^2)`; None without one.

    Maps of hardly any calibration lines are only doubted where the object fills its field (see `narrow_doubt`).
    """
    if not bool((misfit > 0).any()):
        return None
    misfit = misfit * narrow_doubt(y, A)
    return misfit.square() / (misfit.square() + _DOUBT**2)


def projection_unit(A: LinearOperator, backprojection: Tensor) -> Tensor:
    """The unit of sparse reconstructions from line integrals, over the variance of their noise, of shape `batch`.

    `rays_per_pixel^(1/3) / image_scale`. The variance over the scale is that of a maximum a posteriori estimate; the power was
    fitted, like the default weights, to the best weights on simulated scans of a head, knees and a chest, of 300 to 200 000
    photons a ray and 60 to 360 views, where one weight stayed within about 1 dB of the best of each.
    """
    return math.cbrt(rays_per_pixel(A)) / image_scale(backprojection, A)


def rays_per_pixel(A: LinearOperator) -> float:
    """Measurements over unknowns."""
    return math.prod(A.range.shape) / math.prod(A.domain.shape)


def image_scale(backprojection: Tensor, A: LinearOperator) -> Tensor:
    """The intensity of the image that one step of steepest descent from zero gives, of shape `batch`; 1 for an empty image."""
    square = A.domain.norm(backprojection).square()
    step = square / A.range.norm(A(backprojection)).square().clamp_min(torch.finfo(square.dtype).tiny)
    return intensity(A.domain.expand(step) * backprojection, A)


def require_line_integrals(y: Tensor, A: LinearOperator, who: str) -> None:
    """Refuse operators that are not between real spaces, and measurements that are not of the range of `A`.

    Raises
    ------
    ValueError
        naming `who`, and what it got.
    """
    if A.domain.is_complex or A.range.is_complex:
        raise ValueError(
            f"{who} takes an operator between real spaces, such as Radon, got one of {A.domain} to {A.range}; for k-space take "
            "Sense, WaveletSparsity or TotalVariation"
        )
    A.range.require(y, who)
