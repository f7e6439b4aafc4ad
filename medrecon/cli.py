"""The program `medrecon`: how it begins, listening to signals before it imports anything large, and how it ends."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from medrecon.commands.statuses import HUNG_UP, INTERRUPTED, TERMINATED, UNEXPECTED
from medrecon.commands.termination import Terminated, Termination, end_on_signals

__all__ = ["main"]

_ENDED = {INTERRUPTED: "interrupted", TERMINATED: "told to end", HUNG_UP: "told to end"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program and leave it.

    The status is 0 where all was done, 2 for what the user can mend, 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP, and 1
    for a fault of medrecon's own.
    """
    # Threads that spin while they wait make a busy machine ten times slower; torch reads this when it is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for closed in (name for name in ("stdout", "stderr") if getattr(sys, name) is None):
        setattr(sys, closed, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8"))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what a terminal cannot show is escaped, and ends no run
            stream.reconfigure(errors="backslashreplace")
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with end_on_signals(_abandon) as termination:
            status = _status(given or ["--help"], termination)
    except (Terminated, KeyboardInterrupt) as ended:  # before or after all that
        status = _status_of(ended)
        _clean_up(status)
    raise SystemExit(status)


def _status(arguments: list[str], termination: Termination) -> int:
    try:
        status = _run(arguments, termination)
        sys.stdout.flush()
    except (Terminated, KeyboardInterrupt) as ended:
        status = _status_of(ended)
    except BrokenPipeError:
        status = UNEXPECTED
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains of the pipe when it ends
    status = termination.obeyed() or status
    if status in _ENDED:
        _clean_up(status)
    return status


def _status_of(ended: Terminated | KeyboardInterrupt) -> int:
    return ended.status if isinstance(ended, Terminated) else INTERRUPTED


def _run(arguments: list[str], termination: Termination) -> int:
    import logging

    from medrecon.commands.console import NoteHandler, silent_warnings
    from medrecon.commands.program import run

    if not (log := logging.getLogger("medrecon")).handlers:
        log.addHandler(NoteHandler())
    with silent_warnings():
        return run(arguments, termination)


def _clean_up(status: int) -> None:
    """Remove what is left half written, and say why the program ends."""
    if (writers := sys.modules.get("medrecon.data.writers")) is not None:  # or nothing was written
        writers.remove_unfinished()
    from medrecon.commands.console import complain

    with suppress(OSError):  # nobody hears it
        complain(f"{_ENDED[status]}; what was being written is left out, files finished before are kept")


def _abandon(status: int) -> None:
    """Leave from wherever the program is."""
    _clean_up(status)
    sys.stdout.flush()
