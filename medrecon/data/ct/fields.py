"""Flats and darks: of the file itself, of others that a user names, or numbers; and which axes of an array count what."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from medrecon.axes import SinogramAxis
from medrecon.data.arrays import find_array
from medrecon.data.ct.exposures import Exposures, Field, Frames
from medrecon.data.ct.projection_files import ProjectionOptions
from medrecon.data.stored import StoredArray
from medrecon.errors import InputError
from medrecon.words import counted

__all__ = ["beside_the_object", "field_words", "frames_of", "named_fields", "normalized", "views_of"]

_EDGE, _LEVEL = 16, 0.05  # the share of bins at the ends of a row, and how little their counts vary beside an object


def views_of(array: StoredArray, axes: Sequence[SinogramAxis], who: str) -> Frames:
    """Projections, or sinograms, of an array whose axes are known.

    Raises
    ------
    InputError
        If it has more or fewer axes, or none of views or bins.
    """
    where = {axis: k for k, axis in enumerate(axes)}
    if len(axes) != len(array.shape) or not {SinogramAxis.ANGLE, SinogramAxis.DETECTOR} <= where.keys():
        raise InputError(
            f"{who} is {array.shape}, and --axes {','.join(axes)} names {counted(len(axes), 'axis', 'axes')}; name each, angle and "
            "detector among them"
        )
    if 0 in array.shape or array.dtype.kind not in "fiu":
        raise InputError(f"{who} is {array.shape} {array.dtype}, and projections are real; export it again")
    return Frames(array, (where[SinogramAxis.ANGLE], where.get(SinogramAxis.SLICE), where[SinogramAxis.DETECTOR]))


def frames_of(array: StoredArray, rows: int, bins: int, who: str) -> Frames:
    """Flats or darks of an array `(frame, row, bin)`, `(row, bin)`, or of one row `(frame, bin)` or `(bin,)`.

    Raises
    ------
    InputError
        If it is of other sizes than projections of so many rows and bins.
    """
    shape = array.shape
    axes: tuple[int | None, int | None, int] | None = None
    if shape[-2:] == (rows, bins) and len(shape) in (2, 3):
        axes = (0 if len(shape) == 3 else None, len(shape) - 2, len(shape) - 1)
    elif rows == 1 and shape[-1:] == (bins,) and len(shape) <= 2:
        axes = (0 if len(shape) == 2 else None, None, len(shape) - 1)
    if axes is None or 0 in shape or array.dtype.kind not in "fiu":
        raise InputError(
            f"{who} is {shape} {array.dtype}, and the projections have (row, bin) = ({rows}, {bins}): give one frame of that size, "
            "or several, (frame, row, bin)"
        )
    return Frames(array, axes)


def named_fields(given: Path | float | None, option: str, rows: int, bins: int) -> tuple[Field, ...]:
    """The flat or dark that a user names by an `option`: a file of frames, or a number; nothing where there is none.

    Raises
    ------
    InputError
        If the file cannot be read, or is of another size.
    """
    if given is None:
        return ()
    if isinstance(given, Path):
        return (Field(frames_of(find_array(given, (1, 2, 3)), rows, bins, f"{option} {given}")),)
    return (Field(given),)


def normalized(
    path: Path,
    views: Frames,
    options: ProjectionOptions,
    own: tuple[tuple[Field, ...], tuple[Field, ...]] = ((), ()),
    remedy: str = "",
) -> tuple[Exposures, tuple[str, ...]]:
    """Counts, with the flats and darks that a user names, or else those of the file itself; and how, in words.

    Raises
    ------
    InputError
        If there are no flats, or they are of another size.
    """
    _, rows, bins = views.shape
    flats = named_fields(options.flat, "--flat", rows, bins) or own[0]
    darks = named_fields(options.dark, "--dark", rows, bins) or own[1]
    if not flats:
        raise InputError(
            f"{path}: holds counts of a detector, and no flats to normalize them by{remedy}; give --flat FILE, frames without the "
            f"object, or --flat COUNTS{beside_the_object(views)}"
        )
    words = f"normalized by {field_words(flats, 'flat')} and {field_words(darks, 'dark')}"
    return Exposures(views, flats, darks), (words,)


def field_words(fields: Sequence[Field], noun: str) -> str:
    """Say how many frames there are."""
    if not fields:
        return f"no {noun}s"
    if isinstance(fields[0].frames, float):
        return f"{fields[0].frames:g} counts as {noun}"
    number = sum(one.frames.shape[0] for one in fields if isinstance(one.frames, Frames))
    return counted(number, noun)


def beside_the_object(views: Frames) -> str:
    """Say what the ends of a row in the middle of the detector count, where they all count about the same."""
    middle = views.shape[1] // 2
    values = views.read(range(middle, middle + 1), f"slice {middle}")[:, 0]
    n = max(1, values.shape[1] // _EDGE)
    ends = np.concatenate([values[:, :n], values[:, -n:]], axis=1)
    level = float(np.median(ends))
    spread = np.abs(np.median(ends, axis=1) - level)
    if not (np.isfinite(ends).all() and level > 0 and float(np.quantile(spread, 0.9)) < _LEVEL * level):
        return ""
    return f", about {level:.0f} here if the outermost bins see no object"
