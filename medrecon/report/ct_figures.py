"""Pictures of CT reconstructions: one image beside its target and its sinogram, in the unit it is written in."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from medrecon.data.ct.attenuation import MU_MAX, AttenuationUnit, hounsfield_from_attenuation
from medrecon.evaluation import LODOPAB_PROTOCOL, image_range
from medrecon.figures import Layout, bar_below, error_window, gray_window, show
from medrecon.metrics import psnr, ssim
from medrecon.report.ct_summary import CTReconstruction

__all__ = ["ct_preview"]

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
        axes = layout.axes(figure, 0, 2, "|difference|")
        bar_below(axes, show(axes, error, *error_window(error), "magma"), label)
    axes = layout.axes(figure, 0, layout.columns - 1, "sinogram (views down, bins right)")
    lowest, highest = (float(value) for value in shown.sinogram.aminmax())
    bar_below(axes, show(axes, shown.sinogram, min(lowest, 0.0), max(highest, lowest + 1e-6)), "line integral")
    figure.savefig(path, format="png")


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
