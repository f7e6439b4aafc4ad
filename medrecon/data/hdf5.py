"""The door to HDF5: a file is the same one at each reading, and nothing outside of it is read unless that is allowed."""

import math
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from medrecon.data.foreign import reading, require_few_slices, require_held
from medrecon.data.hdf5_filters import require_filters
from medrecon.data.hdf5_heap import SoundHeaps
from medrecon.data.hdf5_links import Links
from medrecon.data.identity import SameFiles
from medrecon.errors import InputError
from medrecon.memory import require_memory
from medrecon.words import listed, shortened

__all__ = ["HDF5Content", "HDF5Source", "is_text", "open_hdf5"]

_LARGEST_ATTRIBUTE = 2**20  # bytes
_NAMED = 8
_MOST_OBJECTS, _DEEPEST = 400, 6  # that are looked at


class HDF5Source:
    """A file to read time and again; no handle is held in between, so that it may be pickled, and shared with forked workers.

    Parameters
    ----------
    path : path-like
        The file.
    wanted : str
        What it should be, in a few words.
    allow_external : bool
        Whether its links, virtual data sets and storage may lead to other files.
    """

    def __init__(self, path: str | os.PathLike[str], wanted: str, *, allow_external: bool = False) -> None:
        self.path, self.wanted, self.allow_external = Path(path), wanted, allow_external
        self.same = SameFiles()
        self.sound: set[str] = set()  # data sets that were looked at, and lie in the file itself

    @contextmanager
    def open(self) -> Iterator["HDF5Content"]:
        """Open it to read.

        Raises
        ------
        InputError
            If it is missing, a folder, cut short, damaged, or of another format.
        ChangedError
            If it, or another file that it leads to, is not the one that was read first, when the block begins or ends.
        """
        with ExitStack() as stack:
            try:
                file = stack.enter_context(open_hdf5(self.path, self.wanted))
                self.same.require(self.path, file.id.get_vfd_handle())
                yield HDF5Content(self, file, stack)
            except InputError:
                self.same.require_all()  # which explains it better
                raise
            self.same.require_all()


