"""What `medrecon reconstruct` says of what it did."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medrecon.words import counted

if TYPE_CHECKING:
    from medrecon.report.viewer_report import ViewerCase
    from medrecon.results import Reconstruction, Report

__all__ = ["COLUMNS", "case_words", "cells", "words"]

#: Of the table for several files, between those of the file's name and its outcome.
COLUMNS = ("slices", "sampling", "protocol", "PSNR", "SSIM", "NMSE", "seconds")


def cells(report: Report) -> list[str]:
    """What stands in `COLUMNS`."""
    quality = ["", "", "", ""]
    if report.metrics:
        m = report.metrics[0]
        quality = [m.protocol, f"{m.psnr:.2f}", f"{m.ssim:.4f}", "" if m.nmse is None else f"{m.nmse:.5f}"]
    return [str(report.slices), report.sampling, *quality, f"{report.seconds:.2f}"]


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


def words(done: Reconstruction) -> list[str]:
    """Say what was done, a fact a line."""
    report = done.report
    pixel = "" if report.pixel is None else f", pixels of {' x '.join(_distinct(report.pixel))} mm"
    shown = ", ".join(f"{name.replace('_', ' ')} {_short(value)}" for name, value in report.parameters.items())
    images = f"{counted(report.slices, 'image')} of {report.shape[0]} x {report.shape[1]}"
    lines = [
        f"{report.output}: {images} in {done.display.unit}{pixel}",
        f"method {report.method}{f' ({shown})' if shown else ''}, {report.seconds:.2f} s",
        report.measured,
    ]
    found = None if report.trust is None else report.trust.words(report.method)
    if found is not None:
        lines.append(found)
    if report.metrics:
        lines.append("; ".join(_quality(m.psnr, m.ssim, m.nmse, m.protocol) for m in report.metrics))
    return lines + [f"note: {note}" for note in report.notes]


def _quality(psnr: float, ssim: float, nmse: float | None, protocol: str) -> str:
    last = "" if nmse is None else f", NMSE {nmse:.5f}"
    return f"PSNR {psnr:.2f} dB, SSIM {ssim:.4f}{last} ({protocol})"


def _distinct(sides: tuple[float, float]) -> list[str]:
    return list(dict.fromkeys(f"{side:.4g}" for side in sides))


def _short(value: str | int | float) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
