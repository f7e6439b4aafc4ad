"""A training run, as `configs/*.yaml` describe it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from medrecon.config.networks import (
    DenoiserSettings,
    EndToEndVarNetSettings,
    NetworkSettings,
    PostProcessSettings,
    PrimalDualSettings,
)
from medrecon.config.settings import Settings
from medrecon.config.training_data import DataSettings, DenoisingData, DrawnMRIData, MRIData

__all__ = [
    "AdamSettings",
    "AdamWSettings",
    "ConstantRateSettings",
    "CosineRateSettings",
    "LossTerm",
    "OptimizerSettings",
    "RecipeSettings",
    "RmsPropSettings",
    "ScheduleSettings",
    "StepRateSettings",
    "TrainingSettings",
]

_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Average = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]  # the share of a running average that stays


class LossTerm(Settings):
    """One term of the loss."""

    kind: Literal["l1", "mse", "ssim"]
    weight: _Positive = 1.0


class AdamSettings(Settings):
    """Adam."""

    kind: Literal["adam"]
    rate: _Positive = 1e-3
    betas: tuple[_Average, _Average] = (0.9, 0.999)
    weight_decay: _NotNegative = 0.0


class AdamWSettings(Settings):
    """Adam with decoupled weight decay."""

    kind: Literal["adamw"]
    rate: _Positive = 1e-3
    betas: tuple[_Average, _Average] = (0.9, 0.999)
    weight_decay: _NotNegative = 0.01


class RmsPropSettings(Settings):
    """RMSprop."""

    kind: Literal["rmsprop"]
    rate: _Positive = 1e-3
    weight_decay: _NotNegative = 0.0


OptimizerSettings = Annotated[AdamSettings | AdamWSettings | RmsPropSettings, Field(discriminator="kind")]


class ConstantRateSettings(Settings):
    """The learning rate stays."""

    kind: Literal["constant"]


class StepRateSettings(Settings):
    """It is multiplied by `gamma` every so many epochs."""

    kind: Literal["step"]
    every: int = Field(ge=1)
    gamma: float = Field(default=0.1, gt=0, le=1, allow_inf_nan=False)


class CosineRateSettings(Settings):
    """It falls along half a cosine to `floor` of itself, after a rise over `warmup` epochs."""

    kind: Literal["cosine"]
    warmup: _NotNegative = 0.0
    floor: float = Field(default=0.0, ge=0, le=1, allow_inf_nan=False)


ScheduleSettings = Annotated[ConstantRateSettings | StepRateSettings | CosineRateSettings, Field(discriminator="kind")]


class RecipeSettings(Settings):
    """How long, in which batches, in which precision; see `medrecon.training.Recipe`.

    `compile` compiles the U-Nets, which takes a C++ compiler; `channels_last` lays weights out so that GPUs convolve faster in
    half precision.
    """

    epochs: int = Field(ge=1)
    batch_size: int = Field(default=1, ge=1)
    seed: int = Field(default=0, ge=0, lt=2**63)
    clip: _Positive | None = None
    patience: int | None = Field(default=None, ge=1)
    save_every: int | None = Field(default=None, ge=1)
    workers: int = Field(default=0, ge=0, le=1024)
    max_steps: int | None = Field(default=None, ge=1)
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    compile: bool = False
    channels_last: bool = False


class TrainingSettings(Settings):
    """A whole run."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    data: DataSettings
    network: NetworkSettings
    loss: tuple[LossTerm, ...] = Field(min_length=1)
    optimizer: OptimizerSettings
    schedule: ScheduleSettings = ConstantRateSettings(kind="constant")
    training: RecipeSettings

    @model_validator(mode="after")
    def _require_fitting(self) -> Self:
        data, network = self.data, self.network
        initial = getattr(network, "initial", "")
        is_mri = isinstance(data, MRIData | DrawnMRIData)
        if isinstance(data, DenoisingData) != isinstance(network, DenoiserSettings):
            raise ValueError("network: denoiser goes with data of the kind denoising, and with no others")
        coils = isinstance(data, MRIData) and data.operator == "coils"
        if isinstance(network, EndToEndVarNetSettings) or initial == "rss":
            what = "rss" if initial == "rss" else network.kind
            if not coils:
                raise ValueError(f"network: {what} takes multi-coil k-space without maps; set data.operator to coils")
            if isinstance(network, PostProcessSettings) and network.consistency != "none":
                raise ValueError(
                    "network.consistency: rss has no image that data fit; take initial: zero-filled, data.operator: sense"
                )
        elif coils:
            raise ValueError(
                f"data.operator: {network.kind} takes sense; coils is for e2e-varnet, and unet with initial: rss"
            )
        if (output := getattr(network, "output", "image")) != "image" and (not is_mri or coils):
            raise ValueError(f"network.output: {output} is for MRI with coil maps (data.operator: sense); take image")
        if initial == "fbp" and is_mri:
            raise ValueError("network.initial: fbp is for CT; take zero-filled or sense")
        if initial == "sense" and not is_mri:
            raise ValueError("network.initial: sense is for MRI; take fbp, or wavelet")
        if self.training.compile and isinstance(network, PrimalDualSettings) and network.primal_pools is None:
            raise ValueError(
                "training.compile: compiles U-Nets, and primal-dual has none; leave it out, or set network.primal_pools"
            )
        return self
