"""What a user can ask for, as frozen values: a reconstruction's method, its mask, its slices.

The fields are options of the command line, and a tolerance; `medrecon.experiment` turns them into objects.
Importing this module imports no torch.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from medrecon.errors import InputError

__all__ = [
    "METHODS",
    "DeviceName",
    "LineMaskSettings",
    "MaskName",
    "MaskSettings",
    "MethodName",
    "MethodSettings",
    "PhantomName",
    "PoissonMaskSettings",
    "RadialMaskSettings",
    "ReconstructionSettings",
    "RootSumOfSquaresSettings",
    "SenseSettings",
    "SimulationSettings",
    "SliceSettings",
    "TotalVariationSettings",
    "WaveletSettings",
    "WholeLineMaskSettings",
    "ZeroFilledSettings",
    "settings_from",
]

T = TypeVar("T", bound=BaseModel)


class MethodName(StrEnum):
    """How an image is made of k-space."""

    ZERO_FILLED = "zero-filled"
    RSS = "rss"
    SENSE = "sense"
    WAVELET = "wavelet"
    TV = "tv"


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


class DeviceName(StrEnum):
    """Where the computing is done."""

    CPU = "cpu"
    CUDA = "cuda"


class PhantomName(StrEnum):
    """What is simulated."""

    BRAIN = "brain"
    SHEPP_LOGAN = "shepp-logan"


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Method(_Settings):
    summary: ClassVar[str]
    needs: ClassVar[str]

    def chosen(self) -> dict[str, Any]:
        """Return the fields that were given; the method's own defaults hold for the others."""
        return self.model_dump(exclude={"kind"}, exclude_none=True)


class _Iterative(_Method):
    """Fields that are None stand for the method's own defaults."""

    weight: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    iterations: int | None = Field(default=None, ge=1)
    tolerance: float | None = Field(default=None, ge=0, allow_inf_nan=False)


class ZeroFilledSettings(_Method):
    """Zero filling."""

    summary = "the adjoint: what was not measured is zero, coils are combined by their maps"
    needs = "calibration lines, where there are several coils"
    kind: Literal[MethodName.ZERO_FILLED] = MethodName.ZERO_FILLED


class RootSumOfSquaresSettings(_Method):
    """Root sum of squares."""

    summary = "the root sum of squares of the zero-filled coil images"
    needs = "nothing else"
    kind: Literal[MethodName.RSS] = MethodName.RSS


class SenseSettings(_Iterative):
    """SENSE."""

    summary = "regularised least squares over all coils, by conjugate gradients"
    needs = "calibration lines, where there are several coils"
    kind: Literal[MethodName.SENSE] = MethodName.SENSE


class WaveletSettings(_Iterative):
    """Wavelet compressed sensing."""

    summary = "compressed sensing: an image of few wavelet coefficients"
    needs = "calibration lines, where there are several coils"
    kind: Literal[MethodName.WAVELET] = MethodName.WAVELET


class TotalVariationSettings(_Iterative):
    """Total variation."""

    summary = "compressed sensing: an image of few edges (total variation)"
    needs = "calibration lines, where there are several coils"
    kind: Literal[MethodName.TV] = MethodName.TV


METHODS = (ZeroFilledSettings, RootSumOfSquaresSettings, SenseSettings, WaveletSettings, TotalVariationSettings)
MethodSettings = Annotated[
    ZeroFilledSettings | RootSumOfSquaresSettings | SenseSettings | WaveletSettings | TotalVariationSettings,
    Field(discriminator="kind"),
]


class _Mask(_Settings):
    """The seed is made of the file's name, as fastMRI does, where none is given."""

    acceleration: float = Field(default=4.0, ge=1, allow_inf_nan=False)
    seed: int | None = Field(default=None, ge=0, lt=2**32)


class _CentredMask(_Mask):
    """The fully sampled centre, where no fraction is given, is fastMRI's: 8 % at 4x, 4 % at 8x."""

    center_fraction: float | None = Field(default=None, ge=0, le=1)

    @property
    def center(self) -> float:
        """The share of the lines that are kept around the centre."""
        return min(0.32 / self.acceleration, 1.0) if self.center_fraction is None else self.center_fraction


