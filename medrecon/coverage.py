"""What a CT scan measures of an object: which arc, each line how often, what is missing or cut off.

The ray of view beta and fan angle gamma runs along the same line as that of `beta + pi - 2 gamma` and `-gamma`. A half turn of a
parallel beam measures every line once, a full turn twice; a fan needs half a turn and its own opening, and has then measured some
lines once and some twice. With an offset detector a full turn still sees every line of the larger circle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from medrecon.geometry import FanBeam, Geometry, ParallelBeam

__all__ = [
    "AngularCells",
    "Coverage",
    "Scan",
    "Truncation",
    "angular_cells",
    "bend_noise",
    "coverage",
    "is_offset",
    "truncation",
]

_HOLE = 3.0  # a gap between views is a hole in the scan from this many usual steps on
_BRIDGED = math.radians(10)  # a hole up to this is bridged where no opposite view fills it
_TURN_MISSES = math.radians(
    45
)  # what a turn with an offset detector may miss: the far side of its field is seen from nowhere else
_SAME_VIEW = 1e-6  # radians
_HIGHEST = 5.0  # standard deviations of the highest of some means
_CLEARLY = 1.5  # standard deviations of noise: of few photons the logarithm is not zero on average beside the object
_SORTED = 80  # views of which values are sorted
_TRUNCATED = 0.05  # of the largest values of the sinogram, at its edge: more than scatter and a bed


class Scan(StrEnum):
    """How often a scan measures the lines through its field."""

    LIMITED = "limited arc"
    HALF_TURN = "half turn"
    SHORT = "short scan"
    FULL_TURN = "full turn"
    OFFSET = "full turn with an offset detector"


@dataclass(frozen=True, eq=False)
class AngularCells:
    """The angle that each view stands for, on a circle of one `period`, and the holes between.

    Parameters
    ----------
    period
        `2 pi`, or `pi` where opposite views are the same.
    widths
        `(n_angles,)`: the cell of each view, radians; half way to its neighbors, and symmetric at a hole.
    holes
        `(n_holes, 2)`: first angle and width of what no cell covers.
    bridged
        `(n_bridged, 2)`: the same of holes that the cells of both neighbors cover, there being no other views of these lines.
    step
        a usual distance between neighbors.
    """

    period: float
    widths: NDArray[np.float64]
    holes: NDArray[np.float64]
    bridged: NDArray[np.float64]
    step: float

    @property
    def arc(self) -> float:
        """The angle covered, radians."""
        return float(self.period - self.holes[:, 1].sum())

    def depth(self, angles: NDArray[np.float64]) -> NDArray[np.float64]:
        """How far each angle lies from the nearest hole; 0 in a hole, infinite where there is none."""
        depth = np.full(angles.shape, np.inf)
        for first, width in self.holes:
            behind = np.mod(angles - first, self.period)  # how far behind the start of the hole
            distance = np.where(behind <= width, 0.0, np.minimum(behind - width, self.period - behind))
            depth = np.minimum(depth, distance)
        return depth


@dataclass(frozen=True)
class Coverage:
    """What the views of a scan cover.

    Parameters
    ----------
    scan
        the kind of scan.
    arc, needed
        covered, and wanted for an exact image, radians. Views that repeat lines of others do not add to the arc.
    gaps
        first angle and width of each hole between the views, radians.
    radius
        of the circle that is seen whole, millimeters: every line through it is measured, if the scan is complete.
    complete
        whether every line through that circle is measured.
    words
        all of it in a sentence.
    """

    scan: Scan
    arc: float
    needed: float
    gaps: tuple[tuple[float, float], ...]
    radius: float
    complete: bool
    words: str


@dataclass(frozen=True)
class Truncation:
    """How high a sinogram still is where the detector ends, as shares of its largest values.

    Parameters
    ----------
    first, last
        at the first and at the last bin, in the views where it is highest.
    worst
        of the two, without a side that an offset detector leaves to the opposite views.
    noise
        what noise makes of nothing there: the standard deviation of single values, more where few are averaged.
    """

    first: float
    last: float
    worst: float
    noise: float = 0.0

    @property
    def truncated(self) -> bool:
        """Whether the object reaches beyond the field of view: not where so few photons were counted that noise tells as much."""
        return self.worst > max(_TRUNCATED, _CLEARLY * self.noise)


def is_offset(geometry: Geometry) -> bool:
    """Whether the detector lies more than half a bin off its middle: less is a scan of interleaved rays (quarter offset)."""
    return abs(geometry.offset) > 0.5 * geometry.spacing * (1 + 1e-9)


def angular_cells(geometry: Geometry) -> AngularCells:
    """Share the circle of angles among the views; for a centered parallel beam it closes after half a turn."""
    half = isinstance(geometry, ParallelBeam) and not is_offset(geometry)
    period = math.pi if half else 2 * math.pi
    angles = np.mod(np.fromiter(geometry.angles, dtype=np.float64, count=len(geometry.angles)), period)
    order = np.argsort(angles, kind="stable")
    ahead = np.diff(angles[order], append=angles[order[0]] + period)  # from each view to the next one
    step = _usual_step(np.sort(ahead[ahead > _SAME_VIEW]))
    wide = ahead > _HOLE * step * (1 + 1e-9)
    bridged = wide & _is_bridged(geometry, ahead, wide)
    hole = wide & ~bridged
    # Each view goes half way to both neighbors; beside a hole as far as on its other side.
    right = np.where(hole, np.nan, ahead / 2)
    left = np.roll(right, 1)
    right, left = np.where(np.isnan(right), left, right), np.where(np.isnan(left), right, left)
    right, left = (np.where(np.isnan(side), step / 2, side) for side in (right, left))
    widths = np.empty_like(angles)
    widths[order] = left + right
    holes = np.stack([angles[order] + right, ahead - right - np.roll(left, -1)], axis=1)[hole]
    between = np.stack([angles[order] + step / 2, ahead - step], axis=1)[bridged]
    return AngularCells(period, widths, holes, between, step)


def _usual_step(apart: NDArray[np.float64]) -> float:
    """A step that a quarter of the steps exceed, or a quarter of the arc: an arc of wide steps, or between bursts, is measured."""
    step = float(apart[3 * (len(apart) - 1) // 4])
    measured = apart[apart <= max(_HOLE * step, _BRIDGED)]
    along = np.cumsum(measured)
    return max(step, float(measured[np.searchsorted(along, 0.75 * along[-1])]))


def _is_bridged(geometry: Geometry, ahead: NDArray[np.float64], wide: NDArray[np.bool_]) -> NDArray[np.bool_] | bool:
    if is_offset(geometry):
        short_side = geometry.n_bins * geometry.spacing / 2 - abs(geometry.offset)
        return 2 * abs(geometry.offset) > short_side and float(ahead[wide].sum()) <= _TURN_MISSES
    return isinstance(geometry, ParallelBeam) and ahead <= _BRIDGED


@lru_cache(maxsize=16)
def coverage(geometry: Geometry) -> Coverage:
    """Say what a scan covers."""
    cells = angular_cells(geometry)
    offset = is_offset(geometry) and len(cells.holes) == 0
    radius = _long_radius(geometry) if offset else geometry.field_radius
    opening = 0.0
    if isinstance(geometry, FanBeam):
        opening = 2 * math.asin(min(geometry.field_radius / geometry.source_distance, 1.0))
    needed = 2 * math.pi if offset else math.pi + opening
    sees_center = bool(np.ptp(np.sign(geometry.positions()[[0, -1]]))) or geometry.n_bins == 1
    complete = sees_center and _every_line(cells, opening) and not (offset and len(cells.bridged))
    scan = _kind(geometry, cells, complete, offset)
    gaps = tuple((float(first), float(width)) for first, width in (*cells.holes, *cells.bridged))
    arc = cells.arc - float(cells.bridged[:, 1].sum())
    words = _words(geometry, scan, cells, arc, needed, radius) if sees_center else _beside(geometry)
    return Coverage(scan, arc, needed, gaps, radius, complete, words)


def _beside(geometry: Geometry) -> str:
    return f"{len(geometry.angles)} views of a detector that does not see the center of rotation: check its offset"


def truncation(sinogram: Tensor, geometry: Geometry) -> Truncation:
    """Measure how high a sinogram `(..., angle, detector)` is at the ends of the detector.

    Means of some bins and neighboring views, against the 99th percentile of all values, so that noise does not count.

    Raises
    ------
    ValueError
        if the sinogram is not of the geometry.
    """
    if tuple(sinogram.shape[-2:]) != geometry.shape:
        raise ValueError(
            f"truncation takes a sinogram (..., angle, detector) of {geometry.shape}, got {tuple(sinogram.shape)}"
        )
    n_angles, n_bins = geometry.shape
    values = sinogram.detach().reshape(-1, n_angles, n_bins)
    top = float(np.quantile(_finite(values[:, :: max(1, n_angles // _SORTED)]), 0.99))
    if top <= 0:
        return Truncation(0.0, 0.0, 0.0)
    bins, views = max(1, min(4, n_bins // 8)), max(1, n_angles // 20)
    ends = [_finite(values[..., place]) for place in (slice(0, bins), slice(n_bins - bins, None))]
    first, last = (max(0.0, _highest(end.mean(-1), views) / top) for end in ends)
    worst = max(first, last)
    if coverage(geometry).scan is Scan.OFFSET:
        worst = last if geometry.offset > 0 else first
    noise = max(_spread(end) for end in ends) / top
    return Truncation(first, last, worst, noise * max(1.0, _HIGHEST / _CLEARLY / math.sqrt(bins * views)))


def _finite(values: Tensor) -> NDArray[np.float64]:
    numbers = values.to("cpu").double().numpy()
    return np.where(np.isfinite(numbers), numbers, 0.0)


def bend_noise(bends: NDArray[np.float64]) -> float:
    """The standard deviation of white noise of which these are second differences, most of them of nothing else; 0 of none."""
    return float(np.median(abs(bends)) / (0.6745 * math.sqrt(6))) if bends.size else 0.0


def _spread(end: NDArray[np.float64]) -> float:
    """The standard deviation of noise at an end `(batch, angle, bin)`, by second differences along the bins or views."""
    return bend_noise(np.diff(end, 2, axis=-1 if end.shape[-1] >= 3 else -2))


def _highest(edges: NDArray[np.float64], views: int) -> float:
    """The highest mean of neighboring views, of `edges (batch, angle)`."""
    n = edges.shape[-1] // views * views
    return float(edges[:, :n].reshape(len(edges), -1, views).mean(-1).max())


def _long_radius(geometry: Geometry) -> float:
    """Radius of the circle that the longer side of the detector sees."""
    edge = float(abs(geometry.positions()[[0, -1]]).max()) + geometry.spacing / 2
    if isinstance(geometry, ParallelBeam):
        return edge
    ratio = edge / geometry.source_to_detector
    return geometry.source_distance * math.sin(min(ratio, math.pi / 2) if geometry.curved else math.atan(ratio))


def _every_line(cells: AngularCells, opening: float) -> bool:
    """Whether no line falls into a hole both ways: no hole, turned by half a turn give or take the fan, meets a hole."""
    if cells.period < 2 * math.pi:
        return len(cells.holes) == 0
    for first, width in cells.holes:
        for other, size in cells.holes:
            start, length = first + math.pi - opening, width + 2 * opening
            behind = (other - start) % cells.period
            meeting = max(min(length - behind, size), min(behind + size - cells.period, length))
            if meeting > 1.5 * cells.step:
                return False
    return True


def _kind(geometry: Geometry, cells: AngularCells, complete: bool, offset: bool) -> Scan:
    if offset and (complete or len(cells.bridged)):
        return Scan.OFFSET
    if not complete:
        return Scan.LIMITED
    if cells.period == 2 * math.pi and len(cells.holes) == 0:
        return Scan.FULL_TURN
    if isinstance(geometry, ParallelBeam):
        angles = np.fromiter(geometry.angles, dtype=np.float64, count=len(geometry.angles))
        return Scan.FULL_TURN if np.ptp(angles) > 2 * math.pi - 3 * cells.step else Scan.HALF_TURN
    return Scan.SHORT


def _words(geometry: Geometry, scan: Scan, cells: AngularCells, arc: float, needed: float, radius: float) -> str:
    n, degrees = len(geometry.angles), math.degrees(arc)
    bridged = _bridged_words(cells)
    if n == 1:
        return "1 view, of a single direction"
    match scan:
        case Scan.LIMITED:
            widest = math.degrees(np.concatenate([cells.holes, cells.bridged])[:, 1].max(initial=0.0))
            of = f"of the {math.degrees(needed):.1f} degrees needed"
            if arc >= needed:
                of = f"degrees, and opposite views do not fill the holes between, up to {widest:.1f} degrees wide"
            lost = "edges along the missing directions are lost, and values are only approximate"
            return f"{n} views over {degrees:.1f} {of}: {lost}"
        case Scan.HALF_TURN:
            text = f"{n} views over half a turn"
        case Scan.SHORT:
            text = f"{n} views over {degrees:.1f} degrees, a short scan ({math.degrees(needed):.1f} needed)"
        case Scan.FULL_TURN:
            text = f"{n} views over a full turn"
        case Scan.OFFSET:
            text = (
                f"{n} views over a full turn with a detector offset by {geometry.offset:g} mm, which sees up to {radius:.1f} mm "
                "from the center"
            )
            return text + bridged
    if is_offset(geometry):
        text += (
            f"; the detector is offset by {geometry.offset:g} mm, and only a full turn would see more than {radius:.1f} mm "
            "from the center"
        )
    return text + bridged


def _bridged_words(cells: AngularCells) -> str:
    """Say what views are missing; opposite views fill the holes that are not bridged, where a scan is complete."""
    if not len(cells.bridged):
        return ""
    widest = math.degrees(cells.bridged[:, 1].max())
    return f"; views are missing over up to {widest:.1f} degrees, which their neighbors stand for: streaks along these directions"
