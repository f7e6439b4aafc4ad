"""BART's pairs of files: `NAME.cfl`, complex numbers in single precision in Fortran's order, and `NAME.hdr`, their sizes in words.

Uecker et al., Berkeley Advanced Reconstruction Toolbox, Proc. ISMRM 23:2486 (2015).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from enum import IntEnum
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medrecon.data.foreign import reading
from medrecon.data.identity import SameFiles
from medrecon.data.stored import FlatArray
from medrecon.data.writing import atomic_file
from medrecon.errors import InputError
from medrecon.memory import require_memory

__all__ = ["BartAxis", "is_cfl", "open_cfl", "read_cfl", "write_cfl"]

_MAGIC = "# Dimensions"
_LONGEST_HEADER = 2**20  # bytes
_COMPLEX = np.dtype("<c8")
_LARGEST = 2**62


class BartAxis(IntEnum):
    """What BART's axes count, in its order."""

    READ = 0
    PHS1 = 1
    PHS2 = 2
    COIL = 3
    MAPS = 4
    TE = 5
    COEFF = 6
    COEFF2 = 7
    ITER = 8
    CSHIFT = 9
    TIME = 10
    TIME2 = 11
    LEVEL = 12
    SLICE = 13
    AVG = 14
    BATCH = 15


def is_cfl(path: Path) -> bool:
    """Whether a name is that of a pair, with or without an ending, which its header tells."""
    header, _ = _pair(path)
    try:
        with header.open("rb") as file:
            start = file.read(len(_MAGIC))
    except (OSError, ValueError):
        return path.suffix == ".cfl" and path.is_file()  # its header is wanting, which `open_cfl` says
    return start == _MAGIC.encode()


def open_cfl(path: Path) -> FlatArray:
    """Open the array of a pair, of 16 axes in BART's order; nothing large is read.

    Raises
    ------
    InputError
        If one of the two is not there, the header is damaged, or there are more or fewer numbers than it says.
    """
    header, data = _pair(path)
    for one, other in ((header, data), (data, header)):
        if not one.is_file():
            raise InputError(f"{other}: {one.name} is missing beside it, and belongs to it; copy both")
    shape = _shape_of(header)
    same = SameFiles()
    held, stated = same.require(data), prod(shape) * _COMPLEX.itemsize
    if held != stated:
        raise InputError(
            f"{data}: holds {held} bytes, and {header.name} says {' x '.join(map(str, shape))} complex numbers, {stated} bytes; "
            "copy both again"
        )
    return FlatArray(data, shape, _COMPLEX, is_fortran=True, same=same)


def read_cfl(path: str | os.PathLike[str]) -> NDArray[np.complex64]:
    """Read a pair whole, with its 16 axes in BART's order.

    Raises
    ------
    InputError
        As `open_cfl`, or if it does not fit in memory.
    """
    array = open_cfl(Path(path))
    require_memory(prod(array.shape) * _COMPLEX.itemsize, f"{array.path}: {array.shape}")
    return np.asarray(array.read({}, "its numbers"), np.complex64)


def write_cfl(
    path: str | os.PathLike[str], values: NDArray[Any], axes: Sequence[BartAxis], *, overwrite: bool = False
) -> None:
    """Write an array as a pair, its `axes` as BART counts them: an image `(slice, y, x)` has `SLICE, READ, PHS1`.

    `path` names the pair, with the ending `.cfl` or without. K-space is `(slice, coil, y, x)` with `SLICE, COIL, READ, PHS1`, coil
    maps likewise; k-space and images of the library are in BART's units, as its `fft -u` is the unitary transform.

    Raises
    ------
    InputError
        If the files cannot be written, or are there already (see `atomic_file`).
    ValueError
        If `axes` do not name each axis once.
    """
    if len(axes) != values.ndim or len(set(axes)) != values.ndim:
        raise ValueError(f"write_cfl takes a name for each axis of {values.shape}, got {[one.name for one in axes]}")
    order = sorted(range(values.ndim), key=lambda k: axes[k])
    shape = [1] * len(BartAxis)
    for k in order:
        shape[axes[k]] = values.shape[k]
    header, data = _pair(Path(path))
    with atomic_file(data, overwrite=overwrite) as numbers, atomic_file(header, overwrite=overwrite) as words:
        with Path(numbers).open("wb") as file:
            last_first = values.transpose(order[::-1])  # Fortran's order of BART's axes is C's of the reverse
            for part in last_first if values.ndim > 1 else [last_first]:
                file.write(np.ascontiguousarray(part, dtype=_COMPLEX).tobytes())
        Path(words).write_text(f"{_MAGIC}\n{' '.join(map(str, shape))} \n", encoding="ascii")


def _pair(path: Path) -> tuple[Path, Path]:
    """The header and the numbers of a pair that is named by either, or without an ending."""
    stem = path.with_suffix("") if path.suffix in (".cfl", ".hdr") else path
    return stem.with_name(f"{stem.name}.hdr"), stem.with_name(f"{stem.name}.cfl")


def _shape_of(header: Path) -> tuple[int, ...]:
    with reading(header, "it"), header.open("rb") as file:
        text = file.read(_LONGEST_HEADER + 1)
    if len(text) > _LONGEST_HEADER:
        raise InputError(f"{header}: is larger than headers of BART are; copy it again")
    lines = text.decode("ascii", "replace").splitlines()
    place = next((k for k, line in enumerate(lines) if line.strip() == _MAGIC), None)
    words = lines[place + 1].split() if place is not None and place + 1 < len(lines) else []
    is_sound = 0 < len(words) <= len(BartAxis) and all(word.isdecimal() and len(word) < 19 for word in words)
    if not is_sound or not 0 < prod(map(int, words)) < _LARGEST:
        raise InputError(f'{header}: has no line of up to 16 sizes after "{_MAGIC}"; it is damaged, copy it again')
    return tuple(int(word) for word in words) + (1,) * (len(BartAxis) - len(words))
