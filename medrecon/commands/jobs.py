"""Which files a call of `medrecon reconstruct` reads, and which it writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medrecon.errors import InputError

__all__ = ["Job", "batch_jobs", "require_distinct", "single_job"]

_SUFFIXES = (".h5", ".hdf5")


@dataclass(frozen=True)
class Job:
    """One file to reconstruct, and where its output and picture go; `fault` says why it cannot be."""

    source: Path
    output: Path
    preview: Path | None = None
    fault: str = ""


def single_job(source: Path, output: Path, preview: Path | None) -> Job:
    """Make the job of one file; folders that exist take its name.

    Raises
    ------
    InputError
        If an output has the wrong ending.
    """
    if output.is_dir():
        output = output / f"{source.stem}.h5"
    elif output.suffix.lower() not in _SUFFIXES:
        raise InputError(f"{output}: the output is an HDF5 file; name it *.h5, or give a folder that exists")
    if preview is not None and preview.is_dir():
        preview = preview / f"{source.stem}.png"
    elif preview is not None and preview.suffix.lower() != ".png":
        raise InputError(f"{preview}: the picture is a PNG file; name it *.png, or give a folder that exists")
    return Job(source, output, preview)


def batch_jobs(inputs: Sequence[Path], output: Path, preview: Path | None, *, arrays: bool) -> list[Job]:
    """Make the jobs of files and folders, for outputs in folders; with `arrays` the `.npy` files of folders count.

    Raises
    ------
    InputError
        If an output is no folder.
    """
    from medrecon.data.modality import find_scan_files

    found: dict[Path, str] = {}
    for path in inputs:
        try:
            found |= dict.fromkeys(find_scan_files(path, arrays=arrays), "")
        except InputError as error:
            found[path] = str(error)
    for folder in (output, preview):
        if folder is not None and (folder.exists() and not folder.is_dir()):
            raise InputError(f"{folder}: is a file; several inputs take a folder")
        if folder is not None and folder.suffix.lower() in (*_SUFFIXES, ".png") and not folder.exists():
            raise InputError(f"{folder}: several inputs take a folder; leave out {folder.suffix}")
    return [
        Job(path, output / f"{path.stem}.h5", None if preview is None else preview / f"{path.stem}.png", fault)
        for path, fault in found.items()
    ]


def require_distinct(jobs: Sequence[Job], *others: Path | None) -> None:
    """Refuse to write over an input, or twice to one file, the `others` of the call among them.

    Raises
    ------
    InputError
        If a call would.
    """
    taken = {job.source.resolve(): "an input" for job in jobs}
    targets = [path for job in jobs for path in (job.output, job.preview)]
    for path in (*targets, *others):
        if path is None:
            continue
        if (who := taken.get(path.resolve())) is not None:
            raise InputError(f"{path}: is {who} of this call, too; give another name or folder")
        taken[path.resolve()] = "another output"
