"""Check that a data set is what its manifest says, and name the file that is not."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from medrecon.data.hdf5 import HDF5Content, HDF5Source
from medrecon.data.sets.cache import dataset_folder, dataset_home, sha256_of
from medrecon.data.sets.fetch import path
from medrecon.data.sets.manifest import Manifest, Registration, Split, Stack, load_manifest
from medrecon.data.sets.record import RECORD, read_record
from medrecon.errors import InputError
from medrecon.words import shortened

__all__ = ["verify"]


def verify(name: str, folder: Path | None = None, *, allow_external: bool = False) -> list[str]:
    """Return what is wrong with the data set `name`, a line for each file; an empty list if nothing is.

    The files of a fetched set must have the sha256 that they had when they were made. Every HDF5 file must open and
    hold the data sets of its split, of the right kind; of a stack, every file must be there, with as many arrays of the
    shape as it should have, of which the first and the last are read. Splits of which no file is there were not obtained, and are
    passed over.

    Parameters
    ----------
    name
        The data set.
    folder
        Where it lies; without it, where `path` says.
    allow_external
        Whether its files may lead to others.

    Raises
    ------
    InputError
        If the data set, or the folder, is not there.
    """
    manifest = load_manifest(name)
    if folder is None:
        folder = dataset_folder(name) if (dataset_home(name) / RECORD).is_file() else path(name)
    if not folder.is_dir():
        raise InputError(f"{folder}: is not a folder; give the one that holds {_patterns(manifest)}")
    record = [] if isinstance(manifest.source, Registration) else _record_problems(folder)
    return [*record, *_split_problems(manifest, folder, allow_external)]


def _patterns(manifest: Manifest) -> str:
    return ", ".join(split.pattern for split in manifest.splits)


def _record_problems(folder: Path) -> Iterator[str]:
    record = read_record(folder)
    if record is None:
        if (folder.parent / RECORD).exists():
            yield f"{folder.parent / RECORD}: damaged; fetch the data set again"
        return
    for name, stated in record.files.items():
        file = folder / name
        if not file.is_file():
            yield f"{file}: missing"
        elif file.stat().st_size != stated.bytes:
            yield f"{file}: has {file.stat().st_size} bytes, not {stated.bytes}"
        elif sha256_of(file) != stated.sha256:
            yield f"{file}: its contents changed since it was fetched (another sha256); delete it and fetch again"


def _split_problems(manifest: Manifest, folder: Path, allow_external: bool) -> Iterator[str]:
    found = False
    for split in manifest.splits:
        files = sorted(folder.glob(split.pattern)) or sorted(folder.glob(f"*/{split.pattern}"))
        found = found or bool(files)
        if files and split.stack is not None:
            yield from _stack_problems(files, split, split.stack, allow_external)
            continue
        if files and split.count is not None and len(files) != split.count:
            remedy = "are all its archives unpacked?" if len(files) < split.count else "what else is there?"
            yield f"{folder / split.pattern}: {len(files)} files, and {split.name} has {split.count}; {remedy}"
        for file in files:
            if problem := _file_problem(file, split, allow_external):
                yield f"{file}: {problem}"
    if not found:
        archives = [file.name for file in manifest.files if (folder / file.name).is_file()]
        hint = f"unpack {', '.join(archives)}" if archives else f"the files are expected as {_patterns(manifest)}"
        yield f"{folder}: holds no file of {manifest.name}; {hint}"


def _stack_problems(files: list[Path], split: Split, stack: Stack, allow_external: bool) -> Iterator[str]:
    """Say what is wrong with the numbered files of a split, which hold so many arrays each."""
    folder, there = files[0].parent, {file.name: file for file in files}
    for number in range(stack.files):
        name = Path(split.pattern).name.replace("*", f"{number:03d}")
        if name not in there:
            yield f"{folder / name}: missing; unpack or fetch {split.name} again"
            continue
        file = there.pop(name)
        if problem := _file_problem(file, split, allow_external, (stack.length(number), *stack.shape)):
            yield f"{file}: {problem}"
    for stray in there.values():
        yield f"{stray}: is none of the {stack.files} files of {split.name}; move it elsewhere"


def _file_problem(file: Path, split: Split, allow_external: bool, shape: tuple[int, ...] | None = None) -> str | None:
    """Look at the data sets of a file; where each is to be a stack of this shape, at the first and the last array of it."""
    wanted = f"a file of {split.name}"
    try:
        with HDF5Source(file, wanted, allow_external=allow_external).open() as opened:
            absent = [name for name in split.datasets if opened.dataset(name) is None]
            if absent:
                return f"holds no {', '.join(absent)}; {wanted} has {', '.join(split.datasets)}"
            if "kspace" in split.datasets and (problem := _kspace_problem(opened)):
                return problem
            return None if shape is None else _stack_problem(opened, split, shape)
    except InputError as error:
        return str(error).removeprefix(f"{file}: ")


def _stack_problem(opened: HDF5Content, split: Split, shape: tuple[int, ...]) -> str | None:
    for name in split.datasets:
        data = opened.dataset(name)
        assert data is not None
        if data.shape != shape or data.dtype.kind != "f":
            return f"{name} is {data.shape} {shortened(str(data.dtype))}, not {shape} float32; fetch the file again"
        opened.require_slices(name, data, len(shape) - 1, 0)
        if not all(np.isfinite(opened.read(name, index)).all() for index in (0, -1)):
            return f"{name} holds NaN or infinite values; fetch the file again"
    return None


def _kspace_problem(opened: HDF5Content) -> str | None:
    """Return what is wrong with the k-space `([slice, coil,] ky, kx)` of an open file and the images beside it."""
    kspace = opened.dataset("kspace")
    assert kspace is not None
    if kspace.dtype.kind != "c" or kspace.ndim not in (3, 4):
        return f"kspace is {kspace.shape} {shortened(str(kspace.dtype))}, not complex (slice, [coil,] ky, kx)"
    for name in ("reconstruction_rss", "reconstruction_esc"):
        images = opened.dataset(name)
        if images is not None and (images.ndim != 3 or len(images) != len(kspace)):
            return f"{name} is {images.shape}, and there are {len(kspace)} slices"
    return None
