"""How training ends when it cannot go on, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from medrecon.errors import InputError
from medrecon.training.state import RunFolder

__all__ = [
    "TrainingStoppedError",
    "anew",
    "explain_misfit",
    "explain_out_of_memory",
    "kept_for_memory",
    "kept_for_numbers",
]

_FULL = ("can't allocate memory", "out of memory", "STATUS_ALLOC_FAILED")


class TrainingStoppedError(InputError):
    """A loss or a gradient was not finite; nothing of it was kept."""


@contextmanager
def explain_out_of_memory(counted: int, savings: Sequence[str], kept: str = "") -> Iterator[None]:
    """Turn an error of too little memory into an `InputError` that says what to lower; the plan `counted` so many bytes."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and not any(w in str(error) for w in _FULL):
            raise
        remedies = ", ".join(savings) or "take a smaller network"
        raise InputError(
            f"there is not enough memory to train this network, which takes at least {_amount(counted)} by the plan; "
            f"{remedies}{kept and '; '}{kept}"
        ) from error


@contextmanager
def explain_misfit() -> Iterator[None]:
    """Turn a network's refusal of its data, such as images too small for its poolings, into an `InputError` that says so."""
    try:
        yield
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"the network does not fit the data: {error}") from error


def kept_for_memory(folder: RunFolder) -> str:
    """Say what is there still of a run that ran out of memory, and how to go on."""
    return (
        f"{folder.last} is the last good checkpoint: --resume takes another network.recompute; other network.features need a run "
        f"of their own; for the rest {anew(folder)}"
    )


def kept_for_numbers(folder: RunFolder) -> str:
    """Say what is there still of a run whose numbers were no longer finite, and how to go on."""
    return (
        f"{folder.last} is the last good checkpoint; lower optimizer.rate or set a smaller training.clip, and go on with "
        f"--resume, or leave these samples out, and {anew(folder)}"
    )


def anew(folder: RunFolder) -> str:
    """Say what to do where --resume cannot: weights to begin with are there once an epoch was finished."""
    start = f"with --weights {folder.best}" if folder.best.exists() else "anew, with"
    return f"begin {start} --output NEW"


def _amount(size: int) -> str:
    return f"{size / 2**30:.2f} GiB" if size >= 2**30 else f"{size / 2**20:.1f} MiB"
