"""Conjugate gradients for `N x = b` with a positive semidefinite `N`."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from medrecon.operators.linear import LinearOperator
from medrecon.solvers.state import State

__all__ = ["conjugate_gradient"]


def conjugate_gradient(normal: LinearOperator, b: Tensor, x: Tensor) -> Iterator[State]:
    """Solve `normal(x) = b` from the start `x`; each batch element has its own step.

    The residual is `|b - normal(x)| / |b|`. Hestenes & Stiefel, J Res Natl Bur Stand 49:409 (1952).

    Raises
    ------
    ValueError
        if `normal` does not map a space to itself, or `b` or `x` is not of it.
    """
    space = normal.domain
    if normal.range != space:
        raise ValueError(f"conjugate_gradient takes an operator from a space to itself, got {space} to {normal.range}")
    space.require(b, "conjugate_gradient")
    space.require(x, "conjugate_gradient")
    return _iterate(normal, b, x)


def _iterate(normal: LinearOperator, b: Tensor, x: Tensor) -> Iterator[State]:
    space = normal.domain
    r = b - normal(x)
    p = r
    squared = space.inner(r, r)
    scale = space.norm(b).clamp_min(torch.finfo(squared.dtype).tiny)
    while True:
        q = normal(p)
        alpha = _ratio(squared, space.inner(p, q))
        x = _axpy(x, alpha, p)
        r = _axpy(r, -alpha, q)
        previous, squared = squared, space.inner(r, r)
        p = _axpy(r, _ratio(squared, previous), p)
        yield State(x, squared.sqrt() / scale)


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    """`a / b`, and 0 where `b` has vanished: an element that is solved stays where it is."""
    return torch.where(b > 0, a / torch.where(b > 0, b, 1.0), 0.0)


def _axpy(x: Tensor, scalars: Tensor, p: Tensor) -> Tensor:
    """`x + scalars * p`, one scalar a batch element."""
    scalars = scalars.reshape(scalars.shape + (1,) * (p.ndim - scalars.ndim))
    return torch.addcmul(x, scalars.to(p.dtype), p)
