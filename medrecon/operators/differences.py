"""Finite differences, shifts and crops."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from medrecon.operators.linear import Identity, LinearOperator
from medrecon.spaces import Space

__all__ = ["Crop", "Gradient", "Laplacian", "Roll"]


@final
@dataclass(frozen=True, eq=False, repr=False)
class Gradient(LinearOperator):
    """Forward differences along every spatial axis: `(..., y, x)` to `(..., direction, y, x)`; zero across the last edge.

    In units of the image per pixel. The norm is below `2 sqrt(n)` for `n` directions; coils, and sets of coil maps, are none. Its
    adjoint is minus the divergence.
    Chambolle, J Math Imaging Vis 20:89 (2004).
    """

    space: Space

    @property
    def domain(self) -> Space:
        return self.space

    @property
    def range(self) -> Space:
        directions = len(self.space.spatial_dims)
        return Space(("direction", *self.space.axes), (directions, *self.space.shape), self.space.is_complex)

    def _forward(self, x: Tensor) -> Tensor:
        out = x.new_empty((*self.space.batch_shape(x), *self.range.shape))
        for direction, dim in enumerate(self.space.spatial_dims):
            plane, n = out.select(-self.space.ndim - 1, direction), x.shape[dim]
            plane.narrow(dim, 0, n - 1).copy_(x.narrow(dim, 1, n - 1)).sub_(x.narrow(dim, 0, n - 1))
            plane.narrow(dim, n - 1, 1).zero_()
        return out

    def _adjoint(self, y: Tensor) -> Tensor:
        out = y.new_zeros((*self.range.batch_shape(y), *self.space.shape))
        for direction, dim in enumerate(self.space.spatial_dims):
            n = y.shape[dim]
            flux = y.select(-self.space.ndim - 1, direction).narrow(dim, 0, n - 1)
            out.narrow(dim, 1, n - 1).add_(flux)
            out.narrow(dim, 0, n - 1).sub_(flux)
        return out

    def _gram(self) -> LinearOperator:
        return Laplacian(self.space)

    def _norm_bound(self) -> float | None:
        return 2.0 * math.sqrt(len(self.space.spatial_dims))


@final
@dataclass(frozen=True, eq=False, repr=False)
class Laplacian(LinearOperator):
    """The positive Laplacian `Gradient.H @ Gradient` with reflecting edges, without the gradient field."""

    space: Space

    @property
    def domain(self) -> Space:
        return self.space

    @property
    def range(self) -> Space:
        return self.space

    def _forward(self, x: Tensor) -> Tensor:
        out = torch.zeros_like(x)
        for dim in self.space.spatial_dims:
            n = x.shape[dim]
            flux = x.narrow(dim, 1, n - 1) - x.narrow(dim, 0, n - 1)
            out.narrow(dim, 1, n - 1).add_(flux)
            out.narrow(dim, 0, n - 1).sub_(flux)
        return out

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._forward(y)

    @property
    def H(self) -> LinearOperator:
        return self

    def _norm_bound(self) -> float | None:
        return 4.0 * len(self.space.spatial_dims)


@final
@dataclass(frozen=True, eq=False, repr=False)
class Roll(LinearOperator):
    """A circular shift by whole pixels, one number an axis: `x[n] -> x[n - shift]`. Unitary."""

    space: Space
    shifts: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.shifts) != self.space.ndim:
            raise ValueError(f"Roll takes one shift an axis of {self.space}, got {self.shifts}")

    @property
    def domain(self) -> Space:
        return self.space

    @property
    def range(self) -> Space:
        return self.space

    def _forward(self, x: Tensor) -> Tensor:
        return torch.roll(x, self.shifts, self.space.dims)

    def _adjoint(self, y: Tensor) -> Tensor:
        return torch.roll(y, tuple(-shift for shift in self.shifts), self.space.dims)

    def _gram(self) -> LinearOperator:
        return Identity(self.space)

    def _norm_bound(self) -> float | None:
        return 1.0


@final
@dataclass(frozen=True, eq=False, repr=False)
class Crop(LinearOperator):
    """The center `shape` of a larger image (`n // 2` to `n // 2`); the adjoint pads with zeros.

    Raises
    ------
    ValueError
        if `shape` has another number of axes than `space` or is larger.
    """

    space: Space
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.shape) != self.space.ndim or any(
            not 1 <= size <= full for size, full in zip(self.shape, self.space.shape, strict=True)
        ):
            raise ValueError(f"Crop takes a shape within {self.space}, got {self.shape}")

    @property
    def domain(self) -> Space:
        return self.space

    @property
    def range(self) -> Space:
        return Space(self.space.axes, self.shape, self.space.is_complex)

    def _inside(self, x: Tensor) -> Tensor:
        for dim, size in zip(self.space.dims, self.shape, strict=True):
            x = x.narrow(dim, x.shape[dim] // 2 - size // 2, size)
        return x

    def _forward(self, x: Tensor) -> Tensor:
        return self._inside(x)

    def _adjoint(self, y: Tensor) -> Tensor:
        out = y.new_zeros((*self.range.batch_shape(y), *self.space.shape))
        self._inside(out).copy_(y)
        return out

    def _congruence(self, inner: LinearOperator) -> LinearOperator:
        if self.shape == self.space.shape:
            return inner
        return super()._congruence(inner)

    def _parts(self) -> tuple[LinearOperator, ...]:
        return () if self.shape == self.space.shape else (self,)

    def _gram(self) -> LinearOperator:
        return Identity(self.space) if self.shape == self.space.shape else super()._gram()

    def _norm_bound(self) -> float | None:
        return 1.0
