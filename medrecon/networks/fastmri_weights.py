"""Weights of the `fastmri` package in the networks of this one."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from medrecon.errors import InputError
from medrecon.networks.end_to_end import EndToEndVarNet
from medrecon.networks.unet import UNet

__all__ = ["fastmri_unet", "fastmri_varnet", "read_fastmri_weights"]

Weights = Mapping[str, Tensor]
Network = TypeVar("Network", bound=nn.Module)

_NOT_WEIGHTS = re.compile(r"loss\.w|(NMSE|SSIM|PSNR|ValLoss|TotExamples|TotSliceExamples)\..*")
_WRAPPERS = ("module.", "model.", "varnet.", "unet.")
_BEGINNINGS = (b"PK", b"\x80")  # of a file that torch writes, new and old
_SHOWN = 5  # names in a message


def fastmri_unet(weights: Weights, name: str = "the weights") -> UNet:
    """The network of a state of `fastmri.models.Unet`, of any number of channels, features and poolings.

    Raises
    ------
    InputError
        naming what is missing, unknown or of another shape; `name` says what was read.
    """
    weights = _unwrapped(weights, ("down_sample_layers.", "conv.", "up_conv.", "up_transpose_conv."))
    size = _unet_size(weights, "", name)
    with torch.device("meta"):  # nothing is allocated until every weight fits
        unet = UNet(*size)
    return _loaded(unet, _unet_names(unet, "", ""), weights, name)


def fastmri_varnet(weights: Weights, name: str = "the weights") -> EndToEndVarNet:
    """The network of a state of `fastmri.models.VarNet`, of any number of cascades, features and poolings.

    Raises
    ------
    InputError
        naming what is missing, unknown or of another shape; `name` says what was read.
    """
    weights = _unwrapped(weights, ("cascades.", "sens_net."))
    numbers = {int(match[1]) for key in weights if (match := re.match(r"cascades\.(\d+)\.", key))}
    if not numbers:
        raise InputError(
            f"{name}: holds no cascade (names such as cascades.0.dc_weight), so it is no VarNet of fastmri"
        )
    cascade, maps = "cascades.0.model.unet.", "sens_net.norm_unet.unet."
    (*_, features, n_pools), (*_, sens_features, sens_pools) = (
        _unet_size(weights, cascade, name),
        _unet_size(weights, maps, name),
    )
    with torch.device("meta"):  # nothing is allocated until every weight fits
        network = EndToEndVarNet.of_sizes(len(numbers), features, n_pools, sens_features, sens_pools)
    names: dict[str, str] = {}
    for number, part in enumerate(network.cascades):
        names[f"cascades.{number}.dc_weight"] = f"cascades.{number}.step"
        ours = f"cascades.{number}.network.unet."
        names |= _unet_names(part.network.unet, f"cascades.{number}.model.unet.", ours)  # type: ignore[union-attr, arg-type]
    maps_unet = network.sensitivities.network.unet
    names |= _unet_names(maps_unet, maps, "sensitivities.network.unet.")  # type: ignore[arg-type]
    return _loaded(network, names, weights, name)


def read_fastmri_weights(path: Path | str) -> dict[str, Tensor]:
    """The tensors of a `.pt` or `.ckpt` file, read without running any code that it may hold.

    Raises
    ------
    InputError
        if the file cannot be read, or holds other things than tensors.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            known = file.read(2).startswith(_BEGINNINGS)
        if not known:
            raise EOFError
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file") from None
    except pickle.UnpicklingError:
        raise InputError(
            f"{path}: holds Python objects beside tensors, which could run code and are not read; save its state_dict alone "
            f"(torch.save(model.state_dict(), ...)) and give that file"
        ) from None
    except (OSError, RuntimeError, EOFError, KeyError, ValueError) as error:
        raise InputError(
            f"{path}: is no file of weights, or was cut short ({type(error).__name__}); fetch it again"
        ) from None
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    pairs = content.items() if isinstance(content, dict) else ()
    if not pairs or not all(isinstance(key, str) and isinstance(value, Tensor) for key, value in pairs):
        raise InputError(f"{path}: holds no state_dict (names and tensors); give the file of a trained fastmri network")
    return dict(pairs)


