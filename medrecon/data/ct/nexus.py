"""Projections in the application definition NXtomo of NeXus: one stack of frames, each a projection, flat or dark by its key.

https://manual.nexusformat.org/classes/applications/NXtomo.html
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medrecon.data.ct.exposures import Exposures, Field, Frames
from medrecon.data.ct.fields import normalized
from medrecon.data.ct.projection_files import ProjectionFile, ProjectionOptions
from medrecon.data.ct.stated_scan import Said, in_degrees, in_millimeters, settled_scan
from medrecon.data.hdf5 import HDF5Content, HDF5Source
from medrecon.data.stored import HDF5Array
from medrecon.errors import InputError
from medrecon.words import counted

__all__ = ["find_nexus", "open_nexus"]

_WANTED = "a file in the format NeXus (.nxs, .h5)"
_DATA, _KEY, _ANGLE, _MONITOR, _PIXEL = (
    "instrument/detector/data",
    "instrument/detector/image_key",
    "sample/rotation_angle",
    "control/data",
    "instrument/detector/x_pixel_size",
)
_PROJECTION, _FLAT, _DARK, _INVALID = range(4)
_MOST_FRAMES = 10**6


def find_nexus(file: HDF5Content) -> str | None:
    """The entry of a file that holds frames where NXtomo has them, or None."""
    for name in file.group_names():
        for entry in (name, f"{name}/tomo_entry"):
            if file.holds(f"{entry}/{_DATA}"):
                return entry
    return None


def open_nexus(path: Path, options: ProjectionOptions) -> ProjectionFile:
    """Open the projections of a file.

    Raises
    ------
    InputError
        If it cannot be read, has no flats, or not one key and angle a frame.
    """
    source = HDF5Source(path, _WANTED, allow_external=options.allow_external)
    with source.open() as file:
        entry = find_nexus(file)
        data = None if entry is None else file.dataset(f"{entry}/{_DATA}")
        if entry is None or data is None:
            raise InputError(f"{path}: holds no `{_DATA}` in an entry; give {_WANTED}")
        if len(data.shape) != 3 or 0 in data.shape or data.dtype.kind not in "fiu" or data.shape[0] > _MOST_FRAMES:
            raise InputError(
                f"{path}: `{entry}/{_DATA}` is {data.shape} {data.dtype}, and (frame, y, x) real is wanted"
            )
        array = HDF5Array(source, f"{entry}/{_DATA}", data.shape, data.dtype)
        n_frames = data.shape[0]
        keys = _column(file, f"{entry}/{_KEY}", n_frames)
        counted_beam = file.dataset(f"{entry}/{_MONITOR}")
        is_one_a_frame = counted_beam is not None and counted_beam.shape == (n_frames,)
        monitor = _column(file, f"{entry}/{_MONITOR}", n_frames) if is_one_a_frame else None
        said = _said(file, entry, n_frames)
    kinds = (
        np.zeros(n_frames, np.int64) if keys is None else np.clip(np.nan_to_num(keys, nan=-1), -1, 9).astype(np.int64)
    )
    chosen = tuple(int(k) for k in np.flatnonzero(kinds == _PROJECTION))
    if not chosen:
        raise InputError(f"{path}: `{entry}/{_KEY}` marks no frame as a projection (0); mend it")
    views = Frames(array, (0, 1, 2), chosen)
    measured, notes = _measured(path, views, kinds, monitor, options, f" (frames whose `{_KEY}` is {_FLAT})")
    if dropped := int((kinds == _INVALID).sum()):
        notes += (f"{counted(dropped, 'frame')} marked as invalid {'is' if dropped == 1 else 'are'} left out",)
    scan, assumed = settled_scan(path, options.geometry, _of_views(said, chosen), len(chosen), views.shape[2])
    return ProjectionFile(path, measured, scan, notes + assumed)


def _measured(
    path: Path,
    views: Frames,
    kinds: NDArray[np.int64],
    monitor: NDArray[np.float64] | None,
    options: ProjectionOptions,
    remedy: str,
) -> tuple[Exposures, tuple[str, ...]]:
    """Counts with the flats and darks among the frames, each group at its time, and the beam's strength if measured."""
    own = tuple(_groups(views, kinds, kind) for kind in (_FLAT, _DARK))
    measured, notes = normalized(path, views, options, (own[0], own[1]), remedy)
    assert views.chosen is not None
    strength = None
    flat_frames = kinds == _FLAT
    if monitor is not None and flat_frames.any() and (monitor[kinds <= _FLAT] > 0).all() and options.flat is None:
        strength = monitor[list(views.chosen)] / float(np.median(monitor[flat_frames]))
        notes += (
            f"counts are divided by the beam's strength in `{_MONITOR}`, {strength.min():.3g} to {strength.max():.3g}",
        )
    return Exposures(views, measured.flats, measured.darks, strength, views.chosen), notes


def _groups(views: Frames, kinds: NDArray[np.int64], kind: int) -> tuple[Field, ...]:
    """Frames of a kind that follow each other, as one field at the middle of its time."""
    found = []
    for is_kind, run in groupby(range(len(kinds)), key=lambda k: kinds[k] == kind):
        if is_kind:
            numbers = tuple(run)
            found.append(Field(Frames(views.array, views.axes, numbers), float(np.mean(numbers))))
    return tuple(found)


def _of_views(said: Said, chosen: tuple[int, ...]) -> Said:
    if said.angles is None or said.angles.size == len(chosen):
        return said
    return Said(said.angles[list(chosen)], said.name, said.spacing, said.notes)


def _said(file: HDF5Content, entry: str, n_frames: int) -> Said:
    name = f"{entry}/{_ANGLE}"
    angles = _column(file, name, None)
    if angles is not None and angles.size != n_frames:
        raise InputError(
            f"{file.path}: `{name}` has {counted(angles.size, 'angle')}, and there are {n_frames} frames; mend it"
        )
    unit = file.attributes(("units",), file.dataset(name)).get("units") if angles is not None else None
    spacing, notes = None, ()
    held = file.dataset(f"{entry}/{_PIXEL}")
    if held is not None and held.size == 1 and held.dtype.kind in "fiu":
        of_pixel = file.attributes(("units",), held).get("units")
        value = float(np.asarray(file.read(f"{entry}/{_PIXEL}")).reshape(-1)[0])
        spacing = in_millimeters(value, of_pixel if isinstance(of_pixel, str) else None)
    if angles is not None:
        angles = in_degrees(angles, unit if isinstance(unit, str) else None)
    return Said(angles, name, spacing, notes)


def _column(file: HDF5Content, name: str, count: int | None) -> NDArray[np.float64] | None:
    """A number for each frame; None where there is no such list.

    Raises
    ------
    InputError
        If it has another length.
    """
    held = file.dataset(name)
    if held is None:
        return None
    if held.dtype.kind not in "fiu" or held.size > _MOST_FRAMES or (count is not None and held.size != count):
        raise InputError(
            f"{file.path}: `{name}` is {held.shape} {held.dtype}, and there are {count or 'fewer'} frames; mend or remove it"
        )
    return np.asarray(file.read(name), np.float64).reshape(-1)
