"""What a user can ask of an MRI scan: its mask, its simulation."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from medrecon.axes import KSpaceAxis, parse_axes
from medrecon.config.settings import Length, Pixels, Settings, Size, at_least
from medrecon.findings import KSpaceFinding
from medrecon.modality import Modality

__all__ = [
    "LineMaskSettings",
    "MRIAcquisition",
    "MRIPhantomName",
    "MRISimulationSettings",
    "MaskName",
    "MaskSettings",
    "PartialFourierName",
    "PoissonMaskSettings",
    "RadialMaskSettings",
    "WholeLineMaskSettings",
]


def _axes(given: object) -> object:
    return parse_axes(given, KSpaceAxis) if isinstance(given, str) else given


Axes = Annotated[tuple[KSpaceAxis, ...] | None, BeforeValidator(_axes)]


class MaskName(StrEnum):
    """Which samples are kept of a full scan."""

    RANDOM = "random"
    EQUISPACED = "equispaced"
    EQUISPACED_FRACTION = "equispaced-fraction"
    MAGIC = "magic"
    MAGIC_FRACTION = "magic-fraction"
    GAUSSIAN = "gaussian"
    POISSON = "poisson"
    RADIAL = "radial"


class PartialFourierName(StrEnum):
    """What stands for the side of k-space that was not acquired: zeros, or what a smooth phase makes of the other side."""

    ZERO = "zero"
    HOMODYNE = "homodyne"
    POCS = "pocs"


class MRIPhantomName(StrEnum):
    """What is simulated."""

    BRAIN = "brain"
    SHEPP_LOGAN = "shepp-logan"


class _Mask(Settings):
    """The seed is made of the file's name, as fastMRI does, where none is given."""

    acceleration: float = Field(default=4.0, ge=1, allow_inf_nan=False)
    seed: int | None = Field(default=None, ge=0, lt=2**32)

    @property
    def true_acceleration(self) -> float:
        """Over the share of the samples that are kept, about."""
        return self.acceleration


class _CenteredMask(_Mask):
    """The fully sampled center, where no fraction is given, is fastMRI's: 8 % at 4x, 4 % at 8x."""

    center_fraction: float | None = Field(default=None, ge=0, le=1)

    @property
    def center(self) -> float:
        """The share of the lines that are kept around the center."""
        return min(0.32 / self.acceleration, 1.0) if self.center_fraction is None else self.center_fraction


class LineMaskSettings(_CenteredMask):
    """Whole lines, of any acceleration."""

    kind: Literal[MaskName.RANDOM, MaskName.EQUISPACED_FRACTION, MaskName.MAGIC_FRACTION, MaskName.GAUSSIAN]


class WholeLineMaskSettings(_CenteredMask):
    """Every so-manieth line, and the center on top: of whole accelerations."""

    kind: Literal[MaskName.EQUISPACED, MaskName.MAGIC]

    @model_validator(mode="after")
    def _require_whole(self) -> Self:
        if self.acceleration != int(self.acceleration):
            got = f"got {self.acceleration:g}; {self.kind}-fraction takes others"
            raise ValueError(f"the mask {self.kind} takes a whole acceleration, {got}")
        return self

    @property
    def true_acceleration(self) -> float:
        return 1 / (self.center + (1 - self.center) / self.acceleration)


class PoissonMaskSettings(_CenteredMask):
    """Points that keep a distance from each other, which grows outwards; the center is a share of each axis."""

    kind: Literal[MaskName.POISSON] = MaskName.POISSON


class RadialMaskSettings(_Mask):
    """Points nearest to spokes, which fill the center by themselves."""

    kind: Literal[MaskName.RADIAL] = MaskName.RADIAL


MaskSettings = Annotated[
    LineMaskSettings | WholeLineMaskSettings | PoissonMaskSettings | RadialMaskSettings, Field(discriminator="kind")
]


Coils = Annotated[
    Annotated[int, Field(ge=1), Tag("coils")] | Annotated[Literal["all"], Tag("all")],
    Discriminator(lambda value: "all" if value == "all" else "coils"),
]


class MRIAcquisition(Settings):
    """How k-space of a file is taken: without a mask the data are as they are, with one a full scan is undersampled.

    `size` is the matrix `(y, x)` of the images that are written, over `field_of_view` `(y, x)` in millimeters; what is None is as
    the scanner's header, or a target in the file, says.
    `coils` is into how many virtual ones coils are compressed, or "all" for none; None leaves it to the method (see
    `medrecon.calibration.VirtualCoils`), which is that many coils are compressed but for networks and root sums of squares.
    `partial_fourier` says what stands for a side of k-space that was not acquired, of scans as they are.
    `axes` says what those of an array are, and `calibration` names a file of k-space from which coil maps are estimated.
    `accept` names problems of the data that are not to stop it, and what is not to be mended.
    `allow_external` lets the file lead to others. `select` names which of several repetitions, contrasts, phases, sets, encodings
    or groups of a raw file is taken, such as `{repetition: "1"}`; else the first, and the last group.
    """

    modality: Literal[Modality.MRI] = Modality.MRI
    mask: MaskSettings | None = None
    coils: Coils | None = None
    partial_fourier: PartialFourierName = PartialFourierName.ZERO
    size: tuple[Pixels, Pixels] | None = None
    field_of_view: tuple[Length, Length] | None = None
    axes: Axes = None
    calibration: Path | None = None
    accept: tuple[KSpaceFinding, ...] = ()
    allow_external: bool = False
    select: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _require_as_acquired(self) -> Self:
        if self.mask is not None and self.partial_fourier is not PartialFourierName.ZERO:
            raise ValueError(
                f"--partial-fourier {self.partial_fourier} takes scans as they were acquired; leave --mask out"
            )
        return self


class MRISimulationSettings(Settings):
    """A scan of a phantom; `size` is (y, x)."""

    modality: Literal[Modality.MRI] = Modality.MRI
    phantom: MRIPhantomName = MRIPhantomName.BRAIN
    size: tuple[Size, Size] = (256, 256)
    slices: int = Field(default=1, ge=1)
    coils: int = Field(default=8, ge=1, le=256)
    snr: Annotated[float, Field(gt=0), at_least(1e-6)] = 40.0
    seed: int = Field(default=0, ge=0, lt=2**63)
