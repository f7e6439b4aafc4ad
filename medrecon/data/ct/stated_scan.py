"""The scan of projections by what their file says of it: angles, and the width of a bin where that is stated."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medrecon.data.ct.geometry_files import CTScan, parse_geometry, read_geometry
from medrecon.errors import InputError

__all__ = ["Said", "in_degrees", "in_millimeters", "settled_scan"]

_LARGEST_RADIANS = 2.2 * math.pi  # an arc beyond is one of degrees
_LENGTHS = {
    **dict.fromkeys(("m", "meter", "meters", ""), 1e3),
    **dict.fromkeys(("mm", "millimeter", "millimeters"), 1.0),
    **dict.fromkeys(("um", "µm", "μm", "micron", "microns", "micrometer", "micrometers"), 1e-3),
    **dict.fromkeys(("nm", "nanometer", "nanometers"), 1e-6),
    **dict.fromkeys(("cm", "centimeter", "centimeters"), 10.0),
}
_FINEST, _COARSEST = 1e-6, 50.0  # millimeters: bins beyond these are of another unit


@dataclass(frozen=True, eq=False)
class Said:
    """What a file says: angles in degrees or None, by the `name` of what holds them, and the width of a bin in mm, or None."""

    angles: NDArray[np.float64] | None
    name: str
    spacing: float | None = None
    notes: tuple[str, ...] = ()


def settled_scan(
    path: Path, geometry: Path | None, said: Said, n_views: int, n_bins: int
) -> tuple[CTScan, tuple[str, ...]]:
    """The scan of projections, and what had to be assumed.

    What the geometry file says that a user names, or that lies beside a file by its name, stands above what the file says itself,
    whose rays are parallel.

    Raises
    ------
    InputError
        If nothing states the angles, or not one a view.
    """
    beside = (path.with_suffix(suffix) for suffix in (".yaml", ".yml"))
    named = geometry or next((one for one in beside if one.is_file()), None)
    if named is not None:
        return read_geometry(named, _stated(said, n_views, n_bins)), ()
    if said.angles is None:
        raise InputError(f"{path}: nothing says the angles of its {n_views} views; {_GIVE}")
    if said.angles.shape != (n_views,):
        raise InputError(
            f"{path}: `{said.name}` has {said.angles.size} angles, and there are {n_views} projections; mend it, or {_GIVE}"
        )
    if not np.isfinite(said.angles).all():
        raise InputError(f"{path}: `{said.name}` holds angles that are NaN or infinite; mend it, or {_GIVE}")
    notes = said.notes
    if said.spacing is None:
        notes += (
            "nothing says how wide a bin is: 1 mm is taken, so that images are in 1/bin, and Hounsfield units mean nothing; give "
            "--geometry FILE with its `spacing`",
        )
    values = {"beam": "parallel", "spacing": 1.0, **_stated(said, n_views, n_bins)}
    return parse_geometry(values, str(path)), notes


def _stated(said: Said, n_views: int, n_bins: int) -> dict[str, object]:
    """What a file says itself, by the keys of a geometry."""
    values: dict[str, object] = {"n_bins": n_bins}
    if said.angles is not None and said.angles.shape == (n_views,):
        values["angles"] = {"values": said.angles.tolist(), "unit": "degrees"}
    if said.spacing is not None:
        values["spacing"] = said.spacing
    return values


_GIVE = "give --geometry FILE, a YAML file with the keys beam, angles, n_bins, spacing"


def in_degrees(angles: NDArray[np.float64], unit: str | None) -> NDArray[np.float64]:
    """Angles in degrees: of those without a unit an arc of no more than a turn in radians is taken for one of radians."""
    word = (unit or "").strip().lower()
    is_small = angles.size > 1 and bool(np.isfinite(angles).all()) and float(np.ptp(angles)) <= _LARGEST_RADIANS
    return np.degrees(angles) if word.startswith("rad") or (not word and is_small) else angles


def in_millimeters(length: float, unit: str | None) -> float | None:
    """A width of bins in millimeters; without a unit it is in meters. None of what no bin can be."""
    factor = _LENGTHS.get((unit or "").strip().lower())
    width = None if factor is None else factor * length
    return width if width is not None and math.isfinite(width) and _FINEST <= width <= _COARSEST else None
