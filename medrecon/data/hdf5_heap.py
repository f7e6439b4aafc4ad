"""The heap in which an HDF5 file keeps texts of variable length: HDF5 walks a damaged one for ever.

HDF5 File Format Specification 3.0, III.E: Level 1E, Global Heap.
"""

import struct
from pathlib import Path
from typing import BinaryIO

import h5py

from medrecon.errors import InputError

__all__ = ["require_sound_heap"]

_COLLECTION = struct.Struct("<4sB3xQ")  # signature, version, size with this
_OBJECT = struct.Struct("<HHIQ")  # index, count of references, reserved, size
_PLACE = struct.Struct("<IQI")  # length, address of the collection, index in it
_LARGEST = 2**26  # bytes


def require_sound_heap(path: Path, name: str, data: h5py.Dataset) -> None:
    """Refuse a single text of variable length, stored as usual, whose heap leads nowhere.

    Raises
    ------
    InputError
        If an object of its collection is empty space of no size, or reaches beyond the end.
    """
    offset = data.id.get_offset()
    if offset is None or h5py.check_string_dtype(data.dtype) is None or data.dtype.kind != "O" or data.size != 1:
        return
    with path.open("rb") as file:
        file.seek(offset)
        stored = file.read(_PLACE.size)
        base = data.file.userblock_size
        if len(stored) < _PLACE.size or not _is_sound(file, base + _PLACE.unpack(stored)[1]):
            raise InputError(f"{path}: `{name}` cannot be read, its heap is damaged; copy or export it again")


def _is_sound(file: BinaryIO, address: int) -> bool:
    file.seek(address)
    head = file.read(_COLLECTION.size)
    if len(head) < _COLLECTION.size:
        return False
    signature, version, size = _COLLECTION.unpack(head)
    if signature != b"GCOL" or version != 1 or not _COLLECTION.size < size <= _LARGEST:
        return False
    objects = file.read(size - _COLLECTION.size)
    if len(objects) < size - _COLLECTION.size:
        return False
    place = 0
    while place + _OBJECT.size <= len(objects):
        index, _, _, length = _OBJECT.unpack_from(objects, place)
        step = length if index == 0 else _OBJECT.size + -(-length // 8) * 8
        if not 0 < step <= len(objects) - place:
            return False
        place += step
    return True
