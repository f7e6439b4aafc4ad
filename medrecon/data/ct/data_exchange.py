"""Projections of synchrotrons in the format Data Exchange: counts, flats, darks and angles in one HDF5 file.

De Carlo et al., Scientific data exchange: a schema for HDF5-based storage of raw and analyzed data, J. Synchrotron Rad. 21 (2014).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from medrecon.axes import SinogramAxis
from medrecon.data.ct.exposures import Field
from medrecon.data.ct.fields import frames_of, normalized, views_of
from medrecon.data.ct.projection_files import ProjectionFile, ProjectionOptions
from medrecon.data.ct.stated_scan import Said, in_degrees, in_millimeters, settled_scan
from medrecon.data.hdf5 import HDF5Content, HDF5Source
from medrecon.data.stored import HDF5Array
from medrecon.errors import InputError

__all__ = ["is_data_exchange", "open_data_exchange"]

_DATA, _THETA = "exchange/data", "exchange/theta"
_WANTED = "a file in the format Data Exchange (.h5)"
_AXES = {
    **dict.fromkeys(("theta", "angle", "rotation"), SinogramAxis.ANGLE),
    **dict.fromkeys(("y", "z", "row"), SinogramAxis.SLICE),
    **dict.fromkeys(("x", "column"), SinogramAxis.DETECTOR),
}
_USUAL = (SinogramAxis.ANGLE, SinogramAxis.SLICE, SinogramAxis.DETECTOR)
_PIXELS = ("actual_pixel_size_x", "x_actual_pixel_size")
_DETECTOR = "measurement/instrument/detector"


def is_data_exchange(file: HDF5Content) -> bool:
    """Whether a file holds projections where Data Exchange has them."""
    return file.holds(_DATA)


def open_data_exchange(path: Path, options: ProjectionOptions) -> ProjectionFile:
    """Open the projections of a file.

    Raises
    ------
    InputError
        If it cannot be read, has no flats, or not one angle a projection.
    """
    source = HDF5Source(path, _WANTED, allow_external=options.allow_external)
    with source.open() as file:
        data = _array(source, file, _DATA)
        axes = _usual(data, options, file)
        views = views_of(data, axes, f"{path}: `{_DATA}`")
        count, rows, bins = views.shape
        own = [
            () if array is None else (Field(frames_of(array, rows, bins, f"{path}: `{array.name}`")),)
            for array in (_found(source, file, f"{_DATA}_white"), _found(source, file, f"{_DATA}_dark"))
        ]
        said = _said(file, count)
    remedy = f" (`{_DATA}_white`)"
    measured, notes = normalized(path, views, options, (own[0], own[1]), remedy)
    scan, assumed = settled_scan(path, options.geometry, said, count, bins)
    return ProjectionFile(path, measured, scan, notes + assumed)


def _array(source: HDF5Source, file: HDF5Content, name: str) -> HDF5Array:
    found = _found(source, file, name)
    if found is None:
        raise InputError(f"{file.path}: holds no `{name}`; give {_WANTED}")
    return found


def _found(source: HDF5Source, file: HDF5Content, name: str) -> HDF5Array | None:
    data = file.dataset(name)
    return None if data is None else HDF5Array(source, name, data.shape, data.dtype)


def _usual(data: HDF5Array, options: ProjectionOptions, file: HDF5Content) -> tuple[SinogramAxis, ...]:
    """The order of axes that a user names, or the file, or the format."""
    if options.axes is not None:
        return options.axes
    stated = file.attributes(("axes",), file.dataset(_DATA)).get("axes")
    words = str(stated).replace(",", ":").split(":") if isinstance(stated, str) else []
    known = tuple(_AXES[word.strip()] for word in words if word.strip() in _AXES)
    if len(known) == len(set(known)) == len(data.shape):
        return known
    return _USUAL if len(data.shape) == 3 else (SinogramAxis.ANGLE, SinogramAxis.DETECTOR)


def _said(file: HDF5Content, n_views: int) -> Said:
    spacing = _pixel(file)
    theta = file.dataset(_THETA)
    if theta is None:
        angles = np.linspace(0, 180, n_views) if n_views > 1 else np.zeros(1)
        note = f"no `{_THETA}`: even steps from 0 to 180 degrees are taken, as the format has it; give --geometry FILE for others"
        return Said(angles, _THETA, spacing, (note,))
    if theta.dtype.kind not in "fiu" or theta.size > 10**6:
        raise InputError(f"{file.path}: `{_THETA}` is {theta.shape} {theta.dtype}, and angles are numbers; mend it")
    unit = file.attributes(("units",), theta).get("units")
    values = np.asarray(file.read(_THETA), np.float64).reshape(-1)
    return Said(in_degrees(values, unit if isinstance(unit, str) else None), _THETA, spacing)


def _pixel(file: HDF5Content) -> float | None:
    """The width of a bin in the object, mm: that of a pixel of the camera alone says nothing of it."""
    for name in _PIXELS:
        held = file.dataset(f"{_DETECTOR}/{name}")
        if held is not None and held.size == 1 and held.dtype.kind in "fiu":
            unit = file.attributes(("units",), held).get("units")
            value = float(np.asarray(file.read(f"{_DETECTOR}/{name}")).reshape(-1)[0])
            return in_millimeters(value, unit if isinstance(unit, str) else None)
    return None
