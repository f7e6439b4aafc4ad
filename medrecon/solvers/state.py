"""What an iteration yields, and the one loop that runs it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor

from medrecon.spaces import Space

__all__ = ["Reason", "Solution", "State", "relative", "run"]


@dataclass(frozen=True)
class State:
    """An iterate and how settled it is.

    Parameters
    ----------
    x
        `(*batch, *space)`.
    criterion
        of shape `batch`, what `run` holds against its tolerance: the relative change of the iterate unless a solver says otherwise.
    indefinite
        elements that stay where they are, since the solver cannot treat their operator, of shape `batch`; False where all go on.
    """

    x: Tensor
    criterion: Tensor
    indefinite: Tensor | bool = False


class Reason(Enum):
    """Why a run ended, in words."""

    CONVERGED = "every element met the tolerance"
    ITERATION_LIMIT = "max_iterations have passed"
    SCHEDULE_ENDED = "the solver has no further iterate"
    INDEFINITE = "the operator is not positive semidefinite: conjugate gradients met a direction of negative curvature"
    DIVERGED = "the iteration diverged"


@dataclass(frozen=True)
class Solution:
    """The last iterate of each batch element, how many iterations it took, whether it met the tolerance, and why all ended."""

    x: Tensor
    iterations: Tensor
    converged: Tensor
    reason: Reason


def relative(space: Space, change: Tensor, x: Tensor) -> Tensor:
    """`change`, of shape `batch`, over the norm of `x` in `space`; large, not infinite, where `x` is 0."""
    norm = space.norm(x)
    return change / norm.clamp_min(torch.finfo(norm.dtype).tiny)


def run(
    states: Iterator[State],
    *,
    max_iterations: int,
    tolerance: float = 0.0,
    watch: Callable[[int, State], None] | None = None,
) -> Solution:
    """Run a solver until every batch element has a criterion of at most `tolerance`, `max_iterations` have passed, or it ends.

    An element that has converged keeps its iterate while the others go on, so that a batch gives what a loop gives.
    With a tolerance of 0 all iterations are run. `watch` is called with each iteration's number, from 1, and its state.

    Raises
    ------
    ValueError
        if `max_iterations` is below 1, `tolerance` negative, or there is no state at all.
    ArithmeticError
        if the last iterate is not finite.
    """
    if max_iterations < 1 or tolerance < 0:
        raise ValueError(f"run takes max_iterations >= 1 and tolerance >= 0, got {max_iterations} and {tolerance}")
    first = next(states, None)
    if first is None:
        raise ValueError("run takes a solver that yields at least one state, got none: is the schedule empty?")
    x, converged = first.x, torch.zeros_like(first.criterion, dtype=torch.bool)
    ended, iterations = converged, torch.zeros_like(first.criterion, dtype=torch.int64)
    state, number = first, 1
    while True:
        kept = converged.reshape(converged.shape + (1,) * (x.ndim - converged.ndim))
        x = torch.where(kept, x, state.x) if tolerance > 0 and bool(converged.any()) else state.x
        iterations = torch.where(ended, iterations, number)
        if watch is not None:
            watch(number, state)
        if tolerance > 0:
            converged = converged | (state.criterion <= tolerance)
        ended = converged | state.indefinite
        if number == max_iterations or (tolerance > 0 and bool(ended.all())):
            break
        following = next(states, None)
        if following is None:
            break
        state, number = following, number + 1
    if not bool(torch.isfinite(x).all()):
        raise ArithmeticError(f"{Reason.DIVERGED.value}: after {number} iterations its iterate is not finite")
    limit = Reason.ITERATION_LIMIT if number == max_iterations else Reason.SCHEDULE_ENDED
    reason = (
        Reason.CONVERGED if bool(converged.all()) else Reason.INDEFINITE if bool(ended.ne(converged).any()) else limit
    )
    return Solution(x, iterations, converged, reason)
