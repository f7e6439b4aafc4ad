"""What a network is trained on, as `configs/*.yaml` say it: samples, how they are measured, and their scale."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, Field

from medrecon.config.ct import Photons
from medrecon.config.mri import MaskSettings
from medrecon.config.protocols import CTProtocols, MRIProtocols
from medrecon.config.settings import Settings, Size, at_least
from medrecon.findings import KSpaceFinding

__all__ = [
    "AdjointMaximumSettings",
    "AugmentationSettings",
    "BandStage",
    "BrainSmallData",
    "ConstantSettings",
    "DataSettings",
    "DenoisingData",
    "DoseStage",
    "DrawnCTData",
    "DrawnMRIData",
    "FastMRIData",
    "ImageSetSettings",
    "LoDoPaBData",
    "LoDoPaBUnitSettings",
    "MRIData",
    "MaskStage",
    "NormalizationSettings",
    "PhantomCTData",
    "PhantomMRIData",
    "RemeasureSettings",
]

_Count = Annotated[int, Field(ge=1)]
_SignalToNoise = Annotated[float, Field(gt=0, allow_inf_nan=False), at_least(1e-6)]


class ConstantSettings(Settings):
    """All samples are multiplied by one factor; 1 leaves them as they are."""

    kind: Literal["constant"]
    factor: float = Field(default=1.0, gt=0, allow_inf_nan=False)


class AdjointMaximumSettings(Settings):
    """The brightest pixel of the zero-filled image becomes `level`."""

    kind: Literal["adjoint-maximum"]
    level: float = Field(default=1.0, gt=0, allow_inf_nan=False)


class LoDoPaBUnitSettings(Settings):
    """Attenuation over LoDoPaB-CT's largest, so that images are 0 to 1."""

    kind: Literal["lodopab-unit"]


NormalizationSettings = Annotated[
    ConstantSettings | AdjointMaximumSettings | LoDoPaBUnitSettings, Field(discriminator="kind")
]


class AugmentationSettings(Settings):
    """What is done to images before they are measured."""

    flips: bool = False
    turns: bool = False
    shift: int = Field(default=0, ge=0)
    zoom: float = Field(default=1.0, ge=1, le=4, allow_inf_nan=False)
    tilt: float = Field(default=0.0, ge=0, le=180, allow_inf_nan=False)


class RemeasureSettings(Settings):
    """Images of LoDoPaB-CT that are changed, blurred by up to `blur` pixels (a standard deviation), and measured anew."""

    augmentation: AugmentationSettings = AugmentationSettings()
    blur: float = Field(default=0.0, ge=0, le=10, allow_inf_nan=False)


class MaskStage(Settings):
    """The masks of the epochs below `until`."""

    until: int = Field(ge=1)
    masks: tuple[MaskSettings, ...] = Field(min_length=1)


class BandStage(Settings):
    """In the epochs below `until` slices are cut to a band of so many rows of the readout."""

    until: int = Field(ge=1)
    rows: int = Field(ge=16)


class DoseStage(Settings):
    """Views and photons of the epochs below `until`."""

    until: int = Field(ge=1)
    views: int | None = Field(default=None, ge=1)
    photons: Photons | None = None


_Stage = TypeVar("_Stage", MaskStage, BandStage, DoseStage)


def _growing(stages: tuple[_Stage, ...]) -> tuple[_Stage, ...]:
    ends = [stage.until for stage in stages]
    if any(later <= sooner for sooner, later in pairwise(ends)):
        raise ValueError(f"takes stages in order, each `until` above the one before; got {', '.join(map(str, ends))}")
    return stages


class MRIData(Settings):
    """What all MRI data have: which operator is posed, and masks, of which each sample draws one."""

    operator: Literal["sense", "coils"] = "sense"
    masks: tuple[MaskSettings, ...] = Field(min_length=1)
    curriculum: Annotated[tuple[MaskStage, ...], AfterValidator(_growing)] = ()
    bands: Annotated[tuple[BandStage, ...], AfterValidator(_growing)] = ()
    normalization: NormalizationSettings = AdjointMaximumSettings(kind="adjoint-maximum")


class FastMRIData(MRIData):
    """Files of fastMRI in two folders below `folder`, or below that of the data set.

    `accept` names problems of the data that are not to stop it, and what is not to be mended.
    `allow_external` lets the files lead to others.
    """

    kind: Literal["fastmri"]
    dataset: Literal["fastmri-knee", "fastmri-brain"]
    folder: Path | None = None
    train: str = "multicoil_train"
    validation: str = "multicoil_val"
    accept: tuple[KSpaceFinding, ...] = ()
    allow_external: bool = False


