"""How far coil maps are off, from the calibration data that no image explains through them."""

from __future__ import annotations

from itertools import islice

import torch
from torch import Tensor

from medrecon.calibration.noise import measurement_noise
from medrecon.operators import Identity, LinearOperator
from medrecon.solvers import conjugate_gradient

__all__ = ["maps_error", "narrow_doubt"]

_ITERATIONS = 8
_DAMPING = 0.003  # of the normal equations, whose solution may be met at once
_NARROW = 6  # lines of calibration, below which it is they that fail, and not one set of maps
_FILLED = 0.06  # of the mean energy: what the borders of a field hold that an object fills
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


def narrow_doubt(y: Tensor, A: LinearOperator) -> Tensor:
    """How far the error of coil maps is to be believed, of shape `batch`: 1, or less where calibration has hardly any lines.

    Maps of fewer than six lines are coarse everywhere, and explain little of a sound scan. They are wrong where the object fills
    its field or wraps: then the image of the calibration lines alone has energy at the borders of the field, from 6 % of its mean
    energy on, and fully from 12 %.
    """
    batch = A.range.batch_shape(y)
    believed = torch.ones(batch, device=y.device)
    if A.separable is None or "coil" not in A.range.axes:
        return believed
    center, _ = A.restricted(y, ~A.separable)
    scans = center.reshape(-1, *A.range.shape)
    found = [_border_energy(scan) for scan in scans]
    return torch.stack(found).reshape(batch) if found else believed


def _border_energy(center: Tensor) -> Tensor:
    """How much `narrow_doubt` believes of one scan `(coil, ky, kx)` that is zero outside its calibration area."""
    measured = (center != 0).any(0)
    widths = [int(measured.movedim(axis, -1).flatten(0, -2).any(0).sum()) for axis in range(measured.ndim)]
    if not 0 < min(widths) < _NARROW:
        return torch.ones((), device=center.device)
    lines = center.movedim(1 + widths.index(min(widths)), -1)
    profile = torch.fft.fftshift(torch.fft.ifft(lines), -1).abs().square().flatten(0, -2).sum(0)
    n = max(1, len(profile) // 32)
    share = torch.cat((profile[:n], profile[-n:])).mean() / profile.mean()
    believed: Tensor = (share / _FILLED - 1).clamp(0, 1)
    return believed


def _damped(A: LinearOperator) -> LinearOperator:
    return A.gram + _DAMPING * Identity(A.domain)
