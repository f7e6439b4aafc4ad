"""How images of a modality are shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from medrecon.report.viewer_report import Window

__all__ = ["Display"]


@dataclass(frozen=True)
class Display:
    """How images are shown: in `unit`, by `values` of them, with windows to choose from.

    The quantiles `black` and `white` of the target are shown so; None stands for zero.
    """

    unit: str
    values: Callable[[Tensor], Tensor]
    black: float | None = None
    white: float = 0.998
    presets: tuple[Window, ...] = ()
