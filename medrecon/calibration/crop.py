"""How much of an eigenvector is kept as a coil map."""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

__all__ = ["Crop", "HardCrop", "SoftCrop"]


class Crop(Protocol):
    """How much of a map is kept, from the largest eigenvalue at each pixel (1: explained by the coils in full)."""

    def __call__(self, eigenvalue: Tensor, /) -> Tensor:
        """Return weights between 0 and 1, in the shape of `eigenvalue`."""
        ...


@dataclass(frozen=True)
class HardCrop:
    """Keep a map in full where the eigenvalue exceeds `threshold`, and set it to zero elsewhere."""

    threshold: float = 0.95

    def __call__(self, eigenvalue: Tensor, /) -> Tensor:
        """Return 1 or 0."""
        return (eigenvalue > self.threshold).to(eigenvalue.dtype)


@dataclass(frozen=True)
class SoftCrop:
    """Fade a map out smoothly, over an interval around `threshold` that ends at 1.

    The weight is `(1 + sin(pi t / 2)) / 2` of `t = (eigenvalue - threshold) / (1 - threshold)` clipped to [-1, 1].
    """

    threshold: float = 0.95

    def __call__(self, eigenvalue: Tensor, /) -> Tensor:
        """Return weights between 0 and 1."""
        t = ((eigenvalue - self.threshold) / (1 - self.threshold)).clamp(-1, 1)
        return (1 + torch.sin(t * (math.pi / 2))) / 2
