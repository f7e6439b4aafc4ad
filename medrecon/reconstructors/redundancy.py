"""The weight of every ray in filtered backprojection: the angle that its view stands for, and its share of its line."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from medrecon.coverage import AngularCells, angular_cells, is_offset
from medrecon.geometry import FanBeam, Geometry, ParallelBeam

__all__ = ["ray_weights"]

_LEAST_TURN = math.radians(10)  # over which a share rises from the end of an arc, at least
_LEAST_BINS = 8  # over which it rises from the short end of an offset detector, at least


def ray_weights(geometry: Geometry) -> NDArray[np.float64]:
    """Weights `(n_angles or 1, n_bins or 1)` by which a sinogram is multiplied before the ramp filter, in radians.

    They are `cell * share * cos(gamma)`: the angle between the neighbors of a view, the share that a ray has in its line where
    the line is measured twice, and for a fan the cosine of the ray's angle gamma. The shares of the two rays of a line, at beta and
    gamma and at `beta + pi - 2 gamma` and `-gamma`, sum to one. With c the distance of a ray from the end of the arc times that
    from the short end of the detector, and c' that of the opposite ray, the share is `sin^2(pi / 2 c / (c + c'))`. On the shortest
    arc that is about the weight of Parker, on a full turn with an offset detector that of Wang. Both distances are cut off where
    they have grown enough: elsewhere the two rays count alike, which is best for noise.

    Parker, Med Phys 9:254 (1982); Silver, Med Phys 27:773 (2000); Wang, Med Phys 29:1634 (2002).
    """
    cells = angular_cells(geometry)
    widths = cells.widths[:, None]
    if float(np.ptp(widths)) <= 1e-9 * cells.step:
        widths = widths[:1]
    if isinstance(geometry, ParallelBeam) and not is_offset(geometry):
        return widths
    cosines = np.cos(_fan_angles(geometry))
    if len(cells.holes) == 0 and not is_offset(geometry):
        return 0.5 * widths * cosines
    return widths * _shares(geometry, cells) * cosines


def _shares(geometry: Geometry, cells: AngularCells) -> NDArray[np.float64]:
    angles = np.fromiter(geometry.angles, dtype=np.float64, count=len(geometry.angles))[:, None]
    gamma, places = _fan_angles(geometry), geometry.positions()
    own = _depth(cells, angles, geometry) * _from_short_end(geometry, places)
    opposite = _depth(cells, angles + math.pi - 2 * gamma, geometry) * _from_short_end(geometry, -places)
    return np.asarray(np.sin(np.pi / 2 * own / (own + opposite)) ** 2)


def _depth(cells: AngularCells, angles: NDArray[np.float64], geometry: Geometry) -> NDArray[np.float64]:
    """Distance from the end of the arc, as far as it counts; 1 on a full turn."""
    if len(cells.holes) == 0:
        return np.ones(angles.shape)
    enough = max(_LEAST_TURN, 2 * float(abs(_fan_angles(geometry)).max()))
    return np.minimum(cells.depth(angles), enough)


def _from_short_end(geometry: Geometry, places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance of places on the detector from its end nearer to the center, as far as it counts; 0 beyond, 1 without offset."""
    if not is_offset(geometry):
        return np.ones(places.shape)
    side = math.copysign(1.0, geometry.offset)
    short = geometry.n_bins * geometry.spacing / 2 - abs(geometry.offset)
    enough = max(2 * abs(geometry.offset), _LEAST_BINS * geometry.spacing)
    return np.clip(side * places + short, 0.0, min(enough, 2 * short) if short > 0 else enough)


def _fan_angles(geometry: Geometry) -> NDArray[np.float64]:
    return geometry.fan_angles() if isinstance(geometry, FanBeam) else np.zeros(geometry.n_bins)
