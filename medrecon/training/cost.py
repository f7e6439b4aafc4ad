"""What a training run will take: counted, and measured on a few batches, before it starts."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from statistics import fmean

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from medrecon.networks.execution import explain_compiler_error
from medrecon.progress import Progress, silent
from medrecon.training.failures import explain_misfit, explain_out_of_memory, kept_for_memory
from medrecon.training.losses import Loss
from medrecon.training.samples import Sample, TrainingSet, collate
from medrecon.training.state import RunFolder, read_position
from medrecon.training.task import Task
from medrecon.words import counted

__all__ = [
    "CostEstimate",
    "Measured",
    "Stage",
    "estimate_cost",
    "least_memory",
    "measure",
    "saved_bytes",
    "stage_starts",
]

_MEASURED_STEPS = 3
_BYTES = 4 * 4  # of a parameter: its weight, its gradient, and twice the optimizer's state


@dataclass(frozen=True)
class Measured:
    """Seconds of one step, its loss, and the bytes that the largest keeps for the gradient."""

    seconds: float
    loss: float
    activations: int


@dataclass(frozen=True)
class Stage:
    """Epochs whose samples have one size; `reading` are the seconds that a batch takes to be read, by one process."""

    epochs: int
    measured: Measured
    reading: float

    def step(self, workers: int) -> float:
        """The time of a step: batches are read between the steps, or by workers meanwhile."""
        if workers == 0:
            return self.measured.seconds + self.reading
        return max(self.measured.seconds, self.reading / workers)


@dataclass(frozen=True)
class CostEstimate:
    """What a run will take.

    `steps` are those of the whole run, of which so many are `done`. `memory` in bytes counts weights, gradients, the optimizer's
    state and what a step of the largest stage keeps.
    """

    parameters: int
    samples: int
    validation_samples: int
    batch_size: int
    steps_per_epoch: int
    epochs: int
    n_processes: int
    device: str
    stages: tuple[Stage, ...]
    workers: int
    steps: int
    done: int = 0

    @property
    def memory(self) -> int:
        return _BYTES * self.parameters + max(stage.measured.activations for stage in self.stages)

    @property
    def seconds(self) -> float:
        """The time of the steps that are left, at the mean of all, and validation left aside."""
        return self.step * max(0, self.steps - self.done)

    @property
    def step(self) -> float:
        """The time of a step, the mean over the epochs."""
        return self._mean([stage.step(self.workers) for stage in self.stages])

    def lines(self) -> tuple[str, ...]:
        """Say the plan in words, a fact a line."""
        computing = self._mean([stage.measured.seconds for stage in self.stages])
        reading = self._mean([stage.reading for stage in self.stages])
        mean = f" in the mean of {len(self.stages)} stages" if len(self.stages) > 1 else ""
        processes = f"{self.n_processes} processes on {self.device}" if self.n_processes > 1 else self.device
        return (
            f"parameters: {self.parameters:,}",
            f"samples: {self.samples} to train, {self.validation_samples} to validate",
            f"steps: {self.steps_per_epoch} an epoch of batches of {self.batch_size}, {self._length()}, on {processes}",
            f"memory: at least {self.memory / 2**30:.2f} GiB on each device",
            f"time: {self.step:.3g} s a step{mean} ({computing:.3g} to compute, {reading:.3g} to read its batch), "
            f"{_duration(self.seconds)} {'are left' if self.done else 'in all'}, and validation",
        )

    def _length(self) -> str:
        whole = self.steps_per_epoch * self.epochs
        length = counted(self.epochs, "epoch") if self.steps == whole else counted(self.steps, "step")
        return f"{length}, of which {counted(self.done, 'step is', 'steps are')} done" if self.done else length

    def _mean(self, values: Sequence[float]) -> float:
        return fmean(values, [stage.epochs for stage in self.stages])


def estimate_cost(
    task: Task, accelerator: Accelerator, resumed: RunFolder | None = None, progress: Progress = silent
) -> CostEstimate:
    """Count, and measure a few steps of each stage; nothing of the task is changed, and nothing of a run that is to be `resumed`.

    Raises
    ------
    InputError
        If the memory is too small, the network does not fit the data or cannot be compiled, or a file is at fault.
    """
    recipe, device = task.recipe, accelerator.device
    network = task.network.to(device)
    batches = task.batches(0, accelerator.num_processes)
    an_epoch = len(batches) // accelerator.num_processes
    steps = min(recipe.epochs * an_epoch, recipe.max_steps or sys.maxsize)
    epochs = math.ceil(steps / an_epoch)
    starts = stage_starts(task.training, batches[0][0], epochs)
    kept = "" if resumed is None else kept_for_memory(resumed)
    with explain_out_of_memory(least_memory(network), task.savings, kept), explain_compiler_error():
        stages: list[Stage] = []
        for start, end in pairwise((*starts, epochs)):
            progress("measuring steps", len(stages), len(starts))
            stages.append(_stage(task, accelerator, start, end - start))
    return CostEstimate(
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        samples=len(task.training),
        validation_samples=len(task.validation),
        batch_size=recipe.batch_size,
        steps_per_epoch=an_epoch,
        epochs=recipe.epochs,
        n_processes=accelerator.num_processes,
        device=str(device),
        stages=tuple(stages),
        workers=recipe.workers,
        steps=steps,
        done=0 if resumed is None else read_position(resumed.last).step,
    )


def _stage(task: Task, accelerator: Accelerator, epoch: int, epochs: int) -> Stage:
    batches = task.batches(epoch, accelerator.num_processes)
    shown = (batches[k % len(batches)] for k in range(_MEASURED_STEPS))
    start = time.perf_counter()
    samples = [collate([task.training.read(i, epoch) for i in batch]).to(accelerator.device) for batch in shown]
    reading = (time.perf_counter() - start) / _MEASURED_STEPS
    with explain_misfit():
        measured = measure(task.network, task.loss, samples, accelerator.autocast)
    return Stage(epochs, measured, reading)


def stage_starts(samples: TrainingSet, index: int, epochs: int) -> tuple[int, ...]:
    """Find the epochs in which a sample's measurements change their size, and the first; it is to grow or to fall, not both."""

    @cache
    def size(epoch: int) -> torch.Size:
        return samples.read(index, epoch).problem.y.shape

    def changes(first: int, last: int) -> tuple[int, ...]:
        if size(first) == size(last):
            return ()
        middle = (first + last) // 2
        return (last,) if middle == first else (*changes(first, middle), *changes(middle, last))

    return 0, *changes(0, epochs - 1)


