"""Summaries as text: Markdown for people, CSV and JSON for programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from medrecon.benchmark.perceptual import LPIPS_PROTOCOL
from medrecon.benchmark.summary import MethodSummary, ScenarioSummary
from medrecon.bootstrap import Estimate
from medrecon.evaluation import LODOPAB_FR_PROTOCOL, LODOPAB_PROTOCOL, PROTOCOL
from medrecon.words import cell

__all__ = ["summary_csv", "summary_lines", "summary_markdown"]

_PROTOCOLS = {
    PROTOCOL: f"{PROTOCOL}: center crop, range the maximum of the volume's target. PSNR and SSIM are means over slices; those "
    "of volumes are of all slices of a volume that were run, and then means over volumes.",
    LODOPAB_PROTOCOL: f"{LODOPAB_PROTOCOL}: range the maximum less the minimum of each target; means over images.",
    LODOPAB_FR_PROTOCOL: f"{LODOPAB_FR_PROTOCOL}: range 1 in LoDoPaB-CT's normalized unit; means over images.",
}
_LPIPS = (
    f"- LPIPS ({LPIPS_PROTOCOL}): a distance of features, 0 for equal images; they are clipped to the range of PSNR and SSIM, and "
    "their gray counts as three colors."
)


def summary_markdown(name: str, summaries: Sequence[ScenarioSummary], notes: Sequence[str] = ()) -> str:
    """One table a scenario and protocol, with what its figures mean."""
    lines = [f"# {name}", ""]
    for summary in summaries:
        lines += [f"## {summary.scenario} ({summary.protocol or 'nothing was scored'})", "", _about(summary), ""]
        columns, rows = _cells(summary)
        lines += [f"| {' | '.join(columns)} |", f"|---|{'---:|' * (len(columns) - 1)}"]
        lines += [f"| {' | '.join(row)} |" for row in rows]
        failures = [
            f"- {m.method}: {m.failed} of {m.done + m.failed} failed: {m.reason}" for m in summary.methods if m.failed
        ]
        lines += ["", *failures, *([""] if failures else [])]
    return "\n".join([*lines, *_legend(summaries), *[f"- {note}" for note in notes], ""])


def summary_csv(summaries: Sequence[ScenarioSummary]) -> str:
    """A row a scenario, protocol and method."""
    figures = ("psnr", "ssim", "nmse", "psnr_gain", "ssim_gain", "lesion_contrast", "lpips")
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    head = ["scenario", "sampling", "protocol", "method", "learned", "images", "failed", "best classical", "resampled"]
    head += [f"{figure}{end}" for figure in figures for end in ("", " low", " high")]
    table.writerow([*head, "volume psnr", "volume ssim", "volume nmse", "residual", "seconds", "peak memory (MiB)"])
    for summary in summaries:
        for method in summary.methods:
            row: list[object] = [summary.scenario, summary.sampling, summary.protocol, method.method, method.learned]
            row += [method.done, method.failed, summary.best_classical, summary.unit]
            for figure in figures:
                found: Estimate | None = getattr(method, figure)
                row += [None] * 3 if found is None else [found.mean, found.low, found.high]
            volume = method.volume
            row += [None] * 3 if volume is None else [volume.psnr, volume.ssim, volume.nmse]
            table.writerow(map(cell, [*row, method.residual, method.seconds, method.peak_memory_mb]))
    return text.getvalue()


def summary_lines(summary: ScenarioSummary) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of a short table for a terminal."""
    rows = []
    for m in summary.methods:
        quality = [_text(m.psnr, 2), _text(m.ssim, 4), _signed(m.psnr_gain, 2)]
        rows.append([summary.scenario, summary.protocol, m.method, *quality, str(m.failed) if m.failed else ""])
    return ["scenario", "protocol", "method", "PSNR (dB)", "SSIM", "gain (dB)", "failed"], rows


