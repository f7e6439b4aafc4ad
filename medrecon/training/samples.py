"""What a network learns from: problems with a target, one after the other, and batches of them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import matmul
from typing import Protocol

import torch
from torch import Tensor

from medrecon.errors import InputError
from medrecon.networks.data_normalization import DataNormalization
from medrecon.operators import CoilMaps, Composition, LinearOperator, Mask, Radon
from medrecon.problem import Problem, radon

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
        """The image to be found, real `(..., y, x)`."""
        if self.problem.target is None:
            raise ValueError(
                f"{', '.join(self.names)}: has no target to learn from; give data with full scans or images"
            )
        return self.problem.target

    def to(self, device: torch.device) -> Sample:
        """The same sample with all of its tensors on `device`."""
        problem, A = self.problem, self.problem.A
        A = radon(A.grid, A.geometry) if isinstance(A, Radon) else A.to(device)
        moved = replace(problem, y=problem.y.to(device), A=A, target=self.target.to(device))
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
    """One sample with a leading axis of batch, of samples whose operators differ in masks and coil maps alone.

    Raises
    ------
    ValueError
        if they differ in shape, or in an operator that holds no batch.
    """
    problems = [sample.problem for sample in samples]
    first = problems[0]
    names = tuple(name for sample in samples for name in sample.names)
    shapes = {(tuple(p.y.shape), p.shape, tuple(e.target.shape)) for p, e in zip(problems, samples, strict=True)}
    if len(shapes) > 1:
        raise ValueError(f"a batch takes samples of one shape, got {sorted(shapes)} of {', '.join(names)}")
    A = first.A if len(problems) == 1 else _together([problem.A for problem in problems])
    y = torch.stack([problem.y for problem in problems])
    target = torch.stack([sample.target for sample in samples])
    return Sample(replace(first, y=y, A=A, target=target), torch.stack([e.data_range for e in samples]), names)


def _together(operators: Sequence[LinearOperator]) -> LinearOperator:
    first = operators[0]
    if isinstance(first, Composition):
        factors = [_factors(A, len(first.factors)) for A in operators]
        return reduce(matmul, (_together(column) for column in zip(*factors, strict=True)))
    if all(isinstance(A, Mask) and A.space == first.range for A in operators):
        patterns = [A.pattern for A in operators if isinstance(A, Mask)]
        shape = [max(sizes) for sizes in zip(*(pattern.shape for pattern in patterns), strict=True)]  # some have 1
        return Mask(torch.stack([pattern.expand(shape) for pattern in patterns]), first.range)
    if all(isinstance(A, CoilMaps) and A.range == first.range for A in operators):
        return CoilMaps(torch.stack([A.maps for A in operators if isinstance(A, CoilMaps)]), first.domain.ndim)
    if all(type(A) is type(first) and repr(A) == repr(first) for A in operators):
        return first
    raise ValueError(
        f"a batch takes operators that differ in masks and coil maps alone, got different {type(first).__name__}; take batch_size 1"
    )


def _factors(A: LinearOperator, count: int) -> tuple[LinearOperator, ...]:
    if not isinstance(A, Composition) or len(A.factors) != count:
        raise ValueError(f"a batch takes operators of one kind, got {type(A).__name__} among others; take batch_size 1")
    return A.factors
