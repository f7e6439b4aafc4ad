"""The links of an HDF5 file are followed one by one, so that none leads to another file unless that is allowed."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from medrecon.data.hdf5_heap import SoundHeaps
from medrecon.errors import InputError
from medrecon.words import counted, shortened

__all__ = ["Links"]

_LONGEST = 32  # links from one to the next
_MOST_SOURCES = 100_000
_REMEDY = "give --allow-external to read it all the same, in YAML allow_external: true, or copy the data into this file"
_VIRTUAL = (
    "synchrotrons often write such, with the sources in the same folder: give --allow-external to read them, in YAML "
    "allow_external: true"
)


@dataclass(frozen=True)
class Links:
    """Finds the objects of an open file.

    Parameters
    ----------
    path : Path
        The file, as it is named in messages.
    file : h5py.File
        Itself.
    open_other : callable, optional
        Opens another file that it names; None where no other may be read.
    see : callable
        Is told of each other file that is read, and returns its size in bytes.
    heaps : SoundHeaps
        Looks at what HDF5 reads when it opens an object.
    """

    path: Path
    file: h5py.File
    open_other: Callable[[Path], h5py.File] | None
    see: Callable[[Path], int]
    heaps: SoundHeaps

    def find(self, name: str) -> Any:
        """Find a group, data set or type by its name; None where there is none.

        Raises
        ------
        InputError
            If a link leads nowhere, back to itself, or to another file and that is not allowed.
        """
        return self._follow(self.file, name, ())

    def require_sources(self, name: str, data: h5py.Dataset) -> bool:
        """Tell whether numbers of a data set lie in other files; that is refused unless it is allowed, and all are there.

        Raises
        ------
        InputError
            If they are not to be read, or not there.
        """
        plan = data.id.get_create_plist()
        if plan.get_layout() == h5py.h5d.VIRTUAL:
            self._require_virtual(name, data, ())
            return True
        if not plan.get_external_count():
            return False
        self._require_stored(name, data)
        return True

    def _require_stored(self, name: str, data: h5py.Dataset) -> None:
        """Make sure that the files of raw numbers of a data set are there whole, and that they may be read."""
        plan = data.id.get_create_plist()
        stored = [plan.get_external(k) for k in range(plan.get_external_count())]
        if stored and self.open_other is None:
            raise InputError(f"{self.path}: `{name}` is stored in another file, {shortened(stored[0][0])}; {_REMEDY}")
        left = data.nbytes
        for file_name, start, size in stored:
            place, size = _beside(data.file, os.fsdecode(file_name)), min(size, left)
            if not place.is_file() or self.see(place) < start + size:
                raise InputError(f"{self.path}: `{name}` is stored in {place}, which is not there whole; copy it too")
            left -= size

    def _follow(self, group: h5py.Group, path: str, trail: tuple[str, ...]) -> Any:
        place: Any = group.file if path.startswith("/") else group
        for part in filter(lambda part: part not in ("", "."), path.split("/")):
            key = part.encode("utf-8", "surrogateescape")
            if not isinstance(place, h5py.Group) or not place.id.links.exists(key):
                return None
            place = self._step(place, part, key, trail)
            if place is None:
                return None
        return place

    def _step(self, group: h5py.Group, part: str, key: bytes, trail: tuple[str, ...]) -> Any:
        """The object that a link of a group leads to."""
        kind = group.id.links.get_info(key).type
        if kind == h5py.h5l.TYPE_HARD:
            with self.heaps.opened(group.file, f"{group.name}/{part}", f"{self.path}: `{shortened(part)}`"):
                return group[part]
        here = f"{os.path.realpath(group.file.filename)}:{group.name}/{part}"
        who = f"{self.path}: `{shortened(part)}` is a link"
        if here in trail or len(trail) >= _LONGEST:
            raise InputError(f"{who} that leads back to itself; mend or remove it")
        target = group.id.links.get_val(key)
        if kind == h5py.h5l.TYPE_SOFT:
            inside, where = os.fsdecode(target), os.fsdecode(target)
            found = self._follow(group, inside, (*trail, here))
        elif kind == h5py.h5l.TYPE_EXTERNAL:
            other, inside = map(os.fsdecode, target)
            where = f"{other}:{inside}"
            if self.open_other is None:
                raise InputError(f"{who} to {shortened(where)}, in another file; {_REMEDY}")
            place = _beside(group.file, other)
            file = self._opened(place)
            found = None if file is None else self._follow(file, inside, (*trail, here))
        else:
            raise InputError(f"{who} of a kind not known here; copy what it leads to into the file")
        if found is None:
            raise InputError(f"{who} to {shortened(where)}, which is not there; copy it too")
        return found

    def _require_virtual(self, name: str, data: h5py.Dataset, trail: tuple[tuple[str, str], ...]) -> None:
        """Make sure that all sources of a virtual data set are there: HDF5 takes zeros in place of those that are not."""
        plan = data.id.get_create_plist()
        count = plan.get_virtual_count()
        named = dict.fromkeys(
            (plan.get_virtual_filename(k), plan.get_virtual_dsetname(k)) for k in range(min(count, _MOST_SOURCES))
        )
        outside = [other for other in dict.fromkeys(other for other, _ in named) if other != "."]
        who = f"{self.path}: `{name}` is a virtual data set"
        if outside and self.open_other is None:
            more = f" and {counted(len(outside) - 1, 'other file')}" if len(outside) > 1 else ""
            raise InputError(f"{who}, its numbers lie in {shortened(outside[0])}{more}; {_VIRTUAL}")
        if count > _MOST_SOURCES or any("%b" in part for source in named for part in source):
            raise InputError(
                f"{who} of {counted(count, 'source')}, of a pattern or too many; write it as an ordinary data set"
            )
        for other, inside in named:
            place = Path(data.file.filename) if other == "." else _beside(data.file, other)
            step = (os.path.realpath(place), inside)
            if step in trail or len(trail) >= _LONGEST:
                raise InputError(f"{who} that is made of itself; write it as an ordinary data set")
            file = data.file if other == "." else self._opened(place)
            source = None if file is None else self._follow(file, inside, ())
            if not isinstance(source, h5py.Dataset):
                raise InputError(f"{who}, and its source {shortened(f'{other}:{inside}')} is not there; copy it too")
            if source.is_virtual:
                self._require_virtual(name, source, (*trail, step))
            elif source.external:
                self._require_stored(name, source)

    def _opened(self, place: Path) -> h5py.File | None:
        return self.open_other(place) if self.open_other is not None and place.is_file() else None


def _beside(file: h5py.File, name: str) -> Path:
    """Where a file lies that another names: relative names are taken from the folder of the latter."""
    return Path(os.path.realpath(file.filename)).parent / name