def _about(summary: ScenarioSummary) -> str:
    files = (
        "" if summary.files == summary.images else " of 1 file" if summary.files == 1 else f" of {summary.files} files"
    )
    count = "1 image" if summary.images == 1 else f"{summary.images} images"
    best = (
        "no classical method did it" if summary.best_classical is None else f"gains are over {summary.best_classical}"
    )
    return f"{count}{files}; {summary.sampling or 'not sampled'}; 95 % intervals: {summary.unit}; {best}."


def _cells(summary: ScenarioSummary) -> tuple[list[str], list[list[str]]]:
    """Columns that hold something, and the rows."""
    of = summary.protocol
    columns = [f"PSNR, dB ({of})", f"SSIM ({of})", "NMSE", f"LPIPS ({LPIPS_PROTOCOL})"]
    columns += [f"PSNR gain, dB ({of})", f"SSIM gain ({of})"]
    columns += [f"volume PSNR / SSIM ({of})", "lesion contrast, %", "residual / noise", "seconds", "memory, MiB"]
    table = [_method_cells(method) for method in summary.methods]
    shown = [place for place in range(len(columns)) if any(row[place] for row in table)]
    rows = [[_bold(m, summary), *(row[k] for k in shown)] for m, row in zip(summary.methods, table, strict=True)]
    return ["method", *(columns[k] for k in shown)], rows


def _method_cells(m: MethodSummary) -> list[str]:
    volume = "" if m.volume is None else f"{m.volume.psnr:.2f} / {m.volume.ssim:.4f}"
    return [
        _text(m.psnr, 2),
        _text(m.ssim, 4),
        _text(m.nmse, 5, interval=False),
        _text(m.lpips, 4),
        _signed(m.psnr_gain, 2),
        _signed(m.ssim_gain, 4),
        volume,
        _text(m.lesion_contrast, 0),
        "" if m.residual is None else f"{m.residual:.2f}",
        "" if m.seconds is None else f"{m.seconds:.2g}" if m.seconds < 10 else f"{m.seconds:.0f}",
        "" if m.peak_memory_mb is None else f"{m.peak_memory_mb:.0f}",
    ]


def _bold(m: MethodSummary, summary: ScenarioSummary) -> str:
    settings = ", ".join(f"{name} {_short(value)}" for name, value in m.settings.items() if name in _TOLD)
    shown = f"{m.method} ({settings})" if settings else m.method
    return f"*{shown}*" if m.method == summary.best_classical else shown


_TOLD = ("weight", "iterations", "window", "frequency_scaling", "weights", "run", "import")


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _text(found: Estimate | None, digits: int, *, interval: bool = True) -> str:
    if found is None:
        return ""
    if not interval or found.low is None or found.high is None:
        return f"{found.mean:.{digits}f}"
    return f"{found.mean:.{digits}f} [{found.low:.{digits}f}, {found.high:.{digits}f}]"


def _signed(found: Estimate | None, digits: int) -> str:
    if found is None:
        return ""
    if found.low is None or found.high is None:
        return f"{found.mean:+.{digits}f}"
    return f"{found.mean:+.{digits}f} [{found.low:+.{digits}f}, {found.high:+.{digits}f}]"


def _legend(summaries: Sequence[ScenarioSummary]) -> list[str]:
    protocols = {summary.protocol for summary in summaries}
    return [
        *(f"- {_PROTOCOLS[name]}" for name in _PROTOCOLS if name in protocols),
        "- The best classical method stands in italics; gains are paired, image by image.",
        "- Residual over noise: |A x - y| / (sigma sqrt(m)) of m measurements. It is 1 for the true "
        "image, larger for one that contradicts the data, and smaller for one that fits their noise as well. MRI: sigma is "
        "estimated from the outermost samples of the full scan. CT: the variance of a ray is exp(A x*) / photons, of the "
        "true image x*; rays on which fewer than 10 photons are expected are left out.",
        *([_LPIPS] if any(m.lpips is not None for summary in summaries for m in summary.methods) else []),
        "- Lesion contrast: of the image, in per cent of that of the target.",
        "- Seconds: of the reconstruction alone, the median. Memory: the largest resident memory of the whole process "
        "meanwhile.",
    ]
