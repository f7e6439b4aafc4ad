"""How a CT scan lies in space: the grid of the image and the rays of the scanner, as frozen values.

Lengths are millimeters, angles radians. The image `(y, x)` has its pixel `(i, j)` at `y = (i - (ny - 1) / 2) dy`, `x` likewise,
so that y grows downwards in a picture; a grid off the axis adds its center. The ray at the signed distance s from the axis whose
normal lies at the angle phi is `x cos(phi) + y sin(phi) = s`: a parallel beam at angle theta measures `phi = theta` at all s.
`repr` of every value is code.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self, overload

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Arc",
    "FanBeam",
    "Geometry",
    "Grid",
    "ParallelBeam",
    "Rays",
    "clear_radius",
    "lodopab",
    "lodopab_grid",
    "require_outside",
]

_CLEAR = 0.7  # of the distance of the source: what is well clear of it
_LARGEST_ANGLE = 4 * math.pi  # two turns: what lies beyond was given in degrees
_LONGEST, _SHORTEST = 1e9, 1e-9  # millimeters: beyond these no scanner is


@dataclass(frozen=True)
class Grid:
    """A grid of pixels, about the center of rotation unless its center is given.

    >>> Grid((362, 362), 0.5)
    Grid(shape=(362, 362), spacing=(0.5, 0.5))

    Parameters
    ----------
    shape
        `(y, x)`.
    spacing
        `(dy, dx)` in millimeters; one number for square pixels.
    center
        `(y, x)` of the middle of the image in millimeters from the center of rotation.

    Raises
    ------
    ValueError
        if there is no pixel, a spacing is not above zero, or the center not finite.
    """

    shape: tuple[int, int]
    spacing: tuple[float, float]
    center: tuple[float, float] = (0.0, 0.0)

    def __init__(
        self, shape: Sequence[int], spacing: float | Sequence[float], center: Sequence[float] = (0.0, 0.0)
    ) -> None:
        pixel = (spacing, spacing) if isinstance(spacing, int | float) else tuple(spacing)
        if len(tuple(shape)) != 2 or len(pixel) != 2:
            raise ValueError(f"Grid takes (y, x) sizes and spacings, got shape {shape} and spacing {spacing}")
        object.__setattr__(self, "shape", tuple(int(size) for size in shape))
        object.__setattr__(self, "spacing", tuple(float(step) for step in pixel))
        if min(self.shape) < 1:
            raise ValueError(f"Grid takes at least one pixel an axis, got shape {self.shape}")
        for step in self.spacing:
            _require_length("Grid", "spacing", step)
        object.__setattr__(self, "center", tuple(float(place) + 0.0 for place in center))
        if len(self.center) != 2 or not all(abs(place) <= _LONGEST for place in self.center):
            raise ValueError(f"Grid takes a center (y, x) in millimeters up to {_LONGEST:g}, got {center}")

    def __repr__(self) -> str:
        center = f", center={self.center}" if any(self.center) else ""
        return f"Grid(shape={self.shape}, spacing={self.spacing}{center})"

    @property
    def extent(self) -> tuple[float, float]:
        """Sizes `(y, x)` of the image in millimeters, outer edges of the pixels included."""
        return self.shape[0] * self.spacing[0], self.shape[1] * self.spacing[1]

    @property
    def radius(self) -> float:
        """Radius in millimeters of the circle about the center of rotation that holds the image."""
        return math.hypot(*(side / 2 + abs(place) for side, place in zip(self.extent, self.center, strict=True)))

    def covering(self, radius: float) -> Grid:
        """The grid with as many pixels more on opposite sides that it holds the circle of a radius about the center of rotation."""
        sides = zip(self.shape, self.spacing, self.center, strict=True)
        more = [max(0, math.ceil((radius + abs(place)) / step - n / 2 - 1e-6)) for n, step, place in sides]
        return Grid([n + 2 * added for n, added in zip(self.shape, more, strict=True)], self.spacing, self.center)

    def coordinates(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The pixels' `y` and `x` in millimeters."""
        (ny, nx), (dy, dx) = self.shape, self.spacing
        return _positions(ny, dy, self.center[0]), _positions(nx, dx, self.center[1])


