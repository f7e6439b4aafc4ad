"""Reconstruction by trained weights, as a user may ask for it: of MRI and of CT alike."""

from enum import StrEnum
from typing import Any, ClassVar, Literal

from pydantic import SerializerFunctionWrapHandler, model_serializer

from medrecon.config.settings import Method, Settings

__all__ = [
    "LEARNED_METHODS",
    "InferenceSettings",
    "LearnedMethodName",
    "LearnedSettings",
    "MoDLMethodSettings",
    "PrecisionName",
    "PrimalDualMethodSettings",
    "UNetMethodSettings",
    "VarNetMethodSettings",
]

_SWITCHES = ("precision", "compile", "channels_last")


class LearnedMethodName(StrEnum):
    """How an image is made by a network."""

    UNET = "unet"
    MODL = "modl"
    VARNET = "varnet"
    PRIMAL_DUAL = "primal-dual"


class PrecisionName(StrEnum):
    """The numbers that a network computes in: float32, or by autocast bfloat16 or float16; operators keep to float32."""

    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"


class LearnedSettings(Method):
    """A method by a network; `weights` are a name of those that come with medrecon, or a file.

    `precision`, `compile` and `channels_last` are as in training, and need not be those of the training. Where they stand at
    their defaults they are left out of what is dumped: keys of benchmarks are those from before there were any.

    `networks` are the kinds of network in cards of weights that the method takes. `mri` and `ct` name the weights that are taken
    where none are chosen; None where none come with medrecon.
    """

    kind: LearnedMethodName
    networks: ClassVar[tuple[str, ...]]
    mri: ClassVar[str | None] = None
    ct: ClassVar[str | None] = None
    weights: str | None = None
    precision: PrecisionName = PrecisionName.FP32
    compile: bool = False
    channels_last: bool = False

    @model_serializer(mode="wrap")
    def _without_default_switches(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        idle = {name for name in _SWITCHES if getattr(self, name) == type(self).model_fields[name].default}
        values: dict[str, Any] = dump(self)
        return {name: value for name, value in values.items() if name not in idle}


class UNetMethodSettings(LearnedSettings):
    """A U-Net behind an analytic reconstruction."""

    summary = "learned: a U-Net corrects the image of a classical method"
    needs = "trained weights (medrecon weights list, or --weights); in MRI calibration lines, where it takes coil maps"
    networks = ("unet",)
    mri, ct = "unet_brain_small", "fbp_unet_lodopab_small"
    kind: Literal[LearnedMethodName.UNET] = LearnedMethodName.UNET


class MoDLMethodSettings(LearnedSettings):
    """Model-based deep learning."""

    summary = "learned: one network in turn with exact steps to the data"
    needs = "trained weights (medrecon weights list, or --weights); in MRI calibration lines"
    networks = ("modl",)
    mri = "modl_brain_small"
    kind: Literal[LearnedMethodName.MODL] = LearnedMethodName.MODL


class VarNetMethodSettings(LearnedSettings):
    """The variational network, and the end-to-end one."""

    summary = "learned: a variational network, cascades of networks and steps to the data"
    needs = "trained weights (medrecon weights list, or --weights); in MRI calibration lines"
    networks = ("varnet", "e2e-varnet")
    mri = "varnet_brain_small"
    kind: Literal[LearnedMethodName.VARNET] = LearnedMethodName.VARNET


class PrimalDualMethodSettings(LearnedSettings):
    """Learned primal-dual."""

    summary = "learned: networks on the image and on the measurements in turn"
    needs = "trained weights (medrecon weights list, or --weights)"
    networks = ("primal-dual",)
    ct = "lpd_lodopab_small"
    kind: Literal[LearnedMethodName.PRIMAL_DUAL] = LearnedMethodName.PRIMAL_DUAL


LEARNED_METHODS = (UNetMethodSettings, MoDLMethodSettings, VarNetMethodSettings, PrimalDualMethodSettings)


class InferenceSettings(Settings):
    """What a card may ask for beside the network, where the weights were trained so.

    `keep_oversampling` leaves the oversampled readout of k-space as it was acquired; `crop_first` crops coil images before the
    network sees them.
    """

    keep_oversampling: bool = False
    crop_first: bool = False
