"""The intensity that a regularisation weight is measured against."""

from __future__ import annotations

import torch
from torch import Tensor

from medrecon.operators import LinearOperator

__all__ = ["intensity"]


def intensity(backprojection: Tensor, A: LinearOperator) -> Tensor:
    """The mean intensity of `A.H y`, weighted by energy: `sum |x|^3 / sum |x|^2`, of shape `batch`; 1 for an empty image.

    It scales with the data, and hardly changes with the size of the empty background.
    """
    magnitude = backprojection.abs()
    energy = magnitude.square().sum(A.domain.dims)
    scale = magnitude.pow(3).sum(A.domain.dims) / energy
    return torch.where(energy > 0, scale, 1.0)
