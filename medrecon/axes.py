"""Names of the axes of arrays, as a user gives them by `--axes`."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

from medrecon.words import shortened

__all__ = ["KSpaceAxis", "SinogramAxis", "are_of_kspace", "parse_axes"]

Axis = TypeVar("Axis", bound=StrEnum)


class SinogramAxis(StrEnum):
    """What an axis of projections counts."""

    SLICE = "slice"
    ANGLE = "angle"
    DETECTOR = "detector"


class KSpaceAxis(StrEnum):
    """What an axis of k-space counts; `pair` is that of real and imaginary parts, which may take turns along `coil`, too."""

    SLICE = "slice"
    FRAME = "frame"
    COIL = "coil"
    Y = "y"
    X = "x"
    PAIR = "pair"


def parse_axes(text: str, names: type[Axis]) -> tuple[Axis, ...]:
    """Read names of axes with commas between them.

    Raises
    ------
    ValueError
        If one is unknown, or given twice.
    """
    words = [word.strip().lower() for word in text.split(",")]
    if unknown := [word for word in words if word not in {name.value for name in names}]:
        known = ", ".join(name.value for name in names)
        raise ValueError(
            f"--axes takes the axes of the array in their order, of {known}; got {shortened(unknown[0])!r}"
        )
    if twice := [word for word in words if words.count(word) > 1]:
        raise ValueError(f"--axes names {twice[0]} twice; an array has one such axis")
    return tuple(names(word) for word in words)


def are_of_kspace(text: str | None) -> bool:
    """Whether names of axes, as a user wrote them, are those of k-space."""
    names = {name.value for name in KSpaceAxis} - {name.value for name in SinogramAxis}
    return text is not None and any(word.strip().lower() in names for word in text.split(","))
