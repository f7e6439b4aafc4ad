"""Pictures of CT reconstructions: one image beside its target and its sinogram, in the unit it is written in."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from medrecon.data.ct.attenuation import MU_MAX, AttenuationUnit, hounsfield_from_attenuation
from medrecon.evaluation import LODOPAB_PROTOCOL, image_range
from medrecon.metrics import psnr, ssim
from medrecon.report.ct_summary import CTReconstruction
from medrecon.report.layout import Layout, bar_below, show

__all__ = ["ct_preview", "gray_window"]

_DARKEST, _BRIGHTEST = 0.01, 0.99  # quantiles of the reference that are black and white
_LARGEST_ERROR = 0.995  # this quantile of the errors is the brightest
_BELOW = 0.5  # inches, for a bar and its label


def ct_preview(path: Path, reconstruction: CTReconstruction) -> None:
    """Write a PNG of the middle image, upright: target and difference where there is a target, the image, and its sinogram.

    Images share one gray window; bars say what values black and white stand for, and in which unit.
    """
    report, shown = reconstruction.report, reconstruction.shown
    unit = AttenuationUnit(report.unit)
    image = _upright(shown.image, unit)
    target = None if shown.target is None else _upright(shown.target, unit)
    low, high = gray_window(image if target is None else target)
    layout = Layout(1, 2 if target is None else 4, (image.shape[0], image.shape[1]), below=_BELOW)
    figure = layout.figure(_heading(reconstruction))
    panels = [("reconstruction", image)] if target is None else [("target", target), ("reconstruction", image)]
    label = "normalized attenuation" if unit is AttenuationUnit.LODOPAB else unit.value
    for column, (title, picture) in enumerate(panels):
        axes = layout.axes(figure, 0, column, title)
        bar_below(axes, show(axes, picture, low, high), label)
    if target is not None:
        error = (image - target).abs()
        top = float(torch.quantile(error.flatten().double(), _LARGEST_ERROR)) or 1.0
        axes = layout.axes(figure, 0, 2, "|difference|")
        bar_below(axes, show(axes, error, 0.0, top, "magma"), label)
    axes = layout.axes(figure, 0, layout.columns - 1, "sinogram (views down, bins right)")
    lowest, highest = (float(value) for value in shown.sinogram.aminmax())
    bar_below(axes, show(axes, shown.sinogram, min(lowest, 0.0), max(highest, lowest + 1e-6)), "line integral")
    figure.savefig(path, format="png")


def gray_window(image: Tensor) -> tuple[float, float]:
    """The values to show as black and white: between the 1st and the 99th percentile of an image."""
    values = image.flatten().double()
    if values.numel() > 2**24:  # torch.quantile takes no more
        values = values[:: values.numel() // 2**24 + 1]
    low, high = (float(torch.quantile(values, share)) for share in (_DARKEST, _BRIGHTEST))
    return (low, high) if high > low else (low, low + 1.0)


def _upright(image: Tensor, unit: AttenuationUnit) -> Tensor:
    """An image of 1/mm, `(y, x)`, in the unit but not in the orientation of a file."""
    match unit:
        case AttenuationUnit.PER_MM:
            return image
        case AttenuationUnit.HOUNSFIELD:
            return hounsfield_from_attenuation(image)
        case AttenuationUnit.LODOPAB:
            return image / MU_MAX


def _heading(reconstruction: CTReconstruction) -> str:
    report, shown = reconstruction.report, reconstruction.shown
    words = f"{report.method}, {report.views} views"
    if report.photons is not None:
        words += f", {report.photons:.0f} photons per ray"
    if shown.target is not None and report.metrics is not None and image_range(shown.target) > 0:
        spread = image_range(shown.target)
        quality = psnr(shown.image, shown.target, data_range=spread), ssim(shown.image, shown.target, data_range=spread)
        words += f"   PSNR {quality[0]:.2f} dB, SSIM {quality[1]:.3f} ({LODOPAB_PROTOCOL})"
    name = f"   ({Path(report.input).name}, slice {shown.index})"
    return words + name
