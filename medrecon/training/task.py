"""What is trained, on what, and how long."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from medrecon.data.batches import epoch_batches
from medrecon.training.losses import Loss
from medrecon.training.samples import TrainingSet
from medrecon.training.schedules import Schedule

__all__ = ["Recipe", "Task"]


@dataclass(frozen=True)
class Recipe:
    """How long and in which batches a network is trained.

    Parameters
    ----------
    epochs
        passes over the samples; `max_steps` ends earlier, None does not.
    batch_size
        samples a step and process.
    seed
        of everything random.
    clip
        the largest norm of the gradient; None for any.
    patience
        epochs without a lower validation loss after which training ends; None for never.
    save_every
        steps between checkpoints within an epoch, besides those at its end; None for none.
    workers
        processes that read samples; 0 reads between the steps.
    """

    epochs: int
    batch_size: int = 1
    seed: int = 0
    clip: float | None = None
    patience: int | None = None
    save_every: int | None = None
    workers: int = 0
    max_steps: int | None = None


@dataclass(frozen=True, eq=False)
class Task:
    """What is trained, on what, and how; `savings` say what would take less memory, should there be too little."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    loss: Loss
    schedule: Schedule
    training: TrainingSet
    validation: TrainingSet
    recipe: Recipe
    savings: tuple[str, ...] = ()

    def batches(self, epoch: int, n_processes: int) -> list[tuple[int, ...]]:
        """List the samples of each batch of an epoch, of all processes in turn."""
        buckets = [self.training.bucket(index) for index in range(len(self.training))]
        recipe = self.recipe
        return epoch_batches(buckets, recipe.batch_size, seed=recipe.seed, epoch=epoch, n_processes=n_processes)
