"""What every reconstruction is, classical and learned alike, and how its parameters are told."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from medrecon.operators import LinearOperator

__all__ = ["Parameters", "Reconstructor", "parameters_of"]

#: Settings that hold, by name: plain values, as reports, JSON, attributes of files and benchmarks show them.
Parameters = dict[str, str | int | float]


class Reconstructor(Protocol):
    """`x = reconstruct(y, A)`: measurements of the range of `A` to an image of its domain, over any leading batch axes."""

    def __call__(self, y: Tensor, A: LinearOperator, /) -> Tensor: ...


def parameters_of(reconstruct: object) -> Parameters:
    """What a reconstructor states as its `stated_parameters`, else those of its fields that are plain, finite values."""
    stated: Parameters | None = getattr(reconstruct, "stated_parameters", None)
    if stated is not None:
        return stated
    if not is_dataclass(reconstruct):
        return {}
    values = ((field.name, getattr(reconstruct, field.name)) for field in fields(reconstruct))
    return {name: _plain(value) for name, value in values if _is_plain(value)}


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))


def _plain(value: str | int | float) -> str | int | float:
    return str(value) if isinstance(value, str) else value  # of an enumeration its text
