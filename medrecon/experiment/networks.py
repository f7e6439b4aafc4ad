"""From settings to networks, and from weights to networks that are ready."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from medrecon.config.files import settings_of
from medrecon.config.networks import (
    EndToEndVarNetSettings,
    MoDLSettings,
    NetworkSettings,
    PostProcessSettings,
    PrimalDualSettings,
    VarNetSettings,
)
from medrecon.config.training import TrainingSettings
from medrecon.config.training_data import DataSettings, MRIData
from medrecon.errors import InputError
from medrecon.networks import (
    Consistent,
    EndToEndVarNet,
    GradientStep,
    LearnedPrimalDual,
    MoDL,
    Normalization,
    NormalizedUNet,
    PostProcess,
    PrimalDualSize,
    ProximalStep,
    Residual,
    SensitivityNetwork,
    UNet,
    VarNet,
)
from medrecon.networks.implicit import ConjugateGradients
from medrecon.reconstructors import FilteredBackprojection, RootSumOfSquares, ZeroFilled
from medrecon.reconstructors.ramp import Window
from medrecon.training.checkpoint import load_into, read_checkpoint

__all__ = ["build_network", "load_network", "operator_family"]


_FAMILIES = {
    "sense": "MRI with coil maps (sense)",
    "coils": "MRI of coil images, without maps (coils)",
    "radon": "CT (radon)",
}


def operator_family(data: DataSettings) -> str:
    """The operators that the data pose: `sense`, `coils` (`Mask @ Fourier` of coil images) or `radon`."""
    return data.operator if isinstance(data, MRIData) else "radon"


def build_network(settings: NetworkSettings, operator: str) -> nn.Module:
    """Make the network for a family of operators, with the weights that torch's random numbers give."""
    channels = 1 if operator == "radon" else 2
    match settings:
        case PostProcessSettings():
            return _post_process(settings, operator)
        case VarNetSettings():
            unets = (_unet(channels, settings) for _ in range(settings.cascades))
            return VarNet(unets, recompute=settings.recompute)
        case EndToEndVarNetSettings():
            maps = NormalizedUNet(UNet(2, 2, settings.sensitivity_features, settings.sensitivity_pools))
            unets = (_unet(2, settings) for _ in range(settings.cascades))
            return EndToEndVarNet(unets, SensitivityNetwork(maps), recompute=settings.recompute)
        case MoDLSettings():
            step = ProximalStep(settings.weight, ConjugateGradients(settings.conjugate_gradients))
            network = Residual(_unet(channels, settings))
            return MoDL(network, step, settings.iterations, recompute=settings.recompute)
        case PrimalDualSettings():
            return _primal_dual(settings, channels)


def load_network(path: Path, operator: str | None = None) -> tuple[nn.Module, dict[str, Any]]:
    """Make the network that a file of weights describes, with these weights, ready to reconstruct; and its card.

    With `operator`, one of the names of `operator_family`, weights that were trained on another family are refused.

    Raises
    ------
    InputError
        If the file cannot be used, or its card is of another version of medrecon.
    """
    checkpoint = read_checkpoint(path)
    card = checkpoint.metadata["card"]
    if operator is not None and card["operator"] != operator:
        raise InputError(
            f"{path}: was trained on {_FAMILIES.get(card['operator'], card['operator'])}, and the scan is "
            f"{_FAMILIES[operator]}; see `medrecon weights list` for others"
        )
    settings = settings_of(TrainingSettings, card["configuration"], f"{path}: its card")
    network = build_network(settings.network, operator_family(settings.data))
    load_into(network, checkpoint.tensors, str(path))
    network.eval()
    return network, card


def _unet(channels: int, settings: VarNetSettings | EndToEndVarNetSettings | MoDLSettings) -> NormalizedUNet:
    return NormalizedUNet(UNet(channels, channels, settings.features, settings.pools))


def _post_process(settings: PostProcessSettings, operator: str) -> nn.Module:
    initial: ZeroFilled | RootSumOfSquares | FilteredBackprojection
    match settings.initial:
        case "zero-filled":
            initial, channels = ZeroFilled(), 1 if operator == "radon" else 2
        case "rss":
            initial, channels = RootSumOfSquares(), 1
        case "fbp":
            initial = FilteredBackprojection(Window(settings.window.value), settings.frequency_scaling)
            channels = 1
    normalization = Normalization() if settings.limit is None else Normalization(eps=1e-11, limit=settings.limit)
    network: nn.Module = NormalizedUNet(UNet(channels, channels, settings.features, settings.pools), normalization)
    post = PostProcess(initial, Residual(network) if settings.residual else network)
    match settings.consistency:
        case "none":
            return post
        case "gradient":
            return Consistent(post, GradientStep())
        case "proximal":
            return Consistent(post, ProximalStep())


def _primal_dual(settings: PrimalDualSettings, channels: int) -> LearnedPrimalDual:
    size = PrimalDualSize(settings.iterations, settings.primal, settings.dual, settings.features, settings.layers)
    starts = {"zeros": None, "fbp": FilteredBackprojection(), "zero-filled": ZeroFilled()}
    return LearnedPrimalDual(size, channels, starts[settings.initial], recompute=settings.recompute)
