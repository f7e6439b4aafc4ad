"""`medrecon reconstruct`: files of raw k-space or sinograms to files of images."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medrecon.commands.choices import AnyMethodName, CommandOptions, run_as
from medrecon.commands.console import complain, print_table, progress, say
from medrecon.commands.jobs import Job, batch_jobs, require_distinct, single_job
from medrecon.commands.pages import Page, open_page
from medrecon.commands.plans import Compared, Plan, fault_of, make_plan
from medrecon.commands.reports import COLUMNS, case_words, cells, words
from medrecon.config import FilterName, MaskName
from medrecon.config.learned import PrecisionName
from medrecon.device import DeviceName
from medrecon.errors import InputError

if TYPE_CHECKING:
    from medrecon.progress import Progress
    from medrecon.report.ct_summary import CTReconstruction, CTReport
    from medrecon.report.summary import Reconstruction, Report

__all__ = ["reconstruct"]


def reconstruct(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUT", help="Files of k-space in the format of fastMRI, or of CT sinograms; or folders of them."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .h5 file to write; a folder for several inputs.")],
    method: Annotated[
        AnyMethodName | None,
        typer.Option(
            help="See `medrecon methods`; wavelet for MRI and fbp for CT, or that of --weights, unless given."
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Trained weights, of `medrecon weights list` or a .safetensors file; else the method's.",
        ),
    ] = None,
    weight: Annotated[float | None, typer.Option(help="Of the regularization; else the method's own.")] = None,
    iterations: Annotated[int | None, typer.Option(help="At most; else the method's own.")] = None,
    slices: Annotated[
        str | None, typer.Option(help="a:b (b not included), a:, :b or a, counted from 0; scores are of these alone.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of the mask, or the added noise; made of the file's name unless given.")
    ] = None,
    device: Annotated[DeviceName, typer.Option(help="Where to compute.")] = DeviceName.CPU,
    precision: Annotated[
        PrecisionName | None,
        typer.Option(help="Of a network: bf16, or fp16 on a GPU, by autocast; fp32 unless given."),
    ] = None,
    compiled: Annotated[
        bool,
        typer.Option(
            "--compile",
            help="Compile the U-Nets of a network first, which takes a C++ compiler; on a CPU they run no faster.",
        ),
    ] = False,
    mask: Annotated[
        MaskName | None, typer.Option(help="MRI: undersample a full scan; without it data are taken as they are.")
    ] = None,
    acceleration: Annotated[float | None, typer.Option(help="MRI: of the mask; 4 unless given.")] = None,
    center_fraction: Annotated[
        float | None,
        typer.Option(help="MRI: share of the lines kept around the center; 0.32 / acceleration unless given."),
    ] = None,
    geometry: Annotated[
        Path | None, typer.Option(help="CT: a YAML file that says how sinograms were measured, if they do not.")
    ] = None,
    views: Annotated[int | None, typer.Option(help="CT: keep so many evenly spaced views; else all.")] = None,
    photons: Annotated[float | None, typer.Option(help="CT: add the noise of so many photons per ray.")] = None,
    window: Annotated[FilterName | None, typer.Option(help="CT: on the ramp filter of fbp.")] = None,
    frequency_scaling: Annotated[
        float | None, typer.Option(help="CT: share of the frequencies that pass the filter of fbp.")
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="N or YxX", help="CT: pixels of the image, such as 512 or 320x400.")
    ] = None,
    pixel: Annotated[float | None, typer.Option(help="CT: width of a pixel in mm.")] = None,
    hu: Annotated[bool, typer.Option("--hu", help="CT: write images in Hounsfield units.")] = False,
    preview: Annotated[
        Path | None, typer.Option(help="Write a PNG of the middle slice; a folder for several inputs.")
    ] = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Write what was done, and the scores; a list for several inputs.")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="R.html", help="Write one page to look through the images in a browser, a case per input."
        ),
    ] = None,
    compare: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METHOD[=WEIGHTS]", help="Show another method beside it in the report, by its defaults; repeatable."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
) -> int:
    """Reconstruct images from raw k-space of MRI, or from sinograms of CT.

    What a file holds is told by its content. Images are written as `reconstruction` (slice, y, x); of CT in 1/mm, of LoDoPaB's
    files in LoDoPaB's unit and orientation.

    Example: medrecon reconstruct scan.h5 --output image.h5 --method tv --mask equispaced-fraction --acceleration 4

    Example: medrecon reconstruct scan.h5 --output image.h5 --method varnet

    Example: medrecon reconstruct scan.h5 --output image.h5 --method tv --report images.html --compare zero-filled

    Example: medrecon reconstruct sinogram.npy --geometry scanner.yaml --output image.h5 --method tv --views 60
    """
    choices = CommandOptions(
        method=method,
        weights=weights,
        weight=weight,
        iterations=iterations,
        seed=seed,
        slices=slices,
        device=device,
        mask=mask,
        acceleration=acceleration,
        center_fraction=center_fraction,
        geometry=geometry,
        views=views,
        photons=photons,
        window=window,
        frequency_scaling=frequency_scaling,
        size=size,
        pixel=pixel,
        hu=hu,
    )
    if compare and report is None:
        raise InputError("--compare shows methods in the report; give --report R.html, too")
    compared = [Compared.parse(text) for text in compare or ()]
    several = len(inputs) > 1 or inputs[0].is_dir()
    arrays = geometry is not None
    jobs = batch_jobs(inputs, output, preview, arrays=arrays) if several else [single_job(inputs[0], output, preview)]
    require_distinct(jobs, json_path, report)
    plans = [_as_run(make_plan(job, choices, compared), precision, compiled) for job in jobs]
    if not several and plans[0].job.fault:
        raise InputError(plans[0].job.fault)
    page = None if report is None else open_page(report, plans, overwrite=overwrite)
    return (_several if several else _single)(plans, page, json_path, overwrite)


def _as_run(plan: Plan, precision: PrecisionName | None, compiled: bool) -> Plan:
    """The plan with its own network run so; methods beside it keep their defaults."""
    return plan if plan.settings is None else replace(plan, settings=run_as(plan.settings, precision, compiled))


def _single(plans: Sequence[Plan], page: Page | None, json_path: Path | None, overwrite: bool) -> int:
    with _json_file(json_path, overwrite) as json_file, progress() as bar:
        report = _run(plans[0], overwrite, bar, page)
        _write_json(json_file, report.as_json())
    say("\n".join(words(report)))
    return 0 if page is None else _finish(page)


def _several(plans: Sequence[Plan], page: Page | None, json_path: Path | None, overwrite: bool) -> int:
    with _json_file(json_path, overwrite) as json_file, progress() as bar:
        results = _run_all(plans, overwrite, bar, page)
        _write_json(json_file, [_values(result) for result in results])
    status = _summarize(results)
    return status if page is None else max(status, _finish(page))


def _finish(page: Page) -> int:
    """Write the page, last of all, and say how the methods in it did."""
    for case in page.cases:
        for line in case_words(case):
            say(line)
    if page.write():
        say(f"report {page.path}: images, to look through in a browser")
    return 2 if page.incomplete else 0


def _run(plan: Plan, overwrite: bool, bar: Progress, page: Page | None) -> Report | CTReport:
    """Reconstruct a file, draw its picture, and show it in the page."""
    from medrecon.workflows import reconstruct_file

    job, settings = plan.job, plan.settings
    if job.fault or settings is None:
        raise InputError(job.fault)
    stacks = None if page is None else page.stacks(targets=True)
    with ExitStack() as stack:
        picture = None if job.preview is None else stack.enter_context(_atomic(job.preview, overwrite))
        done = reconstruct_file(
            job.source,
            job.output,
            settings,
            overwrite=overwrite,
            progress=bar,
            watch=None if stacks is None else stacks.add,
        )
        if picture is not None:
            _draw(picture, done)
    if page is not None and stacks is not None:
        page.add(plan, done, stacks, bar)
    return done.report


def _draw(picture: Path, done: Reconstruction | CTReconstruction) -> None:
    from medrecon.report.ct_summary import CTReconstruction

    if isinstance(done, CTReconstruction):
        from medrecon.report.ct_figures import ct_preview

        ct_preview(picture, done)
    else:
        from medrecon.report.figures import preview

        preview(picture, done)


def _run_all(plans: Sequence[Plan], overwrite: bool, bar: Progress, page: Page | None) -> list[Report | CTReport | Job]:
    """Reconstruct one file after the other; of those that fail the job is returned, with its fault."""
    jobs = [plan.job for plan in plans]
    folders = {folder for job in jobs for folder in (job.output.parent, job.preview and job.preview.parent) if folder}
    made = [folder for folder in folders if not folder.exists()]
    done: list[Report | CTReport | Job] = []
    try:
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        for plan in plans:
            try:
                done.append(_run(plan, overwrite, bar, page))
            except Exception as error:
                fault = fault_of(error)
                done.append(replace(plan.job, fault=fault))
                complain(fault)
                if page is not None:
                    page.failed[plan.job.source.name] = fault.removeprefix(f"{plan.job.source}: ")
    finally:
        for folder in made:
            with suppress(OSError):  # it is not empty
                folder.rmdir()
    return done


def _summarize(results: Sequence[Report | CTReport | Job]) -> int:
    rows = [
        [str(r.source), *[""] * len(COLUMNS), r.fault] if isinstance(r, Job) else [r.input, *cells(r), "done"]
        for r in results
    ]
    print_table(("file", *COLUMNS, "outcome"), rows, right=COLUMNS)
    for result in results:
        if not isinstance(result, Job):
            for note in result.notes:
                say(f"note: {result.input}: {note}")
    failed = sum(isinstance(result, Job) for result in results)
    say(f"{len(results) - failed} of {len(results)} files reconstructed")
    return 2 if failed else 0


def _values(result: Report | CTReport | Job) -> dict[str, object]:
    return {"input": str(result.source), "error": result.fault} if isinstance(result, Job) else result.as_json()


def _write_json(path: Path | None, values: object) -> None:
    if path is not None:
        path.write_text(json.dumps(values, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _json_file(path: Path | None, overwrite: bool) -> AbstractContextManager[Path | None]:
    return nullcontext() if path is None else _atomic(path, overwrite)


def _atomic(path: Path, overwrite: bool) -> AbstractContextManager[Path]:
    from medrecon.data.writing import atomic_file

    return atomic_file(path, overwrite=overwrite)
