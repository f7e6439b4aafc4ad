"""Coil images that agree with the measurements, of an image that need not."""

from __future__ import annotations

import torch
from torch import Tensor

from medrecon.operators.fourier import Fourier
from medrecon.operators.linear import LinearOperator, factor_of
from medrecon.operators.map_sets import coils_of
from medrecon.operators.sampling import Mask
from medrecon.spaces import root_sum_of_squares

__all__ = ["measured_root_sum_of_squares"]


def measured_root_sum_of_squares(x: Tensor, y: Tensor, A: LinearOperator, noise: Tensor | None = None) -> Tensor:
    """The root sum of squares of the coil images `S x + F.H M (y - A x)`, for the SENSE operator `A = M F S`.

    In k-space every sample that was measured is the measured one, noise included, and the others are those of `x`. This is what a
    target made by the root sum of squares of a full scan is to be compared with: an image combined by maps lacks its noise floor.

    With `noise`, the samples that were not measured have theirs, too, as the root of its mean square: the sum of squares of `n`
    coils grows by `n noise^2` times their share of k-space, as the background of magnitude images does (Gudbjartsson & Patz, Magn
    Reson Med 34:910 (1995)). That share is of the box round the samples: what lies beyond them is no part of a full scan either.

    Parameters
    ----------
    x
        complex `(..., y, x)`, or `(..., set, y, x)` of several sets of maps.
    y
        multi-coil k-space of the range of `A`.
    noise
        `sqrt(E|n|^2)` of the complex noise `n` in `y`, of shape `batch`; see `medrecon.calibration.measurement_noise`.

    Returns
    -------
    Tensor
        real `(..., y, x)`.

    Raises
    ------
    ValueError
        if `A` has not one `Mask`, one `Fourier` and one `CoilMaps` or `CoilMapSets`.
    """
    who = "measured_root_sum_of_squares"
    mask, fourier, coils = factor_of(A, Mask, who), factor_of(A, Fourier, who), coils_of(A, who)
    images = coils(x) + (mask @ fourier).H(y - A(x))
    combined = root_sum_of_squares(images, coils.range.dim("coil"))
    if noise is None:
        return combined
    n_coils = coils.range.shape[coils.range.dim("coil")]
    floor = noise * (n_coils * _missing(mask).to(noise)).sqrt()
    floor = floor.clamp_min(torch.finfo(floor.dtype).tiny)  # of a black image the gradient is then zero, and not 0 / 0
    return torch.hypot(combined, floor.reshape(floor.shape + (1,) * (coils.range.ndim - 1)))


def _missing(mask: Mask) -> Tensor:
    """Of the samples of a full scan, the share that was not taken, of shape `batch`."""
    pattern, ndim = mask.pattern, mask.range.ndim - 1
    share = pattern.double().mean(tuple(range(-ndim, 0)))
    box = torch.ones_like(share)
    for dim in range(-ndim, 0):
        met = pattern.any(tuple(other for other in range(-ndim, 0) if other != dim)).double()
        box = box * (met.shape[-1] - met.argmax(-1) - met.flip(-1).argmax(-1)) / met.shape[-1]
    return (box - share).clamp_min(0.0)
