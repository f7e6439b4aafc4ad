"""What a user can ask of a CT scan: its grid, its views and its dose, its simulation."""

import math
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from medrecon.axes import SinogramAxis, parse_axes
from medrecon.config.settings import Length, Pixels, Settings, Size, at_least
from medrecon.findings import SinogramFinding
from medrecon.modality import Modality
from medrecon.words import shortened

__all__ = ["CTAcquisition", "CTPhantomName", "CTSimulationSettings", "Photons", "Seed"]

Photons = Annotated[float, Field(gt=0, le=1e18, allow_inf_nan=False), at_least(1e-3)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]

_FARTHEST = 1e9  # millimeters
_MOST_COUNTS = 1e18


def _offset(given: object) -> object:
    """Millimeters, as a number or its text, "auto", or None: each as it is, whatever else refused in words."""
    try:
        if (
            given is None
            or given == "auto"
            or (isinstance(given, str | float | int) and abs(float(given)) <= _FARTHEST)
        ):
            return given
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"--offset takes millimeters, such as 2.5, or auto, which measures it; got {shortened(given)}")


def _counts_or_path(given: object) -> object:
    """Counts, as a number or its text, the name of a file, or None; of a number that no detector counts that is said."""
    if given is None or isinstance(given, Path):
        return given
    try:
        counts = float(given) if isinstance(given, str | float | int) else math.nan
    except (ValueError, OverflowError):
        return Path(given) if isinstance(given, str) else given
    if isinstance(given, bool) or not 0 <= counts <= _MOST_COUNTS:
        raise ValueError(f"takes a file, or counts from 0 to {_MOST_COUNTS:g}; got {shortened(given)}")
    return counts


def _axes(given: object) -> object:
    return parse_axes(given, SinogramAxis) if isinstance(given, str) else given


Counts = Annotated[float | Path | None, BeforeValidator(_counts_or_path)]
Axes = Annotated[tuple[SinogramAxis, ...] | None, BeforeValidator(_axes)]
Offset = Annotated[float | Literal["auto"] | None, BeforeValidator(_offset)]


class CTPhantomName(StrEnum):
    """What is simulated."""

    SHEPP_LOGAN = "shepp-logan"
    ABDOMEN = "abdomen"


class CTAcquisition(Settings):
    """How sinograms of a file are taken; what is None is as the file says.

    `views` keeps so many evenly spaced ones, `photons` adds the noise of so many a ray, seeded by `seed` or by the file's name.
    `size` (y, x) and `pixel` millimeters make the grid of the image. `hu` gives images in Hounsfield units.
    `flat` and `dark`, files or counts, normalize what a detector counted. `axes` says what the axes of an array are.
    `offset` of the detector, millimeters, stands in place of the file's; "auto" measures it.
    `repair` fills bins that say nothing, and corrects those that read too much or too little in all views.
    `accept` names problems that are found in the data and are not to stop it. `allow_external` lets the file lead to others.
    """

    modality: Literal[Modality.CT] = Modality.CT
    geometry: Path | None = None
    flat: Counts = None
    dark: Counts = None
    axes: Axes = None
    views: int | None = Field(default=None, ge=1)
    photons: Photons | None = None
    seed: Seed | None = None
    size: tuple[Pixels, Pixels] | None = None
    pixel: Length | None = None
    hu: bool = False
    offset: Offset = None
    repair: bool = False
    accept: tuple[SinogramFinding, ...] = ()
    allow_external: bool = False


class CTSimulationSettings(Settings):
    """A scan of a phantom, or of images where `volume` names them; `size` is (y, x) pixels of `pixel` millimeters.

    `series` is the SeriesInstanceUID in a folder of DICOM that holds several. `geometry` names a file; without one the rays are
    parallel, `views` over half a turn, and `bins` cover the image. Without `photons` there is no noise.
    """

    modality: Literal[Modality.CT] = Modality.CT
    phantom: CTPhantomName = CTPhantomName.ABDOMEN
    volume: Path | None = None
    series: str | None = None
    size: tuple[Size, Size] | None = None
    pixel: Length | None = None
    views: int | None = Field(default=None, ge=1, le=100_000)
    bins: int | None = Field(default=None, ge=1, le=100_000)
    geometry: Path | None = None
    photons: Photons | None = None
    slices: int | None = Field(default=None, ge=1)
    seed: Seed = 0