class LineMaskSettings(_CentredMask):
    """Whole lines, of any acceleration."""

    kind: Literal[MaskName.RANDOM, MaskName.EQUISPACED_FRACTION, MaskName.MAGIC_FRACTION, MaskName.GAUSSIAN]


class WholeLineMaskSettings(_CentredMask):
    """Every so-manieth line, and the centre on top: of whole accelerations."""

    kind: Literal[MaskName.EQUISPACED, MaskName.MAGIC]

    @model_validator(mode="after")
    def _require_whole(self) -> Self:
        if self.acceleration != int(self.acceleration):
            got = f"got {self.acceleration:g}; {self.kind}-fraction takes others"
            raise ValueError(f"the mask {self.kind} takes a whole acceleration, {got}")
        return self


class PoissonMaskSettings(_CentredMask):
    """Points that keep a distance from each other, which grows outwards; the centre is a share of each axis."""

    kind: Literal[MaskName.POISSON] = MaskName.POISSON


class RadialMaskSettings(_Mask):
    """Points nearest to spokes, which fill the centre by themselves."""

    kind: Literal[MaskName.RADIAL] = MaskName.RADIAL


MaskSettings = Annotated[
    LineMaskSettings | WholeLineMaskSettings | PoissonMaskSettings | RadialMaskSettings, Field(discriminator="kind")
]


class SliceSettings(_Settings):
    """The slices `start <= i < stop` of a file, counted from 0; None stands for its first or its end."""

    start: int | None = Field(default=None, ge=0)
    stop: int | None = Field(default=None, ge=0)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `a:b`, `a:`, `:b` or a single `a`.

        Raises
        ------
        InputError
            If the text is none of these.
        """
        match = re.fullmatch(r"\s*(\d*)\s*(:?)\s*(\d*)\s*", text, re.ASCII)
        if match is None or not (match[1] or match[2]):
            raise InputError(f"--slices takes a:b, a:, :b or a single a, counted from 0; got '{text}'")
        start = int(match[1]) if match[1] else None
        if not match[2]:
            return cls(start=start, stop=int(match[1]) + 1)
        return cls(start=start, stop=int(match[3]) if match[3] else None)

    def of(self, count: int, name: str) -> range:
        """Return the indices among `count` slices.

        Raises
        ------
        InputError
            If they are not all there, or there are none.
        """
        start = 0 if self.start is None else self.start
        stop = count if self.stop is None else self.stop
        if not 0 <= start < stop <= count:
            there = "one slice, 0" if count == 1 else f"{count} slices, 0 to {count - 1}"
            raise InputError(f"{name}: has {there}; --slices asks for {start}:{stop} (the end is not included)")
        return range(start, stop)


class ReconstructionSettings(_Settings):
    """How k-space becomes images; without a mask the data are taken as they are."""

    method: MethodSettings = WaveletSettings()
    mask: MaskSettings | None = None
    slices: SliceSettings = SliceSettings()
    device: DeviceName = DeviceName.CPU


class SimulationSettings(_Settings):
    """A scan of a phantom; `size` is (y, x)."""

    phantom: PhantomName = PhantomName.BRAIN
    size: tuple[Annotated[int, Field(ge=8, le=4096)], Annotated[int, Field(ge=8, le=4096)]] = (256, 256)
    slices: int = Field(default=1, ge=1)
    coils: int = Field(default=8, ge=1, le=256)
    snr: float = Field(default=40.0, gt=0)
    seed: int = Field(default=0, ge=0, lt=2**63)


def settings_from(kind: type[T], fields: Mapping[str, object]) -> T:
    """Make settings of plain values.

    Raises
    ------
    InputError
        If a value is out of its range; the text names the option.
    """
    try:
        return kind.model_validate(dict(fields))
    except ValidationError as error:
        first = error.errors()[0]
        message = first["msg"].removeprefix("Value error, ")
        name = next((part for part in reversed(first["loc"]) if isinstance(part, str)), "")
        if first["type"] == "value_error" or not name:
            raise InputError(message) from error
        option = f"--{name.replace('_', '-')}"
        if first["type"] == "extra_forbidden":
            where = " ".join(str(part) for part in first["loc"][:-1])  # such as "method rss"
            raise InputError(f"{option}: the {where} has no {name.replace('_', ' ')}") from error
        raise InputError(f"{option} {message.removeprefix('Input ')}, got {first['input']}") from error
