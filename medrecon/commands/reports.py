"""What `medrecon reconstruct` says of what it did, of either modality."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from medrecon.report.ct_summary import CTReport
    from medrecon.report.summary import Report
    from medrecon.report.viewer_report import ViewerCase

__all__ = ["COLUMNS", "case_words", "cells", "ct_words", "mri_words", "words"]

#: Of the table for several files, between those of the file's name and its outcome.
COLUMNS = ("slices", "sampling", "protocol", "PSNR", "SSIM", "NMSE", "seconds")
_SAID = ("window", "frequency_scaling", "weight", "iterations")


def cells(report: Report | CTReport) -> list[str]:
    """What stands in `COLUMNS`."""
    from medrecon.evaluation import LODOPAB_PROTOCOL, PROTOCOL
    from medrecon.report.ct_summary import CTReport

    quality = ["", "", "", ""]
    if isinstance(report, CTReport):
        sampling = f"{report.views} views"
        if report.metrics is not None:
            quality = [LODOPAB_PROTOCOL, f"{report.metrics.psnr:.2f}", f"{report.metrics.ssim:.4f}", ""]
    else:
        sampling = f"{report.true_acceleration:.2f}x"
        if (m := report.metrics) is not None:
            quality = [PROTOCOL, f"{m.psnr:.2f}", f"{m.ssim:.4f}", f"{m.nmse:.5f}"]
    return [str(report.slices), sampling, *quality, f"{report.seconds:.2f}"]


def case_words(case: ViewerCase) -> list[str]:
    """Say how the methods did that are compared, a line each."""
    lines = []
    for method in case.methods[1:]:
        s = method.scores
        known = (("PSNR {:.2f} dB", s.psnr), ("SSIM {:.4f}", s.ssim), ("NMSE {:.5f}", s.nmse), ("{:.2f} s", s.seconds))
        told = [text.format(value) for text, value in known if value is not None]
        by = f" ({s.protocol})" if s.protocol else ""
        lines.append(f"{case.name} by {method.name}: {', '.join(told)}{by}")
    return lines


def words(report: Report | CTReport) -> list[str]:
    """Say a report, a fact a line."""
    from medrecon.report.ct_summary import CTReport

    return ct_words(report) if isinstance(report, CTReport) else mri_words(report)


def mri_words(report: Report) -> list[str]:
    """Say what was done to k-space."""
    from medrecon.evaluation import PROTOCOL

    count = "1 slice" if report.slices == 1 else f"{report.slices} slices"
    chosen = "" if report.weight is None else f" (weight {report.weight:g}, at most {report.iterations} iterations)"
    if report.weights is not None:
        chosen = f" (weights {report.weights})"
    lines = [
        f"{report.output}: {count} of {report.shape[0]} x {report.shape[1]}",
        f"method {report.method}{chosen}, {report.seconds:.2f} s",
        f"sampling {report.sampling}",
    ]
    if report.metrics is not None:
        m = report.metrics
        lines.append(f"PSNR {m.psnr:.2f} dB, SSIM {m.ssim:.4f}, NMSE {m.nmse:.5f} ({PROTOCOL})")
    return lines + [f"note: {note}" for note in report.notes]


def ct_words(report: CTReport) -> list[str]:
    """Say what was done to sinograms."""
    from medrecon.evaluation import LODOPAB_FR_PROTOCOL, LODOPAB_PROTOCOL

    count = "1 image" if report.slices == 1 else f"{report.slices} images"
    unit = "LoDoPaB's normalized unit, transposed as its files are" if report.unit == "normalized" else report.unit
    pixel = " x ".join(dict.fromkeys(f"{step:.4g}" for step in report.pixel))
    said = {name: report.parameters[name] for name in _SAID if name in report.parameters}
    if report.weights is not None:
        said["weights"] = report.weights
    shown = ", ".join(f"{name.replace('_', ' ')} {_short(value)}" for name, value in said.items())
    thinned = "" if report.views == report.measured_views else f"; {report.views} views of {report.measured_views}"
    dose = "" if report.photons is None else f"; {report.photons:.0f} photons per ray"
    lines = [
        f"{report.output}: {count} of {report.shape[0]} x {report.shape[1]} in {unit}, pixels of {pixel} mm",
        f"method {report.method}{f' ({shown})' if shown else ''}, {report.seconds:.2f} s",
        f"{report.geometry}{thinned}{dose}",
    ]
    if (m := report.metrics) is not None:
        full = "" if m.psnr_fr is None else f"; PSNR {m.psnr_fr:.2f} dB, SSIM {m.ssim_fr:.4f} ({LODOPAB_FR_PROTOCOL})"
        lines.append(f"PSNR {m.psnr:.2f} dB, SSIM {m.ssim:.4f} ({LODOPAB_PROTOCOL}){full}")
    return lines + [f"note: {note}" for note in report.notes]


def _short(value: str | int | float) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
