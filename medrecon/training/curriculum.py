"""What grows over the epochs: from easy scans to those that are wanted in the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["Curriculum"]

T = TypeVar("T", covariant=True)


@dataclass(frozen=True)
class Curriculum(Generic[T]):
    """`last`, which also is what validation sees, and before it `(until, value)` for the epochs below `until`, in order.

    Bengio et al., Curriculum learning, ICML (2009).

    Raises
    ------
    ValueError
        if the ends do not grow.
    """

    last: T
    earlier: tuple[tuple[int, T], ...] = ()

    def __post_init__(self) -> None:
        ends = [until for until, _ in self.earlier]
        if ends != sorted(set(ends)) or any(until < 1 for until in ends):
            raise ValueError(f"a curriculum takes stages that end at growing epochs, 1 or more, got {ends}")

    def at(self, epoch: int) -> T:
        """The value in an epoch, counted from 0."""
        return next((value for until, value in self.earlier if epoch < until), self.last)
