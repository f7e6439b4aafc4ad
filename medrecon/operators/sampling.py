"""Which samples of k-space were acquired."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import final

import torch
from torch import Tensor

from medrecon.operators.diagonal import Diagonal
from medrecon.operators.linear import LinearOperator
from medrecon.spaces import Space

__all__ = ["Mask"]

_CENTER = 4  # at most one in so many along an axis is of the calibration area


@final
@dataclass(frozen=True, eq=False, repr=False)
class Mask(LinearOperator):
    """Set to zero what was not acquired: `y -> sampled * y`, an orthogonal projection.

    `sampled` is bool, `(kx,)` for whole lines, or `(..., ky, kx)` (`(..., kz, ky, kx)`) with leading axes for the batch and sizes
    of 1 where it does not vary; every coil is sampled alike. `space` is that of the k-space, `(coil, ky, kx)` or `(ky, kx)`.

    Raises
    ------
    ValueError
        if `sampled` is not bool or does not fit the space.
    """

    sampled: Tensor
    space: Space

    def __post_init__(self) -> None:
        sizes = self._spatial_shape
        trailing = self.sampled.shape[-len(sizes) :]
        fits = all(have in (1, want) for have, want in zip(reversed(trailing), reversed(sizes), strict=False))
        if self.sampled.dtype != torch.bool or not fits or self.sampled.ndim == 0:
            raise ValueError(
                f"Mask takes a bool tensor (..., {', '.join(map(str, sizes))}) or ({sizes[-1]},) for {self.space}, "
                f"got {tuple(self.sampled.shape)} {self.sampled.dtype}"
            )

    @property
    def _spatial_shape(self) -> tuple[int, ...]:
        return tuple(size for axis, size in zip(self.space.axes, self.space.shape, strict=True) if axis != "coil")

    @property
    def domain(self) -> Space:
        return self.space

    @property
    def range(self) -> Space:
        return self.space

    @cached_property
    def pattern(self) -> Tensor:
        """`sampled` as `(..., ky, kx)`, with size 1 along every axis on which it does not vary."""
        ndim = len(self._spatial_shape)
        pattern = self.sampled.reshape((1,) * max(ndim - self.sampled.ndim, 0) + tuple(self.sampled.shape))
        for dim in range(-ndim, 0):
            first = pattern.narrow(dim, 0, 1)
            if pattern.shape[dim] > 1 and bool((pattern == first).all()):
                pattern = first
        return pattern

    @property
    def varying_dims(self) -> set[int]:
        """The dimensions of the space along which the mask varies."""
        return {dim for dim in self.space.dims if self._weights.shape[dim] > 1}

    @cached_property
    def _weights(self) -> Tensor:
        """The pattern with an axis for the coils, real."""
        pattern = self.pattern
        if "coil" in self.space.axes:
            pattern = pattern.unsqueeze(self.space.dim("coil"))
        with torch.inference_mode(False):
            return pattern.to(torch.float32)

    def _forward(self, x: Tensor) -> Tensor:
        return x * self._weights.to(x.dtype.to_real())

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._forward(y)

    @property
    def H(self) -> LinearOperator:
        return self

    def _gram(self) -> LinearOperator:
        return self

    def _parts(self) -> tuple[LinearOperator, ...]:
        return (Diagonal(self._weights, self.space),)

    @property
    def _units(self) -> Tensor:
        """What is measured at once, as `(..., ky, kx)`: the pattern, or lines along ky of a full one."""
        ndim = len(self._spatial_shape)
        is_full = all(size == 1 for size in self.pattern.shape[-ndim:])
        lines = (*self.pattern.shape[:-1], self.space.shape[-1])
        return self.pattern.expand(lines) if is_full else self.pattern

    def _separable(self) -> Tensor | None:
        ndim = len(self._spatial_shape)
        pattern = self._units
        scans = pattern.reshape(-1, *pattern.shape[-ndim:])
        outside = torch.stack([scan & ~_calibration_area(scan) for scan in scans])
        return outside.reshape(*pattern.shape[:-ndim], -1)

    def _restricted(self, y: Tensor, kept: Tensor) -> tuple[Tensor, LinearOperator]:
        pattern = self._units
        A = Mask(pattern & kept.reshape(pattern.shape), self.space)
        return A(y), A

    def _tensor_ndim(self) -> int | None:
        return len(self._spatial_shape)

    def _norm_bound(self) -> float | None:
        return 1.0


def _calibration_area(sampled: Tensor) -> Tensor:
    """The largest block of whole samples around the center of `(ky, kx)`, as broad along one axis as along the others."""
    area = torch.zeros_like(sampled)
    for width in range(1, max(sampled.shape) // _CENTER + 1):
        sides = [1 if n == 1 else min(width, n // _CENTER) for n in sampled.shape]
        block = tuple(slice(n // 2 - w // 2, n // 2 - w // 2 + w) for n, w in zip(sampled.shape, sides, strict=True))
        if not bool(sampled[block].all()):
            break
        area[block] = True
    return area
