"""The noise of line integrals: that of their logarithm, read from their second differences along the detector."""

from __future__ import annotations

import torch
from torch import Tensor

from medrecon.operators import LinearOperator

__all__ = ["grid_error", "log_noise", "photon_noise", "scan_noise", "smoothed"]

_GRID_ERROR = 0.01  # of the line integrals: about as well as a grid of pixels explains those of a body
_MOST_PHOTONS = 1e4  # what that amounts to
_OBJECT = 0.05  # of the largest line integral: rays below it have missed the object
_MEDIAN_SQUARE = 0.4549364  # of a standard normal variable
_WINDOW = 5  # bins
_CLEAR = 3.0  # a line integral that photons enough pass for their noise to be normally distributed


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
    return torch.maximum(_variance(detail, _met(middle, dims), len(dims)), floor)


def photon_noise(y: Tensor, A: LinearOperator) -> Tensor:
    """One over the photons per ray that noise of the variance `exp(y) / photons` in `y` speaks of, of shape `batch`.

    It is at least 1e-4, and that alone where `A.range` has no detector axis to read it from.
    """
    dims = A.range.dims
    if not _has_detector(A):
        return torch.full_like(grid_error(y, A), 1 / _MOST_PHOTONS)
    middle, detail = smoothed(y, A)[..., 1:-1], _detail(y)
    noise = _variance(detail * torch.exp(-middle), _met(middle, dims), len(dims))
    return noise.clamp_min(1 / _MOST_PHOTONS)


def scan_noise(sinogram: Tensor) -> tuple[float, float]:
    """The variance of the noise of a whole scan `(angle, detector)`, and one over the photons per ray that it speaks of.

    The object, which is smooth, is told from the noise by differences along the detector and between the views, so that doses far
    beyond those of `photon_noise` are read; rays that missed the object count too. What texture of it remains counts as noise.
    Both are 0 of fewer than three views or bins.
    """
    y = sinogram.double()
    if min(y.shape) < 3:
        return 0.0, 0.0
    bends, means = _bends(y), y.unfold(-1, 3, 1).mean(-1)
    detail, middle = (bends[1:] - bends[:-1]).square() / 12, (means[1:] + means[:-1]) / 2
    clear = middle < max(_CLEAR, float(middle.median()))
    per_photon = _variance(detail * torch.exp(-middle), clear, 2)
    return float(_variance(detail, torch.ones_like(clear), 2)), float(per_photon)


def smoothed(y: Tensor, A: LinearOperator) -> Tensor:
    """Line integrals as means over five neighboring bins, the ends repeated; `y` itself without a detector axis."""
    if not _has_detector(A):
        return y
    half = _WINDOW // 2
    padded = torch.cat([y[..., :1].expand(*y.shape[:-1], half), y, y[..., -1:].expand(*y.shape[:-1], half)], -1)
    return padded.unfold(-1, _WINDOW, 1).mean(-1)


def _has_detector(A: LinearOperator) -> bool:
    return A.range.axes[-1] == "detector" and A.range.shape[-1] >= 3


def _detail(y: Tensor) -> Tensor:
    """Squared second differences, of the variance of the noise where that is white."""
    return _bends(y).square() / 6


def _bends(y: Tensor) -> Tensor:
    """Second differences along the detector, of six times the variance of white noise."""
    return y[..., 2:] - 2 * y[..., 1:-1] + y[..., :-2]


def _met(y: Tensor, dims: tuple[int, ...]) -> Tensor:
    return y > _OBJECT * y.amax(dims, keepdim=True)


def _variance(squares: Tensor, chosen: Tensor, ndim: int) -> Tensor:
    """The variance of normal values from the median of their chosen squares, of each batch element; 0 of none."""
    median: Tensor = torch.where(chosen, squares, torch.nan).flatten(-ndim).nanmedian(-1).values
    return median.nan_to_num(0.0) / _MEDIAN_SQUARE
