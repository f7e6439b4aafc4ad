"""Rows of a table in an HDF5 file that hold sequences of variable length, read where they lie, as fast as bytes are.

HDF5 goes through each row of such a table, and walks a damaged heap for ever; here each sequence is one read of the file.
HDF5 File Format Specification 3.0, III.E: Level 1E, Global Heap.
"""

from __future__ import annotations

import os
import struct
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

__all__ = ["read_sequence", "rows_as_stored", "sequence_places"]

_COLLECTION, _OBJECT = struct.Struct("<4sB3xQ"), struct.Struct("<HHIQ")
_MOST_OBJECTS = 2**16  # of a collection


def rows_as_stored(data: h5py.Dataset) -> NDArray[np.uint8] | None:
    """The bytes `(row, byte)` of a table of one axis, as they lie in the file; None of one that is packed, or lies elsewhere.

    Raises
    ------
    OSError, ValueError
        If a part reaches beyond the file, or lies nowhere.
    """
    plan, size = data.id.get_create_plist(), data.id.get_type().get_size()
    if data.is_virtual or data.external or plan.get_nfilters() or data.ndim != 1:
        return None
    handle = data.file.id.get_vfd_handle()
    if data.chunks is None:
        offset = data.id.get_offset()
        return None if offset is None else _read(handle, size * len(data), offset).reshape(-1, size)
    parts: list[tuple[int, int]] = []

    def see(chunk: Any) -> None:
        parts.append((chunk.chunk_offset[0], chunk.byte_offset))

    data.id.chunk_iter(see)
    if len(parts) != -(-len(data) // data.chunks[0]):
        raise ValueError("rows are missing")
    base, length = data.file.userblock_size, size * data.chunks[0]
    held = [_read(handle, length, base + place) for _, place in sorted(parts)]
    return np.concatenate(held).reshape(-1, size)[: len(data)]


def sequence_places(rows: NDArray[np.uint8], offset: int) -> NDArray[Any]:
    """Where the sequences of a field lie: its length, the address of a collection, and the number in it, by `offset` in a row."""
    place = np.dtype([("length", "<u4"), ("address", "<u8"), ("index", "<u4")])
    return np.ascontiguousarray(rows[:, offset : offset + place.itemsize]).view(place)[:, 0]


def read_sequence(handle: int, base: int, place: Any, itemsize: int) -> bytes:
    """Read one sequence: of a file by its handle, that begins at `base`.

    Raises
    ------
    ValueError
        If the heap leads nowhere, or holds less than the sequence.
    """
    length, at = int(place["length"]) * itemsize, base + int(place["address"])
    if length == 0:
        return b""
    start = _COLLECTION.size + _OBJECT.size
    held = os.pread(handle, start + length, at)
    if len(held) < start:
        raise ValueError("its heap lies beyond the file")
    signature, _, size = _COLLECTION.unpack_from(held)
    index, _, _, own = _OBJECT.unpack_from(held, _COLLECTION.size)
    if signature != b"GCOL":
        raise ValueError("its heap is damaged")
    if index == int(place["index"]):
        return _whole(held[start:], length, own)
    at += _COLLECTION.size
    end = at - _COLLECTION.size + size
    for _ in range(_MOST_OBJECTS):
        step = own if index == 0 else _OBJECT.size + -(-own // 8) * 8
        at += step
        head = os.pread(handle, _OBJECT.size, at)
        if step <= 0 or at + _OBJECT.size > end or len(head) < _OBJECT.size:
            break
        index, _, _, own = _OBJECT.unpack(head)
        if index == int(place["index"]):
            return _whole(os.pread(handle, length, at + _OBJECT.size), length, own)
    raise ValueError("its heap does not hold it")


def _whole(held: bytes, length: int, own: int) -> bytes:
    if own < length or len(held) < length:
        raise ValueError("its heap holds less than it")
    return held


def _read(handle: int, length: int, at: int) -> NDArray[np.uint8]:
    held = os.pread(handle, length, at)
    if len(held) < length:
        raise ValueError("rows lie beyond the file")
    return np.frombuffer(held, np.uint8)
