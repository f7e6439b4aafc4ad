"""A data set that is packed by a filter which is not here is refused by its name, with what to do."""

from pathlib import Path
from types import ModuleType

import h5py
import numpy as np
import pytest

from medrecon.data.hdf5 import HDF5Source
from medrecon.errors import InputError
from tests.program import medrecon, simulate


def pack(path: Path, number: int, name: bytes = b"deflate") -> Path:
    """State another filter in place of the one by which a data set is packed."""
    with h5py.File(path, "r+") as file:
        held = file["kspace"][()] if "kspace" in file else np.zeros((2, 30), "f4")
        file.pop("kspace", None)
        file.create_dataset("kspace", data=held, chunks=(1, *held.shape[1:]), compression="gzip")
    content = bytearray(path.read_bytes())
    place = content.index(b"deflate")
    content[place - 8 : place - 6] = number.to_bytes(2, "little")
    content[place : place + 7] = name.ljust(7, b"\0")
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("number", "name", "called"),
    [(32001, b"deflate", "blosc"), (32008, b"", "bitshuffle"), (300, b"own", "own"), (301, b"", "no name")],
)
def test_an_unknown_filter_is_named(tmp_path: Path, number: int, name: bytes, called: str) -> None:
    path = tmp_path / "a.h5"
    h5py.File(path, "w").close()
    pack(path, number, name)
    wanted = rf"a\.h5: `kspace` is packed by the filter {called} \(number {number}\), .*`pip install hdf5plugin`"
    with HDF5Source(path, "a scan").open() as file, pytest.raises(InputError, match=wanted):
        file.dataset("kspace")


def test_the_program_names_it(tmp_path: Path) -> None:
    done = medrecon("inspect", pack(simulate(tmp_path / "scan.h5"), 32015))
    assert done.status == 2
    assert "filter zstd (number 32015)" in done.err


def test_hdf5plugin_is_taken_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, there = tmp_path / "a.h5", []
    h5py.File(path, "w").close()
    pack(path, 32001)

    def take(name: str) -> ModuleType:
        there.append(name)
        return ModuleType(name)

    monkeypatch.setattr("medrecon.data.hdf5_filters.import_module", take)
    monkeypatch.setattr("h5py.h5z.filter_avail", lambda _: bool(there))
    with HDF5Source(path, "a scan").open() as file:
        assert file.dataset("kspace").shape == (2, 30)
    assert there == ["hdf5plugin"]
