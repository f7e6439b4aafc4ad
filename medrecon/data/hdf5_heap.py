"""The heap in which an HDF5 file keeps texts of variable length and the sources of virtual sets: HDF5 walks a damaged one for ever.

HDF5 File Format Specification 3.0, III.E: Level 1E, Global Heap.
"""

import io
import re
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import h5py

from medrecon.errors import InputError

__all__ = ["SoundHeaps"]

_COLLECTION = struct.Struct("<4sB3xQ")  # signature, version, size with this
_OBJECT = struct.Struct("<HHIQ")  # index, count of references, reserved, size
_SIGNED, _SIGNATURE = 5, re.compile(rb"GCOL\x01")  # with the version; HDF5 refuses others
_LARGEST = 2**26  # bytes


class SoundHeaps:
    """Opens objects of files a second time, through a reader that sees to it that HDF5 comes to its end; `stack` closes them."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._files: dict[str, tuple[_Reader, h5py.h5f.FileID]] = {}

    @contextmanager
    def opened(self, file: h5py.File, name: str, who: str) -> Iterator[Any]:
        """Open the object at a path of hard links, to read of it what lies in a heap; `who` begins the sentence of what is wrong.

        Raises
        ------
        InputError
            If it, or what is read of it, cannot be read as its heap is damaged.
        """
        reader, same = self._again(file)
        try:
            found = h5py.h5o.open(same, name.encode("utf-8", "surrogateescape"))
            yield _wrapped(found)
        except (OSError, RuntimeError, KeyError) as error:
            if reader.found_damage or "heap" in str(error):
                raise InputError(f"{who} cannot be read, its heap is damaged; copy or export it again") from error
            raise

    def _again(self, file: h5py.File) -> tuple["_Reader", h5py.h5f.FileID]:
        path = file.filename
        if path not in self._files:
            reader = self._stack.enter_context(_Reader(path))
            access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
            access.set_fclose_degree(h5py.h5f.CLOSE_STRONG)
            access.set_fileobj_driver(h5py.h5fd.fileobj_driver, reader)
            same = h5py.h5f.open(b"looked at", h5py.h5f.ACC_RDONLY, access)  # a third of the time of `h5py.File`
            self._stack.callback(same.close)
            self._files[path] = reader, same
        return self._files[path]


def _wrapped(
    found: h5py.h5g.GroupID | h5py.h5d.DatasetID | h5py.h5t.TypeID,
) -> h5py.Group | h5py.Dataset | h5py.Datatype:
    if isinstance(found, h5py.h5d.DatasetID):
        return h5py.Dataset(found)
    return h5py.Group(found) if isinstance(found, h5py.h5g.GroupID) else h5py.Datatype(found)


class _Reader(io.FileIO):
    """A file whose damaged heaps are without their signature, so that HDF5 refuses them.

    An object of a damaged collection is empty space of no size, or reaches beyond the end.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._known: dict[int, bool] = {}

    @property
    def found_damage(self) -> bool:
        """Whether there was such a heap in what was read."""
        return not all(self._known.values())

    def readinto(self, buffer: Any, /) -> int:
        wanted, start = memoryview(buffer).cast("B"), self.tell()
        before = min(_SIGNED - 1, start)  # a signature may lie across the ends
        self.seek(start - before)
        held = self.read(before + len(wanted) + _SIGNED - 1)
        changed = bytearray(held)
        for found in _SIGNATURE.finditer(held):
            address = start - before + found.start()
            if address not in self._known:
                self._known[address] = self._is_sound(address)
            if not self._known[address]:
                changed[found.start() : found.end()] = bytes(_SIGNED)
        taken = changed[before : before + len(wanted)]
        wanted[: len(taken)] = taken
        self.seek(start + len(taken))
        return len(taken)

    def _is_sound(self, address: int) -> bool:
        self.seek(address)
        head = self.read(_COLLECTION.size)
        if len(head) < _COLLECTION.size:
            return False
        size = _COLLECTION.unpack(head)[2]
        if not _COLLECTION.size < size <= _LARGEST:
            return False
        objects = self.read(size - _COLLECTION.size)
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
