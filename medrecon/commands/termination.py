"""A program that is told to end (SIGTERM) cleans up as after Ctrl-C: what was half written is removed."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Terminated", "exit_on_sigterm"]


class Terminated(SystemExit):
    """The program was told to end, by SIGTERM; its code is 143."""


@contextmanager
def exit_on_sigterm() -> Iterator[None]:
    """Raise `Terminated` in the main thread at the first SIGTERM; the next ones do not disturb its cleaning up.

    Forked children, which have no files of their own to remove, end by the signal itself. Whoever ignores SIGTERM goes on doing so,
    and in other threads than the main one, where Python takes no signals, nothing is changed.
    """
    before = signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread() or before is signal.SIG_IGN:
        yield
        return
    own = os.getpid()

    def leave(number: int, _frame: FrameType | None) -> None:
        if os.getpid() != own:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        signal.signal(number, signal.SIG_IGN)
        raise Terminated(128 + number)

    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
