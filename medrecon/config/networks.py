"""The networks that `configs/*.yaml` may ask for."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from medrecon.config.ct import FilterName
from medrecon.config.settings import Settings

__all__ = [
    "EndToEndVarNetSettings",
    "MoDLSettings",
    "NetworkSettings",
    "PostProcessSettings",
    "PrimalDualSettings",
    "VarNetSettings",
]

_Count = Annotated[int, Field(ge=1)]


class _UNets(Settings):
    features: _Count = 18
    pools: _Count = 4
    recompute: bool = False


class PostProcessSettings(Settings):
    """A U-Net behind an analytic reconstruction; `consistency` adds a step towards the data after it."""

    kind: Literal["unet"]
    initial: Literal["zero-filled", "rss", "fbp"]
    features: _Count = 32
    pools: _Count = 4
    residual: bool = False
    limit: float | None = Field(default=None, gt=0)
    window: FilterName = FilterName.HANN
    frequency_scaling: float = Field(default=1.0, gt=0, le=1)
    consistency: Literal["none", "gradient", "proximal"] = "none"


class VarNetSettings(_UNets):
    """`cascades` of a gradient step and a U-Net, on any operator."""

    kind: Literal["varnet"]
    cascades: _Count = 12


class EndToEndVarNetSettings(_UNets):
    """The end-to-end VarNet, which estimates coil maps itself."""

    kind: Literal["e2e-varnet"]
    cascades: _Count = 12
    sensitivity_features: _Count = 8
    sensitivity_pools: _Count = 4


class MoDLSettings(_UNets):
    """One U-Net between exact steps of data consistency."""

    kind: Literal["modl"]
    iterations: _Count = 10
    weight: float = Field(default=0.05, gt=0)
    conjugate_gradients: _Count = 20


class PrimalDualSettings(Settings):
    """Learned primal-dual; `initial` starts from filtered backprojection instead of zeros."""

    kind: Literal["primal-dual"]
    iterations: _Count = 10
    primal: _Count = 5
    dual: _Count = 5
    features: _Count = 64
    layers: int = Field(default=3, ge=2)
    initial: Literal["zeros", "fbp", "zero-filled"] = "zeros"
    recompute: bool = False


NetworkSettings = Annotated[
    PostProcessSettings | VarNetSettings | EndToEndVarNetSettings | MoDLSettings | PrimalDualSettings,
    Field(discriminator="kind"),
]
