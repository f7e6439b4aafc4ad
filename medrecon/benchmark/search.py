"""The best value of one positive setting, found with few trials."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["Found", "Range", "search"]

#: Scores of values, in their order: the larger the better.
Scores = Callable[[Sequence[float]], Sequence[float]]

_COARSE, _STEPS = 4.0, 2
_EXTENSIONS = 6  # beyond it
_FINE = 1.1  # ratio of neighbors at which the search ends


@dataclass(frozen=True)
class Range:
    """Which values may be tried; `whole` ones alone, where a setting is a count."""

    low: float = 0.0
    high: float = math.inf
    whole: bool = False

    def allowed(self, value: float) -> float:
        """The nearest value that may be tried."""
        value = min(max(value, self.low), self.high)
        return float(round(value)) if self.whole else value


@dataclass(frozen=True)
class Found:
    """The best value and its score, all that were tried in order of the values, and where the best lies at an edge, in words."""

    value: float
    score: float
    tried: tuple[tuple[float, float], ...]
    edge: str = ""


def search(
    scores: Scores,
    start: float,
    within: Range | None = None,
    *,
    coarse: float = _COARSE,
    steps: int = _STEPS,
    fine: float = _FINE,
) -> Found:
    """Search the value of the largest score on a geometric grid, first coarse, then finer.

    The grid has the ratio `coarse` and `steps` values on either side of `start`, and is extended while the best lies at its edge;
    then both geometric means next to the best are tried, until neighbors are closer than `fine`. A score of one maximum is found
    to that ratio; of several, one is.

    Parameters
    ----------
    scores
        of several values at once, which may be computed side by side.
    start
        above zero: a value that is known to be sensible.
    within
        which values may be tried.
    coarse, steps
        ratio of neighbors in the first grid, and how many it has on either side of the start.
    fine
        ratio of neighboring values at which the search ends.

    Raises
    ------
    ValueError
        if `start` is not above zero, `coarse` and `fine` not above one, or `steps` below one.
    """
    if not (start > 0 and coarse > 1 and fine > 1 and steps >= 1):
        raise ValueError(
            f"search takes a start above 0, coarse and fine above 1 and steps from 1, got {start}, {coarse}, {fine} and {steps}"
        )
    within = within or Range()
    known: dict[float, float] = {}

    def attempt(values: Sequence[float]) -> None:
        new = list(dict.fromkeys(v for v in map(within.allowed, values) if v > 0 and v not in known))
        if new:
            known.update(zip(new, scores(new), strict=True))

    attempt([start * coarse**step for step in range(-steps, steps + 1)])
    edge = _extend(attempt, known, coarse)
    _refine(attempt, known, fine)
    best = _best(known)
    return Found(best, known[best], tuple(sorted(known.items())), edge or _bound(best, within))


def _extend(attempt: Callable[[Sequence[float]], None], known: dict[float, float], coarse: float) -> str:
    """Go on while the best is the smallest or the largest; in words if that has no end."""
    for _ in range(_EXTENSIONS):
        best = _best(known)
        if min(known) < best < max(known) or len(known) == 1:
            return ""
        before = len(known)
        attempt([best / coarse if best == min(known) else best * coarse])
        if len(known) == before:
            return ""  # at a bound, which is told later
    best = _best(known)
    if min(known) < best < max(known):
        return ""
    side = "smaller" if best == min(known) else "larger"
    return f"the best, {best:.4g}, lies at the edge of what was searched; {side} ones may be better"


def _refine(attempt: Callable[[Sequence[float]], None], known: dict[float, float], fine: float) -> None:
    while True:
        best, tried = _best(known), sorted(known)
        place = tried.index(best)
        neighbors = [tried[k] for k in (place - 1, place + 1) if 0 <= k < len(tried)]
        between = [math.sqrt(best * other) for other in neighbors if max(best, other) / min(best, other) > fine]
        before = len(known)
        attempt(between)
        if len(known) == before:
            return


def _best(known: dict[float, float]) -> float:
    return max(known, key=lambda value: (known[value] if not math.isnan(known[value]) else -math.inf, -value))


def _bound(best: float, within: Range) -> str:
    if best in (within.low, within.high):
        return f"the best, {best:.4g}, is the {'least' if best == within.low else 'most'} that may be taken"
    return ""
