"""What commands print: tables and lines for people on standard output, progress and errors on standard error."""

from __future__ import annotations

import errno
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from medrecon.errors import InputError
from medrecon.progress import Progress as Report

__all__ = [
    "COMPLAIN_TO",
    "NoteHandler",
    "complain",
    "expected",
    "one_line",
    "print_table",
    "progress",
    "say",
    "silent_warnings",
]

COMPLAIN_TO = "MEDRECON_COMPLAIN_TO"
_LONGEST = 2000  # characters
_STEERING = dict.fromkeys((*range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0)), "?")  # all but tab and new line


def say(line: str) -> None:
    """Print a line for people, and at once: a program or file that it goes to would get it late."""
    print(_shown(line), flush=True)


def complain(message: str) -> None:
    """Print one line on standard error, or to the file that the variable `MEDRECON_COMPLAIN_TO` of the environment names."""
    line = f"medrecon: error: {one_line(message)}"
    if file := os.environ.get(COMPLAIN_TO):
        with Path(file).open("a", encoding="utf-8", errors="replace") as complaints:
            print(line, file=complaints)
    else:
        print(line, file=sys.stderr)


class NoteHandler(logging.Handler):
    """Prints what the library notes, such as an old name of a key, a line each on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one note."""
        print(f"medrecon: note: {one_line(record.getMessage())}", file=sys.stderr)


@contextmanager
def silent_warnings() -> Iterator[None]:
    """Keep from the screen what libraries warn of, which is for those who program them; the variable `MEDRECON_DEBUG` shows it.

    What a user should know of the own findings of medrecon is a note. Filters that make errors of warnings go on doing so.
    """
    show = warnings.showwarning
    if not os.environ.get("MEDRECON_DEBUG"):
        warnings.showwarning = lambda *_, **__: None
    try:
        yield
    finally:
        warnings.showwarning = show


def one_line(message: str) -> str:
    """Put a text on one line, without its middle where it is far longer than any that people read."""
    line = " ".join(_shown(message[:_LONGEST]).split())
    return line if len(message) <= _LONGEST else f"{line} ... {one_line(message[-_LONGEST // 4 :])}"


def _shown(text: str) -> str:
    """A text in which what steers a terminal, as names in a file may, is a question mark."""
    return text.translate(_STEERING)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()) -> None:
    """Print a table; the columns named in `right` hold numbers."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_shown(cell)) for cell in row))
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = max(console.width, 160)
    console.print(table)


@contextmanager
def progress() -> Iterator[Report]:
    """Give a function that shows what is being done, and how much of it; silent where standard error is no terminal."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task("", total=None)

        def report(what: str, done: int, total: int) -> None:
            bars.update(task, description=what, completed=done, total=total or None)

        yield report


def expected(error: Exception) -> str | None:
    """Say in words an error that comes from outside: a bad input, a file system, too little memory; None for others."""
    match error:
        case InputError():
            return str(error)
        case BrokenPipeError():
            return "the program that reads the output has ended"
        case OSError(errno=errno.ENOSPC | errno.EDQUOT | errno.EFBIG):
            return (
                f"{error.filename or 'the output'}: the disk or the quota is full; free some space, or write elsewhere"
            )
        case OSError(strerror=str(reason)):
            return f"{error.filename}: {reason.lower()}" if error.filename else reason
        case MemoryError():
            return "there is not enough memory; close other programs, or take a machine with more"
        case RuntimeError() if type(error).__name__ == "OutOfMemoryError":
            return "there is not enough memory on the GPU; use --device cpu"
        case RuntimeError() if "can't allocate memory" in str(error):
            return "there is not enough memory; close other programs, or take a machine with more"
        case _:
            return None
