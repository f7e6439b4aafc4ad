"""Proximal gradient descent, plain and accelerated, for `f(x) + g(x)` with a smooth `f` and a proximable `g`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import repeat

import torch
from torch import Tensor

from medrecon.functionals import Proximable, Smooth
from medrecon.solvers.state import State, relative

__all__ = ["accelerated_proximal_gradient", "proximal_gradient", "scheduled_proximal_gradient"]

_SLACK = 1 + 1e-4  # a Lipschitz constant is known to about this


def proximal_gradient(f: Smooth, g: Proximable, x: Tensor, *, step: float | None = None) -> Iterator[State]:
    """`x <- prox_{step g}(x - step grad f(x))`, with `step <= 2 / L`; by default `1 / L`, for the Lipschitz constant `L`.

    The criterion is `|x_k - x_{k-1}| / |x_k|`.

    Raises
    ------
    ValueError
        for a step outside (0, 2 / L].
    """
    return _descend(f, g, x, _checked(step, 2.0, f, "proximal_gradient"))


def _descend(f: Smooth, g: Proximable, x: Tensor, step: float) -> Iterator[State]:
    while True:
        new = g.prox(x - step * f.gradient(x), step)
        yield State(new, relative(f.space, f.space.norm(new - x), new))
        x = new


def accelerated_proximal_gradient(f: Smooth, g: Proximable, x: Tensor, *, step: float | None = None) -> Iterator[State]:
    """FISTA with adaptive restart; each batch element restarts on its own. `step <= 1 / L`, which is the default.

    The criterion is `|x_k - x_{k-1}| / |x_k|`. Beck & Teboulle, SIAM J Imaging Sci 2:183 (2009); restart by the gradient scheme of
    O'Donoghue & Candès, Found Comput Math 15:715 (2015).

    Raises
    ------
    ValueError
        for a step outside (0, 1 / L].
    """
    return _accelerate(f, repeat(g), x, _checked(step, 1.0, f, "accelerated_proximal_gradient"))


def scheduled_proximal_gradient(
    f: Smooth, schedule: Iterable[Proximable], x: Tensor, *, step: float | None = None
) -> Iterator[State]:
    """`accelerated_proximal_gradient` with the next `g` of a schedule at each iteration; ends where the schedule ends.

    For continuation (a falling weight; Hale, Yin & Zhang, SIAM J Optim 19:1107 (2008)) and cycle spinning (a shifted basis each
    time; Coifman & Donoho, 1995).

    Raises
    ------
    ValueError
        for a step outside (0, 1 / L].
    """
    return _accelerate(f, schedule, x, _checked(step, 1.0, f, "scheduled_proximal_gradient"))


def _accelerate(f: Smooth, schedule: Iterable[Proximable], x: Tensor, step: float) -> Iterator[State]:
    extrapolated = x
    momentum = torch.ones(f.space.batch_shape(x), dtype=x.dtype.to_real(), device=x.device)
    for g in schedule:
        new = g.prox(torch.sub(extrapolated, f.gradient(extrapolated), alpha=step), step)
        move = new - x
        uphill = f.space.inner(extrapolated - new, move) > 0
        momentum = torch.where(uphill, 1.0, momentum)
        grown = (1 + (1 + 4 * momentum**2).sqrt()) / 2
        weight = ((momentum - 1) / grown).to(x.dtype)
        extrapolated = torch.addcmul(new, weight.reshape(weight.shape + (1,) * f.space.ndim), move)
        x, momentum = new, grown
        yield State(x, relative(f.space, f.space.norm(move), x))


def _checked(step: float | None, limit: float, f: Smooth, who: str) -> float:
    if step is None:
        return 1.0 / f.lipschitz if f.lipschitz > 0 else 1.0  # a gradient that is constant takes any step
    if f.lipschitz == 0 and step > 0:
        return step
    if not 0 < step * f.lipschitz <= limit * _SLACK:
        raise ValueError(
            f"{who} takes a step in (0, {limit:g} / L] with L = {f.lipschitz:.4g}, the Lipschitz constant of the gradient: "
            f"at most {limit / f.lipschitz:.4g}, got {step:g}"
        )
    return step
