"""What a detector counted, normalized by the open beam: `-log((I - D) / (F - D))`, a few rows of it at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from medrecon.data.ct.photons import COUNT_FLOOR
from medrecon.data.stored import StoredArray

__all__ = ["Exposures", "Field", "Frames", "Integrals", "Measured", "line_integrals"]

_FLOOR = 1e-4  # of the open beam, where that is less than a thousand counts

Floats = NDArray[np.float32]


class Measured(Protocol):
    """Line integrals of the rows of a detector, `shape` `(row, angle, bin)`."""

    @property
    def shape(self) -> tuple[int, int, int]: ...
    def read(self, rows: range, place: str) -> Floats:
        """Those of some rows, `(row, angle, bin)`."""
        ...


@dataclass(frozen=True, eq=False)
class Frames:
    """Images of a detector: an array whose `axes` count frames, rows and bins, None where there is one row, or one frame alone.

    `chosen` are the frames that are taken, all where it is None.
    """

    array: StoredArray
    axes: tuple[int | None, int | None, int]
    chosen: tuple[int, ...] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """`(frame, row, bin)`."""
        frames, rows, bins = (1 if axis is None else self.array.shape[axis] for axis in self.axes)
        return frames if self.chosen is None else len(self.chosen), rows, bins

    def read(self, rows: range, place: str) -> Floats:
        """Some rows of all frames, `(frame, row, bin)`, in single precision."""
        frame, row, _ = self.axes
        where = {} if row is None else {row: rows}
        if frame is None or self.chosen is None:
            return self._ordered(self.array.read(where, place))
        values = np.empty((len(self.chosen), len(rows), self.shape[2]), np.float32)
        for first, part in _runs(self.chosen):
            values[first : first + len(part)] = self._ordered(self.array.read({**where, frame: part}, place))
        return values

    def _ordered(self, values: NDArray[Any]) -> Floats:
        order = [axis for axis in self.axes if axis is not None]
        rest = [axis for axis in range(values.ndim) if axis not in order]  # of length one
        moved = values.transpose([*order, *rest]).reshape([values.shape[axis] for axis in order])
        if self.axes[1] is None:
            moved = moved[..., None, :]
        if self.axes[0] is None:
            moved = moved[None]
        with np.errstate(over="ignore"):  # what does not fit becomes infinite, and is refused as such
            return moved.astype(np.float32)


@dataclass(frozen=True, eq=False)
class Field:
    """What the detector reads at one time without the object, or without the beam: the median of frames, or a number for all bins.

    `place` is that time, in frames of the scan.
    """

    frames: Frames | float
    place: float = 0.0

    def read(self, rows: range, place: str) -> Floats:
        """`(row, bin)`; of a number `(1, 1)`."""
        if isinstance(self.frames, float):
            return np.full((1, 1), self.frames, np.float32)
        return np.asarray(np.median(self.frames.read(rows, place), axis=0), np.float32)


@dataclass(frozen=True, eq=False)
class Integrals:
    """Line integrals that a file holds as they are."""

    views: Frames

    @property
    def shape(self) -> tuple[int, int, int]:
        views, rows, bins = self.views.shape
        return rows, views, bins

    def read(self, rows: range, place: str) -> Floats:
        return np.moveaxis(self.views.read(rows, place), 0, 1)


@dataclass(frozen=True, eq=False)
class Exposures:
    """Counts of all views, and what they are normalized by; between flats of different times the beam changes evenly.

    `monitor` is the strength of the beam in each view, relative to that in the flats; `times` are those of the views, in frames.
    """

    views: Frames
    flats: tuple[Field, ...]
    darks: tuple[Field, ...] = ()
    monitor: NDArray[np.float64] | None = None
    times: tuple[int, ...] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        views, rows, bins = self.views.shape
        return rows, views, bins

    def read(self, rows: range, place: str) -> Floats:
        counts = self.views.read(rows, place)
        times = range(len(counts)) if self.times is None else self.times
        flat = _between(self.flats, times, rows, place)
        dark = _between(self.darks, times, rows, place) if self.darks else np.zeros((1, 1, 1), np.float32)
        beam = flat - dark
        if self.monitor is not None:
            beam = beam * self.monitor.astype(np.float32)[:, None, None]
        return np.moveaxis(line_integrals(counts - dark, beam), 0, 1)


def line_integrals(counts: Floats, beam: Floats) -> Floats:
    """`-log(max(I, floor) / F)` of counts and of those without an object, dark counts subtracted from both.

    A ray of which nothing arrives is taken for one of a tenth of a count, as `count_photons` takes it, and where the open beam has
    less than a thousand for a ten-thousandth of that. NaN is a bin to which no beam comes.
    """
    is_lit = beam > 0
    beam = np.where(is_lit, beam, 1)
    floor = np.minimum(COUNT_FLOOR, _FLOOR * beam)
    with np.errstate(invalid="ignore", over="ignore"):
        integrals = np.log(beam) - np.log(np.maximum(counts, floor))
    return np.where(is_lit, integrals, np.float32(np.nan)).astype(np.float32, copy=False)


def _between(fields: Sequence[Field], times: Sequence[int], rows: range, place: str) -> Floats:
    """What fields are at the time of each view, `(view, row, bin)`; of one alone `(1, row, bin)`."""
    read = np.stack([field.read(rows, place) for field in fields])
    if len(fields) == 1:
        return read
    known = np.array([field.place for field in fields])
    weights = np.stack([np.interp(times, known, one) for one in np.eye(len(fields))], axis=1)
    return np.tensordot(weights.astype(np.float32), read, 1)


def _runs(chosen: Sequence[int]) -> list[tuple[int, range]]:
    """Numbers that follow each other as ranges, and how many stand before each."""
    found = []
    for _, run in groupby(enumerate(chosen), key=lambda pair: pair[1] - pair[0]):
        pairs = list(run)
        found.append((pairs[0][0], range(pairs[0][1], pairs[-1][1] + 1)))
    return found
