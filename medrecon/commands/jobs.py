"""Which files a call of `medrecon reconstruct` reads and writes, and what it does to each."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from medrecon.commands.command_options import CommandOptions, known_method
from medrecon.commands.console import expected, one_line
from medrecon.config import METHODS, LearnedSettings, ReconstructionSettings
from medrecon.data.identity import SameFiles
from medrecon.data.outputs.image_format import ImageFormat, format_of
from medrecon.errors import InputError
from medrecon.modality import Modality

if TYPE_CHECKING:
    from medrecon.data.outputs.output import OutputForm

__all__ = [
    "Compared",
    "FileJob",
    "batch_jobs",
    "fault_of",
    "is_folder_of_scans",
    "require_distinct",
    "single_job",
    "with_settings",
]

_ENDINGS = (*(ending for one in ImageFormat for ending in one.endings), ".png")


@dataclass(frozen=True)
class FileJob:
    """One file to reconstruct.

    Parameters
    ----------
    source, output, preview
        the file, and where its images and its picture go.
    fault
        why it cannot be reconstructed.
    settings
        None for a file that cannot be.
    others
        settings of methods to show beside, by name.
    same
        knows the file as it was first seen: all methods get this one.
    form
        how images are written; None for the format of the ending.
    is_piped
        whether the output goes on to standard output.
    """

    source: Path
    output: Path
    preview: Path | None = None
    fault: str = ""
    settings: ReconstructionSettings | None = None
    others: Mapping[str, ReconstructionSettings] = field(default_factory=dict)
    same: SameFiles = field(default_factory=SameFiles)
    form: OutputForm | None = None
    is_piped: bool = False

    @property
    def method(self) -> str:
        """Of the images that are written, with its weights where they were given."""
        return "" if self.settings is None else _label(self.settings)


@dataclass(frozen=True)
class Compared:
    """A method to show beside the one that is written, by the weights named where it takes any; `text` is as it was given."""

    text: str
    method: str
    weights: str | None

    @classmethod
    def parse(cls, text: str) -> Compared:
        """Read `METHOD` or `METHOD=WEIGHTS`.

        Raises
        ------
        InputError
            If there is no such method.
        """
        name, _, weights = text.partition("=")
        try:
            return cls(text, known_method(name), weights or None)
        except InputError:
            raise InputError(f"--compare {text}: takes METHOD or METHOD=WEIGHTS, of {', '.join(METHODS)}") from None


def single_job(source: Path, output: Path, preview: Path | None, asked: ImageFormat | None = None) -> FileJob:
    """Make the job of one file; folders that exist take its name, but for DICOM, which is a folder itself.

    Raises
    ------
    InputError
        If an output has the wrong ending.
    """
    kind = asked or ImageFormat.HDF5
    if output.is_dir() and kind is not ImageFormat.DICOM:
        output = output / f"{source.stem}{kind.ending}"
    else:
        format_of(output, asked)
    if preview is not None and preview.is_dir():
        preview = preview / f"{source.stem}.png"
    elif preview is not None and preview.suffix.lower() != ".png":
        raise InputError(f"{preview}: the picture is a PNG file; name it *.png, or give a folder that exists")
    return FileJob(source, output, preview)


def batch_jobs(
    inputs: Sequence[Path],
    output: Path,
    preview: Path | None,
    asked: ImageFormat | None = None,
    *,
    arrays: bool,
) -> list[FileJob]:
    """Make the jobs of files and folders, for outputs in folders; with `arrays` the `.npy` files of folders count.

    Raises
    ------
    InputError
        If an output is no folder.
    """
    from medrecon.data.formats import find_scan_files

    found: dict[Path, str] = {}
    for path in inputs:
        try:
            found |= dict.fromkeys(find_scan_files(path, arrays=arrays), "")
        except InputError as error:
            found[path] = str(error)
    for folder in (output, preview):
        if folder is not None and (folder.exists() and not folder.is_dir()):
            raise InputError(f"{folder}: is a file; several inputs take a folder")
        if folder is not None and folder.name.lower().endswith(_ENDINGS) and not folder.exists():
            raise InputError(f"{folder}: several inputs take a folder; leave out {folder.suffix}")
    ending = (asked or ImageFormat.HDF5).ending
    return [
        FileJob(path, output / f"{path.stem}{ending}", None if preview is None else preview / f"{path.stem}.png", fault)
        for path, fault in found.items()
    ]


def is_folder_of_scans(path: Path) -> bool:
    """Whether an input is a folder, and none of projections, which is one scan."""
    if not path.is_dir():
        return False
    from medrecon.data.tiff import is_tiff_folder

    return not is_tiff_folder(path)


def require_distinct(jobs: Sequence[FileJob], *others: Path | None) -> None:
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


def with_settings(job: FileJob, options: CommandOptions, compared: Sequence[Compared]) -> FileJob:
    """Look what the file holds, and make the settings for it; a file that cannot be opened is a job with a fault.

    Methods to compare have their own default weight and iterations.

    Raises
    ------
    InputError
        If options do not belong to the modality of the file, or are out of range.
    """
    from medrecon.data.formats import find_format

    if job.fault:
        return job
    try:
        if not job.source.is_dir():
            job.same.require(job.source)
        modality = find_format(job.source, axes=options.axes, allow_external=options.allow_external).modality
    except InputError as error:
        return replace(job, fault=str(error))
    name, others = str(job.source), dict[str, ReconstructionSettings]()
    settings = options.settings(name, modality)
    for one in compared:
        other = _compared_settings(one, options, name, modality)
        if (label := _label(other)) in (_label(settings), *others):
            raise InputError(f"--compare {one.text}: {label} is in the report of {name} already; name another method")
        others[label] = other
    return replace(job, settings=settings, others=others)


def _compared_settings(one: Compared, options: CommandOptions, name: str, modality: Modality) -> ReconstructionSettings:
    """The settings of a file, but for the method, whose own defaults hold."""
    own = replace(options, method=one.method, weights=one.weights, weight=None, iterations=None, changes=None)
    own = replace(own, window=None, frequency_scaling=None, precision=None, compiled=False)
    try:
        return own.settings(name, modality)
    except InputError as error:
        reason = str(error)
        for start in (f"--method {one.method}: ", f"--weights {one.weights}: ", "--weights: ", f"{one.weights}: "):
            reason = reason.removeprefix(start)
        remedy = reason.replace("--weights ", f"--compare {one.method}=")
        raise InputError(f"--compare {one.text}: {remedy}") from error


def fault_of(error: Exception) -> str:
    """Say why a file failed; what nobody foresaw is raised on request."""
    reason = expected(error)
    if reason is None and os.environ.get("MEDRECON_DEBUG"):
        raise error
    return one_line(reason or f"unexpected {type(error).__name__}: {error}")


def _label(settings: ReconstructionSettings) -> str:
    method = settings.method
    weights = method.weights if isinstance(method, LearnedSettings) else None
    return method.kind if weights is None else f"{method.kind} ({weights})"
