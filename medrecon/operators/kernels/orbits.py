"""Views of a scan that a symmetry of the square turns into each other: one loop over rays then serves up to eight images at once.

With `S_g(p) = f(M_g p)`, a view of normal n of `S_g` is that of normal `M_g n` of `f`. The images `S_g` are the lanes of a vector.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["Orbits", "find_orbits"]

_SAME = 1e-11  # radians, or lengths relative to the detector's: closer views are one

# Symmetries as (swap x and y, sign of x, sign of y), applied to (x, y) in this order. A group is some of these and
# their opposites, which are turned by half a turn more.
_IDENTITY, _MIRROR, _QUARTER_TURN, _DIAGONAL = (False, 1, 1), (False, -1, 1), (True, -1, 1), (True, 1, 1)
_RECTANGLE = ((_IDENTITY,), (_IDENTITY, _MIRROR))
_SQUARE = (*_RECTANGLE, (_IDENTITY, _QUARTER_TURN), (_IDENTITY, _MIRROR, _QUARTER_TURN, _DIAGONAL))

Symmetry = tuple[bool, int, int]


@dataclass(frozen=True, eq=False)
class Orbits:
    """A partition of all rays: each orbit is one view, computed for several images.

    Parameters
    ----------
    symmetries
        `(lane, 3)` int64: swap, sign of x, sign of y.
    directions
        `(orbit, 2)` cosine and sine of the view that is computed.
    n_bins
        how many bins of it, counted from the first, serve all: half of them where a half turn gives the others.
    halved
        whether that is so: each view is then given by two lanes, one of them flipped.
    views
        `(orbit, lane)` int64: the view that a lane gives; -1 for none.
    flipped
        `(orbit, lane)` whether it gives the bins in reverse order.
    """

    symmetries: NDArray[np.int64]
    directions: NDArray[np.float64]
    n_bins: int
    halved: bool
    views: NDArray[np.int64]
    flipped: NDArray[np.bool_]

    @property
    def table(self) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.bool_]]:
        """Directions, views and flips, as the kernels take them."""
        return self.directions, self.views, self.flipped

    @property
    def cost(self) -> float:
        """Time it takes, in arbitrary units: a sample costs its addresses, and the arithmetic of its lanes."""
        return float(len(self.directions)) * self.n_bins * (15 + len(self.symmetries))


def find_orbits(
    views: NDArray[np.float64], bins: NDArray[np.float64], *, square: bool, centered: bool = True
) -> Orbits:
    """The cheapest partition; `square`: x and y of the grid may be exchanged, `centered`: they may be mirrored."""
    return _find(views.tobytes(), bins.tobytes(), square, centered)


@lru_cache(maxsize=32)
def _find(view_bytes: bytes, bin_bytes: bytes, square: bool, centered: bool) -> Orbits:
    views = np.frombuffer(view_bytes).reshape(-1, 2)
    bins = np.frombuffer(bin_bytes).reshape(-1, 3)
    halves = (_SQUARE if square else _RECTANGLE) if centered else ()
    groups = ((_IDENTITY,), *((*half, *((swap, -x, -y) for swap, x, y in half)) for half in halves))
    return min((_partition(views, bins, group) for group in groups), key=lambda orbits: orbits.cost)


def _partition(views: NDArray[np.float64], bins: NDArray[np.float64], group: tuple[Symmetry, ...]) -> Orbits:
    parallel = not bins[:, 1].any()
    scale = max(float(abs(bins[:, 2]).max()), 1e-300)
    mirrored = bins[::-1] * [1, -1, -1]
    symmetric = bool((abs(mirrored - bins) <= _SAME * np.array([1, 1, scale])).all())
    halved = parallel and symmetric and len(bins) > 1 and len(group) > 1
    single = len(group) // 2 if halved else len(group)  # the lanes that choose a view; the others give its other half
    known = _Directions(views)
    found = [known.images(symmetry, parallel, symmetric) for symmetry in group[:single]]
    free = np.ones(len(views), dtype=bool)
    rows: list[tuple[int, list[int], list[bool]]] = []
    for view in np.argsort(abs(views[:, 1]), kind="stable"):  # rays along columns first: their samples lie side by side
        if not free[view]:
            continue
        lanes, flips = [-1] * single, [False] * single
        for lane, candidates in enumerate(found):
            for targets, flip in candidates:
                if targets[view] >= 0 and free[targets[view]]:
                    lanes[lane], flips[lane] = int(targets[view]), flip
                    free[targets[view]] = False
                    break
        rows.append(
            (int(view), lanes * 2, flips + [not flip for flip in flips]) if halved else (int(view), lanes, flips)
        )
    return Orbits(
        symmetries=np.array(group, dtype=np.int64),
        directions=np.array([views[view] for view, _, _ in rows]),
        n_bins=(len(bins) + 1) // 2 if halved else len(bins),
        halved=halved,
        views=np.array([lanes for _, lanes, _ in rows], dtype=np.int64),
        flipped=np.array([flips for _, _, flips in rows]),
    )


class _Directions:
    """Unit vectors, to be found again by their angle."""

    def __init__(self, views: NDArray[np.float64]) -> None:
        self._views = views
        angles = np.arctan2(views[:, 1], views[:, 0])
        self._order = np.argsort(angles, kind="stable")
        self._angles = angles[self._order]

    def images(self, symmetry: Symmetry, parallel: bool, symmetric: bool) -> list[tuple[NDArray[np.int64], bool]]:
        """For each view the view that a symmetry makes of it, or -1; and whether its bins come in reverse order."""
        if symmetry == _IDENTITY:
            return [(np.arange(len(self._views)), False)]  # and no other of the same direction
        return [
            (self._find(vectors), flip) for vectors, flip in self._turned(symmetry, parallel) if symmetric or not flip
        ]

    def _turned(self, symmetry: Symmetry, parallel: bool) -> Iterator[tuple[NDArray[np.float64], bool]]:
        swap, sign_x, sign_y = symmetry
        turned = (self._views[:, ::-1] if swap else self._views) * [sign_x, sign_y]
        reflects = (sign_x * sign_y < 0) != swap
        # A reflection turns the normal of a fan's ray the other way: that is the opposite view, its bins reversed.
        if parallel or not reflects:
            yield turned, False
        if parallel or reflects:
            yield -turned, True

    def _find(self, vectors: NDArray[np.float64]) -> NDArray[np.int64]:
        angles = np.arctan2(vectors[:, 1], vectors[:, 0])
        places = np.searchsorted(self._angles, angles)
        result = np.full(len(vectors), -1)
        for neighbor in (0, -1):
            index = self._order[(places + neighbor) % len(self._order)]
            same = (abs(self._views[index] - vectors) <= _SAME).all(axis=1)
            result[same] = index[same]
        return result
