"""The arrays of NumPy's `.npz`: those that lie there as they are, are read in parts, packed ones unpacked when read."""

import math
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from medrecon.data.foreign import reading, require_held
from medrecon.data.identity import SameFiles
from medrecon.data.npy import read_npy_header
from medrecon.data.stored import FlatArray, StoredArray, Where, as_index
from medrecon.errors import InputError
from medrecon.memory import require_memory
from medrecon.words import shortened

__all__ = ["npz_arrays"]

_MOST_MEMBERS = 1000
_LOCAL = 30  # bytes of what stands before a member, and the lengths of its name and more in the last four of them


def npz_arrays(path: Path) -> list[StoredArray]:
    """Find the arrays of numbers in an archive; nothing large is read.

    Raises
    ------
    InputError
        If it cannot be read, holds Python objects, which are never unpickled, or far less than it states.
    """
    same = SameFiles()
    same.require(path)
    with reading(path, "its list of arrays"), zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if len(members) > _MOST_MEMBERS:
            raise InputError(f"{path}: holds {len(members)} arrays, and at most {_MOST_MEMBERS} are taken; divide it")
        return [_member(path, archive, one, same) for one in members if one.filename.endswith(".npy")]


def _member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo, same: SameFiles) -> StoredArray:
    name = member.filename.removesuffix(".npy")
    who = f"{path}: `{shortened(name)}`"
    with reading(path, f"`{shortened(name)}`"), archive.open(member) as file:
        shape, is_fortran, dtype = read_npy_header(file)
        header = file.tell()
    if dtype.hasobject:
        raise InputError(f"{who} holds Python objects, and not numbers; save numbers alone")
    stated = math.prod(shape) * dtype.itemsize
    if any(n < 0 for n in shape) or stated > member.file_size - header:
        raise InputError(
            f"{who} states {shape} {dtype}, {stated} bytes, and has {member.file_size - header}: it is damaged; save it again"
        )
    require_held(f"{who} is {shape}", stated, member.compress_size)
    if member.compress_type == zipfile.ZIP_STORED:
        with reading(path, f"`{shortened(name)}`"), path.open("rb") as whole:
            start = _begin(whole, member) + header
        return FlatArray(path, shape, dtype, start=start, name=name, is_fortran=is_fortran, same=same)
    return _Packed(path, name, member.filename, same, (shape, is_fortran, dtype))


class _Packed:
    """A packed array, which is held in memory once a part of it was read."""

    def __init__(
        self,
        path: Path,
        name: str,
        member: str,
        same: SameFiles,
        header: tuple[tuple[int, ...], bool, np.dtype[Any]],
    ) -> None:
        self.path, self.name, self._member, self._same = path, name, member, same
        self.shape, self._is_fortran, self.dtype = header
        self._values: NDArray[Any] | None = None

    def read(self, where: Where, place: str) -> NDArray[Any]:
        if self._values is None:
            who = f"`{shortened(self.name)}`"
            stated = math.prod(self.shape) * self.dtype.itemsize
            require_memory(2 * stated, f"{self.path}: {who} is {self.shape}, packed, and to unpack it")
            with reading(self.path, who), zipfile.ZipFile(self.path) as archive, archive.open(self._member) as file:
                read_npy_header(file)
                numbers = np.frombuffer(_exactly(file, stated), self.dtype)
                self._values = numbers.reshape(self.shape, order="F" if self._is_fortran else "C")
        with reading(self.path, place):
            self._same.require(self.path)
        return self._values[as_index(where, len(self.shape))].copy()


def _exactly(file: IO[bytes], size: int) -> bytes:
    if len(data := file.read(size)) != size:
        raise EOFError(f"{len(data)} bytes of {size}")
    return data


def _begin(file: IO[bytes], member: zipfile.ZipInfo) -> int:
    """The byte at which a member's own begin."""
    file.seek(member.header_offset)
    local = file.read(_LOCAL)
    if len(local) < _LOCAL or local[:4] != b"PK\3\4":
        raise ValueError("a member is not where the list says")
    return (
        member.header_offset + _LOCAL + int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little")
    )
