"""Where images go: into a file, or nowhere but to whoever watches."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Protocol

from torch import Tensor

from medrecon.data.writing import write_reconstruction

__all__ = ["Output", "open_output"]


class Output(Protocol):
    """What images are appended to; see `medrecon.data.writing.ReconstructionOutput`."""

    def append(self, image: Tensor) -> None: ...
    def link(self, name: str) -> None: ...
    def describe(self, attributes: Mapping[str, str | int | float]) -> None: ...


class _Nowhere:
    def append(self, image: Tensor) -> None:
        pass

    def link(self, name: str) -> None:
        pass

    def describe(self, attributes: Mapping[str, str | int | float]) -> None:
        pass


def open_output(path: Path | None, *, overwrite: bool) -> AbstractContextManager[Output]:
    """Open a file of images, which appears whole or not at all; without a path nothing is written.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    return nullcontext(_Nowhere()) if path is None else write_reconstruction(path, overwrite=overwrite)
