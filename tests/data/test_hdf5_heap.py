"""Heaps of HDF5 that HDF5 itself would walk for ever are refused, wherever a file leads to one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
import pytest

from medrecon.data.hdf5 import HDF5Content, HDF5Source
from medrecon.errors import InputError

Version = Literal["earliest", "latest"]
TEXT = "text " * 100


def write(path: Path, version: Version, block: int = 0) -> Path:
    """A file whose texts and sources lie in heaps: a text, many, those of attributes, few and many, and a virtual data set."""
    with h5py.File(path, "w", libver=version, userblock_size=block) as file:
        file["x"] = TEXT
        file["list"] = ["a", "bc", TEXT]
        file["numbers"] = np.zeros((2, 3))
        file.attrs["own"] = TEXT
        file["numbers"].attrs["few"] = TEXT
        file.create_group("below")["inner"] = np.zeros(3)
        for number in range(20):
            file["below/inner"].attrs[f"many {number}"] = TEXT
        layout = h5py.VirtualLayout((2, 3), "f8")
        layout[...] = h5py.VirtualSource(".", "numbers", (2, 3))
        file.create_virtual_dataset("virtual", layout)
    return path


Take = Callable[[HDF5Content], Any]
WAYS: dict[str, tuple[Take, Any, str]] = {
    "text": (lambda file: file.read("x"), TEXT.encode(), "`x`"),
    "texts": (lambda file: file.read("list", 1), b"bc", "`list`"),
    "attribute": (lambda file: file.attribute("own"), TEXT, "attribute `own`"),
    "attribute of a data set": (
        lambda file: file.attributes(("few",), file.dataset("numbers")),
        {"few": TEXT},
        "attribute `few`",
    ),
    "one of many attributes": (
        lambda file: file.attributes(("many 19",), file.dataset("below/inner")),
        {"many 19": TEXT},
        "attribute `many 19`",
    ),
    "virtual": (lambda file: file.read("virtual", 1), [0, 0, 0], "`virtual`"),
    "all": (lambda file: len(list(file.own_datasets())), 4, "`virtual`"),
}


def taken(path: Path, way: str) -> Any:
    with HDF5Source(path, "a scan").open() as file:
        value = WAYS[way][0](file)
    return value.tolist() if isinstance(value, np.ndarray) else value


def spoil(path: Path, damage: str) -> None:
    """Damage the empty space, or the signature, of every heap of a file."""
    content, heap = bytearray(path.read_bytes()), -1
    while (heap := content.find(b"GCOL", heap + 1)) >= 0:
        space = heap + 16
        while number := int.from_bytes(content[space : space + 2], "little"):
            assert number < 2**10
            space += 16 + -(-int.from_bytes(content[space + 8 : space + 16], "little") // 8) * 8
        if damage == "signature":
            content[heap : heap + 4] = b"GCOX"
        else:
            content[space + 8 : space + 16] = {"size": 0, "beyond": 2**40}[damage].to_bytes(8, "little")
    path.write_bytes(content)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("version", ["earliest", "latest"])
@pytest.mark.parametrize("block", [0, 1024])
def test_sound_heaps_are_read(tmp_path: Path, way: str, version: Version, block: int) -> None:
    assert taken(write(tmp_path / "a.h5", version, block), way) == WAYS[way][1]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("version", ["earliest", "latest"])
@pytest.mark.parametrize("damage", ["size", "beyond", "signature"])
def test_a_heap_that_hdf5_walks_for_ever_is_refused(tmp_path: Path, way: str, version: Version, damage: str) -> None:
    path = write(tmp_path / "a.h5", version)
    spoil(path, damage)
    with pytest.raises(InputError) as refused:
        taken(path, way)
    assert str(refused.value) == f"{path}: {WAYS[way][2]} cannot be read, its heap is damaged; copy or export it again"


def test_numbers_are_read_beside_a_damaged_heap(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", "earliest")
    spoil(path, "size")
    with HDF5Source(path, "a scan").open() as file:
        assert file.read("numbers", 1).tolist() == [0, 0, 0]