class HDF5Content:
    """What an open file holds: `dataset(name)` finds an array, `read(name, index)` reads of it."""

    def __init__(self, source: HDF5Source, file: h5py.File, stack: ExitStack) -> None:
        self.path, self._source, self._file, self._stack = source.path, source, file, stack
        self._others: dict[Path, h5py.File] = {}
        open_other = self._open_other if source.allow_external else None
        self._heaps = SoundHeaps(stack)
        self._links = Links(self.path, file, open_other, source.same.require, self._heaps)

    def __contains__(self, name: str) -> bool:
        """Whether there is something of the name at the root, whatever it is."""
        with reading(self.path, "its list of names"):
            return bool(self._file.id.links.exists(name.encode()))

    @property
    def handle(self) -> int:
        """By which the file is open."""
        handle: int = self._file.id.get_vfd_handle()
        return handle

    @property
    def userblock_size(self) -> int:
        """Bytes before its addresses begin."""
        size: int = self._file.userblock_size
        return size

    @property
    def names(self) -> str:
        """What it holds, in words."""
        with reading(self.path, "its list of names"):
            count, first = len(self._file), list(islice(self._file, _NAMED))
        return listed([shortened(name, 40) for name in first] + [""] * (count - len(first)), _NAMED) or "nothing"

    def group_names(self) -> list[str]:
        """The names at the root, a hundred at most."""
        with reading(self.path, "its list of names"):
            return list(islice(self._file, 100))

    def own_datasets(self) -> Iterator[tuple[str, h5py.Dataset]]:
        """Go through arrays that lie in the file itself, a hundred at most."""
        for name in self.group_names():
            with reading(self.path, f"`{shortened(name)}`"):
                if self._file.id.links.get_info(name.encode("utf-8", "surrogateescape")).type != h5py.h5l.TYPE_HARD:
                    continue
                with self._heaps.opened(self._file, name, f"{self.path}: `{shortened(name)}`"):
                    held = self._file[name]
                is_array = isinstance(held, h5py.Dataset) and held.shape is not None and held.dtype is not None
            if is_array:
                yield name, held

    def own_groups(self) -> Iterator[str]:
        """Go through the names of groups that lie in the file itself, of a hundred names at most."""
        for name in self.group_names():
            with reading(self.path, f"`{shortened(name)}`"):
                key = name.encode("utf-8", "surrogateescape")
                if self._file.id.links.get_info(key).type != h5py.h5l.TYPE_HARD:
                    continue
                with self._heaps.opened(self._file, name, f"{self.path}: `{shortened(name)}`") as held:
                    is_group = isinstance(held, h5py.Group)
            if is_group:
                yield name

    def all_datasets(self) -> Iterator[tuple[str, h5py.Dataset]]:
        """Go through arrays that lie in the file itself, in groups, too: what is named first, and of hundreds of things no more."""
        left = [("", self._file)]
        for _ in range(_MOST_OBJECTS):
            if not left:
                return
            name, held = left.pop(0)
            if isinstance(held, h5py.Dataset):
                yield name, held
                continue
            with reading(self.path, f"`{shortened(name)}`" if name else "its list of names"):
                if name.count("/") < _DEEPEST and isinstance(held, h5py.Group):
                    for part in islice(held, _MOST_OBJECTS):
                        key = part.encode("utf-8", "surrogateescape")
                        if held.id.links.get_info(key).type == h5py.h5l.TYPE_HARD and not part.startswith("#"):
                            place = f"{name}/{part}" if name else part
                            with self._heaps.opened(self._file, place, f"{self.path}: `{shortened(place)}`"):
                                left.append((place, held[part]))
            left = [
                (one, thing) for one, thing in left if not isinstance(thing, h5py.Dataset) or thing.shape is not None
            ]

    def holds(self, name: str) -> bool:
        """Whether there is an array of the name; the links to it are followed as by `dataset`."""
        with reading(self.path, f"`{name}`", "mend or remove it"):
            return isinstance(self._links.find(name), h5py.Dataset)

    def dataset(self, name: str) -> h5py.Dataset | None:
        """Find an array, or None where there is nothing of this name.

        Raises
        ------
        InputError
            If it is something else, or empty; a link that leads nowhere, or to another file that may not be read; or of a size of
            which the file holds nothing, or packed by a filter that is not there.
        """
        if name in self._source.sound:
            return self._file[name]
        with reading(self.path, f"`{name}`", "mend or remove it"):
            found = self._links.find(name)
            if found is None:
                return None
            if not isinstance(found, h5py.Dataset):
                kind = "a group" if isinstance(found, h5py.Group) else "a type"
                raise InputError(f"{self.path}: `{name}` is {kind}, and a data set is wanted; remove or mend it")
            if found.shape is None:
                raise InputError(f"{self.path}: `{name}` is empty, it has no shape; export it again")
            require_filters(self.path, name, found)
            lies_outside = self._links.require_sources(name, found)
            if not lies_outside:
                stated = math.prod(found.shape) * found.dtype.itemsize
                require_held(f"{self.path}: `{name}` is {found.shape}", stated, found.id.get_storage_size())
                if not self._others:
                    self._source.sound.add(name)
            return _from_its_folder(found) if found.external else found

    def require_slices(self, name: str, data: h5py.Dataset, axes: int, extra: int) -> None:
        """Refuse an array of too many slices, or of which one cannot be read: its last `axes`, each number of `extra` bytes more.

        Raises
        ------
        InputError
            If it is such a one.
        """
        with reading(self.path, f"`{name}`"):
            shape, itemsize, chunks, held = data.shape, data.dtype.itemsize, data.chunks, data.id.get_storage_size()
            lies_outside = data.is_virtual or data.external
        require_few_slices(f"{self.path}: `{name}` is {shape}", math.prod(shape[:-axes]))
        numbers = math.prod(shape[-axes:])
        stored = max(numbers, math.prod(chunks or ())) * itemsize
        if not lies_outside:
            require_held(f"{self.path}: `{name}` is {shape}, and one slice", stored, held)
        require_memory(
            stored + numbers * extra,
            f"{self.path}: `{name}` is {shape}, and to read one slice",
            lambda free: f"slices of up to {free // (itemsize + extra)} numbers fit",
        )

    def read(self, name: str, index: int | None = None, place: str = "") -> NDArray[Any]:
        """Read an array, or its slice at `index`; `place` says which slice that is.

        Raises
        ------
        InputError
            If it cannot be read.
        """
        with reading(self.path, place or f"`{name}`", "fetch it again"):
            data = self.dataset(name)
            if data is None:
                raise InputError(f"{self.path}: holds no `{name}`; copy it again")
            part = () if index is None else index
            if data.dtype.kind == "O":
                with self._heaps.opened(data.file, data.name, f"{self.path}: `{name}`") as same:
                    return np.asarray(same[part])
            return np.asarray(data[part])

    def part(self, name: str, index: tuple[slice, ...], place: str) -> NDArray[Any]:
        """Read a part of an array of numbers; `place` says which that is.

        Raises
        ------
        InputError
            If it cannot be read.
        """
        with reading(self.path, place, "fetch it again"):
            data = self.dataset(name)
            if data is None:
                raise InputError(f"{self.path}: holds no `{name}`; copy it again")
            return np.asarray(data[index])

    def attribute(self, name: str) -> Any:
        """Read an attribute of the file, as `attributes`; None where there is none."""
        return self.attributes((name,)).get(name)

    def attributes(self, names: Iterable[str], owner: h5py.Dataset | None = None) -> dict[str, Any]:
        """Read those attributes that there are, of the file or of an array in it, as plain Python values.

        Raises
        ------
        InputError
            If one cannot be read, or is longer than attributes are.
        """
        found = {}
        owner = self._file if owner is None else owner
        attributes = owner.attrs
        for name in names:
            with reading(self.path, f"attribute `{name}`", "mend or remove it"):
                if name not in attributes:
                    continue
                stored = attributes.get_id(name)
                if math.prod(stored.shape or ()) * stored.dtype.itemsize > _LARGEST_ATTRIBUTE:
                    raise InputError(
                        f"{self.path}: attribute `{name}` is {stored.shape}, too long for one; mend or remove it"
                    )
                if stored.dtype.kind == "O":
                    who = f"{self.path}: attribute `{shortened(name)}`"
                    with self._heaps.opened(owner.file, owner.name, who) as same:
                        value = _plain(same.attrs[name])
                else:
                    value = _plain(attributes[name])
                if value is not None:
                    found[name] = value
        return found

    def _open_other(self, path: Path) -> h5py.File:
        if path not in self._others:
            self._source.same.require(path)
            self._others[path] = self._stack.enter_context(open_hdf5(path, f"what {self.path} names"))
        return self._others[path]


