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

    def _tensor_ndim(self) -> int | None:
        return len(self._spatial_shape)

    def _norm_bound(self) -> float | None:
        return 1.0
