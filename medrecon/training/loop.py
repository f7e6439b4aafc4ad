"""The training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import nn
from torch.utils.data import DataLoader, Dataset

from medrecon.errors import InputError
from medrecon.networks.execution import explain_compiler_error
from medrecon.progress import Progress, silent
from medrecon.training.cost import CostEstimate, least_memory
from medrecon.training.failures import (
    TrainingStoppedError,
    anew,
    explain_misfit,
    explain_out_of_memory,
    kept_for_memory,
    kept_for_numbers,
)
from medrecon.training.logs import Logs
from medrecon.training.samples import Sample, TrainingSet, collate
from medrecon.training.state import Position, RunFolder, State, read_state, write_state
from medrecon.training.task import Task
from medrecon.training.validation import validate
from medrecon.weights.card import with_scores
from medrecon.weights.checkpoint import Checkpoint, read_metadata, write_card, write_checkpoint
from medrecon.weights.scores import Scores
from medrecon.words import counted

__all__ = ["train"]

_SAMPLES = "training_samples"  # in the card of the state of a run
_LEAST_SCALE = 1.0  # of float16's losses, halved at each gradient that is not finite, from 65536


def train(
    task: Task,
    folder: RunFolder,
    card: Mapping[str, Any],
    accelerator: Accelerator,
    *,
    resume: bool = False,
    plan: Callable[[], CostEstimate] | None = None,
    progress: Progress = silent,
) -> Position:
    """Train until the epochs are over, or validation has not improved for long; the best and the last weights lie in `folder`.

    All that is random is made of (seed, epoch, index) and the learning rate of the position, so that a run that is resumed gives
    the losses of one that was not interrupted. The first checkpoint is written before the `plan` is measured, and taken back should
    that fail.

    Raises
    ------
    InputError
        If a loss or a gradient is not finite, the memory is too small (the last checkpoint is from before), the network does not
        fit the data, a run is resumed with another number of samples, or a file is at fault.
    """
    task.network.to(accelerator.device)
    for group in task.optimizer.param_groups:
        group.setdefault("initial_lr", group["lr"])
    state = State(task.network, task.optimizer, Position(), accelerator.num_processes, _scaler(accelerator))
    if resume:
        _require_samples(folder, len(task.training))
    memory = least_memory(task.network)
    if accelerator.is_main_process:
        with nullcontext() if resume else _begin(task, folder, card, state):
            memory = memory if plan is None else plan().memory
        folder.clean()
    accelerator.wait_for_everyone()
    if resume:
        state = read_state(folder.last, task.network, task.optimizer, accelerator.num_processes)
    wrapped, optimizer = accelerator.prepare(task.network, task.optimizer)
    if accelerator.scaler is not None and state.scaler:
        accelerator.scaler.load_state_dict(dict(state.scaler))
    with ExitStack() as stack:
        main = accelerator.is_main_process
        logs = stack.enter_context(Logs(folder.path, state.position.step)) if main else None
        stack.enter_context(explain_compiler_error())
        run = _Run(task, folder, card, accelerator, wrapped, optimizer, logs, progress, memory)
        return run.go(state.position)


@contextmanager
def _begin(task: Task, folder: RunFolder, card: Mapping[str, Any], start: State) -> Iterator[None]:
    """Write the first checkpoint of a run, and take it back when an error, not an interruption, ends the block."""
    new = not folder.path.exists()
    folder.path.mkdir(parents=True, exist_ok=True)
    write_state(folder.last, start, {**card, _SAMPLES: len(task.training)})
    try:
        yield
    except Exception:
        folder.last.unlink()
        if new:
            with suppress(OSError):
                folder.path.rmdir()
        raise


@dataclass(frozen=True, eq=False)
class _Run:
    """A task on its devices; `memory` are the bytes of the plan."""

    task: Task
    folder: RunFolder
    card: Mapping[str, Any]
    accelerator: Accelerator
    wrapped: nn.Module
    optimizer: torch.optim.Optimizer
    logs: Logs | None
    progress: Progress
    memory: int

    def go(self, position: Position) -> Position:
        task, epochs = self.task, self.task.recipe.epochs
        while (
            position.epoch < epochs and not self._reached_max_steps(position) and not self._stopped_improving(position)
        ):
            with explain_out_of_memory(self.memory, task.savings, kept_for_memory(self.folder)):
                start = time.perf_counter()
                position = self._epoch(position)
                try:
                    with explain_misfit():
                        scores = validate(task.network, task.loss, task.validation, self.accelerator)
                except (InputError, KeyboardInterrupt, SystemExit):
                    if not self._reached_max_steps(position):  # a run that is over would never be validated
                        self.save(position, self.card)
                    raise
                position = self._finish_epoch(position, scores, time.perf_counter() - start)
        return position

    def save(self, position: Position, card: Mapping[str, Any]) -> None:
        if self.accelerator.is_main_process:
            n, scaler = self.accelerator.num_processes, _scaler(self.accelerator)
            state = State(self.task.network, self.task.optimizer, position, n, scaler)
            write_state(self.folder.last, state, {**card, _SAMPLES: len(self.task.training)})

    def _reached_max_steps(self, position: Position) -> bool:
        return self.task.recipe.max_steps is not None and position.step >= self.task.recipe.max_steps

    def _stopped_improving(self, position: Position) -> bool:
        return self.task.recipe.patience is not None and position.epochs_since_best >= self.task.recipe.patience

    def _epoch(self, position: Position) -> Position:
        self.task.network.train()
        every, batches = self.task.recipe.save_every, self._mine(position.epoch)
        for sample in self._samples(batches[position.batch :], position.epoch):
            if self._reached_max_steps(position):
                break
            fraction = position.epoch + position.batch / len(batches)
            position = self._step(sample.to(self.accelerator.device), position, fraction)
            self.progress(f"epoch {position.epoch + 1}/{self.task.recipe.epochs}", position.batch, len(batches))
            if every is not None and position.step % every == 0 and position.batch < len(batches):
                self.save(position, self.card)
        return position

    def _step(self, sample: Sample, position: Position, epochs: float) -> Position:
        task, accelerator = self.task, self.accelerator
        factor = task.schedule(epochs, task.recipe.epochs)
        for group in task.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor
        with explain_misfit():
            image = sample.compared(self.wrapped(sample.problem.y, sample.problem.A))
            loss = task.loss(image, sample.target, sample.data_range)
        mean = float(accelerator.reduce(loss.detach(), reduction="mean"))
        if not math.isfinite(mean):
            self._stop(f"the loss is {mean}", position, sample, math.isfinite(float(loss.detach())))
        accelerator.backward(loss)
        norm = accelerator.clip_grad_norm_(self.wrapped.parameters(), task.recipe.clip or math.inf)
        if accelerator.scaler is None and norm is not None and not math.isfinite(float(norm)):
            self._stop("the gradient is not finite", position, sample, False)
        self.optimizer.step()
        if accelerator.scaler is not None and accelerator.scaler.get_scale() < _LEAST_SCALE:
            self._stop("the gradient is not finite, however small the loss is scaled", position, sample, False)
        self.optimizer.zero_grad()
        done = replace(position, batch=position.batch + 1, step=position.step + 1, loss_sum=position.loss_sum + mean)
        if self.logs is not None:
            rate = float(task.optimizer.param_groups[0]["lr"])
            self.logs.step({"step": done.step, "epoch": done.epoch, "rate": rate, "loss": mean})
        return done

    def _finish_epoch(self, position: Position, scores: Scores, seconds: float) -> Position:
        if not math.isfinite(scores.loss):
            raise TrainingStoppedError(
                f"epoch {position.epoch + 1}: the validation loss is {scores.loss}; {kept_for_numbers(self.folder)}"
            )
        better = position.best is None or scores.loss < position.best
        card = with_scores(self.card, "validation", scores, position.step)
        if self.logs is not None:
            mean = position.loss_sum / max(position.batch, 1)
            values = {"step": position.step, "epoch": position.epoch, "train_loss": mean, "seconds": seconds}
            quality = {"loss": scores.loss, "psnr": scores.psnr, "ssim": scores.ssim}
            self.logs.epoch({**values, **quality}, card["metrics"]["validation"]["protocol"])
            if better:
                write_checkpoint(self.folder.best, Checkpoint(self.task.network.state_dict(), {"card": card}))
                write_card(self.folder.card, card)
        after = replace(
            position,
            best=scores.loss if better else position.best,
            epochs_since_best=0 if better else position.epochs_since_best + 1,
        )
        if position.batch >= len(self._mine(position.epoch)):  # or `max_steps` ended it
            after = replace(after, epoch=position.epoch + 1, batch=0, loss_sum=0.0)
        self.save(after, card)
        return after

    def _mine(self, epoch: int) -> list[tuple[int, ...]]:
        n = self.accelerator.num_processes
        return self.task.batches(epoch, n)[self.accelerator.process_index :: n]

    def _samples(self, batches: list[tuple[int, ...]], epoch: int) -> Iterator[Sample]:
        loader = DataLoader(
            _Epoch(self.task.training, batches, epoch),
            batch_size=None,
            num_workers=self.task.recipe.workers,
            collate_fn=_same,
            generator=torch.Generator().manual_seed(self.task.recipe.seed),
        )
        for read in loader:
            if isinstance(read, InputError):
                raise read
            yield read

    def _stop(self, what: str, position: Position, sample: Sample, innocent: bool) -> None:
        names = gather_object([] if innocent else [", ".join(sample.names)])
        raise TrainingStoppedError(
            f"epoch {position.epoch + 1}, step {position.step + 1}: {what} on the batch of {'; '.join(names)}; "
            f"{kept_for_numbers(self.folder)}"
        )


class _Epoch(Dataset[Sample | InputError]):
    """The batches of one process in one epoch.

    A fault of a file is given back, and raised by the loop: raised in a worker it would come with that process's traceback.
    """

    def __init__(self, samples: TrainingSet, batches: list[tuple[int, ...]], epoch: int) -> None:
        self.samples, self.batches, self.epoch = samples, batches, epoch

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, place: int) -> Sample | InputError:
        if not 0 <= place < len(self.batches):
            raise IndexError(place)
        try:
            return collate([self.samples.read(index, self.epoch) for index in self.batches[place]])
        except InputError as error:
            return error


def _same(sample: Any) -> Any:
    return sample


def _scaler(accelerator: Accelerator) -> dict[str, int | float]:
    """Return the scale of float16's losses; empty in other precisions."""
    return {} if accelerator.scaler is None else accelerator.scaler.state_dict()


def _require_samples(folder: RunFolder, now: int) -> None:
    before = read_metadata(folder.last).get("card", {}).get(_SAMPLES, now)  # runs of before it was noted
    if before != now:
        raise InputError(
            f"{folder.last}: the run was started with {counted(before, 'sample')} to train on, and now there are {now}; "
            f"give --resume the same data, or {anew(folder)}"
        )
