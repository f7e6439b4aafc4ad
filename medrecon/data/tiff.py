"""TIFF: the pages of a file, or the files of a folder in the order of their numbers, as one array `(page, y, x)`."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from medrecon.data.foreign import reading, require_few_slices, require_held
from medrecon.data.identity import SameFiles
from medrecon.data.stored import StoredArray, Where, as_index, read_numbers
from medrecon.errors import InputError
from medrecon.memory import require_memory

if TYPE_CHECKING:
    from tifffile import TiffPage

__all__ = ["TIFF_MAGIC", "is_tiff_folder", "tiff_stack"]

#: What files of TIFF begin with, of both orders of bytes, and of sizes beyond 4 GiB.
TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_SUFFIXES = (".tif", ".tiff")
_NUMBERS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class _Page:
    """Where a page lies: from the byte `start` on as it does in memory, or, packed, the page `number` of its file."""

    path: Path
    number: int
    start: int | None


class _Pages:
    """Pages of one size as an array `(page, y, x)`."""

    name = ""

    def __init__(
        self, path: Path, pages: Sequence[_Page], shape: tuple[int, int], dtype: np.dtype[Any], same: SameFiles
    ) -> None:
        self.path, self._pages, self.dtype, self._same = path, pages, dtype, same
        self.shape = (len(pages), *shape)

    def read(self, where: Where, place: str) -> NDArray[Any]:
        wanted = where.get(0, range(len(self._pages)))
        inside = {axis - 1: part for axis, part in where.items() if axis > 0}
        parts = [len(inside.get(axis, range(n))) for axis, n in enumerate(self.shape[1:])]
        values = np.empty((len(wanted), *parts), self.dtype)
        for path, run in groupby(enumerate(wanted), key=lambda pair: self._pages[pair[1]].path):
            with reading(path, place), path.open("rb") as file:
                self._same.require(path, file.fileno())
                for k, number in run:
                    values[k] = self._read(file, self._pages[number], inside)
        return values

    def _read(self, file: BinaryIO, page: _Page, inside: Where) -> NDArray[Any]:
        if page.start is not None:
            return read_numbers(file, page.start, self.shape[1:], self.dtype, inside)
        from tifffile import TiffFile

        file.seek(0)
        with TiffFile(file) as tiff:
            return np.asarray(tiff.pages[page.number].asarray())[as_index(inside, 2)]


def tiff_stack(path: Path) -> StoredArray:
    """Open a file, or a folder of files of one page each; nothing large is read.

    Raises
    ------
    InputError
        If there is none, or one cannot be read, is cut short, in colors, or of another size than the others.
    """
    same, pages, first = SameFiles(), list[_Page](), None
    files = _files(path) if path.is_dir() else [path]
    for file in files:
        for page, kind in _pages_of(file, same, many=len(files) == 1):
            first = first or kind
            if kind != first:
                which = f"page {page.number}" if len(files) == 1 else "it"
                raise InputError(
                    f"{file}: {which} is {kind[0]} {kind[1]}, and those before are {first[0]} {first[1]}; pages of a scan are of "
                    "one size: leave others out"
                )
            pages.append(page)
    if first is None:
        raise InputError(f"{path}: holds no page; export it again")
    require_few_slices(f"{path}: holds {len(pages)} pages", len(pages))
    shape, dtype = first
    require_memory(math.prod(shape) * (dtype.itemsize + 8), f"{path}: to read one page of {shape}")
    return _Pages(path, pages, shape, dtype, same)


def is_tiff_folder(path: Path) -> bool:
    """Whether a folder holds files of TIFF, and no scans of other kinds."""
    return path.is_dir() and bool(_named(path)) and not any(one.suffix in (".h5", ".hdf5") for one in path.iterdir())


def _named(folder: Path) -> list[Path]:
    return [one for one in folder.iterdir() if one.suffix.lower() in _SUFFIXES and not one.name.startswith(".")]


def _files(folder: Path) -> list[Path]:
    """Those of a folder, `p_2` before `p_10`."""
    with reading(folder, "its list of files"):
        named = _named(folder)
    return sorted(named, key=lambda one: [int(part) if part.isdecimal() else part for part in _NUMBERS.split(one.name)])


def _pages_of(path: Path, same: SameFiles, *, many: bool) -> list[tuple[_Page, tuple[tuple[int, int], np.dtype[Any]]]]:
    from tifffile import TiffFile

    with reading(path, "its pages"), path.open("rb") as file:
        size = same.require(path, file.fileno())
        if file.read(4) not in TIFF_MAGIC:
            raise InputError(f"{path}: is no TIFF file; leave it out, or export it again")
        file.seek(0)
        with TiffFile(file) as tiff:
            count = len(tiff.pages)
            if count > 1 and not many:
                raise InputError(f"{path}: has {count} pages, and the files of a folder have one each; export it again")
            series = tiff.series[0] if tiff.series else None
            if (
                series is not None
                and series.dataoffset is not None
                and len(series.shape) == 3
                and series.axes.endswith("YX")
                and count < series.shape[0]
            ):
                return _contiguous(path, size, series.shape, np.dtype(series.dtype), series.dataoffset)  # ImageJ's
            return [_page(path, size, number, tiff.pages[number].aspage()) for number in range(count)]


def _contiguous(
    path: Path, size: int, shape: Sequence[int], dtype: np.dtype[Any], start: int
) -> list[tuple[_Page, tuple[tuple[int, int], np.dtype[Any]]]]:
    """Pages that are counted in words alone, and follow each other."""
    each = shape[1] * shape[2] * dtype.itemsize
    _require_there(path, size, start, shape[0] * each)
    kind = ((shape[1], shape[2]), dtype)
    return [(_Page(path, number, start + number * each), kind) for number in range(shape[0])]


def _page(path: Path, size: int, number: int, page: "TiffPage") -> tuple[_Page, tuple[tuple[int, int], np.dtype[Any]]]:
    who = f"{path}: page {number}"
    if len(page.shape) != 2 or page.dtype is None or page.dtype.kind not in "fiu":
        raise InputError(
            f"{who} is {page.shape} {page.dtype}, and one value a pixel is wanted; export it in gray values"
        )
    shape = (int(page.shape[0]), int(page.shape[1]))
    dtype = np.dtype(page.dtype).newbyteorder(page.parent.byteorder)
    stated = math.prod(shape) * dtype.itemsize
    if page.is_contiguous and page.compression == 1 and page.predictor == 1 and page.fillorder == 1:
        start = page.dataoffsets[0]
        _require_there(path, size, start, stated)
        return _Page(path, number, start), (shape, dtype)
    require_held(f"{who} is {shape}", stated, min(size, sum(page.databytecounts)))
    return _Page(path, number, None), (shape, dtype)


def _require_there(path: Path, size: int, start: int, stated: int) -> None:
    if start + stated > size:
        raise InputError(f"{path}: is cut short, {size} bytes of {start + stated}; copy it again")
