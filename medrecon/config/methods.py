"""The methods of reconstruction, each declared once: what it is called, does and needs, for which modality, with which options.

`MethodSettings`, the union of the classes here, is the only list: the command line, `medrecon methods`, reports, the benchmark and
the tests derive theirs from it. `medrecon.workflows.methods.build_reconstructor` makes the object.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, SerializerFunctionWrapHandler, Tag, model_serializer

from medrecon.config.settings import Settings
from medrecon.modality import Modality

__all__ = [
    "ALIASES",
    "METHODS",
    "DiffusionSettings",
    "FbpSettings",
    "FilterName",
    "GrappaSettings",
    "InferenceSettings",
    "LearnedSettings",
    "Method",
    "MethodSettings",
    "MoDLMethodSettings",
    "PlugAndPlaySettings",
    "PoissonTotalVariationSettings",
    "PrecisionName",
    "PrimalDualMethodSettings",
    "RootSumOfSquaresSettings",
    "SenseSettings",
    "SirtSettings",
    "TikhonovSettings",
    "TotalVariationSettings",
    "UNetMethodSettings",
    "VarNetMethodSettings",
    "WaveletSettings",
    "ZeroFilledSettings",
    "methods_of",
]

_MRI, _CT = Modality.MRI, Modality.CT
_CALIBRATION = "calibration lines, where there are several coils"
_WEIGHTS = "trained weights (medrecon weights list, or --weights)"

_Number = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Weight = Annotated[
    Annotated[_Number | None, Tag("weight")] | Annotated[Literal["auto"], Tag("auto")],
    Discriminator(lambda value: "auto" if value == "auto" else "weight"),
    Field(
        description="of the regularization; auto to leave the default where others predict far better what is held back"
    ),
]
_Iterations = Annotated[int | None, Field(ge=1, description="at most")]
_Tolerance = Annotated[
    float | None, Field(ge=0, allow_inf_nan=False, description="relative change at which it stops; 0 for never")
]


class FilterName(StrEnum):
    """The window on the ramp filter."""

    RAMP = "ramp"
    SHEPP_LOGAN = "shepp-logan"
    COSINE = "cosine"
    HAMMING = "hamming"
    HANN = "hann"


class PrecisionName(StrEnum):
    """The numbers that a network computes in: float32, or by autocast bfloat16 or float16; operators keep to float32."""

    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"


class Method(Settings):
    """How an image is made; fields that are None stand for the reconstructor's own defaults, their descriptions are their help."""

    kind: str
    summary: ClassVar[str]
    needs: ClassVar[str]
    modalities: ClassVar[tuple[Modality, ...]]

    @classmethod
    def name(cls) -> str:
        """What the method is called."""
        return str(cls.model_fields["kind"].default)

    @classmethod
    def options(cls) -> dict[str, str]:
        """Its options, and what each is."""
        return {name: field.description or "" for name, field in cls.model_fields.items() if name != "kind"}

    def given(self) -> dict[str, Any]:
        """Return the fields that were given; the method's own defaults hold for the others."""
        return self.model_dump(exclude={"kind"}, exclude_none=True)


class ZeroFilledSettings(Method):
    """Zero filling."""

    summary = "the adjoint: what was not measured is zero, coils are combined by their maps"
    needs = _CALIBRATION
    modalities = (_MRI,)
    kind: Literal["zero-filled"] = "zero-filled"


class RootSumOfSquaresSettings(Method):
    """Root sum of squares."""

    summary = "the root sum of squares of the zero-filled coil images"
    needs = "nothing else"
    modalities = (_MRI,)
    kind: Literal["rss"] = "rss"


class GrappaSettings(Method):
    """GRAPPA."""

    summary = (
        "missing lines of k-space from their neighbors in all coils, by 5 x 4 kernels; then the root sum of squares"
    )
    needs = "lines of one distance, and calibration lines"
    modalities = (_MRI,)
    kind: Literal["grappa"] = "grappa"
    weight: _Number | None = Field(default=None, description="of the regularization of the kernels")


