"""Pictures of reconstructions: one slice beside its target, and methods beside each other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from torch import Tensor

from medrecon.evaluation import PROTOCOL
from medrecon.figures import LARGE, SMALL, Layout, array_of, magnitude_window, show
from medrecon.metrics import psnr, ssim
from medrecon.report.summary import Reconstruction

__all__ = ["ERROR_GAIN", "compare", "preview"]

#: How many times brighter than the images errors are shown in `preview`.
ERROR_GAIN = 5
_BRIGHTEST = 0.998  # this quantile of the differences in `compare`


def preview(path: Path, reconstruction: Reconstruction) -> None:
    """Write a PNG of the middle slice: target, reconstruction, their difference and the sampling, as far as there are any.

    Images share one window, from 0 to the 99.8th percentile of the target; the difference is shown `ERROR_GAIN` times brighter.
    """
    report, shown = reconstruction.report, reconstruction.shown
    reference = shown.image if shown.target is None else shown.target
    _, white = magnitude_window(reference)
    panels = [("reconstruction", shown.image, white)]
    scores = ""
    if shown.target is not None and reconstruction.data_range is not None:
        peak = reconstruction.data_range
        quality = psnr(shown.image, shown.target, data_range=peak), ssim(shown.image, shown.target, data_range=peak)
        scores = f"   PSNR {quality[0]:.2f} dB, SSIM {quality[1]:.3f} ({PROTOCOL}, slice)"
        error = (shown.image - shown.target).abs()
        panels = [("target", shown.target, white), *panels, (f"|difference| x {ERROR_GAIN}", error, white / ERROR_GAIN)]
    layout = Layout(1, len(panels) + 1, report.shape)
    name = f"{Path(report.input).name}, slice {shown.index}"
    figure = layout.figure(f"{report.method}, {shown.true_acceleration:.2f}x{scores}   ({name})")
    for column, (title, image, top) in enumerate(panels):
        show(layout.axes(figure, 0, column, title), image, 0.0, top)
    mask_axes = layout.axes(figure, 0, len(panels), "sampling (ky down, kx right)")
    show(mask_axes, _mask_picture(shown.sampled, report.shape), 0.0, 1.0)
    mask_axes.add_patch(_frame(mask_axes))
    figure.savefig(path, format="png")


def compare(
    path: Path,
    images: Mapping[str, Tensor],
    target: Tensor,
    scores: Mapping[str, str],
    *,
    heading: str,
    window: tuple[float, float] | None = None,
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
        the values shown as black and white; from 0 to the 99.8th percentile of the target unless given.
    """
    black, white = window or magnitude_window(target)
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


def _frame(axes: Axes) -> Rectangle:
    return Rectangle((0, 0), 1, 1, transform=axes.transAxes, fill=False, edgecolor="0.6", linewidth=0.8)


def _mask_picture(sampled: Tensor, shape: tuple[int, int]) -> Tensor:
    return sampled.expand(shape[0], sampled.shape[-1]) if sampled.ndim == 1 else sampled