def is_text(dtype: np.dtype[Any]) -> bool:
    """Whether values are texts, of any length or of a fixed one."""
    return h5py.check_string_dtype(dtype) is not None


@contextmanager
def open_hdf5(path: Path, wanted: str) -> Iterator[h5py.File]:
    """Open a file to read, bare: neither links nor sizes are looked at, which `HDF5Source` does.

    Raises
    ------
    InputError
        If it is missing, a folder, cut short, damaged, or of another format.
    """
    try:
        file = h5py.File(path, "r")
    except FileNotFoundError:
        raise InputError(f"{path}: does not exist; check its name") from None
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise InputError(f"{path}: {_why_not(path, error, wanted)}") from error
    with file:
        yield file


def _why_not(path: Path, error: Exception, wanted: str) -> str:
    if path.is_dir():
        return "is a folder; name a file in it"
    if truncated := re.search(r"eof = (\d+).*stored_eof = (\d+)", str(error)):
        return f"is truncated: {truncated[1]} bytes of {truncated[2]}; fetch it again"
    if isinstance(error, BlockingIOError):
        return "is being written by another program; wait until that is done"
    if isinstance(error, PermissionError):
        return "may not be read; change its permissions"
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except (OSError, ValueError) as reason:
        return f"cannot be read ({getattr(reason, 'strerror', None) or reason}); check its name"
    if not start:
        return "is empty, 0 bytes; fetch it again"
    if start.startswith((b"\x1f\x8b", b"\xfd7zXZ", b"PK\3\4", b"BZh")):
        return "is a compressed archive, not an HDF5 file; unpack it first"
    if not start.startswith(b"\x89HDF"):
        return f"is not an HDF5 file; give {wanted}"
    return f"is a damaged HDF5 file ({shortened(error, 160)}); fetch it again"


def _from_its_folder(data: h5py.Dataset) -> h5py.Dataset:
    """The same array, whose storage is looked for in the folder of its file, and not in that of the program."""
    access = h5py.h5p.create(h5py.h5p.DATASET_ACCESS)
    access.set_efile_prefix(b"${ORIGIN}")
    file, name = data.file.id, data.name.encode("utf-8", "surrogateescape")
    data.id.close()  # it cannot be opened otherwise
    return h5py.Dataset(h5py.h5d.open(file, name, access))


def _plain(value: object) -> Any:
    """An attribute as Python values, its texts without the halves of characters that h5py makes of other encodings."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if isinstance(value, h5py.Empty):
        return None
    if isinstance(value, np.ndarray):
        return [_plain(one) for one in value] if value.ndim else _plain(value[()])
    return value.item() if isinstance(value, np.generic) else value
