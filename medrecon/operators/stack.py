"""One operator for a batch of scans, each with its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from medrecon.operators.linear import LinearOperator, fields_of

__all__ = ["stack"]

_REMEDY = "take batch_size 1"


def stack(operators: Sequence[LinearOperator]) -> LinearOperator:
    """The operator of a batch: `stack((A, B))(torch.stack((x, y)))` is `torch.stack((A(x), B(y)))`.

    Equal operators give the first of them. Others are stacked field by field, their tensors along a new axis in front: `x` and `y`
    then have no batch axes of their own.

    Raises
    ------
    ValueError
        if there is none, they are not made alike, hold a batch already, or differ in what can hold none.
    """
    if not operators:
        raise ValueError("stack takes at least one operator, got none")
    first = operators[0]
    return first if all(_equal(first, A) for A in operators) else _stack(operators)


def _stack(operators: Sequence[LinearOperator]) -> LinearOperator:
    first = operators[0]
    for A in operators:
        if (type(A), A.domain, A.range) != (type(first), first.domain, first.range):
            raise ValueError(
                f"stack takes operators made alike, got {first} from {first.domain} to {first.range} and {A} from {A.domain} to "
                f"{A.range}; {_REMEDY}"
            )
    old, rows = fields_of(first), [fields_of(A) for A in operators]
    new = {name: _stack_field(name, [row[name] for row in rows], first) for name in old}
    return first if all(new[name] is old[name] for name in old) else replace(first, **new)  # type: ignore[type-var]


def _stack_field(name: str, values: Sequence[Any], owner: LinearOperator) -> Any:
    first, who, ndim = values[0], type(owner).__name__, owner._tensor_ndim()
    if isinstance(first, LinearOperator):
        return _stack(values)
    if isinstance(first, tuple) and isinstance(first[0], LinearOperator):
        if len({len(value) for value in values}) > 1:
            raise ValueError(f"stack takes operators made alike, got {who} of different {name}; {_REMEDY}")
        return tuple(map(_stack, zip(*values, strict=True)))
    if isinstance(first, Tensor) and ndim is not None:
        if any(value.ndim > ndim for value in values):
            raise ValueError(f"stack takes operators that hold no batch yet, got one in {name} of {who}; {_REMEDY}")
        tensors = torch.broadcast_tensors(*values, first.new_empty((1,) * ndim))  # type: ignore[no-untyped-call]
        return torch.stack(tensors[:-1])
    if all(_equal(first, value) for value in values):
        return first
    raise ValueError(
        f"stack takes operators that differ in masks, coil maps, diagonals and convolutions alone, got {who} of different {name}; "
        f"{_REMEDY}"
    )


def _equal(one: Any, other: Any) -> bool:
    """Whether two values are equal, tensors by their numbers; one that a gradient flows to is only itself."""
    if one is other or type(one) is not type(other):
        return one is other
    if isinstance(one, Tensor):
        plain = not (one.requires_grad or other.requires_grad) and (one.dtype, one.device) == (
            other.dtype,
            other.device,
        )
        return plain and torch.equal(one, other)
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, LinearOperator):
        return all(map(_equal, fields_of(one).values(), fields_of(other).values()))
    return bool(one == other)
