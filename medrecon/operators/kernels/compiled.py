"""Compilation of the loops: without the interpreter's lock, kept on disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

__all__ = ["compiled"]


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile for the types it is first called with; the code is kept beside the module, or in the user's cache."""
    return njit(nogil=True, cache=True, error_model="numpy")(function)  # type: ignore[no-any-return]