@dataclass(frozen=True)
class Arc:
    """Evenly spaced angles `first + k * step`, `k < count`, in radians: a sequence whose slices are arcs again.

    >>> Arc.half_turn(4)[::2]
    Arc(first=0.0, step=1.5707963267948966, count=2)
    """

    first: float
    step: float
    count: int

    def __post_init__(self) -> None:
        if self.count < 1 or not (math.isfinite(self.first) and math.isfinite(self.step)):
            raise ValueError(f"Arc takes finite angles and a count of at least 1, got {self}")

    @classmethod
    def half_turn(cls, count: int) -> Arc:
        """`k pi / count`: what a parallel beam needs."""
        return cls(0.0, math.pi / count, count)

    @classmethod
    def full_turn(cls, count: int) -> Arc:
        """`2 k pi / count`: a whole turn."""
        return cls(0.0, 2 * math.pi / count, count)

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[float]:
        return (self.first + k * self.step for k in range(self.count))

    @overload
    def __getitem__(self, key: int) -> float: ...

    @overload
    def __getitem__(self, key: slice) -> Arc: ...

    def __getitem__(self, key: int | slice) -> float | Arc:
        chosen = range(self.count)[key]
        if isinstance(chosen, int):
            return self.first + chosen * self.step
        return Arc(self.first + chosen.start * self.step, self.step * chosen.step, len(chosen))


@dataclass(frozen=True, eq=False)
class Rays:
    """The rays of a scan in numbers, float64: that of view i and bin k has the normal `phi = angle_i + turn_k`.

    Parameters
    ----------
    views
        `(n_angles, 2)`: cosine and sine of each view's angle.
    bins
        `(n_bins, 3)`: cosine and sine of the turn of a bin's ray from the view's, and its signed distance s in millimeters.
    """

    views: NDArray[np.float64]
    bins: NDArray[np.float64]


@dataclass(frozen=True)
class ParallelBeam:
    """Parallel rays: bin k of the view at angle theta measures along `x cos(theta) + y sin(theta) = s_k`.

    `s_k = (k - (n_bins - 1) / 2) * spacing + offset`.

    >>> ParallelBeam(Arc.half_turn(180), n_bins=64, spacing=1.5)[::4].shape
    (45, 64)

    Parameters
    ----------
    angles
        of the views, radians: an `Arc`, or any numbers.
    n_bins
        number of detector elements.
    spacing
        distance between them in millimeters.
    offset
        shift of the detector's center along itself in millimeters.

    Raises
    ------
    ValueError
        if a length or an angle cannot be.
    """

    angles: Arc | tuple[float, ...]
    n_bins: int
    spacing: float
    offset: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "angles", _angles(type(self).__name__, self.angles))
        _require_detector(type(self).__name__, self.n_bins, self.spacing, self.offset)

    @property
    def shape(self) -> tuple[int, int]:
        """`(angle, detector)` of its sinogram."""
        return len(self.angles), self.n_bins

    def positions(self) -> NDArray[np.float64]:
        """Places of the bins on the detector, millimeters."""
        return _positions(self.n_bins, self.spacing, self.offset)

    def rays(self) -> Rays:
        """Every ray of the scan."""
        zero = np.zeros(self.n_bins)
        return Rays(_directions(self.angles), np.stack([zero + 1, zero, self.positions()], axis=1))

    @property
    def field_radius(self) -> float:
        """Radius in millimeters of the circle that every view sees whole."""
        return float(min(abs(self.positions()[[0, -1]])) + self.spacing / 2)

    def __getitem__(self, key: slice | Sequence[int]) -> Self:
        """Keep some views: `geometry[::4]`, `geometry[10:90]` or `geometry[[0, 5, 7]]`."""
        return replace(self, angles=_chosen(self.angles, key))


