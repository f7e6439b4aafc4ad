"""What a network learns from: problems with a target, one after the other, and batches of them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from medrecon.errors import InputError
from medrecon.networks.data_normalization import DataNormalization
from medrecon.operators import stack
from medrecon.problem import Problem

__all__ = ["Sample", "TrainingSet", "collate", "make_sample"]


@dataclass(frozen=True, eq=False)
class Sample:
    """A problem with a target, or a batch of them.

    Parameters
    ----------
    problem
        scaled as the data set's normalization says.
    data_range
        of the target's metrics, in the same scale; `(n,)` for a batch, else `()`.
    names
        of the samples, for messages.
    """

    problem: Problem
    data_range: Tensor
    names: tuple[str, ...]

    @property
    def target(self) -> Tensor:
        """The image to be found, `(..., y, x)`: as it is shown, or for denoisers complex."""
        if self.problem.target is None:
            raise ValueError(
                f"{', '.join(self.names)}: has no target to learn from; give data with full scans or images"
            )
        return self.problem.target

    def compared(self, x: Tensor) -> Tensor:
        """What losses compare with the target: the image that is shown, or `x` as it is where the target has a phase."""
        return x if self.target.is_complex() else self.problem.display_image(x).float()

    def to(self, device: torch.device) -> Sample:
        """The same sample with all of its tensors on `device`."""
        problem = self.problem
        moved = replace(problem, y=problem.y.to(device), A=problem.A.to(device), target=self.target.to(device))
        return Sample(moved, self.data_range.to(device), self.names)


class TrainingSet(Protocol):
    """A data set for training: everything random of `read(i, epoch)` is made of the set's seed, `epoch` and `i`."""

    def __len__(self) -> int: ...

    def bucket(self, index: int, /) -> Hashable:
        """What samples of one batch must have in common, such as their shape; nothing large is read for it."""
        ...

    def read(self, index: int, epoch: int, /) -> Sample:
        """The sample, as it is in this epoch."""
        ...


def make_sample(problem: Problem, normalization: DataNormalization, data_range: float, name: str) -> Sample:
    """Scale a problem; a `data_range` that is not above zero (a black target) counts as 1 in the network's units.

    Raises
    ------
    InputError
        If there is no target.
    """
    if problem.target is None:
        raise InputError(f"{name}: has no target to learn from; give data with full scans or images")
    scale = float(normalization(problem.y, problem.A))
    known = data_range * scale if data_range > 0 else 1.0
    scaled = replace(problem, y=problem.y * scale, target=problem.target * scale)
    return Sample(scaled, torch.tensor(known), (name,))


def collate(samples: Sequence[Sample]) -> Sample:
    """One sample with a leading axis of batch; its operator is the `stack` of theirs.

    Raises
    ------
    ValueError
        if they differ in shape, or in operators that do not stack.
    """
    problems = [sample.problem for sample in samples]
    first = problems[0]
    names = tuple(name for sample in samples for name in sample.names)
    shapes = {(tuple(p.y.shape), p.shape, tuple(e.target.shape)) for p, e in zip(problems, samples, strict=True)}
    if len(shapes) > 1:
        raise ValueError(f"a batch takes samples of one shape, got {sorted(shapes)} of {', '.join(names)}")
    A = stack([problem.A for problem in problems])
    y = torch.stack([problem.y for problem in problems])
    target = torch.stack([sample.target for sample in samples])
    return Sample(replace(first, y=y, A=A, target=target), torch.stack([e.data_range for e in samples]), names)
