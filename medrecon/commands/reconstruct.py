"""`medrecon reconstruct`: files of raw k-space or sinograms to files of images."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medrecon.commands.command_options import CommandOptions
from medrecon.commands.console import complain, expected, print_table, progress, say
from medrecon.commands.jobs import (
    Compared,
    FileJob,
    batch_jobs,
    fault_of,
    is_folder_of_scans,
    require_distinct,
    single_job,
    with_settings,
)
from medrecon.commands.options import takes_options
from medrecon.commands.pages import Page, open_page
from medrecon.commands.pipes import Pipe, piped
from medrecon.commands.reports import COLUMNS, case_words, cells, words
from medrecon.commands.standard_input import with_standard_input
from medrecon.data.outputs.image_format import ImageFormat
from medrecon.errors import InputError
from medrecon.words import counted

if TYPE_CHECKING:
    from medrecon.progress import Progress
    from medrecon.results import Reconstruction

__all__ = ["OutputOptions", "reconstruct"]


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """What is written beside images, and whether files are replaced."""

    preview: Annotated[
        Path | None, typer.Option(help="Write a PNG of the middle slice; a folder for several inputs.")
    ] = None
    json_path: Annotated[
        Path | None,
        typer.Option(
            "--json",
            help="Write what was done, and the scores; a list for several inputs; - for standard output.",
        ),
    ] = None
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="R.html", help="Write one page to look through the images in a browser, a case per input."
        ),
    ] = None
    compare: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METHOD[=WEIGHTS]", help="Show another method beside it in the report, by its defaults; repeatable."
        ),
    ] = None
    image_format: Annotated[
        ImageFormat | None,
        typer.Option(
            "--format", help="Of the images, where the ending of the output does not say it: dicom writes a folder."
        ),
    ] = None
    keep_identity: Annotated[
        bool,
        typer.Option(
            "--keep-identity",
            help="Copy what the raw data say of the person, and their name, into DICOM, NIfTI and the like.",
        ),
    ] = False
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False


@takes_options
def reconstruct(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUT",
            help="Files of k-space, sinograms or projections, or folders of them; - for standard input.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="The file to write: .h5, .nii.gz, .nii, .mha, .nrrd or .npy; a folder for DICOM, and for several inputs; - for "
            "standard output, as .npy.",
        ),
    ],
    options: CommandOptions,
    beside: OutputOptions,
) -> int:
    """Reconstruct images from raw k-space of MRI, or from sinograms of CT.

    What a file holds is told by its content. Images are written as `reconstruction` (slice, y, x) of HDF5; of CT in 1/mm, of
    LoDoPaB's files in LoDoPaB's unit and orientation. NIfTI, MetaImage, NRRD and DICOM say where images lie, CT in
    Hounsfield units there.

    Example: medrecon reconstruct scan.h5 --output image.h5 --method tv --mask equispaced-fraction --acceleration 4

    Example: medrecon reconstruct scan.h5 --output image.h5 --method varnet

    Example: medrecon reconstruct scan.h5 --output images --format dicom

    Example: medrecon reconstruct scan.h5 --output image.nii.gz --json - | python -m json.tool

    Example: medrecon reconstruct scan.h5 --output image.h5 --method tv --report images.html --compare zero-filled

    Example: medrecon reconstruct sinogram.npy --geometry scanner.yaml --output image.h5 --method tv --views 60
    """
    if beside.compare and beside.report is None:
        raise InputError("--compare shows methods in the report; give --report R.html, too")
    with piped(output, beside.json_path, beside.image_format) as pipe:
        beside = replace(beside, json_path=pipe.json_path, image_format=pipe.image_format)
        with with_standard_input(inputs) as named:
            return _reconstruct(named, pipe, options, beside)


def _reconstruct(inputs: Sequence[Path], pipe: Pipe, options: CommandOptions, beside: OutputOptions) -> int:
    output = pipe.output
    from medrecon.data.outputs.output import OutputForm

    compared = [Compared.parse(text) for text in beside.compare or ()]
    several = len(inputs) > 1 or is_folder_of_scans(inputs[0])
    if several and pipe.takes_images:
        raise InputError("--output - takes one input; name a folder for several")
    if several:
        jobs = batch_jobs(inputs, output, beside.preview, beside.image_format, arrays=options.geometry is not None)
    else:
        job = single_job(inputs[0], output, beside.preview, beside.image_format)
        jobs = [replace(job, is_piped=pipe.takes_images)]
    require_distinct(jobs, beside.json_path, beside.report)
    form = OutputForm(beside.image_format, beside.keep_identity)
    jobs = [with_settings(replace(job, form=form), options, compared) for job in jobs]
    if not several and jobs[0].fault:
        raise InputError(jobs[0].fault)
    page = None if beside.report is None else open_page(beside.report, jobs, overwrite=beside.overwrite)
    return (_several if several else _single)(jobs, page, beside)


def _single(jobs: Sequence[FileJob], page: Page | None, beside: OutputOptions) -> int:
    with _say_what_stands() as written:
        with _json_file(beside) as json_file, progress() as bar:
            done = _run(jobs[0], beside.overwrite, bar, page)
            written.append(jobs[0].output)
            _write_json(json_file, done.report.as_json())
        say("\n".join(words(done)))
        return 0 if page is None else _finish(page)


def _several(jobs: Sequence[FileJob], page: Page | None, beside: OutputOptions) -> int:
    with _json_file(beside) as json_file, progress() as bar:
        results = _run_all(jobs, beside.overwrite, bar, page)
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


def _run(job: FileJob, overwrite: bool, bar: Progress, page: Page | None) -> Reconstruction:
    """Reconstruct a file, draw its picture, and show it in the page."""
    from medrecon.workflows import reconstruct_file

    if job.fault or job.settings is None:
        raise InputError(job.fault)
    stacks = None if page is None else page.stacks(targets=True)
    if not job.source.is_dir():
        job.same.require(job.source)
    with ExitStack() as stack:
        written = stack.enter_context(_say_what_stands())
        picture = None if job.preview is None else stack.enter_context(_atomic(job.preview, overwrite))
        done = reconstruct_file(
            job.source,
            job.output,
            job.settings,
            form=job.form,
            overwrite=overwrite,
            progress=bar,
            watch=None if stacks is None else stacks.add,
        )
        if job.is_piped:
            done = replace(done, report=replace(done.report, output="-"))
        written.append(job.output)
        if picture is not None:
            from medrecon.report.figures import preview

            preview(picture, done)
    if page is not None and stacks is not None:
        with _say_what_stands() as written:
            written.append(job.output)
            page.add(job, done, stacks, bar)
    return done


@contextmanager
def _say_what_stands() -> Iterator[list[Path]]:
    """Let an error that comes after files were written, whose names are put into the list, say that they are there."""
    written: list[Path] = []
    try:
        yield written
    except Exception as error:
        reason = expected(error)
        if not written or reason is None:
            raise
        raise InputError(f"{reason}; {', '.join(map(str, written))} was written before") from error


def _run_all(
    jobs: Sequence[FileJob], overwrite: bool, bar: Progress, page: Page | None
) -> list[Reconstruction | FileJob]:
    """Reconstruct one file after the other; of those that fail the job is returned, with its fault."""
    folders = {folder for job in jobs for folder in (job.output.parent, job.preview and job.preview.parent) if folder}
    made = [folder for folder in folders if not folder.exists()]
    done: list[Reconstruction | FileJob] = []
    try:
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        for job in jobs:
            try:
                done.append(_run(job, overwrite, bar, page))
            except Exception as error:
                fault = fault_of(error)
                done.append(replace(job, fault=fault))
                complain(fault)
                if page is not None:
                    page.failed[job.source.name] = fault.removeprefix(f"{job.source}: ")
    finally:
        for folder in made:
            with suppress(OSError):  # it is not empty
                folder.rmdir()
    return done


def _summarize(results: Sequence[Reconstruction | FileJob]) -> int:
    rows = [
        [str(r.source), *[""] * len(COLUMNS), r.fault]
        if isinstance(r, FileJob)
        else [r.report.input, *cells(r.report), "done"]
        for r in results
    ]
    print_table(("file", *COLUMNS, "outcome"), rows, right=COLUMNS)
    for result in results:
        if not isinstance(result, FileJob):
            for note in result.report.notes:
                say(f"note: {result.report.input}: {note}")
    failed = sum(isinstance(result, FileJob) for result in results)
    say(f"{len(results) - failed} of {counted(len(results), 'file')} reconstructed")
    return 2 if failed else 0


def _values(result: Reconstruction | FileJob) -> dict[str, object]:
    if isinstance(result, FileJob):
        return {"input": str(result.source), "error": result.fault}
    return result.report.as_json()


def _write_json(path: Path | None, values: object) -> None:
    if path is not None:
        path.write_text(json.dumps(values, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _json_file(beside: OutputOptions) -> AbstractContextManager[Path | None]:
    return nullcontext() if beside.json_path is None else _atomic(beside.json_path, beside.overwrite)


def _atomic(path: Path, overwrite: bool) -> AbstractContextManager[Path]:
    from medrecon.data.writing import atomic_file

    return atomic_file(path, overwrite=overwrite)