@dataclass(frozen=True)
class FanBeam:
    """Rays that start in one point: at angle beta the source is at `R (x, y) = R (sin(beta), -cos(beta))`.

    The middle of the detector lies opposite, `detector_distance` beyond the center of rotation; its axis points along
    `(x, y) = (cos(beta), sin(beta))`, so that a far source gives the parallel beam of the same angles.

    Parameters
    ----------
    angles
        of the views, radians: an `Arc`, or any numbers.
    n_bins
        number of detector elements.
    spacing
        distance between them in millimeters, along the detector; along the arc where it is curved.
    source_distance, detector_distance
        from the center of rotation to the source, and to the detector, millimeters.
    curved
        whether the detector is an arc about the source, or flat.
    offset
        shift of the detector's center along itself in millimeters.

    Raises
    ------
    ValueError
        if a length or an angle cannot be, or a ray would leave the source backwards.
    """

    angles: Arc | tuple[float, ...]
    n_bins: int
    spacing: float
    source_distance: float
    detector_distance: float
    curved: bool = False
    offset: float = 0.0

    def __post_init__(self) -> None:
        who = type(self).__name__
        object.__setattr__(self, "angles", _angles(who, self.angles))
        _require_detector(who, self.n_bins, self.spacing, self.offset)
        _require_length(who, "source_distance", self.source_distance)
        if not 0 <= self.detector_distance <= _LONGEST:
            raise ValueError(
                f"{who} takes a detector_distance of at least 0 mm from the center, got {self.detector_distance}"
            )
        widest = float(abs(self.fan_angles()[[0, -1]]).max())
        if widest >= math.pi / 2:
            raise ValueError(
                f"{who}: the detector's edge lies {math.degrees(widest):.0f} degrees from the central ray, and less than 90 "
                "is possible; check spacing and distances, which are millimeters"
            )

    @property
    def shape(self) -> tuple[int, int]:
        """`(angle, detector)` of its sinogram."""
        return len(self.angles), self.n_bins

    @property
    def source_to_detector(self) -> float:
        """Distance of source and detector in millimeters."""
        return self.source_distance + self.detector_distance

    def positions(self) -> NDArray[np.float64]:
        """Places of the bins along the detector, millimeters."""
        return _positions(self.n_bins, self.spacing, self.offset)

    def fan_angles(self) -> NDArray[np.float64]:
        """Angle of each bin's ray from the central one, radians, positive where the position is."""
        ratio = self.positions() / self.source_to_detector
        return ratio if self.curved else np.arctan(ratio)

    def rays(self) -> Rays:
        """Every ray of the scan."""
        fan = self.fan_angles()
        return Rays(
            _directions(self.angles), np.stack([np.cos(fan), -np.sin(fan), self.source_distance * np.sin(fan)], axis=1)
        )

    @property
    def field_radius(self) -> float:
        """Radius in millimeters of the circle that every view sees whole."""
        half = self.spacing / 2 / self.source_to_detector
        edge = float(min(abs(self.positions()[[0, -1]]))) / self.source_to_detector
        angle = edge + half if self.curved else math.atan(edge + half)
        return self.source_distance * math.sin(angle)

    def __getitem__(self, key: slice | Sequence[int]) -> Self:
        """Keep some views: `geometry[::4]`, `geometry[10:90]` or `geometry[[0, 5, 7]]`."""
        return replace(self, angles=_chosen(self.angles, key))


Geometry = ParallelBeam | FanBeam


def lodopab() -> ParallelBeam:
    """The rays of LoDoPaB-CT: 1000 angles `(k + 1/2) pi / 1000`, 513 bins over 367.7 mm.

    Leuschner et al., Scientific Data 8:109 (2021).
    """
    return ParallelBeam(Arc(math.pi / 2000, math.pi / 1000, 1000), n_bins=513, spacing=2 * 183.84776 / 513)


