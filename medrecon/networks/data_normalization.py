"""The intensities at which a network sees a scan: the rule by which measurements and target are scaled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from medrecon.operators import LinearOperator
from medrecon.spaces import root_sum_of_squares

__all__ = ["AdjointMaximum", "Constant", "DataNormalization"]


class DataNormalization(Protocol):
    """The factors by which the measurements and the target of a problem are multiplied, one for each element of its batch."""

    def __call__(self, y: Tensor, A: LinearOperator, /) -> Tensor: ...


@dataclass(frozen=True)
class Constant:
    """The same factor for all: 1 leaves the data as they are; `1 / MU_MAX` gives LoDoPaB's images of 0 to 1."""

    factor: float = 1.0

    def __call__(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        return torch.full(y.shape[: -A.range.ndim], self.factor, device=y.device)


@dataclass(frozen=True)
class AdjointMaximum:
    """The brightest pixel of the zero-filled image `A.H y`, of images of coils or sets their root sum of squares, becomes `level`.

    Both are known without the target, so that the rule holds for new scans as well.
    """

    level: float = 1.0

    def __call__(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        image = A.H(y)
        for axis in {"coil", "set"} & set(A.domain.axes):
            image = root_sum_of_squares(image, A.domain.dim(axis))
        largest = image.abs().amax(dim=(-2, -1))
        return torch.where(largest > 0, self.level / largest, 1.0)
