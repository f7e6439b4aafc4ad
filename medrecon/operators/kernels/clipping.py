"""Where a straight line runs within a grid."""

from __future__ import annotations

from typing import Any

from medrecon.operators.kernels.compiled import compiled

__all__ = ["clip"]


@compiled
def clip(base: Any, slope: Any, limit: Any, first: Any, last: Any) -> Any:
    """The r of `first <= r < last` with `0 < base + slope r < limit`."""
    if slope != 0:
        inverse = 1.0 / slope
        low, high = -base * inverse, (limit - base) * inverse
        if low > high:
            low, high = high, low
        # One too many at either end, for rounding; the loops below have the last word.
        first, last = max(first, int(min(max(low, first), last))), min(last, int(min(max(high, first), last)) + 2)
    while first < last and not 0 < base + slope * first < limit:
        first += 1
    while first < last and not 0 < base + slope * (last - 1) < limit:
        last -= 1
    return first, last
