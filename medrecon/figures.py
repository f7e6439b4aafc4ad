"""Figures as grids of panels of one size, each under a line of text; an image beside what it should be."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from numpy.typing import NDArray
from torch import Tensor

__all__ = [
    "LARGE",
    "MARGIN",
    "SMALL",
    "Layout",
    "NotebookFigure",
    "Picture",
    "array_of",
    "bar_below",
    "draw_beside_target",
    "error_window",
    "gray_window",
    "magnitude_window",
    "show",
]

SMALL, LARGE = 9.5, 11.5
MARGIN = 0.12
_PANEL = 3.2  # inches
_GAP, _HEAD, _LINE = 0.12, 0.42, 0.27
_BAR, _BAR_GAP = 0.11, 0.06
_DPI = 150
_BELOW = 0.3  # inches, for a bar without a label
_DARKEST, _BRIGHTEST = 0.01, 0.99  # quantiles of an image that are black and white
_WHITE = 0.998  # that of a magnitude that is white
_LARGEST_ERROR = 0.995  # this quantile of the errors is the brightest
_MOST_VALUES = 2**24  # torch.quantile takes no more

Picture = NDArray[np.float32]


def _drawable(text: str) -> str:
    """A text of which what the font lacks, as of names in other scripts or in no encoding, is a question mark."""
    return "".join(letter if letter == "\n" or ord(letter) in _letters() else "?" for letter in text)


@lru_cache(maxsize=1)
def _letters() -> frozenset[int]:
    return frozenset(get_font(findfont(FontProperties())).get_charmap())


class NotebookFigure(Figure):
    """A figure that a notebook shows where a cell ends with it, without pyplot and what that keeps open."""

    def _repr_png_(self) -> bytes:
        png = BytesIO()
        self.savefig(png, format="png")
        return png.getvalue()


@dataclass(frozen=True)
class Layout:
    """A grid of panels with sides as `(y, x)`, each under a line of text, below a heading; lengths in inches.

    `right` is the margin there, `below` the space under each row, for bars.
    """

    rows: int
    columns: int
    shape: tuple[float, float]
    right: float = MARGIN
    below: float = 0.0

    @property
    def panel(self) -> tuple[float, float]:
        """Height and width of a panel."""
        longest = max(self.shape)
        return _PANEL * self.shape[0] / longest, _PANEL * self.shape[1] / longest

    def figure(self, heading: str) -> NotebookFigure:
        """Make the figure, empty but for its heading."""
        height, width = self.panel
        size = (
            MARGIN + self.columns * (width + _GAP) - _GAP + self.right,
            _HEAD + self.rows * (_LINE + height + self.below) + MARGIN,
        )
        figure = NotebookFigure(figsize=size, dpi=_DPI, facecolor="white")
        FigureCanvasAgg(figure)
        place = MARGIN / size[0], 1 - 0.5 * _HEAD / size[1]
        figure.text(*place, _drawable(heading), fontsize=LARGE, va="center", parse_math=False)
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
        axes.set_title(_drawable(title), fontsize=SMALL, loc="left", pad=4, parse_math=False)
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


def draw_beside_target(
    image: Tensor, target: Tensor | None, heading: str, window: tuple[float, float]
) -> NotebookFigure:
    """Draw an image `(y, x)`, between its target and the magnitude of their difference where there is a target.

    Images share the `window` of values that are black and white; a bar below each panel says what they are.
    """
    panels = [("reconstruction", image, window, "gray")]
    if target is not None:
        error = (image - target).abs()
        panels = [("target", target, window, "gray"), *panels, ("|difference|", error, error_window(error), "magma")]
    layout = Layout(1, len(panels), (image.shape[0], image.shape[1]), below=_BELOW)
    figure = layout.figure(heading)
    for column, (title, picture, (low, high), cmap) in enumerate(panels):
        axes = layout.axes(figure, 0, column, title)
        bar_below(axes, show(axes, picture, low, high, cmap), "")
    return figure


def gray_window(image: Tensor) -> tuple[float, float]:
    """The values to show as black and white: between the 1st and the 99th percentile of an image."""
    low, high = _quantile(image, _DARKEST), _quantile(image, _BRIGHTEST)
    return (low, high) if high > low else (low, low + 1.0)


def magnitude_window(image: Tensor) -> tuple[float, float]:
    """Those of an image of magnitudes: from zero to the 99.8th percentile."""
    return 0.0, _quantile(image, _WHITE) or float(image.max()) or 1.0


def error_window(error: Tensor) -> tuple[float, float]:
    """Those of the magnitude of a difference: from zero to the 99.5th percentile."""
    return 0.0, _quantile(error, _LARGEST_ERROR) or 1.0


def _quantile(image: Tensor, share: float) -> float:
    values = image.flatten().double()
    if values.numel() > _MOST_VALUES:
        values = values[:: values.numel() // _MOST_VALUES + 1]
    return float(torch.quantile(values, share))
