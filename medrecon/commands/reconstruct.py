"""`medrecon reconstruct`: files of raw k-space to files of images."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medrecon.commands.console import complain, expected, one_line, print_table, progress, say
from medrecon.config import (
    DeviceName,
    MaskName,
    MethodName,
    ReconstructionSettings,
    SliceSettings,
    settings_from,
)
from medrecon.errors import InputError

if TYPE_CHECKING:
    from medrecon.data.download import Progress
    from medrecon.report.summary import Report

__all__ = ["reconstruct"]

_SUFFIXES = (".h5", ".hdf5")


@dataclass(frozen=True)
class _Job:
    """One file to reconstruct, and where its output and picture go; `fault` says why it cannot be."""

    source: Path
    output: Path
    preview: Path | None = None
    fault: str = ""


def reconstruct(
    inputs: Annotated[
        list[Path], typer.Argument(metavar="INPUT", help="Files in the format of fastMRI, or folders of them.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .h5 file to write; a folder for several inputs.")],
    method: Annotated[MethodName, typer.Option(help="See `medrecon methods`.")] = MethodName.WAVELET,
    weight: Annotated[
        float | None,
        typer.Option(help="Of the regularisation: 3 for sense, 0.001 for wavelet, 0.0008 for tv unless given."),
    ] = None,
    iterations: Annotated[int | None, typer.Option(help="At most; else the method's own.")] = None,
    mask: Annotated[
        MaskName | None, typer.Option(help="Undersample a full scan; without it data are taken as they are.")
    ] = None,
    acceleration: Annotated[float | None, typer.Option(help="Of the mask; 4 unless given.")] = None,
    center_fraction: Annotated[
        float | None, typer.Option(help="Share of the lines kept around the centre; 0.32 / acceleration unless given.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of the mask; made of the file's name unless given.")] = None,
    slices: Annotated[
        str | None, typer.Option(help="a:b (b not included), a:, :b or a, counted from 0; scores are of these alone.")
    ] = None,
    device: Annotated[DeviceName, typer.Option(help="Where to compute.")] = DeviceName.CPU,
    preview: Annotated[
        Path | None, typer.Option(help="Write a PNG of the middle slice; a folder for several inputs.")
    ] = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Write a report; a list of them for several inputs.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
) -> int:
    """Reconstruct images from raw k-space.

    Example: medrecon reconstruct scan.h5 --output image.h5 --method tv --mask equispaced-fraction --acceleration 4
    """
    given = {"kind": method, "weight": weight, "iterations": iterations}
    sampling = {"acceleration": acceleration, "center_fraction": center_fraction, "seed": seed}
    fields = {
        "method": _chosen(given),
        "mask": _mask_fields(mask, _chosen(sampling)),
        "slices": SliceSettings() if slices is None else SliceSettings.parse(slices),
        "device": device,
    }
    settings = settings_from(ReconstructionSettings, fields)
    several = len(inputs) > 1 or inputs[0].is_dir()
    jobs = _batch_jobs(inputs, output, preview) if several else [_single_job(inputs[0], output, preview)]
    _require_distinct(jobs, json_path)
    with ExitStack() as stack:
        report_file = None if json_path is None else stack.enter_context(_atomic(json_path, overwrite))
        bar = stack.enter_context(progress())
        if several:
            results = _run_all(jobs, settings, overwrite, bar)
            _write_json(report_file, [_values(result) for result in results])
        else:
            report = _run(jobs[0], settings, overwrite, bar)
            _write_json(report_file, report.as_json())
    if several:
        return _summarise(results)
    say("\n".join(_words(report)))
    return 0


def _chosen(values: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None}


def _mask_fields(mask: MaskName | None, fields: dict[str, object]) -> dict[str, object] | None:
    if mask is not None:
        return {"kind": mask, **fields}
    if fields:
        option = next(iter(fields)).replace("_", "-")
        raise InputError(f"--{option} belongs to a mask; give --mask, or leave --{option} out to take data as they are")
    return None


def _single_job(source: Path, output: Path, preview: Path | None) -> _Job:
    if output.is_dir():
        output = output / f"{source.stem}.h5"
    elif output.suffix.lower() not in _SUFFIXES:
        raise InputError(f"{output}: the output is an HDF5 file; name it *.h5, or give a folder that exists")
    if preview is not None and preview.is_dir():
        preview = preview / f"{source.stem}.png"
    elif preview is not None and preview.suffix.lower() != ".png":
        raise InputError(f"{preview}: the picture is a PNG file; name it *.png, or give a folder that exists")
    return _Job(source, output, preview)


def _batch_jobs(inputs: Sequence[Path], output: Path, preview: Path | None) -> list[_Job]:
    from medrecon.data.fastmri import find_fastmri_files

    found: dict[Path, str] = {}
    for path in inputs:
        try:
            found |= dict.fromkeys(find_fastmri_files([path]), "")
        except InputError as error:
            found[path] = str(error)
    for folder in (output, preview):
        if folder is not None and (folder.exists() and not folder.is_dir()):
            raise InputError(f"{folder}: is a file; several inputs take a folder")
        if folder is not None and folder.suffix.lower() in (*_SUFFIXES, ".png") and not folder.exists():
            raise InputError(f"{folder}: several inputs take a folder; leave out {folder.suffix}")
    return [
        _Job(path, output / f"{path.stem}.h5", None if preview is None else preview / f"{path.stem}.png", fault)
        for path, fault in found.items()
    ]


def _require_distinct(jobs: Sequence[_Job], json_path: Path | None) -> None:
    """Refuse to write over an input, or twice to one file."""
    taken = {job.source.resolve(): "an input" for job in jobs}
    targets = [path for job in jobs for path in (job.output, job.preview)]
    for path in (*targets, json_path):
        if path is None:
            continue
        if (who := taken.get(path.resolve())) is not None:
            raise InputError(f"{path}: is {who} of this call, too; give another name or folder")
        taken[path.resolve()] = "another output"


def _run(job: _Job, settings: ReconstructionSettings, overwrite: bool, bar: Progress) -> Report:
    from medrecon.experiment import reconstruct_file

    with ExitStack() as stack:
        picture = None if job.preview is None else stack.enter_context(_atomic(job.preview, overwrite))
        done = reconstruct_file(job.source, job.output, settings, overwrite=overwrite, progress=bar)
        if picture is not None:
            from medrecon.report.figures import preview

            preview(picture, done)
    return done.report


def _run_all(
    jobs: Sequence[_Job], settings: ReconstructionSettings, overwrite: bool, bar: Progress
) -> list[Report | _Job]:
    """Reconstruct one file after the other; of those that fail the job is returned, with its fault."""
    folders = {folder for job in jobs for folder in (job.output.parent, job.preview and job.preview.parent) if folder}
    made = [folder for folder in folders if not folder.exists()]
    done: list[Report | _Job] = []
    try:
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        for job in jobs:
            try:
                if job.fault:
                    raise InputError(job.fault)
                done.append(_run(job, settings, overwrite, bar))
            except Exception as error:
                fault = _fault(error)
                done.append(replace(job, fault=fault))
                complain(fault)
    finally:
        for folder in made:
            with suppress(OSError):  # it is not empty
                folder.rmdir()
    return done


def _summarise(results: Sequence[Report | _Job]) -> int:
    rows = [
        [str(r.source), *[""] * 6, r.fault] if isinstance(r, _Job) else [r.input, *_cells(r), "done"] for r in results
    ]
    numbers = ("slices", "acceleration", "PSNR", "SSIM", "NMSE", "seconds")
    print_table(("file", *numbers, "outcome"), rows, right=numbers)
    for result in results:
        if not isinstance(result, _Job):
            for remark in result.remarks:
                say(f"note: {result.input}: {remark}")
    failed = sum(isinstance(result, _Job) for result in results)
    say(f"{len(results) - failed} of {len(results)} files reconstructed")
    return 2 if failed else 0


def _fault(error: Exception) -> str:
    """Say why a file failed; what nobody foresaw is raised on request."""
    reason = expected(error)
    if reason is None and os.environ.get("MEDRECON_DEBUG"):
        raise error
    return one_line(reason or f"unexpected {type(error).__name__}: {error}")


def _values(result: Report | _Job) -> dict[str, object]:
    return {"input": str(result.source), "error": result.fault} if isinstance(result, _Job) else result.as_json()


def _write_json(path: Path | None, values: object) -> None:
    if path is not None:
        path.write_text(json.dumps(values, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _cells(report: Report) -> list[str]:
    quality = ["", "", ""]
    if report.metrics is not None:
        quality = [f"{report.metrics.psnr:.2f}", f"{report.metrics.ssim:.4f}", f"{report.metrics.nmse:.5f}"]
    return [str(report.slices), f"{report.true_acceleration:.2f}", *quality, f"{report.seconds:.2f}"]


def _words(report: Report) -> list[str]:
    count = "1 slice" if report.slices == 1 else f"{report.slices} slices"
    chosen = "" if report.weight is None else f" (weight {report.weight:g}, at most {report.iterations} iterations)"
    lines = [
        f"{report.output}: {count} of {report.shape[0]} x {report.shape[1]}",
        f"method {report.method}{chosen}, {report.seconds:.2f} s",
        f"sampling {report.sampling}",
    ]
    if report.metrics is not None:
        m = report.metrics
        lines.append(f"PSNR {m.psnr:.2f} dB, SSIM {m.ssim:.4f}, NMSE {m.nmse:.5f}")
    return lines + [f"note: {remark}" for remark in report.remarks]


def _atomic(path: Path, overwrite: bool) -> AbstractContextManager[Path]:
    from medrecon.data.writing import atomic_file

    return atomic_file(path, overwrite=overwrite)
