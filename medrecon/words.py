"""Counts, lists and values in the words that users read."""

import reprlib
from collections.abc import Sequence

__all__ = ["cell", "counted", "listed", "shortened", "sized", "writable"]

_INTEGER_BITS = 400  # a longer one is told by its length: it takes long to write out


def counted(number: int, noun: str, plural: str = "") -> str:
    """Say a number of things: `counted(1, "slice")` is "1 slice", `counted(1200, "slice")` is "1200 slices".

    Nouns take an "s", unless a `plural` is given.
    """
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def listed(values: Sequence[object], most: int = 8) -> str:
    """Say the first few of many: `listed(range(10))` is "0, 1, 2, 3, 4, 5, 6, 7 and 2 more"."""
    shown = ", ".join(map(str, values[:most]))
    return shown if len(values) <= most else f"{shown} and {len(values) - most} more"


def sized(n_bytes: int) -> str:
    """Say an amount of memory: `sized(3 * 2**29)` is "1.5 GiB"."""
    if n_bytes >= 10**6 * 2**40:
        return "a million TiB and more"
    for unit, size in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if n_bytes >= size:
            return f"{n_bytes / size:.1f} {unit}" if n_bytes < 10_000 * size else f"{n_bytes // size} {unit}"
    return f"{n_bytes} bytes"


def shortened(value: object, most: int = 80) -> str:
    """Say any value of a file on one line of at most so many characters, cut before it is written out.

    `shortened("a" * 100, 8)` is "aaaaa..."; what no terminal shows, such as control characters and lone surrogates, becomes "?".
    """
    match value:
        case str():
            text = value[: most + 1]
        case bytes():
            text = value[: most + 1].decode("utf-8", "replace")
        case int() if value.bit_length() > _INTEGER_BITS:
            text = f"an integer of {value.bit_length()} bits"
        case Exception():
            text = str(value)[: 4 * most]
        case _:
            text = _bounded(most).repr(value)
    line = "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
    return line if len(line) <= most else line[: most - 3] + "..."


def _bounded(most: int) -> reprlib.Repr:
    bounded = reprlib.Repr()
    bounded.maxstring = bounded.maxother = bounded.maxlong = most
    return bounded


def writable(text: str) -> str:
    """A text that every file takes: lone surrogates, as of names that are no UTF-8, and zero bytes are written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")


def cell(value: object) -> object:
    """A value as it stands in a table of CSV: before a text that a spreadsheet would execute stands an apostrophe.

    `cell("=1+1")` is "'=1+1"; numbers stay. Carriage returns, which would begin a row, are spaces. [OWASP, CSV Injection]
    """
    if not isinstance(value, str):
        return value
    text = value.replace("\r", " ")
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t")) else text
