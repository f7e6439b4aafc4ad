"""`-` among the inputs: what a pipe brings is put into a file, as readers go back and forth, which goes with the command."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from medrecon.errors import InputError
from medrecon.words import sized

__all__ = ["with_standard_input"]

_BLOCK = 2**20  # bytes
_LEFT = 2**30  # bytes of the disk that are left free
_SUFFIXES = {
    b"\x93NUMPY": ".npy",
    b"PK\3\4": ".npz",
    b"\x89HDF": ".h5",
    b"MATLAB": ".mat",
    b"II": ".tif",
    b"MM": ".tif",
}
_CFL = b"# Dimensions"


@contextmanager
def with_standard_input(inputs: Sequence[Path]) -> Iterator[list[Path]]:
    """The inputs with a file in place of `-`, which holds all that comes through standard input.

    A pair of BART comes as `cat NAME.hdr NAME.cfl` writes it.

    Raises
    ------
    InputError
        If nothing comes, `-` is named twice, or the disk has no room for it.
    """
    count = sum(path == Path("-") for path in inputs)
    if not count:
        yield list(inputs)
        return
    if count > 1 or sys.stdin is None or sys.stdin.isatty():
        why = "is given twice" if count > 1 else "takes what another program writes, and nothing comes"
        raise InputError(f"-: {why}; use it once, behind a pipe, as `cat FILE | medrecon inspect -`")
    with tempfile.TemporaryDirectory(prefix="medrecon-") as folder:
        held = Path(folder) / "stdin"
        start = _spool(sys.stdin.buffer, held)
        named = _split(held) if start.startswith(_CFL) else _renamed(held, start)
        yield [named if path == Path("-") else path for path in inputs]


def _spool(pipe: BinaryIO, path: Path) -> bytes:
    """Write all that comes into a file, and return how it begins."""
    free = shutil.disk_usage(path.parent).free - _LEFT
    start, size = b"", 0
    with path.open("wb") as file:
        while block := pipe.read(_BLOCK):
            start, size = start or block[:16], size + len(block)
            if size > free:
                raise InputError(
                    f"-: brings more than the {sized(max(0, free))} that {path.parent.parent} has room for; name a file, or "
                    "set TMPDIR to another disk"
                )
            file.write(block)
    if not size:
        raise InputError("-: brought nothing; look what the program before it says")
    return start


def _renamed(path: Path, start: bytes) -> Path:
    ending = next((ending for magic, ending in _SUFFIXES.items() if start.startswith(magic)), "")
    return path.rename(path.with_name(f"stdin{ending}"))


def _split(path: Path) -> Path:
    """Divide a header of BART, and the numbers after it, of which it says how many there are."""
    with path.open("rb") as file:
        words = file.read(_BLOCK).split(b"\n", 2)
        sizes = words[1].split() if len(words) == 3 else []
        if not sizes or not all(word.isdigit() and len(word) < 19 for word in sizes):
            raise InputError("-: is a header of BART without sizes; send `cat NAME.hdr NAME.cfl`")
        numbers = 8
        for word in sizes:
            numbers *= int(word)
        size = path.stat().st_size
        if numbers > size - len(words[0]) - len(words[1]) - 2:
            raise InputError(f"-: brings {size} bytes, and its header says {numbers} of numbers: it was cut short")
        file.seek(size - numbers)
        with path.with_suffix(".cfl").open("wb") as data:
            shutil.copyfileobj(file, data, _BLOCK)
    path.with_suffix(".hdr").write_bytes(words[0] + b"\n" + words[1] + b"\n")
    path.unlink()
    return path.with_suffix(".cfl")
