"""The geometry of a CT scan as a YAML text, so that a sinogram of any origin can be told how it was measured.

```yaml
beam: fan                # or parallel
angles: {first: 0, step: 0.5, count: 720, unit: degrees}  # or {values: [...], unit: degrees}, or a list in radians
n_bins: 560
spacing: 0.2             # of the bins; every length is in millimeters
offset: 0                # of the detector along itself; 0 unless given
source_distance: 410.66  # from the center of rotation, as is detector_distance; of fan beams alone
detector_distance: 143.08
curved: false            # the detector; false unless given
grid: {shape: [512, 512], spacing: 0.15}  # of the image; all that the rays see unless given; center: [y, x] off the axis
photons: 10000           # per ray before the object, where they are known
```
"""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, FailFast, Field, ValidationError

from medrecon.data.sizes import require_image, require_rays
from medrecon.documents import as_code, parse_yaml, read_text
from medrecon.errors import InputError
from medrecon.geometry import Arc, FanBeam, Geometry, Grid, ParallelBeam, require_outside

__all__ = ["KEYS", "CTScan", "default_grid", "geometry_text", "parse_geometry", "read_geometry"]

T = TypeVar("T", bound=BaseModel)

_MOST_PIXELS = 2048  # along an axis of a grid that nobody asked for

Number = Annotated[float, Field(allow_inf_nan=False)]


@dataclass(frozen=True)
class CTScan:
    """How sinograms were measured.

    Parameters
    ----------
    geometry : ParallelBeam or FanBeam
        The rays.
    grid : Grid
        The pixels of the image asked for.
    photons : float or None
        Photons per ray before the object, where they are known.

    Raises
    ------
    ValueError
        If the source lies inside the image.
    """

    geometry: Geometry
    grid: Grid
    photons: float | None = None

    def __post_init__(self) -> None:
        require_outside(self.geometry, self.grid)


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Arc(_Model):
    first: Number
    step: Number
    count: Annotated[int, Field(ge=1)]
    unit: Literal["radians", "degrees"] = "radians"


class _Angles(_Model):
    values: Annotated[tuple[Number, ...], FailFast()]
    unit: Literal["radians", "degrees"] = "radians"


class _Grid(_Model):
    shape: int | tuple[int, int]
    spacing: Number | tuple[Number, Number]
    center: tuple[Number, Number] = (0.0, 0.0)


class _Parallel(_Model):
    beam: Literal["parallel"]
    angles: object
    n_bins: int
    spacing: Number
    offset: Number = 0.0
    grid: _Grid | None = None
    photons: Annotated[float, Field(gt=0, le=1e18, allow_inf_nan=False)] | None = None


class _Fan(_Parallel):
    beam: Literal["fan"]  # type: ignore[assignment]
    source_distance: Number
    detector_distance: Number
    curved: bool = False


#: What a geometry file may say.
KEYS = tuple(_Fan.model_fields)


def read_geometry(path: str | os.PathLike[str], stated: Mapping[str, object] | None = None) -> CTScan:
    """Read a geometry file (YAML); of keys that it leaves out, those are taken that the measurements state themselves.

    Raises
    ------
    InputError
        If it cannot be read; the text names the file, the key and what is allowed.
    """
    wanted = f"a YAML file with the keys {', '.join(KEYS)}"
    text = read_text(path, wanted)
    values = parse_yaml(text, str(path)) if stated else None
    return parse_geometry({**stated, **values} if stated and isinstance(values, Mapping) else text, str(path))


def parse_geometry(text: str | Mapping[str, object], place: str) -> CTScan:
    """Make the scan of a YAML text, or of its keys and values; `place` stands before what is wrong with it.

    Raises
    ------
    InputError
        If a key is unknown or missing, or a value cannot be.
    """
    values: object = parse_yaml(text, place) if isinstance(text, str) else text
    if not isinstance(values, Mapping):
        raise InputError(f"{place}: a geometry is a mapping with the keys {', '.join(KEYS)}; got {as_code(values)}")
    beam = values.get("beam")
    if beam not in ("parallel", "fan"):
        got = f"got {as_code(beam)}" if "beam" in values else "there is none"
        raise InputError(f"{place}: `beam` is parallel or fan; {got}")
    made = _checked(_Parallel if beam == "parallel" else _Fan, values, place, "")
    angles = _angles(made.angles, made.n_bins, place)
    try:
        geometry = _geometry(made, angles)
        grid = default_grid(geometry) if made.grid is None else _grid(made.grid)
        require_image(grid.shape, place)
        return CTScan(geometry, grid, made.photons)
    except InputError:
        raise
    except ValueError as error:
        hint = ", or write {values: [...], unit: degrees}" if "looks like degrees" in str(error) else ""
        raise InputError(f"{place}: {error}{hint}") from error


