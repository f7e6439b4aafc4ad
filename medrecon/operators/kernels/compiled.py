"""Compilation of the loops: without the interpreter's lock, kept on disk, and not in silence."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

from numba import njit
from numba.core import event

from medrecon.operators.kernels.cache import keep_compiled

__all__ = ["compiled"]

_PATIENCE = 1.0  # seconds


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile for the types it is first called with; the code is kept beside the module, or in the user's cache."""
    return keep_compiled(njit(nogil=True, error_model="numpy")(function))


class _Notice(event.Listener):  # type: ignore[misc]
    """Tell a user who waits why."""

    def __init__(self) -> None:
        self._depth, self._timer = 0, threading.Timer(_PATIENCE, _tell)

    def on_start(self, occurrence: Any) -> None:
        if not _ours(occurrence):
            return
        self._depth += 1
        if self._depth == 1:
            self._timer = threading.Timer(_PATIENCE, _tell)
            self._timer.daemon = True
            self._timer.start()

    def on_end(self, occurrence: Any) -> None:
        if not _ours(occurrence):
            return
        self._depth -= 1
        if self._depth == 0:
            self._timer.cancel()


def _ours(occurrence: Any) -> bool:
    return str(occurrence.data["dispatcher"].py_func.__module__).startswith("medrecon.")


def _tell() -> None:
    print(
        "medrecon: compiling for this processor; the code is kept for the next time",
        file=sys.stderr,
        flush=True,
    )


event.register("numba:compile", _Notice())
