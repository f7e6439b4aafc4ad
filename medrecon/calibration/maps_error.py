"""How far coil maps are off, from the calibration data that no image explains through them."""

from __future__ import annotations

from itertools import islice

import torch
from torch import Tensor

from medrecon.calibration.noise import measurement_noise
from medrecon.operators import Identity, LinearOperator
from medrecon.solvers import conjugate_gradient

__all__ = ["maps_error"]

_ITERATIONS = 8
_DAMPING = 0.003  # of the normal equations, whose solution may be met at once
_HARMLESS = 0.04  # what the grid, and the truncation of k-space, leave of data that maps do explain


def maps_error(y: Tensor, A: LinearOperator) -> Tensor:
    """The amplitude of the calibration data that no image explains through the coil maps, over theirs; of shape `batch`.

    Conjugate gradients fit an image to the calibration area of k-space alone, which has more numbers than it needs. What they
    leave, less the noise and less what is left of sound scans too (4 %), says that the maps cannot stand for the coils: where the
    object is wider than the field, or the calibration too small. It is 0 for a single coil, and where there is no calibration area.
    """
    batch = y.shape[: y.ndim - A.range.ndim]
    separable = A.separable
    if separable is None or "coil" not in A.range.axes or "coil" in A.domain.axes:
        return y.abs().new_zeros(batch)
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


def _damped(A: LinearOperator) -> LinearOperator:
    return A.gram + _DAMPING * Identity(A.domain)
