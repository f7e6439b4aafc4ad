"""The door to NumPy's `.npy`: the header is checked against the bytes that are there, and one slice is read at a time."""

import math
import os
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from medrecon.data.foreign import reading, require_few_slices
from medrecon.data.identity import SameFiles
from medrecon.data.stored import Where, read_numbers
from medrecon.errors import InputError
from medrecon.memory import require_memory

__all__ = ["ArraySource", "read_npy_header"]


class ArraySource:
    """An array of numbers, read slice by slice; no handle is held in between, and nothing is mapped, so that no cut file can hurt.

    Parameters
    ----------
    path : path-like
        The file.

    Raises
    ------
    InputError
        If it is no such array, cut short, or of slices that do not fit in memory.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path, self.name, self._same = Path(path), "", SameFiles()
        with reading(self.path, "the array"), self.path.open("rb") as file:
            n_bytes = self._same.require(self.path, file.fileno())
            if file.read(2) == b"PK":
                raise InputError(f"{self.path}: is an archive of arrays; save one array with numpy.save")
            file.seek(0)
            self.shape, self._is_fortran, self.dtype = read_npy_header(file)
            self._start = file.tell()
        self._require_whole(n_bytes)

    def _require_whole(self, n_bytes: int) -> None:
        stated = math.prod(self.shape) * self.dtype.itemsize
        if any(n < 0 for n in self.shape):
            raise InputError(f"{self.path}: is no .npy file of numbers, its shape is {self.shape}; write it again")
        if self.dtype.hasobject:
            raise InputError(f"{self.path}: holds Python objects, and not numbers; save numbers alone")
        if stated > n_bytes - self._start:
            raise InputError(
                f"{self.path}: is no .npy file of numbers, or cut short: it states {self.shape} {self.dtype}, {stated} bytes, and "
                f"has {n_bytes - self._start}; write it again"
            )
        if len(self.shape) > 2:
            require_few_slices(f"{self.path}: is {self.shape}", self.shape[0])
        numbers = math.prod(self.shape[1:] if len(self.shape) > 2 else self.shape)
        require_memory(
            numbers * (self.dtype.itemsize + 8),
            f"{self.path}: is {self.shape}, and to read one slice",
            lambda free: f"slices of up to {free // (self.dtype.itemsize + 8)} numbers fit",
        )

    def read(self, where: Where, place: str) -> NDArray[Any]:
        """Read a part of it, with all its axes; `place` says which that is.

        Raises
        ------
        InputError
            If it cannot be read.
        ChangedError
            If the file is no longer what it was.
        """
        with reading(self.path, place, "copy it again"), self.path.open("rb") as file:
            self._same.require(self.path, file.fileno())
            try:
                return read_numbers(file, self._start, self.shape, self.dtype, where, is_fortran=self._is_fortran)
            finally:
                self._same.require(self.path)


def read_npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read the shape of an array, whether it is in Fortran's order, and its type; the file is then at its numbers.

    Raises
    ------
    ValueError
        If it is no such file.
    """
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(file)
    raise ValueError(f"version {version} of the format")
