"""Which readouts of a measurement are lines of the image, and where in k-space each of them lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medrecon.data.mri.acquisitions import NOT_IMAGE, Flag, Heads
from medrecon.data.mri.raw_header import Encoding
from medrecon.errors import InputError
from medrecon.words import counted, listed, shortened

__all__ = ["CHOICES", "Kinds", "LineGrid", "Lines", "choose", "chosen", "line_grid", "lines_on", "numbers_of"]

#: What a measurement may hold several of, of which one is reconstructed: the name of the choice, and the field of a head.
CHOICES = {
    "encoding": "encoding_space_ref",
    "contrast": "contrast",
    "phase": "phase",
    "repetition": "repetition",
    "set": "set",
}
_FINER = 1.5  # times the encoded samples of a readout: as many more are finer in k-space, of a larger field
_PLURALS = {"phase": "phases"}

Places = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Kinds:
    """Places of readouts by what they are for; those that navigate, or feed back, are for nothing here."""

    image: Places
    calibration: Places
    correction: Places
    noise: Places

    @classmethod
    def of(cls, heads: Heads) -> Kinds:
        """Sort readouts by their flags; one of calibration and image is both."""
        left_out = np.logical_or.reduce([flag.of(heads) for flag in NOT_IMAGE])
        both, noise = Flag.CALIBRATION_AND_IMAGE.of(heads), Flag.NOISE.of(heads)
        calibrates = Flag.CALIBRATION.of(heads)
        return cls(
            image=np.flatnonzero(~left_out & (both | ~calibrates)),
            calibration=np.flatnonzero(~left_out & (both | calibrates)),
            correction=np.flatnonzero(Flag.PHASE_CORRECTION.of(heads) & ~noise),
            noise=np.flatnonzero(noise),
        )


def chosen(select: Mapping[str, str], path: str | PathLike[str]) -> tuple[str | None, dict[str, int]]:
    """Divide what a user chose into the name of a group, and numbers of encoding, contrast, phase, repetition and set.

    Raises
    ------
    InputError
        If there is no such choice, or it takes a number and got none.
    """
    numbers = {}
    for name, value in select.items():
        if name == "group":
            continue
        if name not in CHOICES:
            raise InputError(f"{path}: --select {name}={value}: raw files have {', '.join(CHOICES)} and group; mend it")
        if not value.isascii() or not value.isdigit() or len(value) > 6:
            raise InputError(f"{path}: --select {name}={value}: a number is wanted, counted from 0")
        numbers[name] = int(value)
    return select.get("group"), numbers


def numbers_of(select: Mapping[str, str], path: str | PathLike[str]) -> dict[str, int]:
    """Read what a user chose of a file without groups, as `chosen`.

    Raises
    ------
    InputError
        If there is no such choice.
    """
    group, numbers = chosen(select, path)
    if group is not None:
        raise InputError(
            f"{path}: --select group={shortened(group)}: holds no groups, as files of ISMRMRD do; leave it out"
        )
    return numbers


def choose(
    heads: Heads, places: Places, asked: Mapping[str, int], path: Path
) -> tuple[Places, dict[str, int], tuple[str, ...]]:
    """Keep the readouts of one encoding, contrast, phase, repetition and set: those asked for, else the first.

    Returns them, what was taken, and what a user should know of it.

    Raises
    ------
    InputError
        If there is none of what is asked for.
    """
    taken: dict[str, int] = {}
    notes = []
    for name, field in CHOICES.items():
        there = np.unique(heads[field][places])
        value = asked.get(name, int(there[0]))
        if value not in there:
            raise InputError(
                f"{path}: holds no {name} {value}, it has {listed(there.tolist())}; mend --select {name}={value}"
            )
        if len(there) > 1:
            others = listed([int(other) for other in there])
            notes.append(
                f"{counted(len(there), name)} ({others}): {value} is taken"
                + ("" if name in asked else f"; --select {name}=NUMBER takes another")
            )
        places, taken[name] = places[heads[field][places] == value], value
    return places, taken, tuple(notes)


@dataclass(frozen=True)
class LineGrid:
    """The grid `(kz, ky, kx)` of k-space, its center at `n // 2`, and the counters of the center of both phase encodings."""

    shape: tuple[int, int, int]
    center_line: int
    center_partition: int
    field_scale: float = 1.0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Lines:
    """Where readouts lie on a grid: line and partition of each, and its first sample after those that are discarded."""

    places: Places
    line: NDArray[np.int64]
    partition: NDArray[np.int64]
    discarded: NDArray[np.int64]
    length: NDArray[np.int64]
    first: NDArray[np.int64]
    reverse: NDArray[np.bool_]


def line_grid(heads: Heads, places: Places, encoding: Encoding, path: Path) -> LineGrid:
    """Settle the grid of the lines of an image.

    Raises
    ------
    InputError
        If readouts hold no samples, or their counters run beyond the encoded matrix.
    """
    lines, notes = heads[places], []
    x, y, z = encoding.encoded_matrix
    if not lines["center_sample"].any():
        notes.append("no center of the readouts is stated: it is taken to be their middle sample")
    length, center = _extent(lines, path)
    ahead, behind = int(center.max()), int((length - center).max())
    scale = 1.0
    if ahead > x // 2 or behind > x - x // 2:
        n = 2 * max(ahead, behind)
        scale = n / x if n >= _FINER * x else 1.0
        notes.append(f"readouts have {int(length.max())} samples, the encoded matrix says {x}: {n} are taken")
        x = n
    steps = (
        ("lines", "kspace_encode_step_1", encoding.line_limits, y),
        ("partitions", "kspace_encode_step_2", encoding.partition_limits, z),
    )
    centers = []
    for name, field, limits, n in steps:
        if n == 1 and not lines[field].any():
            centers.append(0)
            continue
        middle = n // 2 if limits is None else limits.center
        low, high = int(lines[field].min()) - middle + n // 2, int(lines[field].max()) - middle + n // 2
        if low < 0 or high >= n:
            raise InputError(
                f"{path}: counters of {name} run from {lines[field].min()} to {lines[field].max()} with the center at {middle}, "
                f"beyond the encoded matrix of {n}; mend the header, or divide the file if it mixes scans"
            )
        if limits is None:
            notes.append(f"no limits of {name} are stated: number {middle} of {n} is taken for the center")
        centers.append(middle)
    return LineGrid((z, x, y), centers[0], centers[1], scale, tuple(notes))


def lines_on(grid: LineGrid, heads: Heads, places: Places, path: Path, centers: tuple[int, int] | None = None) -> Lines:
    """Place readouts on a grid; those that lie outside are left out. `centers` are those of another encoding, if it is theirs.

    Raises
    ------
    InputError
        If readouts hold no samples.
    """
    nz, nx, ny = grid.shape
    lines = heads[places]
    length, center = _extent(lines, path)
    reverse = Flag.REVERSE.of(lines)
    middle_line, middle_partition = centers or (grid.center_line, grid.center_partition)
    line = lines["kspace_encode_step_1"].astype(np.int64) - middle_line + ny // 2
    partition = lines["kspace_encode_step_2"].astype(np.int64) - middle_partition + nz // 2
    if nz == 1:
        partition = np.zeros_like(partition)
    inside = (line >= 0) & (line < ny) & (partition >= 0) & (partition < nz)
    columns: list[Any] = [
        places,
        line,
        partition,
        lines["discard_pre"].astype(np.int64),
        length,
        nx // 2 - center,
        reverse,
    ]
    return Lines(*(column[inside] for column in columns))


def _extent(lines: Heads, path: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many samples of each readout are kept, and which of them, once reversed ones are flipped, is the center.

    That is the middle one where none is stated. A readout that states the middle one is flipped in place: scanners write the same
    number for both directions, and the center lies between two samples.
    """
    length = lines["number_of_samples"].astype(np.int64) - lines["discard_pre"] - lines["discard_post"]
    if len(length) == 0 or int(length.min()) < 1:
        raise InputError(f"{path}: a readout has no samples left after those to be discarded; export it again")
    is_stated = lines["center_sample"].any()
    center = lines["center_sample"].astype(np.int64) - lines["discard_pre"] if is_stated else length // 2
    if int(center.min()) < 0 or bool((center >= length).any()):
        raise InputError(f"{path}: the center of a readout lies outside of its samples; export it again")
    is_middle = center == length // 2
    return length, np.where(Flag.REVERSE.of(lines) & ~is_middle, length - 1 - center, center)
