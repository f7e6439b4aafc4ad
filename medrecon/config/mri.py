"""What a user can ask of an MRI scan: a reconstruction's method, its mask, its slices."""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from medrecon.config.learned import (
    LEARNED_METHODS,
    MoDLMethodSettings,
    PrimalDualMethodSettings,
    UNetMethodSettings,
    VarNetMethodSettings,
)
from medrecon.config.settings import Method, Settings, Size, SliceSettings
from medrecon.device import DeviceName

__all__ = [
    "METHODS",
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
    "TotalVariationSettings",
    "WaveletSettings",
    "WholeLineMaskSettings",
    "ZeroFilledSettings",
]


class MethodName(StrEnum):
    """How an image is made of k-space without training."""

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


class PhantomName(StrEnum):
    """What is simulated."""

    BRAIN = "brain"
    SHEPP_LOGAN = "shepp-logan"


class _Iterative(Method):
    """Fields that are None stand for the method's own defaults."""

    weight: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    iterations: int | None = Field(default=None, ge=1)
    tolerance: float | None = Field(default=None, ge=0, allow_inf_nan=False)


class ZeroFilledSettings(Method):
    """Zero filling."""

    summary = "the adjoint: what was not measured is zero, coils are combined by their maps"
    needs = "calibration lines, where there are several coils"
    kind: Literal[MethodName.ZERO_FILLED] = MethodName.ZERO_FILLED


class RootSumOfSquaresSettings(Method):
    """Root sum of squares."""

    summary = "the root sum of squares of the zero-filled coil images"
    needs = "nothing else"
    kind: Literal[MethodName.RSS] = MethodName.RSS


class SenseSettings(_Iterative):
    """SENSE."""

    summary = "regularized least squares over all coils, by conjugate gradients"
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


METHODS = (
    ZeroFilledSettings,
    RootSumOfSquaresSettings,
    SenseSettings,
    WaveletSettings,
    TotalVariationSettings,
    *LEARNED_METHODS,
)
MethodSettings = Annotated[
    ZeroFilledSettings
    | RootSumOfSquaresSettings
    | SenseSettings
    | WaveletSettings
    | TotalVariationSettings
    | UNetMethodSettings
    | MoDLMethodSettings
    | VarNetMethodSettings
    | PrimalDualMethodSettings,
    Field(discriminator="kind"),
]


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


class ReconstructionSettings(Settings):
    """How k-space becomes images; without a mask the data are taken as they are."""

    method: MethodSettings = WaveletSettings()
    mask: MaskSettings | None = None
    slices: SliceSettings = SliceSettings()
    device: DeviceName = DeviceName.CPU


class SimulationSettings(Settings):
    """A scan of a phantom; `size` is (y, x)."""

    phantom: PhantomName = PhantomName.BRAIN
    size: tuple[Size, Size] = (256, 256)
    slices: int = Field(default=1, ge=1)
    coils: int = Field(default=8, ge=1, le=256)
    snr: float = Field(default=40.0, gt=0)
    seed: int = Field(default=0, ge=0, lt=2**63)
