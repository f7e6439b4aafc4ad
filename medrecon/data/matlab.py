"""The arrays of MATLAB files, of the versions before and since 7.3, with their axes as MATLAB has them."""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
from numpy.typing import NDArray

from medrecon.data.foreign import reading, require_held
from medrecon.data.hdf5 import HDF5Source
from medrecon.data.identity import SameFiles
from medrecon.data.stored import HDF5Array, HeldArray, StoredArray, Transposed
from medrecon.errors import InputError
from medrecon.memory import require_memory

__all__ = ["MATLAB_MAGIC", "matlab_arrays", "read_matlab"]

#: What files before version 7.3 begin with; those since are HDF5.
MATLAB_MAGIC = b"MATLAB 5.0 MAT-file"
_HEADER, _COMPRESSED = 128, 15  # bytes, and the type of an element that is packed
_DEEPEST = 4  # structures within each other


def matlab_arrays(path: Path, *, allow_external: bool = False) -> list[StoredArray]:
    """Find the arrays of numbers in a file, those in structures too, by names as `scan.sinogram`.

    Files since version 7.3 are read in parts; older ones are unpacked whole.

    Raises
    ------
    InputError
        If the file cannot be read, or holds far less than it states.
    """
    if not h5py.is_hdf5(path):
        return _older_arrays(path)
    source = HDF5Source(path, "a MATLAB file", allow_external=allow_external)
    with source.open() as file:
        found = [
            (name, held.shape, held.dtype)
            for name, held in file.all_datasets()
            if held.dtype.kind in "iufcV" and file.attributes(("MATLAB_class",), held).get("MATLAB_class") != "char"
        ]
    return [Transposed(HDF5Array(source, *one), one[0].replace("/", ".")) for one in found]


def _older_arrays(path: Path) -> list[StoredArray]:
    import scipy.io

    same = SameFiles()
    with reading(path, "its list of arrays", "fetch it again"), path.open("rb") as file:
        size = same.require(path, file.fileno())
        stated = sum(_stated_sizes(file, size))
    require_held(f"{path}: holds arrays", stated, size)
    require_memory(2 * stated, f"{path}: to unpack it")
    with reading(path, "its arrays", "fetch it again"):
        stored = scipy.io.loadmat(path)
        found = [one for name, value in stored.items() if name[0] != "_" for one in _numbers_in(name, value, 0)]
    return [HeldArray(path, name, values, same) for name, values in found]


def _stated_sizes(file: BinaryIO, size: int) -> Iterator[int]:
    """The bytes of each variable, unpacked, as its first words say."""
    file.seek(_HEADER - 2)
    order = "little" if file.read(2) == b"IM" else "big"
    place = _HEADER
    while place + 8 <= size:
        file.seek(place)
        kind, length = (int.from_bytes(file.read(4), order) for _ in range(2))  # type: ignore[arg-type]
        if kind == _COMPRESSED:
            begun = zlib.decompressobj().decompress(file.read(min(length, 256)), 8)
            yield int.from_bytes(begun[4:8], order)  # type: ignore[arg-type]
        else:
            yield length
        place += 8 + length


def _numbers_in(name: str, value: object, depth: int) -> Iterator[tuple[str, NDArray[np.generic]]]:
    """The arrays of a variable: itself, or those in the fields of a structure."""
    if not isinstance(value, np.ndarray):
        return
    if value.dtype.kind in "iufc":
        yield name, value
    elif value.dtype.names and value.size == 1 and depth < _DEEPEST:
        for field in value.dtype.names:
            yield from _numbers_in(f"{name}.{field}", value.reshape(-1)[0][field], depth + 1)


def read_matlab(path: Path) -> NDArray[np.generic]:
    """Read the only array of a file `.mat`, its axes as MATLAB has them.

    Raises
    ------
    InputError
        If the file cannot be read, or holds no array, or several.
    """
    arrays = _of_hdf5(path) if h5py.is_hdf5(path) else _of_matlab(path)
    if len(arrays) != 1:
        raise InputError(f"{path}: holds {len(arrays)} arrays ({', '.join(arrays) or 'none'}), and one is wanted")
    (array,) = arrays.values()
    return array


def _of_matlab(path: Path) -> dict[str, NDArray[np.generic]]:
    import scipy.io

    with reading(path, "its arrays", "fetch it again"):
        stored = scipy.io.loadmat(path)
    return {name: value for name, value in stored.items() if name[0] != "_" and _is_array(value)}


def _of_hdf5(path: Path) -> dict[str, NDArray[np.generic]]:
    with HDF5Source(path, "a MATLAB file").open() as file:
        found = {name: file.read(name) for name, held in file.own_datasets() if held.ndim > 1}
    return {name: _as_complex(values).T for name, values in found.items()}


def _as_complex(values: NDArray[Any]) -> NDArray[np.generic]:
    return values["real"] + 1j * values["imag"] if values.dtype.names == ("real", "imag") else values


def _is_array(value: object) -> bool:
    return isinstance(value, np.ndarray) and value.ndim > 1 and value.dtype.kind in "iufc"
