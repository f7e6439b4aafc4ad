"""A benchmark as a page to look through: a case for each chosen image, with all methods side by side, and the summary."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from medrecon.benchmark.cases import Case, Picture, inputs_of
from medrecon.benchmark.choice import Shown, choose
from medrecon.benchmark.cluster import Workers
from medrecon.benchmark.inputs import CaseInputs
from medrecon.benchmark.perceptual import LPIPS_PROTOCOL
from medrecon.benchmark.pictures import kept_pictures
from medrecon.benchmark.rows import Row
from medrecon.benchmark.run import Finished, run_held
from medrecon.benchmark.summary import MethodSummary, ScenarioSummary
from medrecon.bootstrap import Estimate
from medrecon.config.benchmark import BenchmarkSettings, LesionSettings
from medrecon.data.locks import hold_folder
from medrecon.errors import InputError
from medrecon.progress import Progress, silent
from medrecon.report.html import LARGEST_PAGE, write_html
from medrecon.report.viewer_report import (
    Column,
    Facts,
    MethodImages,
    Scores,
    Table,
    ViewerCase,
    ViewerReport,
    first_window,
    shared_notes,
)

__all__ = ["run_with_page", "summary_table", "write_page"]

_IMAGES = "images"
_BYTES = 2  # of a pixel in a page


def run_with_page(
    settings: BenchmarkSettings,
    folder: Path,
    workers: Workers,
    path: Path,
    *,
    images: int = 3,
    overwrite: bool = False,
    progress: Progress = silent,
) -> tuple[Finished, int]:
    """Run a benchmark and write its page, while no other process can come to its folder; give both, as the two alone do.

    Raises
    ------
    InputError
        As `run_benchmark` and `write_page`.
    """
    with hold_folder(folder, "running a benchmark"):
        done = run_held(settings, folder, workers, overwrite=overwrite, progress=progress)
        return done, _write_held(path, done, workers, images, overwrite, progress)


def write_page(
    path: Path,
    done: Finished,
    workers: Workers,
    *,
    images: int = 3,
    overwrite: bool = False,
    progress: Progress = silent,
) -> int:
    """Write a page of a finished benchmark, with so many images of each scenario, in place of the one there; say how many cases.

    Which images these are is known when all are scored: `choose` picks them, and these cases alone are run once more. What they
    give is kept in `done.folder/images`, so that the next page is made at once, unless `overwrite` asks for all anew. Without a
    case that gave an image there is no page.

    Raises
    ------
    InputError
        If the page would be too large for browsers, or cannot be written.
    """
    with hold_folder(done.folder, "making a report"):
        return _write_held(path, done, workers, images, overwrite, progress)


def _write_held(path: Path, done: Finished, workers: Workers, images: int, overwrite: bool, progress: Progress) -> int:
    """Write the page of a benchmark whose folder this process holds; see `write_page`."""
    shown = choose(done.schedule.cases, done.rows, images)
    if not shown:
        return 0
    size = _BYTES * sum(max(row.pixels for row in one.rows) * (len(one.finished) + 1) for one in shown)
    if size > LARGEST_PAGE:
        raise InputError(
            f"{path}: would hold {size / 1e6:.0f} MB of images, and browsers open pages of up to {LARGEST_PAGE / 1e6:.0f} MB; "
            "take fewer by --report-images"
        )
    groups = [one.finished for one in shown]
    pictures = kept_pictures(done.folder / _IMAGES, groups, workers, overwrite=overwrite, progress=progress)
    cases = [case for one in shown if (case := _case(one, pictures)) is not None]
    if cases:
        report = ViewerReport(f"Benchmark {done.name}", tuple(cases), (summary_table(done.summaries),))
        write_html(path, report, overwrite=True)
    return len(cases)


def summary_table(summaries: Sequence[ScenarioSummary]) -> Table:
    """The means and 95 % intervals of all methods, with the protocol of each row; columns that nobody fills are left out."""
    columns = [
        *(Column("scenario"), Column("protocol"), Column("method"), Column("images")),
        *(Column("PSNR (dB)", 2), Column("PSNR 95 %"), Column("SSIM", 4), Column("SSIM 95 %"), Column("NMSE", 5)),
        *(Column("PSNR gain (dB)", 2), Column("gain 95 %"), Column("gain over"), Column("lesion contrast (%)", 0)),
        *(Column(f"LPIPS ({LPIPS_PROTOCOL})", 4), Column("residual / noise", 2), Column("seconds", 2)),
        *(Column("failed"), Column("why")),
    ]
    rows = [_summary_row(summary, method) for summary in summaries for method in summary.methods]
    filled = [k for k in range(len(columns)) if any(row[k] is not None for row in rows)]
    caption = "Summary: means, and 95 % intervals by resampling images; gains are paired, image by image"
    return Table(caption, tuple(columns[k] for k in filled), tuple(tuple(row[k] for k in filled) for row in rows))


def _summary_row(summary: ScenarioSummary, m: MethodSummary) -> list[str | float | None]:
    return [
        *(summary.scenario, summary.protocol or None, m.method, m.done),
        *(_mean(m.psnr), _interval(m.psnr, ".2f"), _mean(m.ssim), _interval(m.ssim, ".4f"), _mean(m.nmse)),
        *(_mean(m.psnr_gain), _interval(m.psnr_gain, "+.2f"), summary.best_classical if m.psnr_gain else None),
        *(_mean(m.lesion_contrast), _mean(m.lpips), m.residual, m.seconds),
        *(m.failed or None, m.reason or None),
    ]


def _case(shown: Shown, pictures: Mapping[str, Picture]) -> ViewerCase | None:
    """The case of an image; None where nothing is left of it."""
    first, inputs = shown.cases[0], inputs_of(shown.cases[0])
    display, target = inputs.display, inputs.display.values(inputs.target[None])
    noted: dict[str, Sequence[str]] = {}
    methods, notes = [], [] if inputs.lesion is None else [_lesion_words(inputs, first.scenario.lesion)]
    for case, row in zip(shown.cases, shown.rows, strict=True):
        picture = pictures.get(case.key)
        if not row.done:
            notes.append(f"{row.method} failed: {row.reason}")
        elif picture is None or picture.image is None:
            why = "" if picture is None else f": {picture.reason}"
            notes.append(f"{row.method} has no image here: it failed when it was run again{why}")
        else:
            image = display.values(picture.image[None])
            methods.append(MethodImages(row.method, image, scores=_scores(row), facts=_facts(row)))
            noted[row.method] = row.notes
    if not methods:
        return None
    return ViewerCase(
        name=f"{first.scenario.name}: {first.image.file}, slice {first.image.index}",
        methods=tuple(methods),
        unit=display.unit,
        target=target,
        window=first_window(target, display, "of the target"),
        presets=display.presets,
        pixel=inputs.pixel,
        mask=inputs.mask,
        facts=dict(_case_facts(first, inputs, shown.why)),
        notes=(*notes, *shared_notes(noted)),
        first_slice=first.image.index,
    )


def _scores(row: Row) -> Scores:
    first = row.scores[0]
    psnr = math.inf if first.psnr is None else first.psnr  # equal to the target
    return Scores(first.protocol, psnr, first.ssim, row.nmse, row.residual, row.seconds)


def _facts(row: Row) -> Facts:
    facts: dict[str, str | int | float] = {name.replace("_", " "): value for name, value in row.settings.items()}
    if row.lesion_contrast is not None:
        facts["lesion contrast kept"] = f"{row.lesion_contrast:.0f} % of the target's"
    for score in row.scores[1:]:
        facts[f"PSNR, {score.protocol}"] = "infinite" if score.psnr is None else f"{score.psnr:.2f} dB"
        facts[f"SSIM, {score.protocol}"] = f"{score.ssim:.4f}"
    if row.lpips is not None:
        facts[f"LPIPS, {LPIPS_PROTOCOL}"] = f"{row.lpips:.4f}"
    if row.residual_note:
        facts["residual"] = f"not known: {row.residual_note}"
    facts["computed on"] = f"{row.device}, {row.threads} {'thread' if row.threads == 1 else 'threads'}"
    if row.peak_memory_mb is not None:
        facts["memory"] = f"{row.peak_memory_mb:.0f} MiB"
    return facts


def _case_facts(case: Case, inputs: CaseInputs, why: str) -> Iterator[tuple[str, str | int | float]]:
    yield "scenario", case.scenario.name
    if why:
        yield "chosen as", why
    yield "sampling", inputs.sampling
    yield from inputs.facts.items()
    yield "seed", case.seed
    yield "made", datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")


def _lesion_words(inputs: CaseInputs, settings: LesionSettings | None) -> str:
    assert inputs.lesion is not None
    assert settings is not None
    y, x = inputs.lesion.center
    return (
        f"a lesion was put in before sampling: its center is at row {y}, column {x}, counted from 0 at the top left; it is "
        f"{settings.diameter:g} mm ({2 * inputs.lesion.radius:.1f} pixels) wide, and brighter than what is around it by "
        f"{100 * settings.contrast:g} %. Is it there in every image?"
    )


def _mean(found: Estimate | None) -> float | None:
    return None if found is None else found.mean


def _interval(found: Estimate | None, digits: str) -> str | None:
    if found is None or found.low is None or found.high is None:
        return None
    return f"{found.low:{digits}} to {found.high:{digits}}"
