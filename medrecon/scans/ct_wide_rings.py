"""Runs of neighboring bins of a detector that read too much or too little in all views: wide rings."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = ["across", "run_sizes", "uneven_runs"]

Floats = NDArray[np.float64]

_PARTS = 8  # of the views, which must show the same step
_SURE = 3.0  # standard deviations of a part: more than eight of all views
_SIGNIFICANT = 6.0  # standard deviations that parts may differ by
_ALIKE = 0.5  # of a step: what it may differ among the parts
_OUTSTANDING = 4.0  # times the steps around, or that at the same distance on the other side
_AROUND = 16  # bins
_BESIDE = 2  # bins, by which the mirror image of a place may be off
_SEEN = 0.01  # of a sinogram's typical largest values
_WIDEST = 16  # bins of a run
_LOWEST = 0.3  # of the largest deviation in a run: the least


def uneven_runs(y: Floats, axis: float) -> tuple[range, ...]:
    """The runs of two bins and more of a sinogram `(angle, detector)` that deviate in all views alike from those on both sides.

    A run lies between two steps of opposite signs from one bin to the next, which all views show alike, and its bins deviate to one
    side. What is round about the axis, which the place `axis` sees, shows such steps on both sides of it, and is none; where the
    detector does not see the other side, nothing is told.
    """
    runs: list[range] = []
    steps = _steps(y, axis)
    for (before, up), (last, down) in pairwise(steps):
        run = range(before + 1, last + 1)
        apart = not runs or run[0] > runs[-1][-1]
        if up * down < 0 and 1 < len(run) <= _WIDEST and apart and _is_uneven(y, run):
            runs.append(run)
    return tuple(runs)


def run_sizes(y: Floats, run: range) -> dict[int, float]:
    """By how much each bin of a run deviates from both sides: the median of all views."""
    return {k: float(np.median(y[:, k] - across(y, k, set(run)))) for k in run}


def _is_uneven(y: Floats, run: range) -> bool:
    """Whether all bins of a run deviate to one side."""
    sizes = np.array(list(run_sizes(y, run).values()))
    return bool((sizes * np.sign(sizes[0]) > _LOWEST * abs(sizes).max()).all())


def across(y: Floats, k: int, wrong: set[int]) -> Floats:
    """The cubic through two bins on either side of bin `k` that are not `wrong`, `(angle,)`; fewer at an end of the detector."""
    sound = [j for j in range(y.shape[1]) if j not in wrong and j != k]
    places = np.array([j for j in sound if j < k][-2:] + [j for j in sound if j > k][:2], dtype=np.float64)
    shares = [np.prod((k - np.delete(places, i)) / (places[i] - np.delete(places, i))) for i in range(len(places))]
    expected: Floats = y[:, places.astype(int)] @ np.array(shares)
    return expected


def _steps(y: Floats, axis: float) -> list[tuple[int, float]]:
    """Steps that all views show alike, by the bin before each: what parabolas through the bins on both sides leave between them."""
    if len(y) < 2 * _PARTS or y.shape[1] < 2 * _AROUND:
        return []
    each = np.zeros((len(y), y.shape[1] - 1))
    each[:, 1:-1] = -np.diff(y, 3, axis=1) / 2
    parts = np.stack([np.median(part, axis=0) for part in np.array_split(each, _PARTS)])
    size, usual = np.median(parts, axis=0), np.median(abs(parts), axis=0)
    error = 1.4826 * 1.2533 * np.median(abs(each - np.median(each, axis=0)), axis=0) / math.sqrt(len(y) / _PARTS)
    alike = np.ptp(parts, axis=0) < _ALIKE * abs(size) + _SIGNIFICANT * error
    near = np.lib.stride_tricks.sliding_window_view(np.pad(usual, _AROUND, "edge"), 2 * _AROUND + 1)
    least = np.maximum(_SURE * error, _SEEN * float(np.quantile(y, 0.95)))
    least = np.maximum(least, _OUTSTANDING * np.maximum(np.median(near, axis=-1), _mirrored(usual, axis)))
    highest = abs(size) >= np.maximum(np.roll(abs(size), 1), np.roll(abs(size), -1))
    return [(k, float(size[k])) for k in np.flatnonzero(alike & highest & (abs(size) > least)).tolist()]


def _mirrored(sizes: Floats, axis: float) -> Floats:
    """The largest step about the same place on the other side; infinite where that is not seen, or is the place itself."""
    n = len(sizes)
    places = np.rint(2 * axis - 1 - np.arange(n)).astype(int)
    largest = np.zeros(n)
    for shift in range(-_BESIDE, _BESIDE + 1):
        there = places + shift
        seen = (there >= 0) & (there < n) & (there != np.arange(n))
        largest = np.maximum(largest, np.where(seen, sizes[np.clip(there, 0, n - 1)], 0.0))
    return np.where((places >= 0) & (places < n), largest, np.inf)
