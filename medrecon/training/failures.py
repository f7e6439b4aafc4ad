"""How training ends when it cannot go on, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from medrecon.errors import InputError

__all__ = ["TrainingStoppedError", "compiler_said", "memory_said", "misfit_said"]

_LONGEST = 200  # letters of what a compiler says
_FULL = ("can't allocate memory", "out of memory", "STATUS_ALLOC_FAILED")


class TrainingStoppedError(InputError):
    """A loss or a gradient was not finite; nothing of it was kept."""


@contextmanager
def memory_said(counted: int, savings: Sequence[str], kept: str = "") -> Iterator[None]:
    """Turn an error of too little memory into one that says what to lower, and how many bytes the plan `counted`."""
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
def compiler_said() -> Iterator[None]:
    """Turn a failure of `torch.compile` into one that says how to do without."""
    try:
        yield
    except Exception as error:
        if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            raise
        reason = " ".join(str(error).split())[:_LONGEST]
        raise InputError(
            f"training.compile: the network cannot be compiled here ({type(error).__name__}: {reason}); "
            "install a C++ compiler, or set training.compile=false"
        ) from error


@contextmanager
def misfit_said() -> Iterator[None]:
    """Turn what a network says of data that it cannot take, such as images too small for its poolings, into a user's error."""
    try:
        yield
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"the network does not fit the data: {error}") from error


def _amount(size: int) -> str:
    return f"{size / 2**30:.2f} GiB" if size >= 2**30 else f"{size / 2**20:.1f} MiB"