def geometry_text(scan: CTScan) -> str:
    """Write a scan as the YAML text that `parse_geometry` reads."""
    geometry, grid = scan.geometry, scan.grid
    angles: object = [float(angle) for angle in geometry.angles]
    if isinstance(geometry.angles, Arc):
        angles = {"first": geometry.angles.first, "step": geometry.angles.step, "count": geometry.angles.count}
    values: dict[str, object] = {
        "beam": "parallel" if isinstance(geometry, ParallelBeam) else "fan",
        "angles": angles,
        "n_bins": geometry.n_bins,
        "spacing": float(geometry.spacing),
        "offset": float(geometry.offset),
    }
    if isinstance(geometry, FanBeam):
        values["source_distance"] = float(geometry.source_distance)
        values["detector_distance"] = float(geometry.detector_distance)
        values["curved"] = geometry.curved
    center = {"center": list(grid.center)} if any(grid.center) else {}
    values["grid"] = {"shape": list(grid.shape), "spacing": list(grid.spacing), **center}
    if scan.photons is not None:
        values["photons"] = float(scan.photons)
    return str(yaml.safe_dump(values, sort_keys=False, default_flow_style=None))


def default_grid(geometry: Geometry) -> Grid:
    """The grid over the square around all rays, its pixels as fine as the bins are at the center; 2048 a side at most."""
    pixel = geometry.spacing
    if isinstance(geometry, FanBeam):
        pixel *= geometry.source_distance / geometry.source_to_detector
    side = 2 * float(abs(geometry.rays().bins[:, 2]).max()) + pixel
    if isinstance(geometry, FanBeam):
        side = min(side, 1.4 * geometry.source_distance)  # its corners within the circle of the source
        pixel = min(pixel, side)
    count = max(1, round(side / pixel))
    if count > _MOST_PIXELS:
        count, pixel = _MOST_PIXELS, side / _MOST_PIXELS
    return Grid((count, count), pixel)


def _geometry(made: _Parallel, angles: Arc | tuple[float, ...]) -> Geometry:
    if isinstance(made, _Fan):
        distances = made.source_distance, made.detector_distance
        return FanBeam(angles, made.n_bins, made.spacing, *distances, made.curved, made.offset)
    return ParallelBeam(angles, made.n_bins, made.spacing, made.offset)


def _grid(made: _Grid) -> Grid:
    return Grid((made.shape, made.shape) if isinstance(made.shape, int) else made.shape, made.spacing, made.center)


def _angles(values: object, n_bins: int, place: str) -> Arc | tuple[float, ...]:
    if isinstance(values, list | tuple):
        values = {"values": values}
    if not isinstance(values, Mapping):
        takes = "a list in radians, {first, step, count, unit} or {values, unit}"
        raise InputError(f"{place}: `angles` is {takes}, unit radians or degrees; got {as_code(values)}")
    if "values" in values:
        numbers = _checked(_Angles, values, place, "angles")
        require_rays(len(numbers.values), n_bins, place)
        scale = math.pi / 180 if numbers.unit == "degrees" else 1.0
        return tuple(scale * angle for angle in _within_turns(numbers.values, values, numbers.unit))
    arc = _checked(_Arc, values, place, "angles")
    require_rays(arc.count, n_bins, place)
    scale = math.pi / 180 if arc.unit == "degrees" else 1.0
    every = Arc(arc.first, arc.step, arc.count)
    if (kept := _within_turns(every, values, arc.unit)) is not every:
        return tuple(scale * angle for angle in kept)
    if arc.unit == "degrees":
        return Arc(math.radians(arc.first), math.radians(arc.step), arc.count)
    return every


def _within_turns(angles: Arc | tuple[float, ...], said: Mapping[str, object], unit: str) -> Arc | tuple[float, ...]:
    """The same directions within a turn, where angles of a unit that is stated are counted on beyond two; else the angles."""
    turn = 360.0 if unit == "degrees" else 2 * math.pi
    if "unit" not in said or all(abs(angle) <= 2 * turn for angle in angles):
        return angles
    return tuple(math.fmod(angle, turn) for angle in angles)


def _checked(kind: type[T], values: Mapping[str, object], place: str, parent: str) -> T:
    try:
        return kind.model_validate({str(key): value for key, value in values.items()})
    except ValidationError as error:
        first = error.errors()[0]
    keys = [part for part in first["loc"] if isinstance(part, str) and part.isidentifier() and part not in _TYPES]
    name = ".".join([parent, *keys] if parent else keys)
    model = _Grid if keys[:1] == ["grid"] else kind
    if first["type"] == "extra_forbidden":
        raise InputError(f"{place}: unknown key `{name}`; there are {', '.join(model.model_fields)}")
    if first["type"] == "missing":
        raise InputError(f"{place}: the key `{name}` is missing; needed are {', '.join(_needed(model))}")
    words = first["msg"].removeprefix("Input ").removeprefix("Value error, ")
    raise InputError(f"{place}: `{name}` {words}, got {as_code(first['input'])}")


_TYPES = ("int", "float", "tuple")  # what pydantic writes into the place of a fault, beside keys


def _needed(kind: type[BaseModel]) -> list[str]:
    return [name for name, field in kind.model_fields.items() if field.is_required()]
