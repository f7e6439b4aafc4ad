"""The noise of a scan, from the samples farthest from the center of k-space."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from medrecon.operators import LinearOperator, Mask

__all__ = ["measurement_noise", "noise_level"]

_SAMPLES = 8192  # a coil, which are enough for the median
_BINS = 256  # of the squared radius, which is at most 3 / 4


def noise_level(kspace: Tensor, sampled: Tensor, outermost: float = 0.2) -> Tensor:
    """Estimate the standard deviation of the complex noise, `sqrt(E|n|^2)`, of `(..., coil, ky, kx)`: one number a batch element.

    That is `sqrt(2)` times the sigma of `medrecon.data.mri.noise`, which is of one part, real or imaginary.

    The squared magnitude of complex Gaussian noise has the median `sigma^2 log 2`; it is read from the samples farthest out, over
    all coils. What signal reaches there raises the estimate: by up to a fifth at a signal-to-noise ratio of 50, more above.
    Samples that are exactly zero do not count; without any other, the level is zero.

    Parameters
    ----------
    kspace
        complex `(..., coil, ky, kx)` or `(..., coil, kz, ky, kx)`.
    sampled
        bool `(kx,)`, `(ky, kx)` or `(kz, ky, kx)`.
    outermost
        share of the acquired samples, those of highest frequency, that is taken for noise.
    """
    shape = kspace.shape[-max(sampled.ndim, 2) :]
    squares = [
        ((torch.arange(n, device=kspace.device) - n // 2) / n).square().reshape((n,) + (1,) * (len(shape) - axis - 1))
        for axis, n in enumerate(shape)
    ]
    radius = sum(squares[1:], start=squares[0])
    acquired = sampled.to(kspace.device).expand(shape)
    radii = radius[acquired]
    if len(radii) == 0:
        return kspace.real.new_zeros(kspace.shape[: -len(shape) - 1])
    counts = torch.histc(radii, _BINS, 0.0, 0.75)
    inner = int((counts.cumsum(0) < (1 - outermost) * len(radii)).sum())
    outer = (acquired & (radius >= 0.75 * inner / _BINS)).flatten().nonzero()[:, 0]
    outer = outer[:: -(-len(outer) // _SAMPLES)]
    energy = kspace.flatten(-len(shape))[..., outer].abs().square().flatten(-2)
    median = torch.where(energy > 0, energy, torch.nan).nanmedian(-1).values
    return (torch.nan_to_num(median) / math.log(2)).sqrt()


def measurement_noise(y: Tensor, A: LinearOperator) -> Tensor:
    """The `noise_level` of the measurements `y` of `A`, of shape `batch`; 0 for what is not masked k-space."""
    batch = y.shape[: y.ndim - A.range.ndim]
    masks = [factor for factor in A.factors if isinstance(factor, Mask)]
    if len(masks) != 1:
        return y.abs().new_zeros(batch)
    pattern = masks[0].pattern
    kspace = y if "coil" in A.range.axes else y.unsqueeze(-A.range.ndim - 1)
    ndim = A.range.ndim - ("coil" in A.range.axes)
    shape = tuple(kspace.shape[-ndim:])
    if pattern.ndim == ndim:
        return noise_level(kspace, pattern.expand(shape))
    patterns = pattern.expand(*batch, *shape).reshape(-1, *shape)
    scans = kspace.reshape(-1, *kspace.shape[-ndim - 1 :])
    levels = [noise_level(scan, sampled) for scan, sampled in zip(scans, patterns, strict=True)]
    return torch.stack(levels).reshape(batch)
