"""Operators taken apart: their dense matrix, the tensors they hold, the operators they are made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from medrecon.operators import LinearOperator
from medrecon.spaces import Space


def batch_held(A: LinearOperator) -> tuple[int, ...]:
    """The batch axes that the tensors of `A` bring."""
    x = torch.zeros(A.domain.shape, dtype=torch.complex128 if A.domain.is_complex else torch.float64)
    return tuple(A.range.batch_shape(A(x)))


def coordinates(space: Space, x: Tensor) -> Tensor:
    """`x` as real vectors `(*batch, n)`."""
    x = x.flatten(x.ndim - space.ndim)
    return torch.view_as_real(x.resolve_conj()).flatten(-2) if space.is_complex else x


def dense(A: LinearOperator) -> Tensor:
    """The real matrix of `A`, `(*batch held, rows, columns)`."""
    n = A.domain.norm(torch.ones(A.domain.shape)).square().round().int().item()
    basis = torch.eye(2 * n if A.domain.is_complex else n, dtype=torch.float64)
    if A.domain.is_complex:
        basis = torch.view_as_complex(basis.reshape(2 * n, n, 2))
    x = basis.reshape(-1, *(1 for _ in batch_held(A)), *A.domain.shape)
    return coordinates(A.range, A(x)).movedim(0, -1)


def tensors(value: Any) -> Iterator[Tensor]:
    """All tensors that an operator holds."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from tensors(item)
    elif isinstance(value, LinearOperator):
        for field in dataclasses.fields(value):
            yield from tensors(getattr(value, field.name))


def with_tensors(value: Any, new: Iterator[Tensor]) -> Any:
    """The same operator with its real and complex tensors replaced, in order."""
    if isinstance(value, Tensor):
        return value if value.dtype == torch.bool else next(new)
    if isinstance(value, tuple):
        return tuple(with_tensors(item, new) for item in value)
    if isinstance(value, LinearOperator):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return dataclasses.replace(value, **{name: with_tensors(field, new) for name, field in fields.items()})
    return value


def variables(A: LinearOperator) -> tuple[Tensor, ...]:
    """Copies of the real and complex tensors of `A` in double precision, to which gradients flow."""
    held = [t.detach() for t in tensors(A) if t.dtype != torch.bool]
    return tuple(
        torch.zeros_like(t, dtype=torch.promote_types(t.dtype, torch.float64)).copy_(t).requires_grad_() for t in held
    )


def parts(value: Any) -> Iterator[LinearOperator]:
    if isinstance(value, tuple):
        for item in value:
            yield from parts(item)
    elif isinstance(value, LinearOperator):
        yield value
        for field in dataclasses.fields(value):
            yield from parts(getattr(value, field.name))


def assert_close(got: Tensor, want: Tensor, tolerance: float = 1e-12) -> None:
    got, want = got.detach(), want.detach()
    assert got.shape == want.shape
    assert float((got - want).abs().max()) <= tolerance * max(1.0, float(want.abs().max()))
