"""What a training run will take: counted, and measured on a few batches, before it starts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from medrecon.training.examples import Example
from medrecon.training.losses import Loss

__all__ = ["Measured", "Plan", "least_memory", "measure", "saved_bytes"]


_BYTES = 4 * 4  # of a parameter: its weight, its gradient, and twice the optimizer's memory


@dataclass(frozen=True)
class Measured:
    """Seconds of one step, its loss, and the bytes that it keeps for the gradient."""

    seconds: float
    loss: float
    activations: int


@dataclass(frozen=True)
class Plan:
    """What will be done; `reading` are the seconds that a batch takes to be read, by one process.

    `memory` in bytes counts weights, gradients, the optimizer's memory and what a step keeps.
    """

    parameters: int
    samples: int
    validation_samples: int
    batch_size: int
    steps_per_epoch: int
    epochs: int
    n_processes: int
    device: str
    measured: Measured
    reading: float
    workers: int

    @property
    def memory(self) -> int:
        return _BYTES * self.parameters + self.measured.activations

    @property
    def seconds(self) -> float:
        """The time of all steps, validation left aside."""
        return self.step * self.steps_per_epoch * self.epochs

    @property
    def step(self) -> float:
        """The time of a step: batches are read between the steps, or by workers meanwhile."""
        if self.workers == 0:
            return self.measured.seconds + self.reading
        return max(self.measured.seconds, self.reading / self.workers)

    def lines(self) -> tuple[str, ...]:
        """The plan in words."""
        processes = f"{self.n_processes} processes on {self.device}" if self.n_processes > 1 else self.device
        return (
            f"parameters: {self.parameters:,}",
            f"samples: {self.samples} to train, {self.validation_samples} to validate",
            f"steps: {self.steps_per_epoch} an epoch of batches of {self.batch_size}, {self.epochs} epochs, on {processes}",
            f"memory: at least {self.memory / 2**30:.2f} GiB on each device",
            f"time: {self.step:.3g} s a step ({self.measured.seconds:.3g} to compute, {self.reading:.3g} to read its batch), "
            f"{_duration(self.seconds)} in all, and validation",
        )


def measure(
    network: nn.Module, loss: Loss, batches: Sequence[Example], autocast: Callable[[], AbstractContextManager[object]]
) -> Measured:
    """Run steps of forward and backward, the first for warming up if there are several; the network is left as it was."""
    seconds, found = [], Measured(0.0, 0.0, 0)
    for batch in batches:
        start = time.perf_counter()
        kept: dict[int, int] = {}
        with torch.autograd.graph.saved_tensors_hooks(partial(_noted, kept), _same):
            with autocast():
                x = network(batch.problem.y, batch.problem.A)
            value = loss(batch.problem.picture(x), batch.target, batch.data_range)
        value.backward()  # type: ignore[no-untyped-call]
        found = Measured(0.0, float(value.detach()), saved_bytes(kept, network))
        for parameter in network.parameters():
            parameter.grad = None
        seconds.append(time.perf_counter() - start)
    timed = sorted(seconds[1:] or seconds)
    return Measured(timed[len(timed) // 2], found.loss, found.activations)


def least_memory(network: nn.Module) -> int:
    """The bytes of weights, gradients and the optimizer's memory, before any step was measured."""
    return _BYTES * sum(parameter.numel() for parameter in network.parameters())


def saved_bytes(kept: dict[int, int], network: nn.Module) -> int:
    """The bytes of storages, by their address, without those of the network's own parameters."""
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
