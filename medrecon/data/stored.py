"""Arrays in files of any format, of which parts are read: `array.read({axis: range(3, 4)}, place)` keeps all axes."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from medrecon.data.foreign import reading
from medrecon.data.hdf5 import HDF5Source
from medrecon.data.identity import SameFiles
from medrecon.errors import InputError
from medrecon.words import shortened

__all__ = ["FlatArray", "HDF5Array", "HeldArray", "StoredArray", "Transposed", "Where", "as_index", "read_numbers"]

#: The parts of axes that are read; others are read whole.
Where = Mapping[int, range]

_RUN = 2**15  # bytes that are worth a read of their own
_BLOCK = 2**22  # bytes that are read at once, where runs are shorter


class StoredArray(Protocol):
    """An array of numbers in a file; no handle is held between reads."""

    @property
    def path(self) -> Path: ...
    @property
    def name(self) -> str:
        """What it is called in the file; nothing where it is all of it."""
        ...

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    def read(self, where: Where, place: str) -> NDArray[Any]:
        """Read a part, with as many axes as the whole; `place` says in words which that is.

        Raises
        ------
        InputError
            If it cannot be read.
        ChangedError
            If the file is no longer what it was.
        """
        ...


class HDF5Array:
    """A data set of an HDF5 file, which is found anew at each reading."""

    def __init__(self, source: HDF5Source, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._source, self.path, self.name, self.shape, self.dtype = source, source.path, name, shape, dtype

    def read(self, where: Where, place: str) -> NDArray[Any]:
        with self._source.open() as file:
            return file.part(self.name, as_index(where, len(self.shape)), place)


class FlatArray:
    """An array that lies in a file as it does in memory, from the byte `start` on.

    Raises
    ------
    InputError
        If the file holds less of it than it states.
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        *,
        start: int = 0,
        name: str = "",
        is_fortran: bool = False,
        same: SameFiles | None = None,
    ) -> None:
        self.path, self.name, self.shape, self.dtype = path, name, shape, dtype
        self._start, self._is_fortran, self._same = start, is_fortran, same or SameFiles()
        held = self._same.require(path) - start
        stated = prod(shape) * dtype.itemsize
        if stated > held:
            what = f"`{shortened(name)}` is" if name else "is"
            raise InputError(
                f"{path}: {what} {shape} {dtype}, {stated} bytes, of which the file holds {max(0, held)}: it is cut short; copy it "
                "again"
            )

    def read(self, where: Where, place: str) -> NDArray[Any]:
        with reading(self.path, place, "copy it again"), self.path.open("rb") as file:
            self._same.require(self.path, file.fileno())
            try:
                return read_numbers(file, self._start, self.shape, self.dtype, where, is_fortran=self._is_fortran)
            finally:
                self._same.require(self.path)


class Transposed:
    """An array with its axes in the reverse order, by another name."""

    def __init__(self, array: StoredArray, name: str) -> None:
        self._array, self.path, self.name, self.dtype = array, array.path, name, array.dtype
        self.shape = array.shape[::-1]

    def read(self, where: Where, place: str) -> NDArray[Any]:
        last = len(self.shape) - 1
        return self._array.read({last - axis: part for axis, part in where.items()}, place).transpose()


class HeldArray:
    """An array that had to be unpacked whole, and is held in memory; its file is still the one that was read."""

    def __init__(self, path: Path, name: str, values: NDArray[Any], same: SameFiles) -> None:
        self.path, self.name, self._values, self._same = path, name, values, same

    @property
    def shape(self) -> tuple[int, ...]:
        return self._values.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._values.dtype

    def read(self, where: Where, place: str) -> NDArray[Any]:
        del place
        self._same.require(self.path)
        return self._values[as_index(where, self._values.ndim)].copy()


def as_index(where: Where, ndim: int) -> tuple[slice, ...]:
    """The index of a part of an array of so many axes."""
    return tuple(_slice(where[axis]) if axis in where else slice(None) for axis in range(ndim))


def read_numbers(
    file: BinaryIO, start: int, shape: Sequence[int], dtype: np.dtype[Any], where: Where, *, is_fortran: bool = False
) -> NDArray[Any]:
    """Read a part of an array that lies in a file as it does in memory, from the byte `start` on.

    Numbers beside each other are read in runs, or, where these are short, in blocks of which the part is taken.
    """
    if not shape:
        file.seek(start)
        return np.fromfile(file, dtype, 1).reshape(())
    if is_fortran:
        n = len(shape)
        turned = {n - 1 - axis: part for axis, part in where.items()}
        return read_numbers(file, start, shape[::-1], dtype, turned).transpose()
    partial = [axis for axis, part in where.items() if len(part) < shape[axis]]
    parts = [where[axis] if axis in partial else range(n) for axis, n in enumerate(shape)]
    first = _first_whole(partial, shape, dtype.itemsize, parts)
    taken = np.empty([len(part) for part in parts], dtype)
    flat = taken.reshape(prod(taken.shape[:first]), *taken.shape[first:])
    inside = tuple(_slice(part) for part in parts[first:])
    is_run = all(len(part) == n for part, n in zip(parts[first + 1 :], shape[first + 1 :], strict=True))
    for k, outer in enumerate(product(*parts[:first])):
        place = start + _offset(outer, shape) * dtype.itemsize
        if is_run:
            begin = parts[first].start * prod(shape[first + 1 :]) * dtype.itemsize
            _read_run(file, place + begin, flat[k])
            continue
        for held, blocks in _blocks(file, place, shape[first:], dtype, parts[first:]):
            flat[k, held] = blocks[(slice(None), *inside[1:])]
    return taken


def _first_whole(partial: Sequence[int], shape: Sequence[int], itemsize: int, parts: Sequence[range]) -> int:
    """The axis from which on arrays are read at once: the last in part where that gives runs that are long enough."""
    if not partial:
        return 0
    axis = max(partial)
    if len(parts[axis]) * prod(shape[axis + 1 :]) * itemsize >= _RUN:
        return axis
    while axis > 0 and prod(shape[axis:]) * itemsize < _BLOCK:
        axis -= 1
    return axis


def _read_run(file: BinaryIO, place: int, into: NDArray[Any]) -> None:
    """Fill an array with what lies from a place on."""
    room = into.reshape(-1).view(np.uint8)
    file.seek(place)
    if (count := file.readinto(room.data)) != room.nbytes:  # type: ignore[attr-defined]
        raise EOFError(f"{count} bytes of {room.nbytes}")


def _blocks(
    file: BinaryIO, place: int, shape: Sequence[int], dtype: np.dtype[Any], parts: Sequence[range]
) -> Iterator[tuple[slice, NDArray[Any]]]:
    """The part of the first axis of what lies at a place, a block of it at a time, and where that belongs."""
    each, wanted = prod(shape[1:]), parts[0]
    count = max(1, _BLOCK // max(1, each * dtype.itemsize))
    for first in range(wanted.start, wanted.stop, count):
        n = min(count, wanted.stop - first)
        file.seek(place + first * each * dtype.itemsize)
        block = np.fromfile(file, dtype, n * each).reshape(n, *shape[1:])
        yield slice(first - wanted.start, first - wanted.start + n), block


def _offset(index: Sequence[int], shape: Sequence[int]) -> int:
    return sum(i * prod(shape[axis + 1 :]) for axis, i in enumerate(index))


def _slice(part: range) -> slice:
    return slice(part.start, part.stop)
