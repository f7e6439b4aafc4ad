"""The units that regularisation weights are measured in, so that one weight means the same on every scan."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from medrecon.calibration import measurement_noise
from medrecon.operators import LinearOperator

__all__ = [
    "grid_error",
    "image_scale",
    "intensity",
    "log_noise",
    "photon_noise",
    "projection_unit",
    "rays_per_pixel",
    "relative_noise",
    "smoothed",
    "sparsity_unit",
]

_ALIASING = 0.034  # the relative noise at which noise asks for as much regularisation as undersampling does
_GRID_ERROR = 0.01  # of the line integrals: about as well as a grid of pixels explains those of a body
_MOST_PHOTONS = 1e4  # what that amounts to
_OBJECT = 0.05  # of the largest line integral: rays below it have missed the object
_MEDIAN_SQUARE = 0.4549364  # of a standard normal variable
_WINDOW = 5  # bins


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


def sparsity_unit(y: Tensor, A: LinearOperator, backprojection: Tensor) -> Tensor:
    """The unit of the weights of sparse reconstructions: `scale (1 + (noise / 0.034)^2)`, of shape `batch`.

    `scale` is the intensity of the image and `noise` relative to it. The first term stands for the incoherent aliasing, which grows
    with the image alone; the second is that of a maximum a posteriori estimate, `sigma^2 / scale`. The constant was fitted to the
    best weights on simulated scans of signal-to-noise ratios from 10 to 100.
    """
    scale = intensity(backprojection, A)
    return scale * (1 + (relative_noise(y, A, scale) / _ALIASING).square())


# Line integrals. The noise is that of their logarithm, read from its second differences along the detector.


def grid_error(y: Tensor, A: LinearOperator) -> Tensor:
    """The variance of the error that a grid of pixels makes in line integrals `y`, of shape `batch`: about 1 % of them, squared."""
    dims = A.range.dims
    energy = y.square().sum(dims)
    typical = torch.where(energy > 0, y.abs().pow(3).sum(dims) / torch.where(energy > 0, energy, 1.0), 0.0)
    return (_GRID_ERROR * typical).square()


def log_noise(y: Tensor, A: LinearOperator) -> Tensor:
    """The variance of the noise of line integrals `y`, of shape `batch`: its median over the rays that met the object.

    It is at least `grid_error`, and that alone where `A.range` has no detector axis to read it from.
    What a grid of pixels cannot explain, fine texture and sharp edges, counts as noise too, and asks for the same.
    """
    floor = grid_error(y, A)
    if not _has_detector(A):
        return floor
    dims = A.range.dims
    middle, detail = smoothed(y, A)[..., 1:-1], _detail(y)
    return torch.maximum(_median(detail, _met(middle, dims), len(dims)) / _MEDIAN_SQUARE, floor)


def photon_noise(y: Tensor, A: LinearOperator) -> Tensor:
    """One over the photons per ray that noise of the variance `exp(y) / photons` in `y` speaks of, of shape `batch`.

    It is at least 1e-4, and that alone where `A.range` has no detector axis to read it from.
    """
    dims = A.range.dims
    if not _has_detector(A):
        return torch.full_like(grid_error(y, A), 1 / _MOST_PHOTONS)
    middle, detail = smoothed(y, A)[..., 1:-1], _detail(y)
    noise = _median(detail * torch.exp(-middle), _met(middle, dims), len(dims)) / _MEDIAN_SQUARE
    return noise.clamp_min(1 / _MOST_PHOTONS)


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


def smoothed(y: Tensor, A: LinearOperator) -> Tensor:
    """Line integrals as means over five neighbouring bins, the ends repeated; `y` itself without a detector axis."""
    if not _has_detector(A):
        return y
    half = _WINDOW // 2
    padded = torch.cat([y[..., :1].expand(*y.shape[:-1], half), y, y[..., -1:].expand(*y.shape[:-1], half)], -1)
    return padded.unfold(-1, _WINDOW, 1).mean(-1)


def _has_detector(A: LinearOperator) -> bool:
    return A.range.axes[-1] == "detector" and A.range.shape[-1] >= 3


def _detail(y: Tensor) -> Tensor:
    """Squared second differences, of the variance of the noise where that is white."""
    return (y[..., 2:] - 2 * y[..., 1:-1] + y[..., :-2]).square() / 6


def _met(y: Tensor, dims: tuple[int, ...]) -> Tensor:
    return y > _OBJECT * y.amax(dims, keepdim=True)


def _median(values: Tensor, chosen: Tensor, ndim: int) -> Tensor:
    """The median of the chosen values of each batch element; 0 of none."""
    median: Tensor = torch.where(chosen, values, torch.nan).flatten(-ndim).nanmedian(-1).values
    return median.nan_to_num(0.0)
