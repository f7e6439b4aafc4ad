"""Write files whole or not at all: any file through a temporary one, HDF5 among them, and files of images."""

import errno
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import h5py
import torch

from medrecon.data.writers import sweep, temporary_name, unfinished
from medrecon.errors import InputError
from medrecon.modality import Modality
from medrecon.planes import ImagePlanes
from medrecon.words import writable

__all__ = [
    "HDF5Output",
    "ReconstructionOutput",
    "as_image",
    "atomic_file",
    "hdf5_file",
    "reason_unwritten",
    "require_writable",
    "tensor_words",
    "write_reconstruction",
]

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
SLACK = 1 << 20  # bytes reserved for what HDF5 writes beside the data: names, attributes, indices


@contextmanager
def atomic_file(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """Give a temporary path beside `path`, and move what was written there into place when the block ends well.

    On any exception, Ctrl-C and SIGTERM of a command included, the temporary file is removed and `path` is as it was. Those that
    killed processes left in the folder are removed first.

    Raises
    ------
    InputError
        If `path` exists and `overwrite` is not set, is a folder, or cannot be written; or if the disk is full.
    """
    final = Path(os.path.realpath(path))
    temporary = final.parent / temporary_name(final.name, final.suffix)
    try:
        _require_writable(Path(path), final, overwrite)
        sweep(final.parent)
        with unfinished(temporary):
            temporary.open("xb").close()
            mode = stat.S_IMODE(temporary.stat().st_mode)
            yield temporary
            temporary.chmod(mode)  # some writers narrow it to the owner
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            _require_writable(Path(path), final, overwrite)
            temporary.replace(final)
    except OSError as error:
        ours = error.filename is None or Path(error.filename) in (final, temporary)
        if ours and (reason := reason_unwritten(error)):
            raise InputError(f"{path}: {reason}; it was not written") from error
        raise


def require_writable(path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Make sure that a file can be written, and leave everything as it is.

    Raises
    ------
    InputError
        As `atomic_file`.
    """
    with suppress(_OnlyTriedError), atomic_file(path, overwrite=overwrite):
        raise _OnlyTriedError


class _OnlyTriedError(Exception):
    """Ends the writing of a file that is not wanted."""


class ReconstructionOutput:
    """The open end of `write_reconstruction`: slices are appended, attributes set."""

    def __init__(self, output: "HDF5Output") -> None:
        self._output = output

    def append(self, image: torch.Tensor) -> None:
        """Write the next slice `(y, x)`, real, as float32."""
        self._output.append("reconstruction", as_image(image))

    def append_samples(self, samples: torch.Tensor) -> None:
        """Write what was drawn for the slice that was written last, real `(sample, y, x)`, and their standard deviation."""
        self._output.append("samples", samples.to(torch.float32))
        self._output.append("standard_deviation", as_image(samples.std(0)))

    def link(self, name: str) -> None:
        """Let the images, once there are any, be found by another name, too; they are stored once."""
        self._output.file[name] = self._output.file["reconstruction"]

    def place(self, modality: Modality, planes: ImagePlanes, identity: Mapping[str, str]) -> None:
        """The file says nothing of where images lie."""

    def describe(self, attributes: Mapping[str, str | int | float]) -> tuple[str, ...]:
        """Set attributes of the file, such as the method and its weight; there is nothing to be said of it."""
        for name, value in attributes.items():
            self._output.file.attrs[name] = writable(value) if isinstance(value, str) else value
        return ()


@contextmanager
def write_reconstruction(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[ReconstructionOutput]:
    """Write images slice by slice to the data set `reconstruction`, float32 `(slice, y, x)`, of a new HDF5 file.

    Samples lie in `samples` `(slice, sample, y, x)` and `standard_deviation` `(slice, y, x)`, where there are any.

    ``with write_reconstruction("out.h5") as output: output.append(image)``. The file appears when the block ends well.

    Raises
    ------
    InputError
        If the file cannot be written (see `atomic_file`).
    ValueError
        If no slice was appended, or one is not a real image of the size of the first.
    """
    with atomic_file(path, overwrite=overwrite) as temporary, hdf5_file(temporary) as output:
        yield ReconstructionOutput(output)
        if "reconstruction" not in output.file:
            raise ValueError(f"write_reconstruction takes at least one slice, got none for {path}")


class HDF5Output:
    """An HDF5 file under construction, whose space on the disk is reserved before HDF5 writes to it.

    HDF5 crashes the interpreter when one of its deferred writes fails, as on a full disk: it must never meet one.
    """

    def __init__(self, file: h5py.File, raw: BinaryIO) -> None:
        self.file = file
        self._raw = raw
        self._reserved = 0
        self.reserve(SLACK)

    def reserve(self, size: int) -> None:
        """Make sure of `size` more bytes; what is not used is given back when the file is closed."""
        _reserve(self._raw, self._reserved, size)
        self._reserved += size

    def append(self, name: str, values: torch.Tensor) -> None:
        """Write the next `values` of the data set `name`, which is made when the first come."""
        array = values.detach().cpu().resolve_conj().resolve_neg().numpy()
        shape = array.shape
        self.reserve(array.nbytes + 1024 * array[..., 0, 0].size)  # and its share of the index of chunks
        if name not in self.file:
            chunks = (1,) * (array.ndim - 1) + shape[-2:]
            self.file.create_dataset(name, (0, *shape), array.dtype, maxshape=(None, *shape), chunks=chunks)
        data = self.file[name]
        if data.shape[1:] != shape:
            raise ValueError(f"`{name}` takes slices of one shape, {data.shape[1:]}, got {shape}")
        data.resize(data.shape[0] + 1, axis=0)
        data[-1] = array


@contextmanager
def hdf5_file(path: Path) -> Iterator[HDF5Output]:
    """Open a file that exists and is empty, as `atomic_file` gives it, to write HDF5."""
    with path.open("r+b") as raw:
        _reserve(raw, 0, SLACK)
        with h5py.File(path, "w") as file:
            yield HDF5Output(file, raw)
            file.flush()
            size = file.id.get_filesize()
        raw.truncate(size)


def _reserve(file: BinaryIO, start: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), start, size)
    elif shutil.disk_usage(Path(file.name).parent).free < size + SLACK:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def as_image(image: torch.Tensor) -> torch.Tensor:
    """The image as it is written, float32.

    Raises
    ------
    ValueError
        If it is not real, of shape `(y, x)`.
    """
    if image.ndim != 2 or image.is_complex():
        raise ValueError(f"an image to write is real, of shape (y, x), got {tensor_words(image)}")
    return image.to(torch.float32)


def tensor_words(tensor: torch.Tensor) -> str:
    """Say the shape and type of a tensor."""
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"


def _require_writable(path: Path, final: Path, overwrite: bool) -> None:
    if final.is_dir():
        raise InputError(f"{path}: is a folder; name a file in it")
    if final.exists() and not final.is_file():
        raise InputError(f"{path}: is no ordinary file; name another")
    if final.exists() and not overwrite:
        raise InputError(f"{path}: exists already; give --overwrite to replace it, or another name")
    if not final.parent.is_dir():
        raise InputError(f"{path}: its folder {final.parent} does not exist; create it first")


def reason_unwritten(error: OSError) -> str:
    """Say why a file could not be written, or nothing for an error that is not about writing."""
    if error.errno in DISK_FULL:
        return "the disk or the quota is full; free some space, or write to another disk"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "may not be written; choose another folder, or change its permissions"
    if error.errno == errno.ENAMETOOLONG:
        return "its name is too long; choose a shorter one"
    return ""
