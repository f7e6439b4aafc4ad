"""Other views of an image, made before it is measured, so that image and measurements agree."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Augmentation"]


@dataclass(frozen=True)
class Augmentation:
    """Flips, quarter turns (half turns of an image that is not square) and shifts of images `(..., y, x)`.

    Parameters
    ----------
    flips, turns
        whether an image may be mirrored, and turned.
    shift
        the largest shift along each axis, in pixels; what leaves one side is gone, and zeros come in.
    """

    flips: bool = False
    turns: bool = False
    shift: int = 0

    def __call__(self, image: Tensor, generator: torch.Generator) -> Tensor:
        """Draw a change and make it; as much is drawn whatever is allowed."""
        drawn = torch.rand(4, generator=generator).tolist()
        if self.flips and drawn[0] < 0.5:
            image = image.flip(-1)
        if self.turns:
            quarters = int(4 * drawn[1])
            square = image.shape[-1] == image.shape[-2]
            image = torch.rot90(image, quarters if square else 2 * (quarters % 2), dims=(-2, -1))
        down, right = (round((2 * part - 1) * self.shift) for part in drawn[2:])
        return _moved(_moved(image, down, -2), right, -1).contiguous()


def _moved(image: Tensor, by: int, dim: int) -> Tensor:
    if by == 0:
        return image
    moved, n = torch.zeros_like(image), image.shape[dim]
    kept = max(n - abs(by), 0)
    moved.narrow(dim, max(by, 0) if kept else 0, kept).copy_(image.narrow(dim, max(-by, 0) if kept else 0, kept))
    return moved
