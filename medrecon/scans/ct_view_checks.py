"""Checks of the views of a sinogram against each other: such as hold nothing, or what another one holds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from medrecon.findings import Finding, Severity, SinogramFinding
from medrecon.geometry import Geometry
from medrecon.words import listed

__all__ = ["view_findings"]

Floats = NDArray[np.float64]

_SEEN = 0.2  # of the median sum of views
_SAME = 1e-5  # of the largest value: what views of a symmetric object without noise differ by
_SAME_ANGLE = 1e-9  # radians


def view_findings(y: Floats, geometry: Geometry) -> Iterator[Finding]:
    """Tell of views of `(angle, detector)` that hold one value throughout, or the numbers of another view."""
    if dead := _dead_views(y):
        yield Finding(
            SinogramFinding.DEAD_VIEWS,
            Severity.PROBLEM,
            f"views that hold nothing: {listed(dead)}, counted from 0; the image would be too low: leave "
            "them out, and their angles",
        )
    if repeated := _repeated_views(y, np.asarray(geometry.angles, np.float64)):
        yield Finding(
            SinogramFinding.REPEATED_VIEWS,
            Severity.PROBLEM,
            f"views that hold the numbers of another one, noise and all: {listed(repeated)}, counted from 0; they were written "
            "twice, or not measured anew, and the image would be smeared: leave them out, and their angles",
        )


def _dead_views(y: Floats) -> list[int]:
    """Views of one value throughout, between views that see the object: one that leaves the field does so by and by."""
    still = np.ptp(y, axis=1) == 0
    alive = np.flatnonzero(~still)
    if not still.any() or not alive.size:
        return []
    sums = y[alive].sum(1)
    sees = sums > _SEEN * np.median(sums)
    after = np.searchsorted(alive, np.flatnonzero(still)) % len(alive)
    return [int(view) for view in np.flatnonzero(still)[sees[after] & sees[after - 1]]]


def _repeated_views(y: Floats, angles: Floats) -> list[int]:
    """Views that hold the same numbers as an earlier one of another angle, not for a symmetry of the object.

    Without noise an object that is its own mirror image gives views in pairs about the axis of the mirror, and one that is alike
    after a part of a turn gives all views several times.
    """
    groups: dict[bytes, list[int]] = {}
    for view in np.flatnonzero(np.ptp(y, axis=1) > 0).tolist():
        groups.setdefault(np.ascontiguousarray(y[view]).tobytes(), []).append(view)
    pairs = [(group[0], view) for group in groups.values() for view in group[1:]]
    often = Counter(j - i for i, j in pairs)
    turned = set() if _is_noisy(y) else {apart for apart, n in often.items() if 2 * n > len(y) - apart}
    return [
        j
        for i, j in pairs
        if j - i not in turned and not _is_same_angle(angles[i], angles[j]) and not _is_mirrored(y, i, j)
    ]


def _is_same_angle(first: float, second: float) -> bool:
    return abs(math.remainder(second - first, 2 * math.pi)) < _SAME_ANGLE


def _is_mirrored(y: Floats, i: int, j: int) -> bool:
    """Whether the views before the one and after the other are alike, too, and those after the one and before the other."""
    n, least = len(y), _SAME * float(abs(y).max())
    outside, inside = (y[i - 1], y[(j + 1) % n]), (y[(i + 1) % n], y[j - 1])
    return all(float(abs(a - b).max()) <= least for a, b in (outside, inside))


def _is_noisy(y: Floats) -> bool:
    """Whether what lies beside the object, at the ends of the detector, is not the same in all views."""
    return bool(np.ptp(y[:, 0]) > 0 and np.ptp(y[:, -1]) > 0)
