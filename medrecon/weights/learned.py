"""Trained networks as reconstructors: which weights are taken, how they are used, and what a user should know of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from medrecon.config.files import settings_of
from medrecon.config.learned import (
    LEARNED_METHODS,
    InferenceSettings,
    LearnedMethodName,
    LearnedSettings,
    PrecisionName,
)
from medrecon.config.training import TrainingSettings
from medrecon.errors import InputError
from medrecon.networks import compile_unets
from medrecon.networks.data_normalization import DataNormalization
from medrecon.networks.execution import explain_compiler_error
from medrecon.operators import LinearOperator
from medrecon.weights.card import find_weights, shipped_weights
from medrecon.weights.networks import FAMILIES, build_normalization, load_network, operator_family, read_card

__all__ = [
    "Execution",
    "LearnedReconstructor",
    "Weights",
    "ct_weights",
    "load_reconstructor",
    "method_of",
    "mri_weights",
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

    def __call__(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        A.range.require(y, type(self).__name__)
        with torch.no_grad():
            scale = self.normalization(y, A)
            axes = scale.shape + (1,) * A.range.ndim
            with _run_as(self.weights.execution, y.device):
                image: Tensor = self.network(y * scale.reshape(axes), A)
            return image.to(torch.promote_types(image.dtype, torch.float32)) / scale[..., None, None]


def load_reconstructor(weights: Weights, device: torch.device | str = "cpu") -> LearnedReconstructor:
    """Read the weights, and make the reconstructor on a device.

    Raises
    ------
    InputError
        If the file is damaged, or does not fit its own card, or the network cannot be run as is asked.
    """
    execution = weights.execution
    if execution.precision is PrecisionName.FP16 and torch.device(device).type == "cpu":
        raise InputError("--precision fp16: takes a GPU, and this is the CPU; take bf16 or fp32")
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
                f"--compile: compiles U-Nets, and the {kind} network of the weights {weights.name} has none; leave it out"
            ) from error
    return LearnedReconstructor(network, build_normalization(weights.settings.data.normalization), weights)


def mri_weights(settings: LearnedSettings) -> Weights:
    """Find the weights of a method for MRI: those chosen, or its own.

    Raises
    ------
    InputError
        If there are none, they cannot be used, or their card is of another method or of CT.
    """
    return _find(settings, settings.mri, "MRI", ("sense", "coils"))


def ct_weights(settings: LearnedSettings) -> Weights:
    """Find the weights of a method for CT: those chosen, or its own.

    Raises
    ------
    InputError
        If there are none, they cannot be used, or their card is of another method or of MRI.
    """
    return _find(settings, settings.ct, "CT", ("radon",))


def method_of(weights: str) -> LearnedMethodName:
    """The method that weights are for, by their card; `weights` is a name or a file.

    Raises
    ------
    InputError
        If they cannot be used.
    """
    return _method(_read(weights).settings.network.kind)


def _find(settings: LearnedSettings, own: str | None, modality: str, families: tuple[str, ...]) -> Weights:
    name = own if settings.weights is None else settings.weights
    if name is None:
        raise InputError(
            f"--method {settings.kind}: no weights of this method for {modality} come with medrecon; give --weights FILE"
        )
    if settings.weights is None and shipped_weights(name) is None:
        raise InputError(
            f"--method {settings.kind}: the weights {name} do not come with this copy of medrecon; make them by `medrecon train "
            f"configs/{name}.yaml` and give --weights runs/{name}/best.safetensors, or take other weights"
        )
    weights = _read(name)
    network = weights.settings.network.kind
    if weights.family not in families:
        raise InputError(
            f"--weights {name}: was trained on {FAMILIES[weights.family]}, and the scan is {modality}; see `medrecon weights list`"
        )
    if network not in settings.networks:
        raise InputError(
            f"--weights {name}: holds a network of the kind {network}, which is not of --method {settings.kind}; "
            f"take --method {_method(network)}, or other weights"
        )
    return replace(weights, execution=Execution(settings.precision, settings.compile, settings.channels_last))


def _read(name: str) -> Weights:
    path = find_weights(name)
    card, settings = read_card(path)
    inference = settings_of(InferenceSettings, card.get("inference", {}), f"{path}: its card: inference")
    return Weights(name, path, card, settings, inference)


def _method(network: str) -> LearnedMethodName:
    found = next(method for method in LEARNED_METHODS if network in method.networks)
    name: LearnedMethodName = found.model_fields["kind"].default
    return name


@contextmanager
def _run_as(execution: Execution, device: torch.device) -> Iterator[None]:
    """Autocast where it is asked for, and words for a machine that cannot compile."""
    half = _HALVES.get(execution.precision)
    with (
        explain_compiler_error("--compile", "leave it out"),
        nullcontext() if half is None else torch.autocast(device.type, half),
    ):
        yield
