"""Figures as grids of panels of one size, each under a line of text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["LARGE", "MARGIN", "SMALL", "Layout", "Picture", "array_of", "bar_below", "show"]

SMALL, LARGE = 9.5, 11.5
MARGIN = 0.12
_PANEL = 3.2  # inches
_GAP, _HEAD, _LINE = 0.12, 0.42, 0.27
_BAR, _BAR_GAP = 0.11, 0.06
_DPI = 150

Picture = NDArray[np.float32]


@dataclass(frozen=True)
class Layout:
    """A grid of panels of `(y, x)` pixels, each under a line of text, below a heading; lengths in inches.

    `right` is the margin there, `below` the space under each row, for bars.
    """

    rows: int
    columns: int
    shape: tuple[int, int]
    right: float = MARGIN
    below: float = 0.0

    @property
    def panel(self) -> tuple[float, float]:
        """Height and width of a panel."""
        longest = max(self.shape)
        return _PANEL * self.shape[0] / longest, _PANEL * self.shape[1] / longest

    def figure(self, heading: str) -> Figure:
        """Make the figure, empty but for its heading."""
        height, width = self.panel
        size = (
            MARGIN + self.columns * (width + _GAP) - _GAP + self.right,
            _HEAD + self.rows * (_LINE + height + self.below) + MARGIN,
        )
        figure = Figure(figsize=size, dpi=_DPI, facecolor="white")
        FigureCanvasAgg(figure)
        figure.text(MARGIN / size[0], 1 - 0.5 * _HEAD / size[1], heading, fontsize=LARGE, va="center")
        return figure

    def axes(self, figure: Figure, row: int, column: int, title: str) -> Axes:
        """Add the panel at a place of the grid."""
        height, width = self.panel
        total_width, total_height = figure.get_size_inches()
        left = MARGIN + column * (width + _GAP)
        bottom = total_height - _HEAD - (row + 1) * (_LINE + height) - row * self.below
        place = (left / total_width, bottom / total_height, width / total_width, height / total_height)
        axes: Axes = figure.add_axes(place)
        axes.set_axis_off()
        axes.set_title(title, fontsize=SMALL, loc="left", pad=4)
        return axes


def show(axes: Axes, image: Tensor, low: float, high: float, cmap: str = "gray") -> ScalarMappable:
    """Fill a panel with an image `(y, x)`, shown from `low` to `high`."""
    return axes.imshow(array_of(image), cmap=cmap, vmin=low, vmax=high, interpolation="nearest", aspect="auto")


def bar_below(axes: Axes, mappable: ScalarMappable, label: str) -> None:
    """Draw a bar with the values of a panel below it; `label` names their unit."""
    figure = axes.figure.get_figure(root=True)
    assert figure is not None
    place, height = axes.get_position(), float(figure.get_size_inches()[1])
    inset = 0.04 * place.width  # so that the outermost numbers end with the panel
    low = place.y0 - (_BAR + _BAR_GAP) / height
    bar = figure.add_axes((place.x0 + inset, low, place.width - 2 * inset, _BAR / height))
    figure.colorbar(mappable, cax=bar, orientation="horizontal")
    bar.tick_params(labelsize=SMALL - 2, pad=2, length=2)
    bar.set_xlabel(label, fontsize=SMALL - 1, labelpad=1)
    bar.locator_params(axis="x", nbins=5)


def array_of(image: Tensor) -> Picture:
    """Return an image as matplotlib takes it."""
    array: Picture = image.detach().cpu().numpy().astype(np.float32)
    return array