class SenseSettings(Method):
    """SENSE."""

    summary = "regularized least squares over all coils, by conjugate gradients"
    needs = _CALIBRATION
    modalities = (_MRI,)
    kind: Literal["sense"] = "sense"
    weight: _Weight = None
    iterations: _Iterations = None
    tolerance: _Tolerance = None


class WaveletSettings(Method):
    """Wavelet compressed sensing."""

    summary = "compressed sensing: an image of few wavelet coefficients"
    needs = _CALIBRATION
    modalities = (_MRI,)
    kind: Literal["wavelet"] = "wavelet"
    weight: _Weight = None
    iterations: _Iterations = None
    tolerance: _Tolerance = None


class FbpSettings(Method):
    """Filtered backprojection."""

    summary = "filtered backprojection: exact for many views without noise, and quick"
    needs = "views over half a turn, and over its opening more for a fan"
    modalities = (_CT,)
    kind: Literal["fbp"] = "fbp"
    window: FilterName | None = Field(default=None, description=f"on the ramp filter: {', '.join(FilterName)}")
    frequency_scaling: float | None = Field(
        default=None, gt=0, le=1, description="share of the frequencies that pass the filter"
    )


class SirtSettings(Method):
    """The simultaneous iterative reconstruction technique."""

    summary = "least squares by simultaneous corrections; stopping early regularizes"
    needs = "nothing else"
    modalities = (_CT,)
    kind: Literal["sirt"] = "sirt"
    iterations: _Iterations = None


class TikhonovSettings(Method):
    """Conjugate gradients on the normal equations."""

    summary = "regularized least squares (Tikhonov) by conjugate gradients; also called cgls"
    needs = "nothing else"
    modalities = (_CT,)
    kind: Literal["tikhonov"] = "tikhonov"
    weight: _Weight = None
    iterations: _Iterations = None
    tolerance: _Tolerance = None


class TotalVariationSettings(Method):
    """Total variation; of line integrals, of images nowhere below zero."""

    summary = "an image of few edges (total variation); in CT nowhere below zero: for few views"
    needs = f"in MRI {_CALIBRATION}"
    modalities = (_MRI, _CT)
    kind: Literal["tv"] = "tv"
    weight: _Weight = None
    iterations: _Iterations = None
    tolerance: _Tolerance = None


class PoissonTotalVariationSettings(Method):
    """Total variation with the statistics of photons."""

    summary = "total variation that trusts each ray by its photons: for a low dose"
    needs = "nothing else; photons per ray help, where the file or --photons says them"
    modalities = (_CT,)
    kind: Literal["tv-poisson"] = "tv-poisson"
    weight: _Weight = None
    iterations: _Iterations = None
    tolerance: _Tolerance = None


