"""Multiplication by a tensor."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import final

import torch
from torch import Tensor

from medrecon.operators.linear import LinearOperator
from medrecon.spaces import Space

__all__ = ["Diagonal"]


@final
@dataclass(frozen=True, eq=False, repr=False)
class Diagonal(LinearOperator):
    """`x -> values * x`, for `values` that broadcast to `(..., *space.shape)`; computed in the precision of `x`."""

    values: Tensor
    space: Space

    def __post_init__(self) -> None:
        if not (self.values.is_floating_point() or (self.values.is_complex() and self.space.is_complex)):
            field = "real or complex" if self.space.is_complex else "real"
            raise ValueError(f"Diagonal on {self.space} takes {field} values, got {self.values.dtype}")
        trailing = self.values.shape[max(self.values.ndim - self.space.ndim, 0) :]
        sizes = self.space.shape[self.space.ndim - len(trailing) :]
        if any(have not in (1, want) for have, want in zip(trailing, sizes, strict=True)):
            raise ValueError(f"Diagonal takes values that broadcast to {self.space}, got {tuple(self.values.shape)}")

    @property
    def domain(self) -> Space:
        return self.space

    @property
    def range(self) -> Space:
        return self.space

    @cached_property
    def _casts(self) -> dict[tuple[torch.dtype, torch.device, bool], Tensor]:
        return {}

    def _like(self, x: Tensor, *, conjugate: bool) -> Tensor:
        """The values in the precision and on the device of `x`, kept from call to call unless a gradient flows to them."""
        if self.values.requires_grad:
            values = self.values.to(x.device, x.dtype)
            return values.conj() if conjugate else values
        key = (x.dtype, x.device, conjugate)
        if key not in self._casts:
            with torch.inference_mode(False):
                values = self.values.to(x.device, x.dtype)
                self._casts[key] = values.conj().resolve_conj() if conjugate else values
        return self._casts[key]

    def _forward(self, x: Tensor) -> Tensor:
        return x * self._like(x, conjugate=False)

    def _adjoint(self, y: Tensor) -> Tensor:
        return y * self._like(y, conjugate=self.values.is_complex())

    def _gram(self) -> LinearOperator:
        if self.values.requires_grad:
            return super()._gram()
        return Diagonal(self.values.abs().square(), self.space)

    def _congruence(self, inner: LinearOperator) -> LinearOperator:
        if isinstance(inner, Diagonal) and not (inner.values.requires_grad or self.values.requires_grad):
            return Diagonal(self.values.abs().square() * inner.values, self.space)
        return super()._congruence(inner)

    def _absorb(self, outer: LinearOperator) -> LinearOperator | None:
        if not isinstance(outer, Diagonal) or outer.values.requires_grad or self.values.requires_grad:
            return None
        device = outer.values.device if self.values.device.type == "cpu" else self.values.device
        return Diagonal(outer.values.to(device) * self.values.to(device), self.space)

    def _tensor_ndim(self) -> int | None:
        return self.space.ndim

    def _norm_bound(self) -> float | None:
        return float(self.values.detach().abs().max())
