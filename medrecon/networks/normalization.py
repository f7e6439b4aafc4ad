"""The intensities that a network sees, as an object of their own."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Moments", "Normalization"]


@dataclass(frozen=True)
class Moments:
    """Mean and standard deviation `(n, channel, 1, 1)` of each channel of each image."""

    mean: Tensor
    std: Tensor


@dataclass(frozen=True)
class Normalization:
    """Each channel of each image to mean 0 and standard deviation 1: `(x - mean) / (std + eps)`, and back by `x std + mean`.

    Channels that are constant become 0. The default is that of the end-to-end VarNet; fastMRI's U-Net has
    `Normalization(eps=1e-11, limit=6.0)`.

    Parameters
    ----------
    eps
        added to the standard deviation, in the units of the image.
    limit
        normalized values are clipped to plus and minus that; None for no limit.

    Raises
    ------
    ValueError
        if `eps` is negative or the limit not above 0.
    """

    eps: float = 0.0
    limit: float | None = None

    def __post_init__(self) -> None:
        if self.eps < 0 or (self.limit is not None and self.limit <= 0):
            raise ValueError(f"Normalization takes eps >= 0 and a limit above 0, got {self.eps} and {self.limit}")

    def __call__(self, x: Tensor) -> tuple[Tensor, Moments]:
        """The normalized `(n, channel, y, x)`, and what it takes to go back."""
        mean = x.mean((2, 3), keepdim=True)
        centered = x - mean
        variance = centered.square().sum((2, 3), keepdim=True) / (x.shape[2] * x.shape[3] - 1)
        least = torch.finfo(x.dtype).tiny
        moments = Moments(mean, variance.clamp_min(least).sqrt() * (variance >= least))  # a gradient at 0 is 0
        normal = centered / (moments.std + self.eps).clamp_min(least)
        return (normal if self.limit is None else normal.clamp(-self.limit, self.limit)), moments

    def undo(self, x: Tensor, moments: Moments) -> Tensor:
        """Back to the units of the image, in the precision of the moments."""
        return torch.addcmul(moments.mean, x.to(moments.std.dtype), moments.std)

    def undo_change(self, x: Tensor, moments: Moments) -> Tensor:
        """The same for a difference of two images: no mean is added."""
        return x.to(moments.std.dtype) * moments.std
