"""Checks of what lies beside the object: within the detector, where its bins are rolled, or not zero, where something was added."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from medrecon.coverage import bend_noise, coverage, is_offset
from medrecon.findings import Finding, Severity, SinogramFinding
from medrecon.geometry import Geometry

__all__ = ["added_constant", "rolled_detector"]

Floats = NDArray[np.float64]

_BLOCKS = 24  # of views, of which means are looked at
_LEAST_BINS, _LEAST_VIEWS = 24, 12
_GAP = 3  # bins that see nothing in any view
_NOTHING, _SEEN = 0.03, 0.2  # of a sinogram's typical largest values
_BEYOND_NOISE = 4.0  # standard deviations
_VARIES = 0.01  # of them, by which what ends see of an object differs between views
_ADDED = 0.03  # of what the object adds: less beside it is scatter, or a blank scan of another day
_ALIKE = 0.02  # of what the object adds, or is read beside it: how much air differs between views and ends
_LEVEL, _NOISY_LEVEL = 0.05, 0.12  # of it: how much air changes along the whole detector at most, and if it is noisy
_SURE = 3.0  # standard deviations
_FEWEST = 4  # bins of air at an end


def rolled_detector(y: Floats, geometry: Geometry) -> Finding | None:
    """Tell of a sinogram `(angle, detector)` that was rolled along its bins: the object lies at both ends, and a gap between.

    What lies aside of the axis passes over it in half a turn: no bins but the outer ones see nothing in any view. At the ends of
    transmission, which a dense object lets through nowhere, views are alike.
    """
    if not _can_tell(y, geometry) or is_offset(geometry):
        return None
    means, n = _means(y), y.shape[1]
    noise = bend_noise(np.diff(y, 2, axis=1)) / math.sqrt(len(y) / len(means))
    top, largest, ends = float(np.quantile(means, 0.95)), abs(means).max(0), (means[:, 0], means[:, -1])
    nothing = max(_NOTHING * top, _BEYOND_NOISE * noise)
    jump, usual = float(abs(ends[0] - ends[1]).mean()), float(abs(np.diff(means, axis=1)).mean(0).max())
    is_there = min(end.max() for end in ends) > _SEEN * top + _BEYOND_NOISE * noise and jump < 2 * usual
    empty = np.flatnonzero(largest < nothing)
    if not is_there or min(np.std(end) for end in ends) < max(_VARIES * top, noise) or len(empty) < _GAP:
        return None
    if empty[-1] - empty[0] + 1 != len(empty):
        return None
    middle = (n + 1) // 2
    return _told_rolled(middle if empty[0] <= middle <= empty[-1] + 1 else round(float(empty.mean()) + 0.5), n)


def _told_rolled(shift: int, n: int) -> Finding:
    is_half = shift == (n + 1) // 2
    seen = "the halves of the detector are swapped" if is_half else "its bins were rolled"
    return Finding(
        SinogramFinding.DETECTOR_ROLLED,
        Severity.PROBLEM,
        f"the object lies at both ends of the detector, which go on in each other, and bins about {shift} see nothing in any view: "
        f"{seen}; the image would be wrong throughout; write numpy.roll(sinogram, -{shift}, axis=-1)"
        f"{'' if is_half else ', and give --offset auto'}",
    )


def added_constant(y: Floats, geometry: Geometry) -> Finding | None:
    """Tell of line integrals that are level beside the object, the same at both ends of all views, and not zero."""
    if not _can_tell(y, geometry):
        return None
    means, n = _means(y), y.shape[1]
    found = (_air(y, means, bins) for bins in (n // 8, n // 12, n // 24))
    value = next((value for value in found if value), 0.0)
    if not value:
        return None
    return Finding(
        SinogramFinding.AIR_LEVEL,
        Severity.PROBLEM,
        f"line integrals at both ends of the detector, beside the object, are {value:.3g} in all views, and those of air are 0: a "
        "constant was added, or the blank scan was of another brightness; the image would be wrong, most at the border of its "
        f"field; subtract {value:.3g}, or divide by a blank scan of the same tube current",
    )


def _can_tell(y: Floats, geometry: Geometry) -> bool:
    return len(y) >= _LEAST_VIEWS and y.shape[1] >= _LEAST_BINS and coverage(geometry).complete


def _means(y: Floats) -> Floats:
    """Means of blocks of views, `(block, bin)`."""
    return np.stack([part.mean(0) for part in np.array_split(y, min(_BLOCKS, len(y)))])


def _air(y: Floats, means: Floats, bins: int) -> float:
    """What so many bins at both ends read, if that is level, the same in all views, and not zero; else 0."""
    bins = max(bins, _FEWEST)
    ends = np.stack([means[:, :bins], means[:, -bins:]])  # (end, block, bin)
    value = float(np.median(ends))
    above = float(np.quantile(means, 0.95)) - value
    if above <= 0 or abs(value) < _ADDED * above:
        return 0.0
    noise = max(bend_noise(np.diff(end, 2, axis=1)) for end in (y[:, :bins], y[:, -bins:]))
    of_views, half = ends.mean(2), bins // 2
    error = noise * math.sqrt(2 / (len(y) * half))
    changes = ends[..., :half].mean((1, 2)) - ends[..., -half:].mean((1, 2))
    alike = max(_ALIKE * min(above, abs(value)), _BEYOND_NOISE * noise / math.sqrt(bins * len(y) / len(means)))
    is_alike = float(abs(of_views - value).max()) < alike
    share = bins / means.shape[1] * abs(value)
    is_sure = _SURE * error < _NOISY_LEVEL * share
    is_level = float(abs(changes).max()) < max(_LEVEL * share, _SURE * error)
    return value if is_alike and is_sure and is_level else 0.0