def _unwrapped(weights: Weights, starts: tuple[str, ...]) -> dict[str, Tensor]:
    """Without the prefixes that trainers add, and without what is no weight."""
    kept = {key: value for key, value in weights.items() if not _NOT_WEIGHTS.fullmatch(key)}
    while kept and not any(key.startswith(starts) for key in kept):
        prefix = next((wrapper for wrapper in _WRAPPERS if all(key.startswith(wrapper) for key in kept)), None)
        if prefix is None:
            break
        kept = {key.removeprefix(prefix): value for key, value in kept.items()}
    return kept


def _unet_size(weights: Weights, prefix: str, name: str) -> tuple[int, int, int, int]:
    """Channels in and out, features and poolings, from the shapes."""
    pattern = re.compile(re.escape(prefix) + r"down_sample_layers\.(\d+)\.")
    n_pools = len({match[1] for key in weights if (match := pattern.match(key))})
    first = f"{prefix}down_sample_layers.0.layers.0.weight"
    last = f"{prefix}up_conv.{n_pools - 1}.1.weight"
    missing = [key for key in (first, last) if key not in weights or weights[key].ndim != 4]
    if missing:
        raise InputError(
            f"{name}: has no {missing[0]}, so it is no network of fastmri of this kind; its names begin with "
            f"{', '.join(sorted(weights)[:2]) or 'nothing'}"
        )
    empty = [key for key in (first, last) if not weights[key].numel()]
    if empty:
        raise InputError(
            f"{name}: {empty[0]} holds no numbers, its shape is {tuple(weights[empty[0]].shape)}; give the file of a trained "
            "fastmri network"
        )
    return weights[first].shape[1], weights[last].shape[0], weights[first].shape[0], n_pools


def _unet_names(unet: UNet, theirs: str, ours: str) -> dict[str, str]:
    """The name of fastMRI, and ours, of every weight of a U-Net."""
    names = {}

    def pair(their: str, our: str) -> None:
        names[f"{theirs}{their}.layers.0.weight"] = f"{ours}{our}.first.weight"
        names[f"{theirs}{their}.layers.4.weight"] = f"{ours}{our}.second.weight"

    end = unet.n_pools - 1
    pair("conv", "bottom")
    for level in range(unet.n_pools):
        pair(f"down_sample_layers.{level}", f"down.{level}")
        pair(f"up_conv.{level}.0" if level == end else f"up_conv.{level}", f"up.{level}.pair")
        names[f"{theirs}up_transpose_conv.{level}.layers.0.weight"] = f"{ours}up.{level}.transposed.weight"
    for kind in ("weight", "bias"):
        names[f"{theirs}up_conv.{end}.1.{kind}"] = f"{ours}last.{kind}"
    return names


def _loaded(network: Network, names: Mapping[str, str], weights: Weights, name: str) -> Network:
    """The network with copies of the weights in single precision; every one must find its place."""
    state = network.state_dict()
    missing, unknown = sorted(names.keys() - weights.keys()), sorted(weights.keys() - names.keys())
    shaped = [
        f"{key} {tuple(weights[key].shape)} for {tuple(state[names[key]].shape)}"
        for key in names.keys() & weights.keys()
        if weights[key].shape != state[names[key]].shape
    ]
    faults = [
        f"{what} {', '.join(some[:_SHOWN])}{f' and {len(some) - _SHOWN} more' if len(some) > _SHOWN else ''}"
        for what, some in (("lacks", missing), ("has unknown", unknown), ("has other shapes:", sorted(shaped)))
        if some
    ]
    if faults:
        raise InputError(f"{name}: {'; '.join(faults)}")
    held = {ours: weights[theirs].detach().to(torch.float32, copy=True) for theirs, ours in names.items()}
    network.load_state_dict(held, assign=True)
    network.requires_grad_()
    return network
