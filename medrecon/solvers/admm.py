"""The alternating direction method of multipliers for `|A x - y|^2 / 2 + g(K x)`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import torch
from torch import Tensor

from medrecon.functionals import LeastSquares, Proximable
from medrecon.operators.linear import LinearOperator
from medrecon.solvers.conjugate_gradient import conjugate_gradient
from medrecon.solvers.state import State, relative

__all__ = ["admm"]


def admm(
    data: LeastSquares, g: Proximable, K: LinearOperator, x: Tensor, *, rho: float, inner_iterations: int = 4
) -> Iterator[State]:
    """Scaled ADMM, its linear system solved by a few warm-started conjugate gradient steps.

        x = argmin |A x - y|^2 / 2 + rho |K x - z + u|^2 / 2
        z = prox_{g / rho}(K x + u)
        u = u + K x - z

    Any `rho > 0` converges in exact arithmetic; it sets how fast, and belongs to the scale of `A`: `c A`, `c y` and
    `c^2 g` take `c^2 rho` for the same iterates. The criterion is the larger of `|x_new - x| / |x_new|` and
    `|K x_new - z| / |K x_new + u|`: a start that minimizes the data term does not move at first.
    Boyd et al., Found Trends Mach Learn 3:1 (2011).

    Raises
    ------
    ValueError
        if `rho` is not positive or `inner_iterations` below 1.
    """
    if not rho > 0 or inner_iterations < 1:
        raise ValueError(f"admm takes rho > 0 and inner_iterations >= 1, got {rho:g} and {inner_iterations}")
    return _iterate(data, g, K, x, rho, inner_iterations)


def _iterate(
    data: LeastSquares, g: Proximable, K: LinearOperator, x: Tensor, rho: float, inner_iterations: int
) -> Iterator[State]:
    normal = data.normal + rho * K.gram
    space = K.domain
    z = K(x)
    u = torch.zeros_like(z)
    while True:
        b = torch.add(data.backprojection, K.H(z - u), alpha=rho)
        *_, last = islice(conjugate_gradient(normal, b, x), inner_iterations)
        move, x = last.x - x, last.x
        v = K(x) + u  # not in place: K(x) may be x itself
        z = g.prox(v, 1 / rho)
        u, gap = v - z, v - z - u
        yield State(x, torch.maximum(relative(space, space.norm(move), x), relative(K.range, K.range.norm(gap), v)))
