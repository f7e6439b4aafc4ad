"""The arrays of a file, whatever its format: NumPy's `.npy` and `.npz`, MATLAB's `.mat`, TIFF, HDF5; told apart by content."""

from pathlib import Path

import h5py

from medrecon.data.foreign import reading
from medrecon.data.hdf5 import HDF5Source
from medrecon.data.matlab import MATLAB_MAGIC, matlab_arrays
from medrecon.data.npy import ArraySource
from medrecon.data.npz import npz_arrays
from medrecon.data.stored import HDF5Array, StoredArray
from medrecon.data.tiff import TIFF_MAGIC, is_tiff_folder, tiff_stack
from medrecon.errors import InputError
from medrecon.words import listed, shortened

__all__ = ["find_array", "holds_arrays", "names_of", "open_arrays"]

_NPY, _ZIP = b"\x93NUMPY", b"PK\3\4"
_WANTED = "a file of arrays: .npy, .npz, .mat, TIFF or HDF5"


def holds_arrays(path: Path) -> bool:
    """Whether a file is of a format that holds arrays and no more, so that all is in their shapes: any of these but HDF5."""
    if path.is_dir():
        return is_tiff_folder(path)
    return _begin(path).startswith((_NPY, _ZIP, MATLAB_MAGIC, *TIFF_MAGIC)) or _is_matlab_hdf5(path)


def open_arrays(path: Path, *, allow_external: bool = False) -> list[StoredArray]:
    """Find the arrays of numbers in a file or in a folder of TIFF; nothing large is read but of packed ones.

    Raises
    ------
    InputError
        If it is of another format, or cannot be read.
    """
    if path.is_dir() and is_tiff_folder(path):
        return [tiff_stack(path)]
    start = _begin(path)
    if start.startswith(_NPY):
        return [ArraySource(path)]
    if start.startswith(_ZIP):
        return npz_arrays(path)
    if start.startswith(TIFF_MAGIC):
        return [tiff_stack(path)]
    if start.startswith(MATLAB_MAGIC) or _is_matlab_hdf5(path):
        return matlab_arrays(path, allow_external=allow_external)
    source = HDF5Source(path, _WANTED, allow_external=allow_external)
    with source.open() as file:
        found = [(name, held.shape, held.dtype) for name, held in file.all_datasets() if held.dtype.kind in "iufcV"]
    return [HDF5Array(source, *one) for one in found]


def find_array(path: Path, ndims: tuple[int, ...], *, allow_external: bool = False) -> StoredArray:
    """Find the one array of a file that has as many axes.

    Raises
    ------
    InputError
        If there is none, or several.
    """
    arrays = open_arrays(path, allow_external=allow_external)
    fitting = [one for one in arrays if len(one.shape) in ndims and one.dtype.kind in "iufcV"]
    if len(fitting) == 1:
        return fitting[0]
    axes = " or ".join(map(str, ndims))
    raise InputError(
        f"{path}: holds {names_of(arrays) or 'no array'}, and one array of {axes} axes is wanted; save it alone"
    )


def names_of(arrays: list[StoredArray]) -> str:
    """Say arrays by their names and shapes."""
    return listed([f"{shortened(one.name, 40) or 'an array'} {one.shape}" for one in arrays])


def _begin(path: Path) -> bytes:
    with reading(path, "it"), path.open("rb") as file:
        return file.read(len(MATLAB_MAGIC))


def _is_matlab_hdf5(path: Path) -> bool:
    return _begin(path).startswith(b"MATLAB 7.3 MAT-file") and bool(h5py.is_hdf5(path))
