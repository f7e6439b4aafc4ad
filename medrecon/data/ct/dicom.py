"""Read a CT series of DICOM files: one file a slice, or one file of frames, as a scanner or an archive gives them."""

import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medrecon.data.dicom_file import DicomFile
from medrecon.data.dicom_series import Steps, find_images, one_series, require_one_stack, steps_of, tilt_of
from medrecon.data.volume import LOWEST, CTVolume, lay_out
from medrecon.errors import InputError
from medrecon.memory import require_memory

__all__ = ["read_dicom"]

_BYTES = 12  # of a value in memory, while it is laid out


def read_dicom(folder: str | os.PathLike[str], series: str | None = None) -> CTVolume:
    """Read the CT series below a folder: slices sorted by position, in Hounsfield units `slope * stored + intercept`.

    Slices lie in order of ImagePositionPatient along the slices' normal, or, where a file states none, of
    InstanceNumber. Values of PixelPaddingValue, or up to PixelPaddingRangeLimit, and all below -1024 HU, become -1024 HU. Slices
    of a tilted gantry are shifted in their planes, so that they make a straight stack. Files that are not DICOM, or hold no image,
    are passed over with a note, and so are localizers.

    Parameters
    ----------
    folder
        A folder, searched to its depth; or one file, for a single slice, or all its frames.
    series
        The SeriesInstanceUID to read, where there are several.

    Raises
    ------
    InputError
        If there is no CT series, or more than one, or its slices do not make a volume, or a file is damaged.

    References
    ----------
    DICOM PS3.3, C.7.6.2 Image Plane Module, C.7.6.16 Multi-frame Functional Groups and C.8.2.1 CT Image Module.
    """
    path = Path(folder)
    headers, notes = find_images(path)
    chosen, of_series = one_series(path, headers, series, "CT")
    slices, of_order = require_one_stack(path, chosen)
    _require_room(path, slices)
    stored = [_pixels(one) for one in slices]
    values, padding = np.stack([hounsfield for hounsfield, _ in stored]), sum(count for _, count in stored)
    placed = steps_of(path, slices)
    values, of_tilt = _straightened(path, values, placed)
    try:
        return lay_out(values, placed.steps, (*notes, *of_series, *of_order, *placed.notes, *of_tilt), padding)
    except ValueError as error:
        raise InputError(f"{path}: {error}; export the series again") from error


def _straightened(
    path: Path, values: NDArray[np.float32], placed: Steps
) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Shift the slices of a stack that leans in their planes, by linear interpolation, onto a grid that holds all, in air."""
    first, last = placed.sideways.min(axis=0), placed.sideways.max(axis=0)
    if not (last - first).any():
        return values, ()
    count, *shape = values.shape
    more = [math.ceil(by - 1e-6) for by in last - first]
    if any(by > n for by, n in zip(more, shape, strict=True)):
        raise InputError(f"{path}: its slices lie beside each other, not behind; export the series again")
    larger = [n + by for n, by in zip(shape, more, strict=True)]
    require_memory(_BYTES * count * larger[0] * larger[1], f"{path}: to straighten {count} slices")
    straight = np.full((count, *larger), LOWEST, np.float32)
    for k, shift in enumerate(placed.sideways - first):
        image = values[k]
        for axis, by in enumerate(shift):
            image = _shifted(image, axis, float(by), larger[axis])
        straight[k] = image
    degrees = tilt_of(placed)
    farthest = float((np.ptp(placed.sideways, axis=0) * np.linalg.norm(placed.steps[1:], axis=1)).max())
    note = (
        f"the gantry was tilted by {degrees:.1f} degrees: the slices were shifted in their planes, by up to {farthest:.1f} mm, "
        "onto a straight stack"
    )
    return straight, (note,)


def _shifted(image: NDArray[np.float32], axis: int, by: float, size: int) -> NDArray[np.float32]:
    """An image `by` pixels further along an axis of `size`, linearly interpolated, in air."""
    whole = math.floor(by + 1e-6)
    part = max(0.0, by - whole)
    n = image.shape[axis]
    room = [(0, 0), (0, 0)]
    room[axis] = (1, size + 1)
    padded = np.pad(image, room, constant_values=LOWEST)
    places = np.arange(size) - whole + 1  # of pixel i in what is padded
    places = np.where((places >= 0) & (places <= n + 1), places, 0)
    before = np.where(places > 0, places - 1, 0)
    taken: NDArray[np.float32] = (1 - part) * padded.take(places, axis) + part * padded.take(before, axis)
    return taken.astype(np.float32)


def _require_room(path: Path, slices: Sequence[DicomFile]) -> None:
    for one in slices:
        one.require_size()
    rows, columns = (slices[0].whole(name) or 0 for name in ("Rows", "Columns"))
    require_memory(
        _BYTES * len(slices) * rows * columns,
        f"{path}: to read {len(slices)} slices of {rows} x {columns}",
        lambda free: f"{free // (_BYTES * rows * columns)} such slices fit",
    )


def _pixels(one: DicomFile) -> tuple[NDArray[np.float32], int]:
    """Read one slice in Hounsfield units, and count the values that the header says are padding."""
    slope, intercept = one.number("RescaleSlope"), one.number("RescaleIntercept")
    if slope is None or intercept is None:
        raise InputError(
            f"{one.path}: states no RescaleSlope and RescaleIntercept, so its Hounsfield units are not known"
        )
    if slope == 0:
        raise InputError(f"{one.path}: its RescaleSlope is 0, so that all its pixels are alike; export it again")
    stored = one.pixels()
    if stored.shape != (one.whole("Rows"), one.whole("Columns")):
        raise InputError(
            f"{one.path}: its pixels are {stored.shape}, and a gray slice is wanted; export the series again"
        )
    values = stored.astype(np.float32) * np.float32(slope) + np.float32(intercept)
    is_padding = _padding(one, stored)
    if is_padding is None:
        return values, 0
    mask = is_padding & (values > LOWEST)  # what lies lower is clipped, and counted, anyway
    values[mask] = LOWEST
    return values, int(mask.sum())


def _padding(one: DicomFile, stored: NDArray[np.generic]) -> NDArray[np.bool_] | None:
    """Where stored values are padding: from PixelPaddingValue to PixelPaddingRangeLimit, both included, read as the pixels are."""
    first = one.number("PixelPaddingValue")
    if first is None:
        return None
    limit = one.number("PixelPaddingRangeLimit")
    turn = 2 ** (8 * stored.dtype.itemsize)
    is_signed = stored.dtype.kind == "i"
    ends = [_signed(end, turn) if is_signed else end % turn for end in (first, limit) if end is not None]
    numbers = stored.astype(np.float64)
    found: NDArray[np.bool_] = (numbers >= int(min(ends))) & (numbers <= int(max(ends)))
    return found


def _signed(value: float, turn: int) -> float:
    """A value of a header that was written unsigned, of pixels that are signed."""
    return value - turn if value >= turn // 2 else value