def lodopab_grid() -> Grid:
    """The grid of LoDoPaB-CT: 362 x 362 pixels over 260 mm x 260 mm. The files hold its images transposed, `(x, y)`."""
    return Grid((362, 362), 260 / 362)


def require_outside(geometry: Geometry, grid: Grid) -> None:
    """Refuse a source that lies within the image.

    Raises
    ------
    ValueError
        saying where source and image are.
    """
    if isinstance(geometry, ParallelBeam) or geometry.source_distance > grid.radius:
        return
    half_y, half_x = (side / 2 for side in grid.extent)
    for cosine, sine in geometry.rays().views:
        x, y = geometry.source_distance * sine, -geometry.source_distance * cosine
        if abs(x - grid.center[1]) <= half_x and abs(y - grid.center[0]) <= half_y:
            raise ValueError(
                f"the source, {geometry.source_distance:g} mm from the center, lies inside the image of {grid.extent[0]:g} x "
                f"{grid.extent[1]:g} mm; take a smaller image, or check that all lengths are millimeters"
            )


def clear_radius(geometry: Geometry) -> float:
    """The radius that a square image about the axis may reach, well clear of the source, mm; infinite for parallel beams."""
    return math.inf if isinstance(geometry, ParallelBeam) else _CLEAR * geometry.source_distance


def _angles(who: str, angles: Iterable[float]) -> Arc | tuple[float, ...]:
    kept = angles if isinstance(angles, Arc) else tuple(float(angle) for angle in angles)
    if not kept:
        raise ValueError(f"{who} takes at least one angle, got none")
    ends = (kept[0], kept[-1]) if isinstance(kept, Arc) else kept  # between which all others of an arc lie
    numbers = np.fromiter(ends, dtype=np.float64, count=len(ends))
    if not np.isfinite(numbers).all():
        which = len(kept) - 1 if isinstance(kept, Arc) else int(np.argmin(np.isfinite(numbers)))
        raise ValueError(f"{who}: angle {which} is not a finite number")
    largest = float(abs(numbers).max())
    if largest > _LARGEST_ANGLE:
        raise ValueError(
            f"{who} takes angles in radians, got up to {largest:g}, which looks like degrees; multiply them by pi / 180"
        )
    return kept


def _chosen(angles: Arc | tuple[float, ...], key: slice | Sequence[int]) -> Arc | tuple[float, ...]:
    if isinstance(key, slice):
        if not range(len(angles))[key]:
            raise ValueError(f"no view is left of {len(angles)} by {key}")
        return angles[key]
    return tuple(angles[index] for index in key)


def _directions(angles: Arc | tuple[float, ...]) -> NDArray[np.float64]:
    numbers = np.fromiter(angles, dtype=np.float64, count=len(angles))
    return np.stack([np.cos(numbers), np.sin(numbers)], axis=1)


def _positions(n_bins: int, spacing: float, offset: float) -> NDArray[np.float64]:
    return (np.arange(n_bins, dtype=np.float64) - (n_bins - 1) / 2) * np.float64(spacing) + np.float64(offset)


def _require_length(who: str, name: str, length: float) -> None:
    if not (math.isfinite(length) and length > 0):
        raise ValueError(f"{who} takes a {name} above 0 mm, got {length}")
    if not _SHORTEST <= length <= _LONGEST:
        raise ValueError(f"{who} takes a {name} of {_SHORTEST:g} to {_LONGEST:g} mm, got {length:g}")


def _require_detector(who: str, n_bins: int, spacing: float, offset: float) -> None:
    if n_bins < 1:
        raise ValueError(f"{who} takes at least one detector bin, got {n_bins}")
    _require_length(who, "spacing", spacing)
    if not abs(offset) <= _LONGEST:
        raise ValueError(f"{who} takes an offset of at most {_LONGEST:g} millimeters, got {offset}")
