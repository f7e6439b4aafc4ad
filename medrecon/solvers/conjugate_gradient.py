"""Conjugate gradients for `N x = b` with a positive semidefinite `N`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import torch
from torch import Tensor

from medrecon.operators.linear import LinearOperator
from medrecon.solvers.state import State

__all__ = ["conjugate_gradient"]

_REFRESH = 50  # iterations: beyond those of every default (20) and every tuned setting (40), whose images stay the same to the bit
_DRIFT = 0.1  # of the residual: where its recurrence is off by more, the direction starts anew from the residual


def conjugate_gradient(normal: LinearOperator, b: Tensor, x: Tensor) -> Iterator[State]:
    """Solve `normal(x) = b` from the start `x`; each batch element has its own step.

    The criterion is the relative residual `|b - normal(x)| / |b|`, by its recurrence and computed anew at every fiftieth iteration.
    An element that meets a direction with `<p, normal(p)> < 0`, beyond rounding, stays where it is: `normal` is indefinite.
    Hestenes & Stiefel, J Res Natl Bur Stand 49:409 (1952).

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
    r = b - normal(x) if x.requires_grad or bool(x.any()) else b
    p = r
    squared = space.inner(r, r)
    scale = space.norm(b).clamp_min(torch.finfo(squared.dtype).tiny)
    rounding = torch.finfo(squared.dtype).eps ** 0.5
    steepest, indefinite = torch.zeros_like(squared), torch.zeros_like(squared, dtype=torch.bool)
    for number in count(1):
        q = normal(p)
        curvature, length = space.inner(p, q), space.inner(p, p)
        steepest = torch.maximum(steepest, curvature / length)
        indefinite = indefinite | (curvature < -rounding * steepest * length)
        alpha = torch.where(indefinite, 0.0, _ratio(squared, curvature))
        x = _axpy(x, alpha, p)
        r = _axpy(r, -alpha, q)
        previous, squared = squared, space.inner(r, r)
        beta = _ratio(squared, previous)
        if number % _REFRESH == 0:
            recurred, r = r, b - normal(x)
            squared = space.inner(r, r)
            rounded = space.norm(r - recurred) > _DRIFT * squared.sqrt()
            beta = torch.where(rounded, 0.0, beta)
        p = _axpy(r, beta, p)
        yield State(x, squared.sqrt() / scale, indefinite)


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    """`a / b`, and 0 where `b` has vanished: an element that is solved stays where it is."""
    positive = b > 0
    return torch.where(positive, a / torch.where(positive, b, 1.0), 0.0)


def _axpy(x: Tensor, scalars: Tensor, p: Tensor) -> Tensor:
    """`x + scalars * p`, one scalar a batch element."""
    scalars = scalars.reshape(scalars.shape + (1,) * (p.ndim - scalars.ndim))
    return torch.addcmul(x, scalars.to(p.dtype), p)
