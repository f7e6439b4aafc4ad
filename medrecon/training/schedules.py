"""The learning rate as a function of how far training has come: nothing is remembered, so that nothing is to be resumed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

__all__ = ["ConstantRate", "CosineRate", "Schedule", "StepRate"]


class Schedule(Protocol):
    """The factor of the learning rate after `epochs` epochs (a fraction within one) of `total`."""

    def __call__(self, epochs: float, total: int, /) -> float: ...


@dataclass(frozen=True)
class ConstantRate:
    """Always 1."""

    def __call__(self, epochs: float, total: int, /) -> float:  # noqa: ARG002
        return 1.0


@dataclass(frozen=True)
class StepRate:
    """`gamma ** floor(epochs / every)`."""

    every: int
    gamma: float = 0.1

    def __call__(self, epochs: float, total: int, /) -> float:  # noqa: ARG002
        return float(self.gamma ** (int(epochs) // self.every))


@dataclass(frozen=True)
class CosineRate:
    """From 1 to `floor` along half a cosine, after a linear rise over the first `warmup` epochs."""

    warmup: float = 0.0
    floor: float = 0.0

    def __call__(self, epochs: float, total: int, /) -> float:
        if epochs < self.warmup:
            return max(epochs / self.warmup, 1e-3)
        part = min((epochs - self.warmup) / max(total - self.warmup, 1e-9), 1.0)
        return self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * part))