def measure(
    network: nn.Module, loss: Loss, batches: Sequence[Sample], autocast: Callable[[], AbstractContextManager[object]]
) -> Measured:
    """Run steps of forward and backward, the first for warming up if there are several; the network is left as it was."""
    seconds, found = [], Measured(0.0, 0.0, 0)
    for batch in batches:
        start = time.perf_counter()
        kept: dict[int, int] = {}
        with torch.autograd.graph.saved_tensors_hooks(partial(_noted, kept), _same):
            with autocast():
                x = network(batch.problem.y, batch.problem.A)
            value = loss(batch.compared(x), batch.target, batch.data_range)
        value.backward()  # type: ignore[no-untyped-call]
        found = Measured(0.0, float(value.detach()), max(found.activations, saved_bytes(kept, network)))
        for parameter in network.parameters():
            parameter.grad = None
        seconds.append(time.perf_counter() - start)
    timed = sorted(seconds[1:] or seconds)
    return Measured(timed[len(timed) // 2], found.loss, found.activations)


def least_memory(network: nn.Module) -> int:
    """Count the bytes of weights, gradients and the optimizer's state, before any step was measured."""
    return _BYTES * sum(parameter.numel() for parameter in network.parameters())


def saved_bytes(kept: dict[int, int], network: nn.Module) -> int:
    """Count the bytes of storages, by their address, without those of the network's own parameters."""
    own = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    return sum(size for address, size in kept.items() if address not in own)


def _noted(kept: dict[int, int], tensor: Tensor) -> Tensor:
    storage = tensor.untyped_storage()
    kept[storage.data_ptr()] = storage.nbytes()
    return tensor


def _same(tensor: Tensor) -> Tensor:
    return tensor


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} seconds"
