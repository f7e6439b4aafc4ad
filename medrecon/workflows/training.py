"""From the settings of a training run to its objects, and through the run."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, assert_never

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import nn

from medrecon.config.files import settings_of
from medrecon.config.training import (
    AdamSettings,
    AdamWSettings,
    ConstantRateSettings,
    CosineRateSettings,
    LossTerm,
    OptimizerSettings,
    RmsPropSettings,
    ScheduleSettings,
    StepRateSettings,
    TrainingSettings,
)
from medrecon.data.locks import hold_folder
from medrecon.device import DeviceName
from medrecon.errors import InputError
from medrecon.networks import Denoising, compile_unets, emulates_bfloat16
from medrecon.progress import Progress, silent
from medrecon.training.cost import CostEstimate, estimate_cost
from medrecon.training.denoiser_error import measure_error
from medrecon.training.loop import train
from medrecon.training.losses import L1Loss, Loss, MSELoss, SSIMLoss, WeightedSum
from medrecon.training.noisy_images import NoisyImages
from medrecon.training.schedules import ConstantRate, CosineRate, Schedule, StepRate
from medrecon.training.state import Position, RunFolder
from medrecon.training.task import Recipe, Task
from medrecon.weights.card import find_weights, make_card, write_weights
from medrecon.weights.card_fields import require_card
from medrecon.weights.checkpoint import differences, load_into, read_checkpoint, read_metadata
from medrecon.weights.networks import FAMILIES, build_network, load_network, operator_family, read_card
from medrecon.words import shortened
from medrecon.workflows.training_data import build_training_sets, describe_data

__all__ = [
    "build_card",
    "build_loss",
    "build_task",
    "is_first_process",
    "open_accelerator",
    "record_denoiser_error",
    "train_network",
]

_PRECISIONS = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}
#: What may be changed when a run is resumed, without another result up to where it stood.
_FREE = (
    "name",
    "data.folder",
    "optimizer.rate",
    "training.clip",
    "training.epochs",
    "training.max_steps",
    "training.patience",
    "training.save_every",
    "training.workers",
    "training.compile",
    "training.channels_last",
    "network.recompute",
)


def _say_nothing(line: str) -> None:
    """Say nothing."""
    del line


def build_task(settings: TrainingSettings) -> Task:
    """Make the network, its weights from the seed, and all that it is trained with.

    Raises
    ------
    InputError
        If data are missing or at fault.
    """
    training, validation = build_training_sets(settings.data, settings.training.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.training.seed)
        network = build_network(settings.network, operator_family(settings.data))
    if settings.training.channels_last:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if settings.training.compile:
        compile_unets(network)
    return Task(
        network=network,
        optimizer=_optimizer(settings.optimizer, network),
        loss=build_loss(settings),
        schedule=_schedule(settings.schedule),
        training=training,
        validation=validation,
        recipe=Recipe(**settings.training.model_dump(exclude={"precision", "compile", "channels_last"})),
        savings=_savings(settings),
    )


def build_loss(settings: TrainingSettings) -> Loss:
    """Make the sum that is minimized."""
    return WeightedSum(tuple((term.weight, _loss(term)) for term in settings.loss))


def build_card(settings: TrainingSettings) -> dict[str, Any]:
    """Say what will have been trained; see `medrecon.weights.card`."""
    data, split = describe_data(settings.data)
    configuration = settings.model_dump(mode="json")
    normalization = " ".join(f"{key}={value}" for key, value in configuration["data"]["normalization"].items())
    family = operator_family(settings.data)
    return make_card(configuration, operator=family, normalization=normalization, split=split, data=data)


def open_accelerator(precision: str, device: DeviceName | None = None) -> Accelerator:
    """Take the devices: those of `torchrun`, else one GPU if there is one, else the CPU."""
    if device is DeviceName.CUDA and not torch.cuda.is_available():
        raise InputError("--device cuda: no CUDA device is available to PyTorch; leave it out to compute on the CPU")
    wanted = _PRECISIONS[precision]
    on_cpu = device is DeviceName.CPU or not torch.cuda.is_available()
    if on_cpu and precision == "fp16":
        raise InputError("training.precision: fp16 takes a GPU, and this is the CPU; take bf16 or fp32")
    if (
        AcceleratorState._shared_state and AcceleratorState().mixed_precision != wanted
    ):  # of a run before, in this process
        AcceleratorState._reset_state()
    # Not told of the CPU, it would not see the other processes on it.
    return Accelerator(mixed_precision=wanted, cpu=on_cpu)


def train_network(
    settings: TrainingSettings,
    folder: Path,
    *,
    resume: bool = False,
    weights: str | None = None,
    device: DeviceName | None = None,
    say: Callable[[str], None] = _say_nothing,
    progress: Progress = silent,
) -> Position:
    """Train as the settings say, into `folder`; what is done is told at once, and the plan before the first step.

    A new run begins with random weights, or with `weights`: a name of `medrecon weights list`, or a file. The card names them, with
    their data where these are others, and those that they had begun with themselves.

    With `resume` a run that was cut off before its first checkpoint, or never begun, is begun; one that goes on takes no `weights`.
    While it lasts no other process can train into the folder; of several processes of one run the first holds it.

    Raises
    ------
    InputError
        If data are missing, the folder holds a run already or is another's to write to, the weights are of another network, or
        training cannot go on.
    """
    run, card = RunFolder(folder), build_card(settings)
    with hold_folder(folder, "training") if is_first_process() else nullcontext():
        going_on = resume and run.last.exists()
        if going_on and weights is not None:
            raise InputError(f"--weights: {run.last} has weights of its own; leave out --weights or --resume")
        changed = _require_folder(run, card, going_on)
        accelerator = open_accelerator(settings.training.precision, device)  # waits for all: none has written by now
        say = say if accelerator.is_main_process else _say_nothing
        if changed:
            say(f"goes on with other settings than before: {'; '.join(changed)} now")
        if resume and not going_on:
            say(f"{folder}: holds no checkpoint to go on with; the run begins")
        say(f"{settings.name}: {settings.network.kind} on {card['operator']}, into {folder}; reading the data")
        task = build_task(settings)
        if going_on:
            before = require_card(run.last, read_metadata(run.last))
            card |= {key: value for key, value in before.items() if key == "started_from"}
        elif weights is not None:
            card["started_from"] = _beginning(task.network, settings, weights, card, say)
        if settings.training.precision == "bf16" and emulates_bfloat16(accelerator.device):
            say("this processor has no instructions for bfloat16, which is slower: set training.precision=fp32")
        plan = partial(_plan, task, accelerator, run if going_on else None, say, progress)
        position = train(task, run, card, accelerator, resume=going_on, plan=plan, progress=progress)
        if isinstance(task.validation, NoisyImages) and accelerator.is_main_process:
            say("measuring the denoiser's error at each level of noise, for its card")
            record_denoiser_error(run.best, task.validation, accelerator.device, progress)
        return position


def record_denoiser_error(
    path: Path, images: NoisyImages, device: torch.device | str = "cpu", progress: Progress = silent
) -> None:
    """Note in the card of a denoiser, and in the JSON beside it, how far it is off at each level of noise.

    Raises
    ------
    InputError
        If the file cannot be used.
    """
    network, card = load_network(path, "denoising")
    assert isinstance(network, Denoising)
    curve = measure_error(network.denoiser.to(device), images, progress)
    write_weights(path, read_checkpoint(path).tensors, card | {"error": curve.model_dump()}, overwrite=True)


def is_first_process() -> bool:
    """Whether this is the first of the processes of a run, which alone writes; they are numbered as `torchrun` does."""
    return os.environ.get("RANK", "0") == "0"


def _plan(
    task: Task, accelerator: Accelerator, resumed: RunFolder | None, say: Callable[[str], None], progress: Progress
) -> CostEstimate:
    """Measure what a run takes, and tell it."""
    say("measuring some steps; a run that is interrupted from now on can be resumed")
    plan = estimate_cost(task, accelerator, resumed, progress)
    for line in plan.lines():
        say(line)
    return plan


def _beginning(
    network: nn.Module, settings: TrainingSettings, weights: str, card: dict[str, Any], say: Callable[[str], None]
) -> dict[str, Any]:
    """Take weights over, and tell what the card says of them: their data only where these are others."""
    before = _start(network, settings, weights, say)
    if before["data"] == card["data"]:
        del before["data"]
    return before


def _start(network: nn.Module, settings: TrainingSettings, weights: str, say: Callable[[str], None]) -> dict[str, Any]:
    """Take weights over, and say which: their name, steps, data and split, and those that they had begun with themselves."""
    path = find_weights(weights)
    card, before = read_card(path)
    family, wanted = operator_family(before.data), operator_family(settings.data)
    if family != wanted:
        raise InputError(
            f"{path}: was trained on {FAMILIES[family]}, and the run is of {FAMILIES[wanted]}; take others"
        )
    load_into(network, read_checkpoint(path).tensors, str(path))
    changed = differences(before.network.model_dump(mode="json"), settings.network.model_dump(mode="json"))
    if changed:
        say(f"begins with {path}, whose network is used otherwise: {'; '.join(changed)} now")
    told = {key: card.get(key) for key in ("name", "trained_steps", "medrecon", "data")}
    return told | {key: card[key] for key in ("started_from",) if key in card}


def _require_folder(run: RunFolder, card: dict[str, Any], resume: bool) -> list[str]:
    """Refuse a folder that a run cannot have, and return what is to be otherwise when it goes on."""
    if not resume:
        if run.last.exists():
            raise InputError(f"{run.path}: holds a training run; go on with --resume, or give another --output")
        if (kept := next((path for path in (run.best, run.card) if path.exists()), None)) is not None:
            raise InputError(f"{kept}: are weights that a run would replace; give another --output")
        return []
    before = _configuration(run.last)
    changed = differences(before, card["configuration"])
    lines = [line for line in changed if line.partition(":")[0] not in _FREE]
    if lines:
        raise InputError(
            f"{run.last}: the run was started with other settings: {'; '.join(lines[:3])} now; make them agree"
        )
    return changed


def _configuration(path: Path) -> dict[str, Any]:
    """What a run was started with; keys that came later are at their defaults, which are what was done before."""
    card = require_card(path, read_metadata(path))
    try:
        before = settings_of(TrainingSettings, card["configuration"], f"{path}: its card")
    except InputError as error:
        version = shortened(card.get("medrecon", "another version"))
        raise InputError(f"{error}; the run is of medrecon {version}: go on with that, or train anew") from error
    return before.model_dump(mode="json")


def _savings(settings: TrainingSettings) -> tuple[str, ...]:
    """What takes less memory, in words, of what is not done already."""
    training, network = settings.training, settings.network
    return (
        *([f"lower training.batch_size from {training.batch_size}"] if training.batch_size > 1 else []),
        *(["set network.recompute=true"] if getattr(network, "recompute", True) is False else []),
        *(["set training.precision=bf16"] if training.precision == "fp32" else []),
        f"lower network.features from {network.features}",
    )


def _loss(term: LossTerm) -> Loss:
    match term.kind:
        case "l1":
            return L1Loss()
        case "mse":
            return MSELoss()
        case "ssim":
            return SSIMLoss()
        case _:
            assert_never(term.kind)


def _schedule(settings: ScheduleSettings) -> Schedule:
    match settings:
        case ConstantRateSettings():
            return ConstantRate()
        case StepRateSettings():
            return StepRate(settings.every, settings.gamma)
        case CosineRateSettings():
            return CosineRate(settings.warmup, settings.floor)


def _optimizer(settings: OptimizerSettings, network: nn.Module) -> torch.optim.Optimizer:
    rate, decay, parameters = settings.rate, settings.weight_decay, network.parameters()
    match settings:
        case AdamSettings():
            return torch.optim.Adam(parameters, rate, settings.betas, weight_decay=decay)
        case AdamWSettings():
            return torch.optim.AdamW(parameters, rate, settings.betas, weight_decay=decay)
        case RmsPropSettings():
            return torch.optim.RMSprop(parameters, rate, weight_decay=decay)
