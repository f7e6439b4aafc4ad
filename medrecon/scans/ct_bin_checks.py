"""Checks of the bins of a detector: against their neighbors and over all views, so that no object is taken for a fault."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medrecon.findings import Finding, Severity, SinogramFinding
from medrecon.geometry import Geometry
from medrecon.scans.ct_wide_rings import run_sizes, uneven_runs
from medrecon.words import listed

__all__ = ["DEAD", "axis_bin", "bin_findings", "dead_bins", "dead_words", "uneven_bins"]

DEAD = SinogramFinding.DEAD_BINS

_FEWEST_VIEWS = 12  # of which bins that read alike are told from sound ones
_LEAST_VIEWS, _MOST_VIEWS = 20, 240
_PARTS = 8  # of the views, which must show the same deviation
_GAPS = (1, 2)  # bins, to the neighbors that say what a bin should read: wider faults are no single bins
_SIGNIFICANT = 6.0  # standard deviations
_OUTSTANDING = 4.0  # times what bins around deviate, or those at the same distance on the other side
_AROUND = 5  # bins
_BESIDE = 2  # bins, by which the mirror image of a place may be off
_NOT_MENDED = "and --repair does not mend them: calibrate the detector"
_SEEN = 0.004  # of a sinogram's typical largest values: what draws a ring
_OFF = 0.01  # of them: what a constant bin deviates at least


def axis_bin(geometry: Geometry) -> float:
    """The place on the detector, counted in bins, that sees the axis of rotation; it may lie beyond its ends."""
    return (geometry.n_bins - 1) / 2 - geometry.offset / geometry.spacing


def bin_findings(y: NDArray[np.float64], geometry: Geometry, *, repaired: bool = False) -> Iterator[Finding]:
    """Bins of a sinogram `(angle, detector)`, all of it finite, that say nothing, or too much or too little in all views.

    `repaired` says whether this is what `--repair` left.
    """
    dead = dead_bins(torch.from_numpy(y))
    some = y[:: max(1, len(y) // _MOST_VIEWS)]
    if dead:
        yield Finding(DEAD, Severity.NOTE, dead_words(dead, repaired=repaired))
    off = {k: size for k, size in uneven_bins(some, axis_bin(geometry)).items() if k not in dead}
    if off:
        named = [f"{k} ({size:+.3g})" for k, size in off.items()]
        text = f"bins that read too much or too little in all views: {listed(named)}; they draw rings"
        remedy = _NOT_MENDED if repaired else "give --repair, which subtracts that, or calibrate the detector"
        yield Finding(SinogramFinding.UNEVEN_BINS, Severity.NOTE, f"{text}, {remedy}")


def dead_words(bins: tuple[int, ...] | list[int], *, repaired: bool = False) -> str:
    """Name dead bins, and say what they do."""
    remedy = _NOT_MENDED if repaired else "give --repair, which fills them from their neighbors"
    return f"dead bins: {listed(bins)}; they draw rings or stripes, {remedy}"


def dead_bins(sinogram: Tensor) -> tuple[int, ...]:
    """Bins `k` of a sinogram `(angle, detector)` that say nothing: never finite, or one value in all views, unlike their neighbors.

    Bins beside the object, and those of an object that looks alike from everywhere, are constant as well, and go with their
    neighbors. In a few views sound bins read alike: of these, only what is never finite is dead.
    """
    lost = ~sinogram.isfinite().any(dim=0)
    if sinogram.shape[0] < _FEWEST_VIEWS:
        return tuple(torch.nonzero(lost).flatten().tolist())
    y = sinogram.nan_to_num(0.0, 0.0, 0.0).double().numpy()
    still = (np.ptp(y, axis=0) == 0) & ~lost.numpy()
    sound = np.flatnonzero(~lost.numpy())
    found = set(np.flatnonzero(lost.numpy()).tolist())
    typical = float(np.quantile(y, 0.95)) if still.any() else 0.0
    for k in np.flatnonzero(still).tolist():
        others = sound[(sound != k) & ~still[sound]]
        before, after = others[others < k], others[others > k]
        beside = (before[-1], after[0]) if len(before) and len(after) else (max(k - 1, 0), min(k + 1, y.shape[1] - 1))
        share = (k - beside[0]) / (beside[1] - beside[0])
        expected = (1 - share) * y[:, beside[0]] + share * y[:, beside[1]]
        if float(np.median(abs(y[:, k] - expected))) > _OFF * typical and (
            (len(before) and len(after)) or _alone(y, k)
        ):
            found.add(k)
    return tuple(sorted(found))


def _alone(y: NDArray[np.float64], k: int) -> bool:
    """Whether the neighbors of a bin go with each other and not with it."""
    if not 0 < k < y.shape[1] - 1:
        return False
    middle, apart = y[0, k] - (y[0, k - 1] + y[0, k + 1]) / 2, abs(y[0, k - 1] - y[0, k + 1])
    return bool(abs(middle) > 2 * apart)


def uneven_bins(y: NDArray[np.float64], axis: float | None = None) -> dict[int, float]:
    """By how much bins of a sinogram `(angle, detector)` deviate from both sides in all views alike, of those that do.

    Single ones, and runs of several. Not what deviates on both sides of the axis, which the bin `axis` sees, else that in the
    middle. Of one bin on the axis itself nothing tells a fault from a thin rod there: it is taken for a fault.
    """
    axis = (y.shape[1] - 1) / 2 if axis is None else axis
    typical = float(np.quantile(y, 0.95))
    if len(y) < _LEAST_VIEWS or y.shape[1] < 4 * _AROUND or typical <= 0:
        return {}
    found = {k: size for run in uneven_runs(y, axis) for k, size in run_sizes(y, run).items()}
    y = y.copy()
    y[:, list(found)] -= list(found.values())
    for gap in _GAPS:
        size, usual, error = _deviations(y, gap)
        round_ = _OUTSTANDING * np.maximum(_around(usual, gap), _mirrored(usual, axis, gap))
        least = np.maximum(np.maximum(_SIGNIFICANT * error, _SEEN * typical), round_)
        for k in np.flatnonzero(abs(size) > least).tolist():
            found.setdefault(k, float(size[k]))
    return dict(sorted(found.items()))


def _around(sizes: NDArray[np.float64], gap: int) -> NDArray[np.float64]:
    """The largest deviation of the bins around each, beyond those that may have its fault."""
    reach = gap + _AROUND
    near = np.lib.stride_tricks.sliding_window_view(np.pad(sizes, reach), 2 * reach + 1)
    largest: NDArray[np.float64] = np.concatenate([near[:, : reach - gap + 1], near[:, reach + gap :]], axis=1).max(-1)
    return largest


def _mirrored(sizes: NDArray[np.float64], axis: float, gap: int) -> NDArray[np.float64]:
    """The largest deviation about the same place on the other side: what is round about the axis deviates on both.

    Where that is the bin itself, or has its fault, what counts is the less of the deviations on both sides.
    """
    n = len(sizes)
    bins, largest = np.arange(n), np.zeros(n)

    def at(places: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.where((places >= 0) & (places < n), sizes[np.clip(places, 0, n - 1)], 0.0)

    for twice in {math.floor(2 * axis), math.ceil(2 * axis)}:
        for shift in range(-_BESIDE, _BESIDE + 1):
            place = twice - bins + shift
            here = np.where(abs(place - bins) < gap, np.minimum(at(place), at(twice - place)), at(place))
            largest = np.maximum(largest, np.where(place == bins, 0.0, here))
    return largest


def _deviations(
    y: NDArray[np.float64], gap: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Deviations of bins from the lines through two neighbors on either side.

    Those in which both sides and all parts agree, else 0; those of the side that deviates less, whether parts agree or not; and
    the standard deviation of those of a part.
    """
    padded = np.pad(y, ((0, 0), (gap + 1, gap + 1)), "edge")
    n = y.shape[1]
    at = [padded[:, gap + 1 + k : gap + 1 + k + n] for k in (-gap - 1, -gap, gap, gap + 1)]
    sides = (y - (gap + 1) * at[1] + gap * at[0], y - (gap + 1) * at[2] + gap * at[3])
    parts = np.stack([[np.median(one, axis=0) for one in np.array_split(side, _PARTS)] for side in sides])
    usual = np.median(abs(parts), axis=1).min(0)
    spread = np.median(abs(sides[0] - np.median(sides[0], axis=0)), axis=0)
    error = 1.4826 * 1.2533 * spread / np.sqrt(len(y) / _PARTS)
    every = parts.reshape(-1, n)
    low, high = abs(every).min(0), abs(every).max(0)
    alike = (np.sign(every) == np.sign(every[0])).all(0) & (high - low < low + _SIGNIFICANT * error)
    return np.where(alike, np.sign(every[0]) * (low + high) / 2, 0.0), usual, error
