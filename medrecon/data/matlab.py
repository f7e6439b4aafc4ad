"""Read the one array of a MATLAB file, of the versions before and since 7.3."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from medrecon.data.foreign import reading
from medrecon.data.hdf5 import HDF5Source
from medrecon.errors import InputError

__all__ = ["read_matlab"]


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
