"""A program that is told to end (Ctrl-C, SIGTERM, a terminal that is closed) cleans up: what was half written is removed."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

__all__ = ["Interrupted", "Terminated", "Termination", "end_on_signals", "end_with"]

_PATIENCE = 5.0  # seconds that the main thread may take until it hears of the signal, such as in a long loop of numba
_GLANCE = 0.2
_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Terminated(SystemExit):
    """The program was told to end, by SIGTERM or SIGHUP; its status is 143 or 129."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Interrupted(KeyboardInterrupt):
    """The program was told to end by Ctrl-C, SIGINT."""


class Termination:
    """Whether this process was told to end, and what happens then.

    `leave` is called, with the exit status, in its place if it cannot be reached. `told` is the first signal that told it, or None.
    """

    def __init__(self, leave: Callable[[int], None]) -> None:
        self.told: int | None = None
        self._obeyed = False
        self._process = os.getpid()
        self._leave = leave
        self._raised: weakref.ref[BaseException] | None = None
        self._pipe = os.pipe()
        self._ended = threading.Event()

    def handle(self, number: int, _frame: FrameType | None) -> None:
        """Raise `Terminated` or `Interrupted`, unless one is on its way: cleaning up is not to be disturbed."""
        if os.getpid() != self._process:  # a forked child, which has no files of its own to remove
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self.told = self.told or number
        if self._obeyed or (self._raised is not None and self._raised() is not None):
            return
        error = Interrupted() if self.told == signal.SIGINT else Terminated(128 + self.told)
        self._raised = weakref.ref(error)
        try:
            raise error
        finally:
            del error  # or its traceback would keep it alive

    @property
    def status(self) -> int | None:
        """The exit status of a process that was told to end; None for another."""
        return None if self.told is None else 128 + self.told

    def obeyed(self) -> int | None:
        """Return `status`; a process that was told to end does from now on, and is not told again."""
        self._obeyed = self.told is not None
        return self.status

    def watch(self) -> None:
        """Wait for a signal in a thread of its own, and see to it that the main thread hears of it and ends."""
        while (number := self._sent()) is None:
            if self._ended.is_set():
                return
        if not self._heard():
            try:
                self._leave(128 + number)
            finally:
                os._exit(128 + number)
        while not self._ended.wait(_GLANCE):
            if self._raised is not None and self._raised() is None:  # a library has caught it, and goes on
                os.kill(self._process, number)

    @contextmanager
    def listen(self) -> Iterator[None]:
        """Let `watch` know of the signal before the main thread does, which may be long in a library."""
        told, tell = self._pipe
        os.set_blocking(tell, False)
        thread = threading.Thread(target=self.watch, daemon=True)
        thread.start()
        before = signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            self._ended.set()
            with suppress(BlockingIOError):  # it is awake already
                os.write(tell, b"\0")
            thread.join()
            os.close(tell)
            os.close(told)

    def _sent(self) -> int | None:
        return next((number for number in os.read(self._pipe[0], 64) if number in _SIGNALS), None)

    def _heard(self) -> bool:
        for _ in range(round(_PATIENCE / _GLANCE)):
            if self.told or self._ended.wait(_GLANCE):
                return True
        return self.told is not None


def _do_nothing(_status: int) -> None:
    """Leave as it is."""


@contextmanager
def end_on_signals(leave: Callable[[int], None] = _do_nothing) -> Iterator[Termination]:
    """Raise `Terminated` in the main thread at the first SIGTERM or SIGHUP, `Interrupted` at a SIGINT; the next do not disturb.

    It is raised again where a library has caught it. A main thread that does not come back from a library within seconds is
    ended with the whole process, after `leave`, which is called in another thread with the exit status. Forked children, which
    have no files of their own to remove, end by the signal itself. Whoever ignores a signal, as `nohup` does SIGHUP, goes on doing
    so, and in other threads than the main one, where Python takes no signals, nothing is changed.
    """
    termination = Termination(leave)
    if threading.current_thread() is not threading.main_thread() or os.name != "posix":
        yield termination
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    heard = [number for number in _SIGNALS if before[number] not in (signal.SIG_IGN, None)]
    complaints = sys.unraisablehook
    for number in heard:
        signal.signal(number, termination.handle)
    sys.unraisablehook = _quietly(complaints)
    try:
        with termination.listen():
            yield termination
    finally:
        sys.unraisablehook = complaints
        for number in heard:
            signal.signal(number, before[number])


def _quietly(hook: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A hook that leaves out an end that was asked for in a place that cannot pass it on: it is raised again."""

    def shown(unraisable: Any) -> None:
        if not isinstance(unraisable.exc_value, Terminated | Interrupted):
            hook(unraisable)

    return shown


def end_with(parent: int) -> None:
    """Send this process SIGTERM when the one that started it has ended, however that did."""
    own = os.getpid()

    def wait() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os.kill(own, signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


_masks = threading.local()


def _block() -> None:
    """Hold the signals off while a process forks: the child would tell the ear of its parent."""
    _masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)


def _unblock() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _masks.before)


def _forget() -> None:
    """Leave a forked child without the ear of its parent."""
    with suppress(ValueError):  # in another thread than the main one, which has none
        signal.set_wakeup_fd(-1)
    _unblock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_block, after_in_parent=_unblock, after_in_child=_forget)
