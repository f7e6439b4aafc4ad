"""Which of two geometries rays agree with that are measured twice, beyond the noise; and the opening of a fan by them.

A fan's bin sees its ray at an angle that the distance of the detector from the source decides, and no other: with the wrong one,
rays that are taken for opposite are none. Where the axis lies between them only scales the image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from medrecon.calibration.rotation_axis import opposite_rays, some_rays
from medrecon.geometry import FanBeam, Geometry

__all__ = ["Comparison", "compared", "stretched", "stretched_by_rays"]

_GROUPS = 16  # of views, that are to agree on which is better
_LEAST_RAYS = 200
_ALIKE = 4.0  # rays that have the same noise
_COARSE, _LARGEST = 1.05, 2.0  # ratios of distances that are looked for
_FINE = (0.02, 0.005)


@dataclass(frozen=True)
class Comparison:
    """How much better rays that are measured twice agree with another geometry.

    Parameters
    ----------
    gain
        the share of their squared differences that goes.
    significance
        of it, in standard deviations: by groups of views.
    disagreement
        how much they differ with the other, of their root mean square.
    chance
        the standard deviation of a gain that noise makes, there being so many rays, smoothed, each compared from both ends.
    """

    gain: float
    significance: float
    disagreement: float
    chance: float


def compared(y: NDArray[np.float64], stated: Geometry, other: Geometry) -> Comparison:
    """Compare geometries of a sinogram by the rays that are measured twice in both; of too few there is no gain."""
    views, bins = some_rays(stated)
    values = y[np.ix_(views, bins)]
    (opposite, seen), (others, seen_too) = (opposite_rays(y, one, views, bins) for one in (stated, other))
    both = seen & seen_too
    size = float(np.square(values[both]).sum())
    if both.sum() < _LEAST_RAYS or size == 0:
        return Comparison(gain=0.0, significance=0.0, disagreement=math.nan, chance=math.inf)
    now, then = (np.square(np.where(both, values - one, 0.0)) for one in (opposite, others))
    groups = np.array([part.sum() for part in np.array_split((now - then)[both.any(1)], _GROUPS)])
    error = float(np.std(groups, ddof=1)) * math.sqrt(_GROUPS)
    gain = float(groups.sum())
    return Comparison(
        gain=gain / max(float(now.sum()), 1e-300),
        significance=gain / error if error > 0 else 0.0,
        disagreement=math.sqrt(float(then.sum()) / size),
        chance=2 * math.sqrt(_ALIKE / int(both.sum())),  # of the difference of two variances
    )


def stretched(geometry: FanBeam, ratio: float) -> FanBeam:
    """The fan whose detector lies so many times as far from the source, as its rays tell: of bins so many times as narrow."""
    return replace(geometry, spacing=geometry.spacing / ratio, offset=geometry.offset / ratio)


def stretched_by_rays(y: NDArray[np.float64], geometry: FanBeam) -> float | None:
    """How many times as far from the source the detector lies, by the rays that are measured twice; None where they do not say."""
    steps = math.floor(math.log(_LARGEST) / math.log(_COARSE))
    gains = [compared(y, geometry, stretched(geometry, _COARSE**k)).gain for k in range(-steps, steps + 1)]
    at = int(np.argmax(gains)) - steps
    if abs(at) == steps:
        return None
    best = _COARSE**at
    for step in _FINE:
        ratios = best * (1 + step * np.arange(-2, 3))
        best = float(max(ratios, key=lambda ratio: compared(y, geometry, stretched(geometry, float(ratio))).gain))
    return best