class BrainSmallData(MRIData):
    """The set `brain-small`, in `folder` or where medrecon puts it: images scanned anew in each epoch, validation once.

    `contrast` is the share of images whose intensities pass a random curve; `repeats` says how often images of a contrast, such as
    T2, are seen in an epoch.
    """

    kind: Literal["brain-small"]
    folder: Path | None = None
    augmentation: AugmentationSettings = AugmentationSettings()
    contrast: float = Field(default=0.0, ge=0, le=1, allow_inf_nan=False)
    repeats: dict[str, _Count] = Field(default_factory=dict)


class PhantomMRIData(MRIData):
    """So many random phantoms, measured anew in each epoch."""

    kind: Literal["phantom-mri"]
    train: _Count = 64
    validation: _Count = 16
    size: tuple[Size, Size] = (64, 64)
    coils: int = Field(default=4, ge=1, le=256)
    snr: _SignalToNoise | None = 40.0
    augmentation: AugmentationSettings = AugmentationSettings()


class _CTData(Settings):
    views: int | None = Field(default=None, ge=1)
    photons: Photons | None = None
    curriculum: Annotated[tuple[DoseStage, ...], AfterValidator(_growing)] = ()
    flips: bool = False
    normalization: NormalizationSettings = LoDoPaBUnitSettings(kind="lodopab-unit")


class LoDoPaBData(_CTData):
    """Files of LoDoPaB-CT in `folder`, or in that of the data set; `views` and `photons` thin them further.

    With `remeasure` each epoch has other scans of the images, in place of the files' sinograms; validation has those.
    `allow_external` lets the files lead to others.
    """

    kind: Literal["lodopab"]
    dataset: Literal["lodopab", "lodopab-small"]
    folder: Path | None = None
    train: str = "train"
    validation: str = "validation"
    remeasure: RemeasureSettings | None = None
    allow_external: bool = False


class PhantomCTData(_CTData):
    """So many random phantoms, measured by `all_views` parallel views in closed form."""

    kind: Literal["phantom-ct"]
    train: _Count = 64
    validation: _Count = 16
    size: Size = 64
    all_views: _Count = 60


class ImageSetSettings(Settings):
    """A data set whose images are taken, in `folder` or where medrecon puts it; `repeats` times in an epoch."""

    name: Literal["brain-small", "heads-open", "lodopab-small", "ct-open"]
    folder: Path | None = None
    repeats: _Count = 1


def _rising(levels: tuple[float, float]) -> tuple[float, float]:
    if levels[0] >= levels[1]:
        raise ValueError(f"takes the least level and the largest, got {levels[0]:g} and {levels[1]:g}")
    return levels


_Level = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False), at_least(1e-6)]


class DenoisingData(Settings):
    """Images of `sets` with white noise: crops of `size` pixels anew in each epoch, and at most `validation` of each set.

    `levels` are the least and the largest standard deviation of the noise, over the intensity of the image. `contrast` is the share
    of heads whose intensities pass a random curve.
    """

    kind: Literal["denoising"]
    sets: tuple[ImageSetSettings, ...] = Field(min_length=1)
    size: Annotated[int, Field(ge=16, le=1024)] = 128
    levels: Annotated[tuple[_Level, _Level], AfterValidator(_rising)] = (0.004, 0.6)
    validation: _Count = 48
    augmentation: AugmentationSettings = AugmentationSettings()
    contrast: float = Field(default=0.0, ge=0, le=1, allow_inf_nan=False)
    normalization: ConstantSettings = ConstantSettings(kind="constant")


class _DrawnData(Settings):
    sets: tuple[ImageSetSettings, ...] = Field(min_length=1)
    validation: _Count = 32
    augmentation: AugmentationSettings = AugmentationSettings()


class DrawnMRIData(_DrawnData):
    """Heads of `sets`, scanned in each epoch by a protocol that is drawn, and at most `validation` of each set once.

    `contrast` is the share of images whose intensities pass a random curve.
    """

    kind: Literal["drawn-mri"]
    operator: Literal["sense"] = "sense"
    protocols: MRIProtocols = MRIProtocols()
    contrast: float = Field(default=0.0, ge=0, le=1, allow_inf_nan=False)
    normalization: NormalizationSettings = AdjointMaximumSettings(kind="adjoint-maximum")


class DrawnCTData(_DrawnData):
    """Slices of `sets`, projected in each epoch by a protocol that is drawn, and at most `validation` of each set once."""

    kind: Literal["drawn-ct"]
    protocols: CTProtocols = CTProtocols()
    normalization: NormalizationSettings = LoDoPaBUnitSettings(kind="lodopab-unit")


DataSettings = Annotated[
    FastMRIData
    | BrainSmallData
    | PhantomMRIData
    | LoDoPaBData
    | PhantomCTData
    | DenoisingData
    | DrawnMRIData
    | DrawnCTData,
    Field(discriminator="kind"),
]
