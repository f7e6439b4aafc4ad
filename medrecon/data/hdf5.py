"""Open an HDF5 file, or say in words why it is none."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from medrecon.errors import InputError

__all__ = ["open_hdf5"]


@contextmanager
def open_hdf5(path: str | os.PathLike[str], wanted: str) -> Iterator[h5py.File]:
    """Open a file to read; `wanted` says in a few words what it should be.

    Raises
    ------
    InputError
        If it is missing, a folder, cut short, damaged, or of another format.
    """
    place = Path(path)
    try:
        if place.is_dir():
            raise InputError(f"{path}: is a folder; name a file in it")
        file = h5py.File(place, "r")
    except FileNotFoundError:
        raise InputError(f"{path}: does not exist; check its name") from None
    except (OSError, RuntimeError) as error:
        raise InputError(f"{path}: {_why_not(place, error, wanted)}") from error
    with file:
        yield file


def _why_not(path: Path, error: Exception, wanted: str) -> str:
    if truncated := re.search(r"eof = (\d+).*stored_eof = (\d+)", str(error)):
        return f"is truncated: {truncated[1]} bytes of {truncated[2]}; fetch it again"
    if isinstance(error, PermissionError):
        return "may not be read; change its permissions"
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as reason:
        return f"cannot be read ({reason.strerror})"
    if not start:
        return "is empty, 0 bytes; fetch it again"
    if start.startswith((b"\x1f\x8b", b"\xfd7zXZ", b"PK\3\4", b"BZh")):
        return "is a compressed archive, not an HDF5 file; unpack it first"
    if not start.startswith(b"\x89HDF"):
        return f"is not an HDF5 file; give {wanted}"
    return f"is a damaged HDF5 file ({error}); fetch it again"
