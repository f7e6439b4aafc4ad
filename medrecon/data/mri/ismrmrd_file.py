"""Read ISMRMRD (MRD version 1) from HDF5: a group with a header in XML, and a table of readouts.

Inati et al., ISMRM Raw Data format, Magnetic Resonance in Medicine 77, 2017. Fields are found by their names, as programs lay out
the table differently; heads are read once, samples of a slice together.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from medrecon.data.foreign import reading
from medrecon.data.hdf5 import HDF5Content, HDF5Source, is_text
from medrecon.data.hdf5_sequences import read_sequence, rows_as_stored, sequence_places
from medrecon.data.mri.acquisitions import HEAD, Acquisitions, Flag, Heads, in_blocks
from medrecon.data.mri.raw_header import RawHeader, parse_raw_header
from medrecon.errors import InputError
from medrecon.words import counted, listed, shortened

__all__ = ["acquisition_groups", "heads_of", "read_ismrmrd"]

_WANTED = "a file of ISMRMRD (.h5)"
_LONGEST_HEADER = 2**24  # bytes
_MOST = 2**24  # readouts


def acquisition_groups(file: HDF5Content) -> list[str]:
    """The groups of a file that hold readouts, in the order of their names and numbers."""
    found = [name for name in file.own_groups() if _is_table(file, f"{name}/data")]
    return sorted(found, key=lambda name: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)])


def _is_table(file: HDF5Content, name: str) -> bool:
    if not file.holds(name):
        return False
    table = file.dataset(name)
    return table is not None and {"head", "data"} <= set(table.dtype.names or ())


def read_ismrmrd(
    path: str | os.PathLike[str], group: str | None = None, *, allow_external: bool = False
) -> Acquisitions:
    """Read the heads of a measurement: of the group named, else of the last one that is not of noise alone.

    Raises
    ------
    InputError
        If there is none, or its header or its heads cannot be read.
    """
    source = HDF5Source(path, _WANTED, allow_external=allow_external)
    with source.open() as file:
        groups = acquisition_groups(file)
        if not groups:
            raise InputError(f"{path}: holds no group of readouts, it holds {file.names}; give {_WANTED}")
        if group is not None and group not in groups:
            raise InputError(f"{path}: holds no group {shortened(group)} of readouts, it has {listed(groups)}")
        held = {name: _acquisitions(source, file, name) for name in groups}
    scans = [name for name, one in held.items() if not Flag.NOISE.of(one.heads).all()]
    taken = group or (scans or groups)[-1]
    noise = next((held[name] for name in reversed(groups) if name not in scans and name != taken), None)
    notes: tuple[str, ...] = ()
    if len(groups) > 1:
        how = "" if group else "; --select group=NAME takes another"
        notes = (f"{counted(len(groups), 'group')} of readouts ({listed(groups)}): {taken} is taken{how}",)
    return replace(held[taken], noise=noise, notes=notes)


def _acquisitions(source: HDF5Source, file: HDF5Content, group: str) -> Acquisitions:
    header = _header(file, f"{group}/xml")
    name = f"{group}/data"
    table = file.dataset(name)
    assert table is not None
    if table.ndim != 1 or not 0 < len(table) <= _MOST:
        raise InputError(f"{file.path}: `{name}` is {table.shape}, and readouts stand in a row; export it again")
    with reading(file.path, f"the heads of `{name}`"):
        rows = rows_as_stored(table) if _is_plain(table) else None
        if rows is None:
            return Acquisitions(
                file.path, header, heads := heads_of(table.fields("head")[:]), _Table(source, name, heads)
            )
        stored = table.id.get_type()
        head, samples = (stored.get_member_index(field) for field in (b"head", b"data"))
        size = stored.get_member_type(head).get_size()
        start = stored.get_member_offset(head)
        heads = heads_of(
            np.ascontiguousarray(rows[:, start : start + size]).view(stored.get_member_type(head).dtype)[:, 0]
        )
        places = sequence_places(rows, stored.get_member_offset(samples))
    return Acquisitions(file.path, header, heads, _Heap(source, heads, places, file.userblock_size))


def heads_of(stored: NDArray[Any]) -> Heads:
    """Heads under the names of ISMRMRD, whatever their layout."""
    heads = np.zeros(len(stored), HEAD)
    for name in HEAD.names or ():
        values = stored[name] if name in (stored.dtype.names or ()) else stored["idx"][name]
        if values.dtype.kind not in ("f" if HEAD[name].base.kind == "f" else "iu"):
            raise TypeError(f"`{name}` is {values.dtype}")
        if values.dtype.kind == "i" and values.size and values.min() < 0:
            raise ValueError(f"`{name}` is below zero")
        heads[name] = values
    return heads


def _header(file: HDF5Content, name: str) -> RawHeader:
    stored = file.dataset(name)
    remedy = "export it again"
    if stored is None or stored.size != 1 or not is_text(stored.dtype) or stored.dtype.itemsize > _LONGEST_HEADER:
        raise InputError(f"{file.path}: `{name}`, the header of the scan, is missing or no text; {remedy}")
    text = file.read(name).reshape(-1)[0]
    try:
        return parse_raw_header(text if isinstance(text, bytes) else str(text))
    except ValueError as error:
        raise InputError(f"{file.path}: `{name}` cannot be read: {error}; {remedy}") from error


@dataclass(frozen=True, eq=False)
class _Table:
    """Samples of the readouts in a table."""

    source: HDF5Source
    name: str
    heads: Heads

    def __call__(self, places: NDArray[np.intp]) -> Iterator[NDArray[np.complex64]]:
        with self.source.open() as file:
            table = file.dataset(self.name)
            if table is None:
                raise InputError(f"{file.path}: holds no `{self.name}`; copy it again")
            for block in in_blocks(self.heads, places):
                with reading(file.path, f"readouts {block[0]} to {block[-1]} of `{self.name}`", "fetch it again"):
                    stored = table.fields("data")[_selection(block)]
                for place, values in zip(block.tolist(), stored, strict=True):
                    yield _shaped(file.path, self.heads[place], place, values)


@dataclass(frozen=True, eq=False)
class _Heap:
    """Samples of the readouts in a table whose sequences lie in the file as they are."""

    source: HDF5Source
    heads: Heads
    places: NDArray[Any]
    base: int

    def __call__(self, places: NDArray[np.intp]) -> Iterator[NDArray[np.complex64]]:
        with self.source.open() as file:
            for place in places.tolist():
                with reading(file.path, f"readout {place}", "fetch it again"):
                    held = read_sequence(file.handle, self.base, self.places[place], 4)
                yield _shaped(file.path, self.heads[place], place, np.frombuffer(held, "<f4"))


def _shaped(path: Path, head: Any, place: int, values: NDArray[Any]) -> NDArray[np.complex64]:
    """Numbers of a readout as `(coil, sample)`, of which its head says how many there are."""
    shape = int(head["active_channels"]), int(head["number_of_samples"])
    if values.dtype.kind != "f" or values.shape != (2 * shape[0] * shape[1],):
        got = f"{values.shape} {shortened(str(values.dtype))}"
        raise InputError(
            f"{path}: readout {place} holds {got}, and its head says {shape[0]} coils of {shape[1]} samples; fetch it again"
        )
    return np.ascontiguousarray(values, dtype=np.float32).view(np.complex64).reshape(shape)


def _is_plain(table: h5py.Dataset) -> bool:
    """Whether samples are sequences of float32 in little-endian order, each where its row says."""
    kind = h5py.check_vlen_dtype(table.dtype["data"])
    return kind is not None and kind == np.dtype("<f4")


def _selection(block: NDArray[np.intp]) -> slice | list[int]:
    """Places that increase, as the quickest selection there is for them."""
    step = int(block[1] - block[0]) if len(block) > 1 else 1
    if (np.diff(block) == step).all():
        return slice(int(block[0]), int(block[-1]) + 1, step)
    places: list[int] = block.tolist()
    return places
