"""Trained networks as reconstructors: which weights are taken, how they are used, and what a user should know of them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from medrecon.config.files import settings_of
from medrecon.config.methods import METHODS, InferenceSettings, LearnedSettings, PrecisionName
from medrecon.config.training import TrainingSettings
from medrecon.errors import InputError
from medrecon.modality import Modality
from medrecon.networks import MeasuredRootSumOfSquares, compile_unets
from medrecon.networks.data_normalization import DataNormalization
from medrecon.networks.execution import explain_compiler_error
from medrecon.operators import LinearOperator, coils_of
from medrecon.reconstructor import Parameters
from medrecon.spaces import root_sum_of_squares
from medrecon.weights.card import find_weights
from medrecon.weights.networks import (
    FAMILIES,
    build_normalization,
    load_network,
    modalities_of,
    operator_family,
    read_card,
)
from medrecon.weights.shipped import shipped_weights

__all__ = [
    "Execution",
    "LearnedReconstructor",
    "Weights",
    "load",
    "load_reconstructor",
    "loaded",
    "method_of",
    "run_as",
    "weights_behind",
    "weights_of",
]

_HALVES = {PrecisionName.BF16: torch.bfloat16, PrecisionName.FP16: torch.float16}


@dataclass(frozen=True)
class Execution:
    """How a network is run: the precision of its autocast, its U-Nets compiled at their first call, its weights channels last."""

    precision: PrecisionName = PrecisionName.FP32
    compile: bool = False
    channels_last: bool = False

    def __str__(self) -> str:
        named = ("compiled", self.compile), ("channels last", self.channels_last)
        return ", ".join((self.precision.value, *(words for words, chosen in named if chosen)))


@dataclass(frozen=True, eq=False)
class Weights:
    """Trained weights that fit a scan, known by their card, and how they are run; `name` is as the user gave it."""

    name: str
    path: Path
    card: Mapping[str, Any]
    settings: TrainingSettings
    inference: InferenceSettings
    execution: Execution = Execution()

    @property
    def family(self) -> str:
        """The operators that the network was trained on, as `operator_family` names them."""
        return operator_family(self.settings.data)


@dataclass(frozen=True, eq=False)
class LearnedReconstructor:
    """A trained network on scans as they are: `network(s y, A) / s`, with the scale `s` that it was trained on.

    Each element of a batch has its own scale, so that a batch gives what a loop gives. No gradient is recorded. Where its weights
    ask for half precision it holds for the network alone, by autocast: the operators and the image stay in that of `y`.

    Parameters
    ----------
    network
        ready to reconstruct, on the device of the measurements.
    normalization
        the rule of the scale, that of the training data.
    weights
        where the network comes from.

    Raises
    ------
    ValueError
        when called, if `y` is not of the range of `A`, or the network does not take `A`.
    """

    network: nn.Module
    normalization: DataNormalization
    weights: Weights

    @property
    def device(self) -> torch.device:
        """Where the network lies."""
        return next(self.network.parameters()).device

    @property
    def stated_parameters(self) -> Parameters:
        """The name of its weights, and how they are run where that is not the default."""
        weights = self.weights
        return {
            "weights": weights.name,
            **({} if weights.execution == Execution() else {"run": str(weights.execution)}),
        }

    def with_phase(self, y: Tensor, A: LinearOperator) -> Tensor:
        """The image that the network gives, with the phase that it had before its end took that away, where it had one."""
        network = self.network
        if not isinstance(network, MeasuredRootSumOfSquares) or not isinstance(network.reconstruct, nn.Module):
            return self(y, A)
        x = replace(self, network=network.reconstruct)(y, A)
        with torch.no_grad():
            combined = network.combined(x, y, A)
            if "set" not in A.domain.axes:
                return combined * torch.sgn(x)
            seen = root_sum_of_squares(coils_of(A, type(self).__name__)(x), -3)
            return torch.where(seen > 0, combined / seen, 0.0).unsqueeze(-3) * x

    def with_initial(self, y: Tensor, A: LinearOperator) -> tuple[Tensor, Tensor | None]:
        """The image `with_phase`, and the one that the network began with, if a classical method makes that."""
        with _seen_initial(self.network) as seen:
            x = self.with_phase(y, A)
            scale = self.normalization(y, A)
        return x, seen[0] / scale.reshape(scale.shape + (1,) * A.domain.ndim) if seen else None

    def __call__(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        A.range.require(y, type(self).__name__)
        with torch.no_grad():
            scale = self.normalization(y, A)
            axes = scale.shape + (1,) * A.range.ndim
            with run_as(self.weights.execution, y.device):
                image: Tensor = self.network(y * scale.reshape(axes), A)
            axes = scale.shape + (1,) * (A.domain.ndim if A.domain.contains(image) else 2)
            return image.to(torch.promote_types(image.dtype, torch.float32)) / scale.reshape(axes)


def load(name: str | PathLike[str], device: torch.device | str = "cpu") -> LearnedReconstructor:
    """Load trained weights, by a name of `medrecon weights list` or from a file, to be called as `x = reconstruct(y, A)`.

    They take the operators that they were trained on, `reconstruct.weights.family`: "sense" is that of `sense_problem`, MRI with
    coil maps; "coils" that of `coil_problem`, MRI without; "radon" that of `ct_problem`. The batch may have any leading axes.

    >>> import torch
    >>> from medrecon import Arc, Grid, ParallelBeam, Radon, load, sense
    >>> reconstruct = load("lpd_lodopab_small")
    >>> A = Radon(Grid((32, 32), 8.0), ParallelBeam(Arc.half_turn(40), n_bins=48, spacing=8.0))
    >>> reconstruct.weights.family, reconstruct(torch.zeros(2, 40, 48), A).shape
    ('radon', torch.Size([2, 32, 32]))

    >>> reconstruct = load("varnet_brain_small")
    >>> A = sense(torch.ones(32, dtype=torch.bool), torch.full((4, 32, 32), 0.5 + 0j))
    >>> reconstruct.weights.family, reconstruct(torch.ones(4, 32, 32) + 0j, A).shape
    ('sense', torch.Size([32, 32]))

    Raises
    ------
    InputError
        If there are no such weights, the file is damaged or holds no weights, or there is no such device.
    """
    return load_reconstructor(_read(os.fspath(name)), _require_device(device))


def load_reconstructor(weights: Weights, device: torch.device | str = "cpu") -> LearnedReconstructor:
    """Read the weights, and make the reconstructor on a device.

    Raises
    ------
    InputError
        If the file is damaged, or does not fit its own card, or the network cannot be run as is asked.
    """
    return LearnedReconstructor(
        loaded(weights, device), build_normalization(weights.settings.data.normalization), weights
    )


def loaded(weights: Weights, device: torch.device | str) -> nn.Module:
    """Read the weights, and make the network on a device, to be run as they say.

    Raises
    ------
    InputError
        If the file is damaged, or does not fit its own card, or the network cannot be run as is asked.
    """
    execution = weights.execution
    if execution.precision is PrecisionName.FP16 and torch.device(device).type == "cpu":
        raise InputError("precision fp16: takes a GPU, and this is the CPU; take bf16 or fp32")
    network, _ = load_network(weights.path)
    network.to(device)
    if execution.channels_last:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if execution.compile:
        try:
            compile_unets(network)
        except ValueError as error:
            kind = weights.settings.network.kind
            raise InputError(
                f"compile: compiles U-Nets, and the {kind} network of the weights {weights.name} has none; leave it out"
            ) from error
    return network


def weights_behind(reconstruct: object) -> Weights | None:
    """The trained weights that a method rests on: its own, or those of its denoiser; None for a classical method."""
    for one in (reconstruct, getattr(reconstruct, "denoiser", None)):
        if isinstance(found := getattr(one, "weights", None), Weights):
            return found
    return None


def weights_of(settings: LearnedSettings, modality: Modality) -> Weights:
    """Find the weights of a method for a modality: those given, or its own.

    Raises
    ------
    InputError
        If there are none, they cannot be used, or their card is of another method or modality.
    """
    name = settings.shipped.get(modality) if settings.weights is None else settings.weights
    if name is None:
        raise InputError(
            f"--method {settings.kind}: no weights of this method for {modality.upper()} come with medrecon; give --weights FILE"
        )
    if settings.weights is None and shipped_weights(name) is None:
        raise InputError(
            f"--method {settings.kind}: the weights {name} do not come with this copy of medrecon; make them by `medrecon train "
            f"{name}` and give --weights runs/{name}/best.safetensors, or take other weights"
        )
    weights = _read(name)
    network = weights.settings.network.kind
    if modality not in modalities_of(weights.family):
        raise InputError(
            f"--weights {name}: was trained on {FAMILIES[weights.family]}, and the scan is {modality.upper()}; "
            "see `medrecon weights list`"
        )
    if network not in settings.networks:
        raise InputError(
            f"--weights {name}: holds a network of the kind {network}, which is not of --method {settings.kind}; "
            f"take --method {_method(network)}, or other weights"
        )
    return replace(weights, execution=Execution(settings.precision, settings.compile, settings.channels_last))


def method_of(weights: str) -> str:
    """The method that weights are for, by their card; `weights` is a name or a file.

    Raises
    ------
    InputError
        If they cannot be used.
    """
    return _method(_read(weights).settings.network.kind)


def _read(name: str) -> Weights:
    path = find_weights(name)
    card, settings = read_card(path)
    inference = settings_of(InferenceSettings, card.get("inference", {}), f"{path}: its card: inference")
    return Weights(name, path, card, settings, inference)


def _method(network: str) -> str:
    learned = (method for method in METHODS.values() if issubclass(method, LearnedSettings))
    return next(method.name() for method in learned if network in method.networks)


def _require_device(device: torch.device | str) -> torch.device:
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"load: takes a device that PyTorch has here, got {device}; take cpu") from error


@contextmanager
def _seen_initial(network: nn.Module) -> Iterator[list[Tensor]]:
    """The images that a network begins with, in a list that fills as it runs."""
    seen: list[Tensor] = []
    beginning: Any = next((one for one in network.modules() if getattr(one, "initial", None) is not None), None)
    if beginning is None:
        yield seen
        return
    initial = beginning.initial

    def remember(y: Tensor, A: LinearOperator, /) -> Tensor:
        seen.append(initial(y, A))
        return seen[-1]

    beginning.initial = remember
    try:
        yield seen
    finally:
        beginning.initial = initial


@contextmanager
def run_as(execution: Execution, device: torch.device) -> Iterator[None]:
    """Autocast where it is asked for, and words for a machine that cannot compile."""
    half = _HALVES.get(execution.precision)
    with (
        explain_compiler_error("compile", "leave it out"),
        nullcontext() if half is None else torch.autocast(device.type, half),
    ):
        yield
