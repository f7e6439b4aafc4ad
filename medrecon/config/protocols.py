"""Everything that clinics vary of a scan, as ranges of which each scan draws: one settings object a modality.

Training, benchmark and tests draw by `medrecon.drawn_scans` from these.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from medrecon.config.ct import Photons
from medrecon.config.mri import MaskName
from medrecon.config.settings import Settings, at_least

__all__ = ["CTProtocols", "MRIProtocols"]


def _ordered(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError(f"takes the least and the largest, got {bounds[0]:g} and {bounds[1]:g}")
    return bounds


_Share = Annotated[float, Field(ge=0, le=1)]
_Number = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False), at_least(1e-6)]
_Range = Annotated[tuple[_Number, _Number], AfterValidator(_ordered)]
_Coil = Annotated[int, Field(ge=1, le=256)]
_Pixel = Annotated[int, Field(ge=32, le=1024)]
_Line = Annotated[int, Field(ge=4, le=256)]
_View = Annotated[int, Field(ge=1, le=100_000)]
_Degrees = Annotated[float, Field(ge=10, le=360)]


class MRIProtocols(Settings):
    """How heads are scanned; of each range the logarithm is drawn evenly.

    Parameters
    ----------
    coils, snr, acceleration, calibration, matrix
        coils; the mean of the head over the noise of a coil's real part; the samples of a full scan over those that are kept; lines
        of the fully sampled center; lines and rows of k-space.
    masks
        kinds of mask.
    noise_spread
        the standard deviation of the logarithm of the coils' noise.
    wrapped, field
        share of the scans whose field is narrower than the head, and its width over that of the head.
    shift
        by which the head is off the center, at most, over its field.
    partial, partial_share
        the least part of the lines that a scan of partial Fourier measures, and the share of such scans.
    """

    coils: Annotated[tuple[_Coil, _Coil], AfterValidator(_ordered)] = (1, 32)
    snr: _Range = (10.0, 100.0)
    acceleration: _Range = (2.0, 12.0)
    calibration: Annotated[tuple[_Line, _Line], AfterValidator(_ordered)] = (8, 32)
    matrix: Annotated[tuple[_Pixel, _Pixel], AfterValidator(_ordered)] = (160, 512)
    masks: tuple[MaskName, ...] = Field(
        default=(
            MaskName.EQUISPACED_FRACTION,
            MaskName.RANDOM,
            MaskName.MAGIC_FRACTION,
            MaskName.GAUSSIAN,
            MaskName.POISSON,
            MaskName.RADIAL,
        ),
        min_length=1,
    )
    noise_spread: float = Field(default=0.3, ge=0, le=3)
    wrapped: _Share = 0.15
    field: _Range = (0.7, 1.0)
    shift: float = Field(default=0.08, ge=0, le=0.5)
    partial: float = Field(default=0.6, ge=0.5, le=1)
    partial_share: _Share = 0.1

    @model_validator(mode="after")
    def _accelerates(self) -> Self:
        if self.acceleration[0] < 1:
            raise ValueError(f"acceleration: takes at least 1, got {self.acceleration[0]:g}")
        return self


class CTProtocols(Settings):
    """How slices are projected; of `views` and `photons` the logarithm is drawn evenly, of the others the value.

    Parameters
    ----------
    views, photons
        over the arc, and of each ray before the object.
    arc
        in degrees, of the scans that are not over half a turn; a fan's is at least half a turn and its opening.
    limited
        share of the scans over an arc that is drawn; the others take half a turn, or of a fan a whole one.
    golden, uneven
        shares of the scans by the golden angle, and by steps that differ.
    fan
        share of the scans by a fan; half of these have a curved detector.
    field
        width of the image in millimeters.
    matrix
        pixels along an axis of the image.
    spacing
        of the bins at the axis of rotation, in millimeters.
    offset
        of the detector at most, in bins, and `shifted` the share of such scans.
    """

    views: Annotated[tuple[_View, _View], AfterValidator(_ordered)] = (30, 1200)
    photons: Annotated[tuple[Photons, Photons], AfterValidator(_ordered)] = (300.0, 1e6)
    arc: Annotated[tuple[_Degrees, _Degrees], AfterValidator(_ordered)] = (90.0, 360.0)
    limited: _Share = 0.25
    golden: _Share = 0.1
    uneven: _Share = 0.1
    fan: _Share = 0.35
    field: _Range = (200.0, 500.0)
    matrix: Annotated[tuple[_Pixel, _Pixel], AfterValidator(_ordered)] = (192, 384)
    spacing: _Range = (0.5, 2.0)
    offset: float = Field(default=8.0, ge=0, le=1000)
    shifted: _Share = 0.2
