"""Pictures of reconstructions: one slice beside its target, and methods beside each other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from torch import Tensor

from medrecon.figures import (
    LARGE,
    SMALL,
    Layout,
    array_of,
    bar_below,
    error_window,
    gray_window,
    magnitude_window,
    show,
)
from medrecon.metrics import psnr, ssim
from medrecon.results import Display, Reconstruction

__all__ = ["compare", "preview", "window_of"]

_ERROR_GAIN = 5  # times brighter are the errors of magnitudes shown in `preview`
_BRIGHTEST = 0.998  # this quantile of the differences in `compare`
_BELOW = 0.5  # inches, for a bar and its label


def preview(path: Path, done: Reconstruction) -> None:
    """Write a PNG of the middle slice, upright: target, reconstruction, their difference and what was measured, as far as there is.

    Images share one window, that of `Display`. Errors of magnitudes are shown five times brighter; of other images bars say
    what black and white stand for.
    """
    shown, display = done.shown, done.display
    image = display.values(shown.image)
    target = None if shown.target is None else display.values(shown.target)
    low, high = window_of(image if target is None else target, display)
    panels = [("reconstruction", image, low, high, "gray")]
    if target is not None and not (display.is_magnitude and shown.data_range is None):
        panels.insert(0, ("target", target, low, high, "gray"))
        panels.append(_error_panel((image - target).abs(), high, display))
    has_bars = not display.is_magnitude
    shape = (image.shape[0], image.shape[1])
    height, width = done.report.pixel or (1.0, 1.0)
    layout = Layout(1, len(panels) + 1, (shape[0] * height, shape[1] * width), below=_BELOW if has_bars else 0.0)
    figure = layout.figure(_heading(done))
    for column, (title, picture, black, white, cmap) in enumerate(panels):
        axes = layout.axes(figure, 0, column, title)
        mappable = show(axes, picture, black, white, cmap)
        if has_bars:
            bar_below(axes, mappable, display.unit)
    _show_measured(layout.axes(figure, 0, len(panels), display.measured), shown.measured, shape, display)
    figure.savefig(path, format="png")


def window_of(reference: Tensor, display: Display) -> tuple[float, float]:
    """The values to show as black and white, of an image or a target as it is shown."""
    return (magnitude_window if display.is_magnitude else gray_window)(reference)


def compare(
    path: Path,
    images: Mapping[str, Tensor],
    target: Tensor,
    scores: Mapping[str, str],
    *,
    heading: str,
    window: tuple[float, float],
) -> None:
    """Write a PNG with the target and images `(y, x)` in a row, and below each its difference, all on one scale with a bar.

    Parameters
    ----------
    path
        where the picture goes.
    images
        by name, in the order in which they are shown.
    target
        the image that they should be.
    scores
        a few words for each name, shown over its difference.
    heading
        over the whole.
    window
        the values shown as black and white.
    """
    black, white = window
    errors = {name: (image - target).abs() for name, image in images.items()}
    top = max(float(torch.quantile(error.flatten().double(), _BRIGHTEST)) for error in errors.values()) or 1.0
    shape = (target.shape[-2], target.shape[-1])
    layout = Layout(2, len(images) + 1, shape, right=0.75)
    figure = layout.figure(heading)
    show(layout.axes(figure, 0, 0, "target"), target, black, white)
    for column, (name, image) in enumerate(images.items(), start=1):
        show(layout.axes(figure, 0, column, name), image, black, white)
        shown = layout.axes(figure, 1, column, scores.get(name, ""))
        mappable = shown.imshow(array_of(errors[name]), cmap="magma", vmin=0, vmax=top, interpolation="nearest")
    note = layout.axes(figure, 1, 0, "")
    note.text(
        0.98, 0.5, "|difference|\nfrom the target", fontsize=LARGE, ha="right", va="center", transform=note.transAxes
    )
    total_width = float(figure.get_size_inches()[0])
    place = shown.get_position()
    bar = figure.add_axes((place.x1 + 0.1 / total_width, place.y0, 0.12 / total_width, place.height))
    figure.colorbar(mappable, cax=bar)
    bar.tick_params(labelsize=SMALL - 2)
    figure.savefig(path, format="png")


def _error_panel(error: Tensor, white: float, display: Display) -> tuple[str, Tensor, float, float, str]:
    if display.is_magnitude:
        return f"|difference| x {_ERROR_GAIN}", error, 0.0, white / _ERROR_GAIN, "gray"
    return "|difference|", error, *error_window(error), "magma"


def _show_measured(axes: Axes, measured: Tensor, shape: tuple[int, int], display: Display) -> None:
    """A sampling mask in a frame, or a sinogram with a bar."""
    if display.measured_unit:
        lowest, highest = (float(value) for value in measured.aminmax())
        mappable = show(axes, measured, min(lowest, 0.0), max(highest, lowest + 1e-6))
        bar_below(axes, mappable, display.measured_unit)
        return
    show(axes, measured.expand(shape[0], measured.shape[-1]) if measured.ndim == 1 else measured, 0.0, 1.0)
    frame = Rectangle((0, 0), 1, 1, transform=axes.transAxes, fill=False, edgecolor="0.6", linewidth=0.8)
    axes.add_patch(frame)


def _heading(done: Reconstruction) -> str:
    report, shown = done.report, done.shown
    words = f"{report.method}, {shown.sampling}"
    if shown.target is not None and shown.data_range is not None and report.metrics:
        spread = shown.data_range
        quality = psnr(shown.image, shown.target, data_range=spread), ssim(shown.image, shown.target, data_range=spread)
        words += f"   PSNR {quality[0]:.2f} dB, SSIM {quality[1]:.3f} ({shown.protocol})"
    return f"{words}   ({Path(report.input).name}, slice {shown.index})"
