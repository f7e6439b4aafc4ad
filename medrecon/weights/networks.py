"""From settings to networks, and from weights to networks that are ready."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from medrecon.config.files import settings_of
from medrecon.config.networks import (
    DenoiserSettings,
    EndToEndVarNetSettings,
    MoDLSettings,
    NetworkSettings,
    PostProcessSettings,
    PrimalDualSettings,
    VarNetSettings,
    WaveletImageSettings,
)
from medrecon.config.training import TrainingSettings
from medrecon.config.training_data import (
    AdjointMaximumSettings,
    ConstantSettings,
    DataSettings,
    DenoisingData,
    DrawnMRIData,
    LoDoPaBUnitSettings,
    MRIData,
    NormalizationSettings,
)
from medrecon.data.ct.attenuation import MU_MAX
from medrecon.errors import InputError
from medrecon.memory import require_memory
from medrecon.modality import Modality
from medrecon.networks import (
    Consistent,
    DenoiserUNet,
    Denoising,
    EndToEndVarNet,
    GradientStep,
    LearnedPrimalDual,
    MeasuredRootSumOfSquares,
    MoDL,
    Normalization,
    NormalizedUNet,
    PostProcess,
    PrimalDualSize,
    ProximalStep,
    ProximalVarNet,
    Residual,
    SensitivityNetwork,
    UNet,
    VarNet,
)
from medrecon.networks.data_normalization import AdjointMaximum, Constant
from medrecon.networks.implicit import ConjugateGradients
from medrecon.operators import LinearOperator
from medrecon.reconstructor import Reconstructor
from medrecon.reconstructors import FilteredBackprojection, Sense, WaveletSparsity, ZeroFilled
from medrecon.reconstructors.ramp import Window
from medrecon.spaces import root_sum_of_squares
from medrecon.weights.card import require_weights
from medrecon.weights.card_fields import require_card
from medrecon.weights.checkpoint import load_into, read_checkpoint, read_metadata

__all__ = [
    "FAMILIES",
    "build_network",
    "build_normalization",
    "load_network",
    "modalities_of",
    "operator_family",
    "read_card",
]


#: What `operator_family` names, in words.
FAMILIES = {
    "sense": "MRI with coil maps (sense)",
    "coils": "MRI of coil images, without maps (coils)",
    "radon": "CT (radon)",
    "denoising": "images with white noise (denoising)",
}


def operator_family(data: DataSettings) -> str:
    """The operators that the data pose: `sense`, `coils` (`Mask @ Fourier` of coil images), `radon` or `denoising`."""
    if isinstance(data, DenoisingData):
        return "denoising"
    return data.operator if isinstance(data, MRIData | DrawnMRIData) else "radon"


def modalities_of(family: str) -> tuple[Modality, ...]:
    """The modalities that a family of operators serves, as `operator_family` names them."""
    if family == "denoising":
        return Modality.MRI, Modality.CT
    return (Modality.CT,) if family == "radon" else (Modality.MRI,)


def build_network(settings: NetworkSettings, operator: str) -> nn.Module:
    """Make the network for a family of operators, with the weights that torch's random numbers give.

    Raises
    ------
    InputError
        If it does not fit into memory.
    """
    with torch.device("meta"):  # where nothing is allocated
        n_parameters = sum(parameter.numel() for parameter in _network(settings, operator).parameters())
    what = f"network: {n_parameters} parameters of {settings.kind}"
    require_memory(4 * n_parameters, what, lambda free: f"{free // 4} would fit: lower features, pools or cascades")
    network = _network(settings, operator)
    if (
        isinstance(settings, EndToEndVarNetSettings | PrimalDualSettings | DenoiserSettings)
        or settings.output == "image"
    ):
        return network
    return MeasuredRootSumOfSquares(network, noise_floor=settings.output == "rss-noise")


def _network(settings: NetworkSettings, operator: str) -> nn.Module:
    channels = 1 if operator == "radon" else 2
    match settings:
        case PostProcessSettings():
            return _post_process(settings, operator)
        case VarNetSettings():
            return _varnet(settings, channels)
        case EndToEndVarNetSettings():
            maps = NormalizedUNet(UNet(2, 2, settings.sensitivity_features, settings.sensitivity_pools))
            unets = (NormalizedUNet(UNet(2, 2, settings.features, settings.pools)) for _ in range(settings.cascades))
            return EndToEndVarNet(unets, SensitivityNetwork(maps), recompute=settings.recompute)
        case MoDLSettings():
            step = ProximalStep(settings.weight, ConjugateGradients(settings.conjugate_gradients))
            network = Residual(_unet(channels, settings, change=True))
            return MoDL(network, step, settings.iterations, recompute=settings.recompute)
        case PrimalDualSettings():
            return _primal_dual(settings, channels)
        case DenoiserSettings():
            return Denoising(DenoiserUNet(settings.features, settings.blocks))


def build_normalization(settings: NormalizationSettings) -> Constant | AdjointMaximum:
    """Make the rule by which measurements are scaled for a network."""
    match settings:
        case ConstantSettings():
            return Constant(settings.factor)
        case AdjointMaximumSettings():
            return AdjointMaximum(settings.level)
        case LoDoPaBUnitSettings():
            return Constant(1 / MU_MAX)


def read_card(path: Path) -> tuple[dict[str, Any], TrainingSettings]:
    """Read the card of a file of weights, and the settings that it states; the weights are not read.

    Raises
    ------
    InputError
        If the file cannot be used, holds the state of a run, or its card is of another version of medrecon.
    """
    metadata = read_metadata(path)
    require_weights(path, metadata)
    card = require_card(path, metadata)
    return card, settings_of(TrainingSettings, card["configuration"], f"{path}: its card")


def load_network(path: Path, operator: str | None = None) -> tuple[nn.Module, dict[str, Any]]:
    """Make the network that a file of weights describes, with these weights, ready to reconstruct; and its card.

    With `operator`, one of the names of `operator_family`, weights that were trained on another family are refused.

    Raises
    ------
    InputError
        If the file cannot be used, or its card is of another version of medrecon.
    """
    card, settings = read_card(path)
    family = operator_family(settings.data)
    if operator is not None and family != operator:
        raise InputError(
            f"{path}: was trained on {FAMILIES[family]}, and the scan is {FAMILIES[operator]}; "
            "see `medrecon weights list` for others"
        )
    network = build_network(settings.network, family)
    load_into(network, read_checkpoint(path).tensors, str(path))
    network.eval()
    return network, card


@dataclass(frozen=True)
class _CoilMagnitude:
    """The root sum of squares of the coil images `A.H y`, real `(..., y, x)`, on the domain of `A`."""

    def __call__(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        return root_sum_of_squares(A.H(y), A.domain.dim("coil"))


def _varnet(settings: VarNetSettings, channels: int) -> nn.Module:
    is_real = channels == 1  # of a large mean; that of complex images is nearly zero, and the published form adds it
    unets = [_unet(channels, settings, change=is_real) for _ in range(settings.cascades)]
    if settings.identity:
        for parameter in (parameter for unet in unets for parameter in unet.unet.last.parameters()):
            nn.init.zeros_(parameter)
    if settings.consistency == "gradient":
        return VarNet(unets, recompute=settings.recompute)
    solver = ConjugateGradients(settings.conjugate_gradients)
    initial = _wavelet(settings.wavelet) if settings.initial == "wavelet" else None
    return ProximalVarNet(unets, solver, initial=initial, recompute=settings.recompute)


def _unet(channels: int, settings: VarNetSettings | MoDLSettings, *, change: bool = False) -> NormalizedUNet:
    unet = UNet(channels, channels, settings.features, settings.pools)
    return NormalizedUNet(unet, margin=settings.margin, change=change)


@dataclass(frozen=True)
class _Trusting:
    """A method that takes coil maps for exact, as it did when networks learned from its images."""

    reconstruct: WaveletSparsity

    def __call__(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        return self.reconstruct.solve(y, A, y.abs().new_zeros(A.range.batch_shape(y)))


def _wavelet(settings: WaveletImageSettings) -> Reconstructor:
    return _Trusting(WaveletSparsity(weight=settings.weight, iterations=settings.iterations))


def _post_process(settings: PostProcessSettings, operator: str) -> nn.Module:
    initial: Reconstructor
    channels = 1 if operator == "radon" else 2
    match settings.initial:
        case "zero-filled":
            initial = ZeroFilled()
        case "sense":
            chosen = settings.sense  # stops nowhere early, so that a batch gives what a loop gives
            initial = Sense(chosen.weight, chosen.iterations, tolerance=0.0).plain
        case "wavelet":
            initial = _wavelet(settings.wavelet)
        case "rss":
            initial, channels = _CoilMagnitude(), 1
        case "fbp":
            initial = FilteredBackprojection(Window(settings.window.value), settings.frequency_scaling)
    unet = UNet(channels, channels, settings.features, settings.pools)
    network: nn.Module = NormalizedUNet(unet, change=settings.residual)
    if settings.limit is not None:  # fastMRI's, which pads nothing
        network = NormalizedUNet(
            unet, Normalization(eps=1e-11, limit=settings.limit), multiple=1, change=settings.residual
        )
    post = PostProcess(initial, Residual(network) if settings.residual else network)
    match settings.consistency:
        case "none":
            return post
        case "gradient":
            return Consistent(post, GradientStep())
        case "proximal":
            return Consistent(post, ProximalStep())


def _primal_dual(settings: PrimalDualSettings, channels: int) -> LearnedPrimalDual:
    memories, features = (settings.primal, settings.dual), settings.features
    wide, pools = settings.dual_features, settings.primal_pools
    size = PrimalDualSize(settings.iterations, *memories, features, settings.layers, wide, pools)
    fbp = FilteredBackprojection(Window(settings.window.value), settings.frequency_scaling)
    initial = {"zeros": None, "fbp": fbp, "zero-filled": ZeroFilled()}[settings.initial]
    return LearnedPrimalDual(size, channels, initial, recompute=settings.recompute, identity=settings.identity)
