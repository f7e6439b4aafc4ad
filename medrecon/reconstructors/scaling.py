"""The units that regularisation weights are measured in, so that one weight means the same on every scan."""

from __future__ import annotations

import torch
from torch import Tensor

from medrecon.calibration import noise_level
from medrecon.operators import Composition, LinearOperator, Mask

__all__ = ["intensity", "relative_noise", "sparsity_unit"]

_ALIASING = 0.034  # the relative noise at which noise asks for as much regularisation as undersampling does


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
    factors = A.factors if isinstance(A, Composition) else (A,)
    masks = [factor for factor in factors if isinstance(factor, Mask)]
    if len(masks) != 1:
        return torch.zeros_like(scale)
    pattern = masks[0].pattern
    kspace = y if "coil" in A.range.axes else y.unsqueeze(-A.range.ndim - 1)
    ndim = A.range.ndim - ("coil" in A.range.axes)
    shape = tuple(kspace.shape[-ndim:])
    if pattern.ndim == ndim:
        return noise_level(kspace, pattern.expand(shape)) / scale
    patterns = pattern.expand(*scale.shape, *shape).reshape(-1, *shape)
    scans = kspace.reshape(-1, *kspace.shape[-ndim - 1 :])
    levels = [noise_level(scan, sampled) for scan, sampled in zip(scans, patterns, strict=True)]
    return torch.stack(levels).reshape(scale.shape) / scale


def sparsity_unit(y: Tensor, A: LinearOperator, backprojection: Tensor) -> Tensor:
    """The unit of the weights of sparse reconstructions: `scale (1 + (noise / 0.034)^2)`, of shape `batch`.

    `scale` is the intensity of the image and `noise` relative to it. The first term stands for the incoherent aliasing, which grows
    with the image alone; the second is that of a maximum a posteriori estimate, `sigma^2 / scale`. The constant was fitted to the
    best weights on simulated scans of signal-to-noise ratios from 10 to 100.
    """
    scale = intensity(backprojection, A)
    return scale * (1 + (relative_noise(y, A, scale) / _ALIASING).square())
