"""Rows of images in one window, each row with its bar: what the notebooks draw with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from torch import Tensor

__all__ = ["Row", "draw", "draw_windows"]

_WIDTH = 12.0  # inches
_DPI = 72
_LEVELS = 128  # of a color map: see `build.py`
_BAR, _TITLE = 0.9, 0.35  # inches beside and above panels


@dataclass(frozen=True)
class Row:
    """Images `(y, x)` by title, shown from `window[0]` to `window[1]`; `unit` stands at their bar, and empty titles leave a gap."""

    images: Mapping[str, Tensor | None]
    window: tuple[float, float]
    unit: str
    cmap: str = "gray"


def draw(*rows: Row, width: float = _WIDTH) -> None:
    """Draw rows below each other, `width` inches wide; panels are as wide as the row with the most lets them be."""
    columns = max(len(row.images) for row in rows)
    heights = [_height(row, (width - _BAR) / columns) for row in rows]
    figure, grid = plt.subplots(
        len(rows),
        columns,
        figsize=(width, sum(heights) + _TITLE * len(rows)),
        height_ratios=heights,
        layout="constrained",
        facecolor="white",
        squeeze=False,
        dpi=_DPI,
    )
    for axes, row in zip(grid, rows, strict=True):
        for panel in axes:
            panel.set_axis_off()
        for panel, (title, image) in zip(axes, row.images.items(), strict=False):
            if image is not None:
                shown = _show(panel, image, row.cmap, row.window)
                panel.set_title(title, fontsize=11, loc="left")
        figure.colorbar(shown, ax=list(axes), label=row.unit, pad=0.01, fraction=0.03, aspect=25)


def draw_windows(image: Tensor, windows: Mapping[str, tuple[float, float]], unit: str) -> None:
    """Draw one image in several windows, each with its own bar."""
    width = _WIDTH / len(windows)
    size = (_WIDTH, width * image.shape[-2] / image.shape[-1] + 2 * _TITLE)
    figure, panels = plt.subplots(1, len(windows), figsize=size, layout="constrained", facecolor="white", dpi=_DPI)
    for panel, (title, window) in zip(panels, windows.items(), strict=True):
        panel.set_axis_off()
        shown = _show(panel, image, "gray", window)
        panel.set_title(title, fontsize=11, loc="left")
        figure.colorbar(shown, ax=panel, label=unit, orientation="horizontal", pad=0.01, fraction=0.04, aspect=30)


def _show(panel: Axes, image: Tensor, cmap: str, window: tuple[float, float]) -> AxesImage:
    """Panels smaller than their image show means of pixels."""
    return panel.imshow(
        image.detach().cpu().numpy(),
        cmap=plt.get_cmap(cmap, _LEVELS),
        vmin=window[0],
        vmax=window[1],
        interpolation_stage="data",
    )


def _height(row: Row, width: float) -> float:
    shapes = [image.shape for image in row.images.values() if image is not None]
    return max(width * shape[-2] / shape[-1] for shape in shapes)
