"""What a user can ask of a CT scan: a reconstruction's method, its grid, its views and its dose."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

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
    "CT_METHODS",
    "CTMethodName",
    "CTMethodSettings",
    "CTPhantomName",
    "CTReconstructionSettings",
    "CTSimulationSettings",
    "CTTotalVariationSettings",
    "FbpSettings",
    "FilterName",
    "PoissonTotalVariationSettings",
    "SirtSettings",
    "TikhonovSettings",
]

Pixels = Annotated[int, Field(ge=1, le=16384)]
Length = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Photons = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]


class CTMethodName(StrEnum):
    """How an image is made of a sinogram without training."""

    FBP = "fbp"
    SIRT = "sirt"
    CGLS = "cgls"
    TV = "tv"
    TV_POISSON = "tv-poisson"


class FilterName(StrEnum):
    """The window on the ramp filter."""

    RAMP = "ramp"
    SHEPP_LOGAN = "shepp-logan"
    COSINE = "cosine"
    HAMMING = "hamming"
    HANN = "hann"


class CTPhantomName(StrEnum):
    """What is simulated."""

    SHEPP_LOGAN = "shepp-logan"
    ABDOMEN = "abdomen"


class FbpSettings(Method):
    """Filtered backprojection."""

    summary = "filtered backprojection: exact for many views without noise, and quick"
    needs = "views over half a turn, and over its opening more for a fan"
    kind: Literal[CTMethodName.FBP] = CTMethodName.FBP
    window: FilterName | None = None
    frequency_scaling: float | None = Field(default=None, gt=0, le=1)


class SirtSettings(Method):
    """The simultaneous iterative reconstruction technique."""

    summary = "least squares by simultaneous corrections; stopping early regularizes"
    needs = "nothing else"
    kind: Literal[CTMethodName.SIRT] = CTMethodName.SIRT
    iterations: int | None = Field(default=None, ge=1)


class TikhonovSettings(Method):
    """Conjugate gradients on the normal equations."""

    summary = "regularized least squares (Tikhonov) by conjugate gradients"
    needs = "nothing else"
    kind: Literal[CTMethodName.CGLS] = CTMethodName.CGLS
    weight: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    iterations: int | None = Field(default=None, ge=1)


class _Sparse(Method):
    weight: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    iterations: int | None = Field(default=None, ge=1)


class CTTotalVariationSettings(_Sparse):
    """Non-negative total variation."""

    summary = "an image of few edges (total variation), nowhere below zero: for few views"
    needs = "nothing else"
    kind: Literal[CTMethodName.TV] = CTMethodName.TV


class PoissonTotalVariationSettings(_Sparse):
    """Total variation with the statistics of photons."""

    summary = "total variation that trusts each ray by its photons: for a low dose"
    needs = "nothing else; photons per ray help, where the file or --photons says them"
    kind: Literal[CTMethodName.TV_POISSON] = CTMethodName.TV_POISSON


CT_METHODS = (
    FbpSettings,
    SirtSettings,
    TikhonovSettings,
    CTTotalVariationSettings,
    PoissonTotalVariationSettings,
    *LEARNED_METHODS,
)
CTMethodSettings = Annotated[
    FbpSettings
    | SirtSettings
    | TikhonovSettings
    | CTTotalVariationSettings
    | PoissonTotalVariationSettings
    | UNetMethodSettings
    | MoDLMethodSettings
    | VarNetMethodSettings
    | PrimalDualMethodSettings,
    Field(discriminator="kind"),
]


class CTReconstructionSettings(Settings):
    """How sinograms become images; what is None is taken from the file.

    `views` keeps so many evenly spaced ones, `photons` adds the noise of so many a ray, seeded by `seed` or by the file's name.
    `size` (y, x) and `pixel` millimeters make the grid of the image. `hu` gives images in Hounsfield units.
    """

    method: CTMethodSettings = FbpSettings()
    geometry: Path | None = None
    views: int | None = Field(default=None, ge=1)
    photons: Photons | None = None
    seed: Seed | None = None
    size: tuple[Pixels, Pixels] | None = None
    pixel: Length | None = None
    hu: bool = False
    slices: SliceSettings = SliceSettings()
    device: DeviceName = DeviceName.CPU


class CTSimulationSettings(Settings):
    """A scan of a phantom, or of images where `volume` names them; `size` is (y, x) pixels of `pixel` millimeters.

    `geometry` names a file; without one the rays are parallel, `views` over half a turn, and `bins` cover the image. Without
    `photons` there is no noise.
    """

    phantom: CTPhantomName = CTPhantomName.ABDOMEN
    volume: Path | None = None
    size: tuple[Size, Size] | None = None
    pixel: Length | None = None
    views: int | None = Field(default=None, ge=1, le=100_000)
    bins: int | None = Field(default=None, ge=1, le=100_000)
    geometry: Path | None = None
    photons: Photons | None = None
    slices: int | None = Field(default=None, ge=1)
    seed: Seed = 0
