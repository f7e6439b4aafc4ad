"""Weights of the `fastmri` package, rewritten as weights of this one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from medrecon.config.methods import InferenceSettings
from medrecon.config.mri import LineMaskSettings, MaskName
from medrecon.config.networks import EndToEndVarNetSettings, PostProcessSettings
from medrecon.config.training import (
    AdamSettings,
    LossTerm,
    RecipeSettings,
    RmsPropSettings,
    StepRateSettings,
    TrainingSettings,
)
from medrecon.config.training_data import ConstantSettings, FastMRIData
from medrecon.errors import InputError
from medrecon.networks import NormalizedUNet, UNet, fastmri_unet, fastmri_varnet, read_fastmri_weights
from medrecon.weights.card import make_imported_card, write_weights
from medrecon.weights.checkpoint import load_into
from medrecon.weights.networks import build_network

__all__ = ["import_fastmri"]

_RECIPE = "Data, masks and training in the configuration are the published ones; the file does not state its own."
_VARNET_NOTES = (
    _RECIPE,
    "As in fastmri: k-space keeps its oversampled readout, and the image is cropped at the end.",
    "Calibration lines are found in the mask, as fastmri does where it is not told their number: neighbors of the fully sampled "
    "center that the mask holds on both sides count as calibration lines, too.",
    "Masks of points, which fastmri does not know, take k-space without oversampling.",
)
_UNET_NOTES = (
    _RECIPE,
    "As in fastmri: coil images are cropped, then combined by their root sum of squares (of one coil: the magnitude), "
    "normalized by mean and standard deviation, and clipped to 6 of these.",
    "Where k-space has fewer columns than the image asks for, fastmri crops rows to as many, and medrecon does not. The center of "
    "an odd number of pixels among an even one lies a pixel from that of fastmri.",
)


def import_fastmri(source: Path, output: Path, *, overwrite: bool = False) -> str:
    """Write the weights of a U-Net or VarNet of `fastmri` as a file that `medrecon reconstruct` takes; say what they are.

    Parameters
    ----------
    source
        a `.pt` or `.ckpt` file that holds a state_dict.
    output
        the `.safetensors` file; the card is written beside it, too.
    overwrite
        whether files that exist are replaced.

    Raises
    ------
    InputError
        If the file holds no weights of these networks, or the output cannot be written.
    """
    if output.suffix != ".safetensors":
        raise InputError(f"{output}: weights are written to files called .safetensors; give --output NAME.safetensors")
    weights = read_fastmri_weights(source)
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", output.stem).lstrip("_.-") or "imported"
    is_varnet = any(".dc_weight" in key for key in weights)
    settings, state = (_varnet if is_varnet else _unet)(weights, source, name)
    network = build_network(settings.network, "coils")
    load_into(network, state, str(source))
    inference = InferenceSettings(keep_oversampling=is_varnet, crop_first=not is_varnet)
    model = "VarNet" if is_varnet else "Unet"
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    card = make_imported_card(
        settings.model_dump(mode="json"),
        inference=inference.model_dump(),
        source={"package": "fastmri", "network": f"fastmri.models.{model}", "file": source.name, "sha256": digest},
        notes=_VARNET_NOTES if is_varnet else _UNET_NOTES,
    )
    write_weights(output, network.state_dict(), card, overwrite=overwrite)
    count = sum(tensor.numel() for tensor in state.values())
    return f"{model} of {count:,} parameters"


def _varnet(weights: Mapping[str, Tensor], source: Path, name: str) -> tuple[TrainingSettings, dict[str, Tensor]]:
    """The published recipe with the network of these sizes, and its weights."""
    network = fastmri_varnet(weights, str(source))
    unet, maps = _unet_of(network.cascades[0].network), _unet_of(network.sensitivities.network)
    settings = TrainingSettings(
        name=name,
        data=_data(),
        network=EndToEndVarNetSettings(
            kind="e2e-varnet",
            cascades=len(network.cascades),
            features=unet.features,
            pools=unet.n_pools,
            sensitivity_features=maps.features,
            sensitivity_pools=maps.n_pools,
        ),
        loss=(LossTerm(kind="ssim"),),
        optimizer=AdamSettings(kind="adam", rate=3e-4),
        schedule=StepRateSettings(kind="step", every=40),
        training=RecipeSettings(epochs=50),
    )
    return settings, network.state_dict()


def _unet(weights: Mapping[str, Tensor], source: Path, name: str) -> tuple[TrainingSettings, dict[str, Tensor]]:
    """The published recipe with the network of these sizes, and its weights."""
    unet = fastmri_unet(weights, str(source))
    if (unet.in_channels, unet.out_channels) != (1, 1):
        raise InputError(
            f"{source}: holds a U-Net of {unet.in_channels} to {unet.out_channels} channels; medrecon takes those of magnitude "
            "images, 1 to 1"
        )
    settings = TrainingSettings(
        name=name,
        data=_data(),
        network=PostProcessSettings(kind="unet", initial="rss", features=unet.features, pools=unet.n_pools, limit=6.0),
        loss=(LossTerm(kind="l1"),),
        optimizer=RmsPropSettings(kind="rmsprop", rate=1e-3),
        schedule=StepRateSettings(kind="step", every=40),
        training=RecipeSettings(epochs=50),
    )
    return settings, {f"network.unet.{key}": tensor for key, tensor in unet.state_dict().items()}


def _unet_of(network: Any) -> UNet:
    assert isinstance(network, NormalizedUNet)
    return network.unet


def _data() -> FastMRIData:
    """Multi-coil k-space as it is; which files and masks it was is not known, and the card says so."""
    masks = (
        LineMaskSettings(kind=MaskName.RANDOM, acceleration=4, center_fraction=0.08),
        LineMaskSettings(kind=MaskName.RANDOM, acceleration=8, center_fraction=0.04),
    )
    normalization = ConstantSettings(kind="constant")
    return FastMRIData(
        kind="fastmri", dataset="fastmri-knee", operator="coils", masks=masks, normalization=normalization
    )
