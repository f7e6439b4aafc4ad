"""How far coil maps are off, from the calibration data that no image explains through them."""

from __future__ import annotations

from itertools import islice

import torch
from torch import Tensor

from medrecon.calibration.noise import measurement_noise
from medrecon.operators import Identity, LinearOperator
from medrecon.solvers import conjugate_gradient

__all__ = ["calibration_width", "maps_error"]

_ITERATIONS = 8
_DAMPING = 0.003  # of the normal equations, whose solution may be met at once
_HARMLESS = 0.04  # what the grid, and the truncation of k-space, leave of data that maps do explain


def maps_error(y: Tensor, A: LinearOperator) -> Tensor:
    """The amplitude of the calibration data that no image explains through the coil maps, over theirs; of shape `batch`.

    Conjugate gradients fit an image to the calibration area of k-space alone, which has more numbers than it needs. What they
    leave, less the noise and less what is left of sound scans too (4 %), says that the maps cannot stand for the coils: where the
    object is wider than the field, or the calibration too small. It is 0 for a single coil, and where there is no calibration area.
    """
    separable = A.separable
    if separable is None or "coil" not in A.range.axes or "coil" in A.domain.axes:
        return y.abs().new_zeros(A.range.batch_shape(y))
    center, measure = A.restricted(y, ~separable)
    energy = A.range.norm(center).square()
    samples = (center != 0).sum(A.range.dims)
    noise = measurement_noise(y, A).square() * samples * (1 - 1 / A.range.shape[A.range.dim("coil")])
    b = measure.H(center)
    left = energy
    for state in islice(conjugate_gradient(_damped(measure), b, torch.zeros_like(b)), _ITERATIONS):
        left = torch.minimum(left, A.range.norm(center - measure(state.x)).square())
        if bool((left - noise <= _HARMLESS**2 * energy).all()):
            break
    share = torch.where(energy > 0, (left - noise) / energy, 0.0)
    return (share - _HARMLESS**2).clamp_min(0).sqrt()


def calibration_width(y: Tensor, A: LinearOperator) -> Tensor:
    """The samples along the narrowest axis of the calibration area of k-space, of shape `batch`; 0 where there is none."""
    batch = A.range.batch_shape(y)
    if A.separable is None or "coil" not in A.range.axes:
        return torch.zeros(batch, dtype=torch.long, device=y.device)
    center, _ = A.restricted(y, ~A.separable)
    measured = (center != 0).flatten(0, len(batch) - 1) if batch else (center != 0)[None]
    axes = range(2, measured.ndim)
    widths = [measured.movedim(axis, -1).flatten(1, -2).any(1).sum(1) for axis in axes]
    return torch.stack(widths).amin(0).reshape(batch)


def _damped(A: LinearOperator) -> LinearOperator:
    return A.gram + _DAMPING * Identity(A.domain)
