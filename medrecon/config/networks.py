"""The networks that `configs/*.yaml` may ask for."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from medrecon.config.methods import FilterName
from medrecon.config.settings import Settings

__all__ = [
    "DenoiserSettings",
    "EndToEndVarNetSettings",
    "MoDLSettings",
    "NetworkSettings",
    "PostProcessSettings",
    "PrimalDualSettings",
    "SenseImageSettings",
    "VarNetSettings",
    "WaveletImageSettings",
]

_Count = Annotated[int, Field(ge=1, le=1000)]
_Features = Annotated[int, Field(ge=1, le=8192)]
_Pools = Annotated[int, Field(ge=1, le=10)]  # of an image of 1024 pixels the last one makes a single pixel


class _Network(Settings):
    """`output: rss` gives, for SENSE, the root sum of squares of coil images that hold all that was measured.

    With `rss-noise` the samples that were not measured have the noise of those that were, as a full scan has.
    """

    output: Literal["image", "rss", "rss-noise"] = "image"


class _UNets(_Network):
    """`margin` rows and columns of the image are reflected around it before each U-Net."""

    features: _Features = 18
    pools: _Pools = 4
    margin: int = Field(default=0, ge=0, le=4096)
    recompute: bool = False


class WaveletImageSettings(Settings):
    """The `WaveletSparsity` of `initial: wavelet`, fixed while the network learns."""

    weight: float = Field(default=0.0009, ge=0, allow_inf_nan=False)
    iterations: _Count = 120


class SenseImageSettings(Settings):
    """The `Sense` of `initial: sense`, fixed while the network learns."""

    weight: float = Field(default=3.0, ge=0, allow_inf_nan=False)
    iterations: _Count = 20


class PostProcessSettings(_Network):
    """A U-Net behind a classical reconstruction; `consistency` adds a step towards the data after it."""

    kind: Literal["unet"]
    initial: Literal["zero-filled", "sense", "wavelet", "rss", "fbp"]
    sense: SenseImageSettings = SenseImageSettings()
    wavelet: WaveletImageSettings = WaveletImageSettings()
    features: _Features = 32
    pools: _Pools = 4
    residual: bool = False
    limit: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    window: FilterName = FilterName.HANN
    frequency_scaling: float = Field(default=1.0, gt=0, le=1)
    consistency: Literal["none", "gradient", "proximal"] = "none"


class VarNetSettings(_UNets):
    """`cascades` of a step towards the data and a U-Net, on any operator.

    The step is one gradient, from `A.H y` on, or with `consistency: proximal` so many `conjugate_gradients`, from the image of
    `initial` on: least squares with a weight that is learned (SENSE), or `wavelet`. With `identity` the U-Nets start at zero.
    """

    kind: Literal["varnet"]
    cascades: _Count = 12
    consistency: Literal["gradient", "proximal"] = "gradient"
    conjugate_gradients: _Count = 8
    initial: Literal["least-squares", "wavelet"] = "least-squares"
    wavelet: WaveletImageSettings = WaveletImageSettings()
    identity: bool = False

    @model_validator(mode="after")
    def _starts_at_an_image(self) -> Self:
        if self.initial == "wavelet" and self.consistency == "gradient":
            raise ValueError("initial: wavelet goes with `consistency: proximal`; gradient steps begin at A.H y")
        return self


class EndToEndVarNetSettings(Settings):
    """The end-to-end VarNet, which estimates coil maps itself."""

    kind: Literal["e2e-varnet"]
    cascades: _Count = 12
    features: _Features = 18
    pools: _Pools = 4
    recompute: bool = False
    sensitivity_features: _Features = 8
    sensitivity_pools: _Pools = 4


class MoDLSettings(_UNets):
    """One U-Net between exact steps of data consistency."""

    kind: Literal["modl"]
    iterations: _Count = 10
    weight: float = Field(default=0.05, gt=0, allow_inf_nan=False)
    conjugate_gradients: _Count = 20


class PrimalDualSettings(Settings):
    """Learned primal-dual; `initial` starts from another reconstruction than zeros, and with `identity` gives it until trained."""

    kind: Literal["primal-dual"]
    iterations: _Count = 10
    primal: _Count = 5
    dual: _Count = 5
    features: _Features = 64
    dual_features: _Features | None = None
    primal_pools: _Pools | None = None
    layers: int = Field(default=3, ge=2, le=100)
    initial: Literal["zeros", "fbp", "zero-filled"] = "zeros"
    window: FilterName = FilterName.RAMP
    frequency_scaling: float = Field(default=1.0, gt=0, le=1)
    identity: bool = False
    recompute: bool = False


class DenoiserSettings(Settings):
    """A denoiser without biases and normalizations, for the methods `pnp` and `diffusion`; `features` are those of each level."""

    kind: Literal["denoiser"]
    features: tuple[_Features, ...] = Field(default=(32, 64, 128, 256), min_length=2, max_length=8)
    blocks: int = Field(default=2, ge=1, le=100)


NetworkSettings = Annotated[
    PostProcessSettings
    | VarNetSettings
    | EndToEndVarNetSettings
    | MoDLSettings
    | PrimalDualSettings
    | DenoiserSettings,
    Field(discriminator="kind"),
]
