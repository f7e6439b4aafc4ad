"""The filters by which data sets of HDF5 are packed: those that cannot be undone here are named before anything is read."""

from contextlib import suppress
from importlib import import_module
from pathlib import Path

import h5py

from medrecon.errors import InputError
from medrecon.words import shortened

__all__ = ["require_filters"]

#: Names of filters registered with The HDF Group, for files that state none.
_NAMES = {
    307: "bzip2",
    32001: "blosc",
    32004: "lz4",
    32008: "bitshuffle",
    32013: "zfp",
    32015: "zstd",
    32017: "sz",
    32026: "blosc2",
}


def require_filters(path: Path, name: str, data: h5py.Dataset) -> None:
    """Refuse a data set that is packed by a filter which is not there; those of `hdf5plugin` are, where that is installed.

    Raises
    ------
    InputError
        If there is such a filter; it is named.
    """
    plan = data.id.get_create_plist()
    packed = [plan.get_filter(k) for k in range(plan.get_nfilters())]
    for number, _, _, stated in packed:
        if h5py.h5z.filter_avail(number):
            continue
        with suppress(ImportError):
            import_module("hdf5plugin")  # it registers its filters
        if not h5py.h5z.filter_avail(number):
            called = (
                _NAMES.get(number) or shortened(stated.decode("utf-8", "replace").partition(";")[0], 30) or "no name"
            )
            raise InputError(
                f"{path}: `{name}` is packed by the filter {called} (number {number}), which this HDF5 does not have; install it "
                "by `pip install hdf5plugin`, or write the data anew without it where it is known"
            )
