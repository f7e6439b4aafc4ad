"""How training ends when it cannot go on, in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from medrecon.errors import InputError
from medrecon.training.plan import Plan

__all__ = ["TrainingStoppedError", "memory_said"]


class TrainingStoppedError(InputError):
    """A loss or a gradient was not finite; nothing of it was kept."""


@contextmanager
def memory_said(plan: Plan | None, batch_size: int) -> Iterator[None]:
    """Turn an error of too little memory into one that says what to lower."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not (
            isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
        ):
            raise
        estimate = "" if plan is None else f" (the plan counted at least {plan.memory / 2**30:.1f} GiB)"
        remedies = ["set network.recompute=true", "training.precision=bf16", "or take a smaller network"]
        if batch_size > 1:
            remedies.insert(0, f"lower training.batch_size from {batch_size}")
        raise InputError(
            f"there is not enough memory to train this network{estimate}; {', '.join(remedies)}"
        ) from error
