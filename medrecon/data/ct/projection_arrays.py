"""Projections and sinograms in plain arrays: `.npy`, `.npz`, `.mat`, TIFF and folders of it, with what they say by their names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medrecon.axes import SinogramAxis
from medrecon.data.arrays import names_of, open_arrays
from medrecon.data.ct.exposures import Field, Frames, Integrals, Measured
from medrecon.data.ct.fields import frames_of, normalized, views_of
from medrecon.data.ct.geometry_files import CTScan, parse_geometry, read_geometry
from medrecon.data.ct.projection_files import ProjectionFile, ProjectionOptions
from medrecon.data.ct.stated_scan import Said, in_degrees, settled_scan
from medrecon.data.stored import StoredArray
from medrecon.errors import InputError
from medrecon.words import shortened

__all__ = ["open_projection_arrays"]

_FLATS = ("flat", "flats", "white", "whites", "data_white", "flat_field", "open_beam")
_DARKS = ("dark", "darks", "data_dark", "dark_field")
_ANGLES = ("theta", "angles", "angle", "thetas")
_LARGEST_LIST = 10**6
_A, _S, _D = SinogramAxis.ANGLE, SinogramAxis.SLICE, SinogramAxis.DETECTOR
_FLAT_AXES, _SINOGRAMS, _PROJECTIONS = (_A, _D), (_S, _A, _D), (_A, _S, _D)
_HTC = ("distancesourceorigin", "distancesourcedetector", "pixelsizepost")


@dataclass(frozen=True, eq=False)
class _Found:
    """The arrays of a file by what their names say."""

    data: StoredArray
    flats: StoredArray | None = None
    darks: StoredArray | None = None
    angles: StoredArray | None = None
    numbers: dict[str, float] = field(default_factory=dict)


def open_projection_arrays(path: Path, options: ProjectionOptions) -> ProjectionFile:
    """Open the projections, or sinograms, of a file.

    Counts are normalized by flats; numbers that are not whole, without flats, are line integrals.

    Raises
    ------
    InputError
        If it cannot be read, holds several arrays, has no flats to counts, or nothing says how they were measured.
    """
    found = _sorted(path, open_arrays(path, allow_external=options.allow_external))
    who = f"{path}: `{shortened(found.data.name)}`" if found.data.name else f"{path}: the array"
    angles = None if found.angles is None else _list(found.angles)
    scan = _htc_scan(path, found) if options.geometry is None else None
    n_angles, n_bins = _known(path, scan, angles, options.geometry)
    axes, notes = _axes(found.data.shape, options.axes, n_angles, n_bins, who)
    views = views_of(found.data, axes, who)
    measured, how = _measured(path, views, found, options)
    if scan is None:
        name = "" if found.angles is None else found.angles.name
        said = Said(None if angles is None else in_degrees(angles, None), name)
        scan, assumed = settled_scan(path, options.geometry, said, views.shape[0], views.shape[2])
        how += assumed
    return ProjectionFile(path, measured, scan, (*notes, *how))


def _known(
    path: Path, scan: CTScan | None, angles: NDArray[np.float64] | None, geometry: Path | None
) -> tuple[int | None, int | None]:
    """How many views and bins there are, as far as something says it before the order of axes is known."""
    if scan is None and angles is None:
        beside = (path.with_suffix(suffix) for suffix in (".yaml", ".yml"))
        named = geometry or next((one for one in beside if one.is_file()), None)
        scan = None if named is None else read_geometry(named)
    if scan is not None:
        return scan.geometry.shape
    return None if angles is None else angles.size, None


def _measured(path: Path, views: Frames, found: _Found, options: ProjectionOptions) -> tuple[Measured, tuple[str, ...]]:
    _, rows, bins = views.shape
    are_integrals = found.data.dtype.kind == "f" and options.flat is None and found.flats is None
    if are_integrals and options.dark is None:
        return Integrals(views), ()
    own = [
        () if array is None else (Field(frames_of(array, rows, bins, f"{path}: `{shortened(array.name)}`")),)
        for array in (found.flats, found.darks)
    ]
    return normalized(path, views, options, (own[0], own[1]))


def _sorted(path: Path, arrays: Sequence[StoredArray]) -> _Found:
    """Tell the array of measurements from others by its name, and by its axes.

    Raises
    ------
    InputError
        If there is none, or several might be it.
    """
    flats, darks, angles = (_named(arrays, names) for names in (_FLATS, _DARKS, _ANGLES))
    others = [one for one in arrays if one not in (flats, darks, angles)]
    data = [one for one in others if len(one.shape) in (2, 3) and min(one.shape) > 0 and max(one.shape) > 4]
    if len(data) > 1:
        data = [one for one in data if _last(one) in ("sinogram", "sinograms", "projections", "data")] or data
    if len(data) != 1:
        raise InputError(
            f"{path}: holds {names_of(list(arrays)) or 'no array'}, and one array of projections or sinograms is wanted; save it "
            "alone, or as `sinogram`"
        )
    numbers = {
        _last(one): float(one.read({}, one.name).reshape(-1)[0].real) for one in others if one.shape in ((1, 1), ())
    }
    return _Found(data[0], flats, darks, angles, numbers)


def _named(arrays: Iterable[StoredArray], names: Sequence[str]) -> StoredArray | None:
    return next((one for one in arrays if _last(one) in names), None)


def _last(array: StoredArray) -> str:
    return array.name.rpartition(".")[2].rpartition("/")[2].lower()


def _list(array: StoredArray) -> NDArray[np.float64]:
    if (
        array.dtype.kind not in "fiu"
        or max(array.shape, default=1) != np.prod(array.shape)
        or max(array.shape, default=1) > _LARGEST_LIST
    ):
        raise InputError(
            f"{array.path}: `{shortened(array.name)}` is {array.shape} {array.dtype}, and a list of angles is wanted; mend it"
        )
    return np.asarray(array.read({}, f"`{shortened(array.name)}`"), np.float64).reshape(-1)


def _axes(
    shape: tuple[int, ...],
    asked: tuple[SinogramAxis, ...] | None,
    views: int | None,
    bins: int | None,
    who: str,
) -> tuple[tuple[SinogramAxis, ...], tuple[str, ...]]:
    """The order of axes that a user names, or else the one of two in which views and bins are as many as is known.

    Raises
    ------
    InputError
        If both are.
    """
    if asked is not None or len(shape) != 3:
        return asked or _FLAT_AXES, ()
    if shape[0] == 1:
        return _SINOGRAMS, ()
    fits = [order for order in (_SINOGRAMS, _PROJECTIONS) if _fits(shape, order, views, bins)]
    if len(fits) == 2:
        raise InputError(
            f"{who} is {shape}, which may be sinograms or projections; say which by --axes {','.join(_SINOGRAMS)} or --axes "
            f"{','.join(_PROJECTIONS)}"
        )
    order = fits[0] if fits else _SINOGRAMS
    kind = "sinograms (slice, angle, detector)" if order == _SINOGRAMS else "projections (angle, slice, detector)"
    return order, (f"{shape} are taken as {kind}, as there are {views} views",)


def _fits(shape: tuple[int, ...], order: Sequence[SinogramAxis], views: int | None, bins: int | None) -> bool:
    return views in (None, shape[order.index(_A)]) and bins in (None, shape[order.index(_D)])


def _htc_scan(path: Path, found: _Found) -> CTScan | None:
    """The fan beam of the Helsinki Tomography Challenge 2022, in millimeters and degrees; None of other files.

    Meaney, Silva de Moura and Siltanen, Helsinki Tomography Challenge 2022, Zenodo 6984868.
    """
    if found.angles is None or not all(name in found.numbers for name in _HTC):
        return None
    source, detector, pixel = (found.numbers[name] for name in _HTC)
    values = {
        "beam": "fan",
        "angles": {"values": _list(found.angles).tolist(), "unit": "degrees"},
        "n_bins": found.data.shape[-1],
        "spacing": pixel,
        "source_distance": source,
        "detector_distance": detector - source,
    }
    return parse_geometry(values, str(path))
