"""Images on finer or coarser pixels, as zero-filled or cropped k-space gives them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import final

import torch
from torch import Tensor

from medrecon.operators.linear import LinearOperator
from medrecon.spaces import Space

__all__ = ["Interpolation"]


@final
@dataclass(frozen=True, eq=False, repr=False)
class Interpolation(LinearOperator):
    """The trigonometric polynomial through an image `(..., y, x)`, at `shape` points that lie `step` of its pixels apart.

    `n // 2` is the center before and after. Of n pixels with a step of n / m these are m: what k-space gives that is padded with
    zeros to m samples; above a step of 1 its outer samples are left out in place of that.

    Raises
    ------
    ValueError
        if the space is not one of complex `(..., y, x)`, or the points reach beyond the image.
    """

    space: Space
    shape: tuple[int, int]
    step: tuple[float, float]

    def __post_init__(self) -> None:
        if self.space.axes[-2:] != ("y", "x") or not self.space.is_complex:
            raise ValueError(f"Interpolation takes complex images of axes y and x, got {self.space}")
        for n, m, step in zip(self.space.shape[-2:], self.shape, self.step, strict=True):
            if m < 1 or step <= 0 or m * step > n + 0.5:
                raise ValueError(
                    f"Interpolation takes points within {self.space}, got {self.shape} of step {self.step}"
                )

    @property
    def domain(self) -> Space:
        return self.space

    @property
    def range(self) -> Space:
        return Space(self.space.axes, (*self.space.shape[:-2], *self.shape), is_complex=True)

    def _matrices(self, x: Tensor) -> tuple[Tensor, Tensor]:
        sizes = zip(self.space.shape[-2:], self.shape, self.step, strict=True)
        along_y, along_x = (_matrix(n, m, step, x.dtype, x.device) for n, m, step in sizes)
        return along_y, along_x

    def _forward(self, x: Tensor) -> Tensor:
        along_y, along_x = self._matrices(x)
        return along_y @ x @ along_x.mT

    def _adjoint(self, y: Tensor) -> Tensor:
        along_y, along_x = self._matrices(y)
        return along_y.mH @ y @ along_x.conj()

    def _norm_bound(self) -> float:
        sizes = zip(self.space.shape[-2:], self.shape, self.step, strict=True)
        matrices = (_matrix(n, m, step, torch.complex128, torch.device("cpu")) for n, m, step in sizes)
        return math.prod(float(torch.linalg.matrix_norm(matrix, 2)) for matrix in matrices)


@lru_cache(maxsize=16)
def _matrix(n: int, m: int, step: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """`(m, n)`: from values at n pixels to k-space, `-n / 2 <= k < n / 2`, and to m points from there."""
    with torch.inference_mode(False):
        k = torch.arange(n, dtype=torch.float64) - n // 2
        k = k[(k >= -n / max(2.0, 2 * step)) & (k < n / max(2.0, 2 * step))]
        points = (torch.arange(m, dtype=torch.float64) - m // 2) * step
        pixels = torch.arange(n, dtype=torch.float64) - n // 2
        return (_waves(points, k, n) @ _waves(pixels, k, n).mH / n).to(device, dtype)


def _waves(points: Tensor, k: Tensor, n: int) -> Tensor:
    turns = points[:, None] * k / n
    return torch.polar(torch.ones_like(turns), 2 * torch.pi * turns)