class LearnedSettings(Method):
    """A method by a network.

    `precision`, `compile` and `channels_last` are as in training, and need not be those of the training; they are not dumped where
    they stand at their defaults. `networks` are the kinds of network in cards of weights that the method takes, and `shipped` the
    weights that are taken where none are given.
    """

    networks: ClassVar[tuple[str, ...]]
    shipped: ClassVar[Mapping[Modality, str]] = MappingProxyType({})
    modalities = (_MRI, _CT)
    weights: str | None = Field(default=None, description="a name of `medrecon weights list`, or a file")
    precision: PrecisionName = Field(PrecisionName.FP32, description="fp32, bf16, or fp16 on a GPU, by autocast")
    compile: bool = Field(default=False, description="compile the U-Nets first, which takes a C++ compiler")
    channels_last: bool = Field(
        default=False, description="lay weights out so that GPUs convolve faster in half precision"
    )

    @model_serializer(mode="wrap")
    def _without_default_switches(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields = type(self).model_fields
        idle = {
            name for name in ("precision", "compile", "channels_last") if getattr(self, name) == fields[name].default
        }
        values: dict[str, Any] = dump(self)
        return {name: value for name, value in values.items() if name not in idle}


class UNetMethodSettings(LearnedSettings):
    """A U-Net behind a classical reconstruction."""

    summary = "learned: a U-Net corrects the image of a classical method"
    needs = f"{_WEIGHTS}; in MRI calibration lines, where it takes coil maps"
    networks = ("unet",)
    shipped = MappingProxyType({_MRI: "unet_brain_small", _CT: "fbp_unet_lodopab_small"})
    kind: Literal["unet"] = "unet"


class MoDLMethodSettings(LearnedSettings):
    """Model-based deep learning."""

    summary = "learned: one network in turn with exact steps to the data"
    needs = f"{_WEIGHTS}; in MRI calibration lines"
    networks = ("modl",)
    shipped = MappingProxyType({_MRI: "modl_brain_small"})
    kind: Literal["modl"] = "modl"


class VarNetMethodSettings(LearnedSettings):
    """The variational network, and the end-to-end one."""

    summary = "learned: a variational network, cascades of networks and steps to the data"
    needs = f"{_WEIGHTS}; in MRI calibration lines"
    networks = ("varnet", "e2e-varnet")
    shipped = MappingProxyType({_MRI: "varnet_brain_small"})
    kind: Literal["varnet"] = "varnet"


class PrimalDualMethodSettings(LearnedSettings):
    """Learned primal-dual."""

    summary = "learned: networks on the image and on the measurements in turn"
    needs = _WEIGHTS
    networks = ("primal-dual",)
    shipped = MappingProxyType({_CT: "lpd_lodopab_small"})
    kind: Literal["primal-dual"] = "primal-dual"


class _DenoiserSettings(LearnedSettings):
    needs = f"{_WEIGHTS}; in MRI calibration lines"
    networks = ("denoiser",)
    shipped = MappingProxyType({_MRI: "denoiser", _CT: "denoiser"})
    steps: int | None = Field(default=None, ge=1, le=1000, description="of the denoiser, from much noise to little")


class PlugAndPlaySettings(_DenoiserSettings):
    """Plug-and-play."""

    summary = "learned: one denoiser in turn with exact steps to the data, for any scan"
    kind: Literal["pnp"] = "pnp"


class DiffusionSettings(_DenoiserSettings):
    """Diffusion posterior sampling."""

    summary = "learned: images that the measurements leave possible, drawn by a denoiser; gives their mean"
    kind: Literal["diffusion"] = "diffusion"
    samples: int | None = Field(default=None, ge=1, le=1000, description="that are drawn for each image")
    seed: int | None = Field(default=None, ge=0, lt=2**63, description="of what is drawn")


MethodSettings = Annotated[
    ZeroFilledSettings
    | RootSumOfSquaresSettings
    | GrappaSettings
    | SenseSettings
    | WaveletSettings
    | FbpSettings
    | SirtSettings
    | TikhonovSettings
    | TotalVariationSettings
    | PoissonTotalVariationSettings
    | UNetMethodSettings
    | MoDLMethodSettings
    | VarNetMethodSettings
    | PrimalDualMethodSettings
    | PlugAndPlaySettings
    | DiffusionSettings,
    Field(discriminator="kind"),
]


def _members() -> Iterator[tuple[str, type[Method]]]:
    for member in typing.get_args(typing.get_args(MethodSettings)[0]):
        yield member.name(), member


#: All methods by their names, in the order of the union.
METHODS: dict[str, type[Method]] = dict(_members())
#: Names that methods had, or have elsewhere.
ALIASES = {"cgls": "tikhonov"}


def methods_of(modality: Modality) -> dict[str, type[Method]]:
    """The methods of a modality by their names."""
    return {name: method for name, method in METHODS.items() if modality in method.modalities}


class InferenceSettings(Settings):
    """What a card may ask for beside the network, where the weights were trained so.

    `keep_oversampling` leaves the oversampled readout of k-space as it was acquired; `crop_first` crops coil images before the
    network sees them.
    """

    keep_oversampling: bool = False
    crop_first: bool = False
