"""Where the axis of rotation is, by the sinogram alone: first moments of parallel views, and rays that are measured twice.

The line integrals of a parallel view sum to the mass of the object, and their first moment is that of the center of mass,
`x cos(theta) + y sin(theta)`: a constant beside it is the axis. A ray is measured twice where its view is opposite, whatever the
object (see `medrecon.coverage`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from medrecon.geometry import FanBeam, Geometry, ParallelBeam

__all__ = [
    "Moments",
    "first_moments",
    "offset_by_rays",
    "opposite_rays",
    "ray_disagreement",
    "smoothed_bins",
    "some_rays",
    "view_change",
]

_LEAST_ARC = math.radians(150)  # over which a constant is told from a sinusoid
_INDEPENDENT = 12  # of the errors of first moments: what is no noise varies slowly with the angle
_MOST_RAYS, _MOST_BINS = 48 * 160, 160  # that are compared with their opposites
_LEAST_RAYS = 200
_FARTHEST = 0.25  # of the detector's width: an offset that is looked for
_FINE = 0.25  # bins, between offsets of which the best is interpolated


@dataclass(frozen=True)
class Moments:
    """What sums and first moments of parallel views say.

    Parameters
    ----------
    axis
        the constant of the sinusoid, mm: the axis lies at this place of the detector, and should at 0.
    error
        its standard deviation, mm.
    spread
        the standard deviation of the views' sums, of their mean.
    residual
        that of the first moments about the sinusoid, mm.
    unexplained
        the share of their variance that the sinusoid does not explain.
    """

    axis: float
    error: float
    spread: float
    residual: float
    unexplained: float


def first_moments(y: NDArray[np.float64], geometry: ParallelBeam) -> Moments | None:
    """Fit the sinusoid of first moments of views `(angle, detector)` that see the whole object; None of too few or no object."""
    angles = np.fromiter(geometry.angles, dtype=np.float64, count=len(geometry.angles))
    mass = y.sum(1)
    if len(angles) < _INDEPENDENT or np.ptp(angles) < _LEAST_ARC or mass.min() <= 0.1 * mass.mean():
        return None
    places = y @ geometry.positions() / mass
    waves = np.stack([np.cos(angles), np.sin(angles), np.ones_like(angles)], axis=1)
    fit = np.linalg.lstsq(waves, places, rcond=None)[0]
    residual = float(np.std(places - waves @ fit))
    spread_of_axis = math.sqrt(np.linalg.inv(waves.T @ waves)[2, 2] * len(angles) / _INDEPENDENT)
    unexplained = residual**2 / max(float(np.var(places)), 1e-30)
    return Moments(float(fit[2]), residual * spread_of_axis, float(np.std(mass) / mass.mean()), residual, unexplained)


def offset_by_rays(y: NDArray[np.float64], geometry: Geometry) -> tuple[float, float] | None:
    """The offset with which rays that are measured twice agree best, mm, and their disagreement then; None where there are none."""
    bins = int(_FARTHEST * geometry.n_bins)
    best, step = geometry.offset, 1.0
    errors: NDArray[np.float64] = np.empty(0)
    for shifts in (np.arange(-bins, bins + 1.0), np.arange(-1, 1 + _FINE / 2, _FINE)):
        offsets = best + shifts * geometry.spacing
        errors = np.array([ray_disagreement(y, replace(geometry, offset=float(one))) for one in offsets])
        if not np.isfinite(errors).any():
            return None
        at, step = int(np.nanargmin(errors)), float(shifts[1] - shifts[0])
        best = float(offsets[at])
    around = errors[max(at - 1, 0) : at + 2] ** 2
    if len(around) == 3 and np.isfinite(around).all() and (bend := around[0] - 2 * around[1] + around[2]) > 0:
        best += float((around[0] - around[2]) / 2 / bend) * step * geometry.spacing
    return best, float(errors[at])


def ray_disagreement(y: NDArray[np.float64], geometry: Geometry) -> float:
    """How much rays `(angle, detector)` that are measured twice differ, of their root mean square; NaN where there are too few."""
    views, bins = some_rays(geometry)
    values, (opposite, seen) = y[np.ix_(views, bins)], opposite_rays(y, geometry, views, bins)
    size = float(np.square(values[seen]).sum())
    if seen.sum() < _LEAST_RAYS or size == 0:
        return math.nan
    return math.sqrt(float(np.square(values - opposite)[seen].sum()) / size)


def some_rays(geometry: Geometry) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Views and bins of which rays are compared with their opposites: bins that have one; of few bins the more views."""
    places = geometry.positions()
    both_ways = np.flatnonzero(abs(places) <= min(-places[0], places[-1]) + geometry.spacing)
    bins = both_ways[_some(len(both_ways), _MOST_BINS)]
    return _some(len(geometry.angles), _MOST_RAYS // max(1, min(len(bins), _MOST_BINS))), bins


def opposite_rays(
    y: NDArray[np.float64], geometry: Geometry, views: NDArray[np.int64], bins: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The opposites of rays `(view, bin)` of a sinogram, interpolated, and where these were measured."""
    every = np.fromiter(geometry.angles, dtype=np.float64, count=len(geometry.angles))
    fan = geometry.fan_angles()[bins] if isinstance(geometry, FanBeam) else np.zeros(len(bins))
    wanted = every[views, None] + math.pi - 2 * fan
    return _interpolated(y, geometry, every, wanted, -geometry.positions()[bins])


def smoothed_bins(y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Views as weighted means of three neighboring bins, so that interpolation between bins takes less of the noise away."""
    smooth = y.copy()
    smooth[:, 1:-1] = (y[:, :-2] + 2 * y[:, 1:-1] + y[:, 2:]) / 4
    return smooth


def view_change(y: NDArray[np.float64]) -> float:
    """How much a view differs from the mean of its neighbors, of their root mean square: more than interpolation errs, or noise."""
    size = float(np.square(y).sum())
    if len(y) < 3 or size == 0:
        return math.inf
    return math.sqrt(float(np.square(y[1:-1] - (y[:-2] + y[2:]) / 2).sum()) / size * len(y) / (len(y) - 2))


def _some(count: int, most: int) -> NDArray[np.int64]:
    return np.arange(0, count, max(1, count // most))


def _interpolated(
    y: NDArray[np.float64],
    geometry: Geometry,
    angles: NDArray[np.float64],
    wanted: NDArray[np.float64],
    places: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The sinogram at angles `(view, bin)` and places `(bin)`, and where it lies between neighbors."""
    turn = 2 * math.pi
    angles = np.mod(angles, turn)
    order = np.argsort(angles, kind="stable")
    around = np.concatenate([angles[order[-1:]] - turn, angles[order], angles[order[:1]] + turn])
    rows = np.concatenate([order[-1:], order, order[:1]])
    wanted = np.mod(wanted, turn)
    after = np.clip(np.searchsorted(around, wanted), 1, len(around) - 1)
    apart = around[after] - around[after - 1]
    later = (wanted - around[after - 1]) / np.where(apart > 0, apart, 1.0)
    bins = (places - geometry.positions()[0]) / geometry.spacing
    below = np.clip(np.floor(bins).astype(int), 0, geometry.n_bins - 2)
    beyond = bins - below
    seen = (apart <= 3 * turn / 2 / len(angles)) & (bins >= 0) & (bins <= geometry.n_bins - 1)
    first, second = (y[rows[after - k], below] * (1 - beyond) + y[rows[after - k], below + 1] * beyond for k in (1, 0))
    return first * (1 - later) + second * later, seen
