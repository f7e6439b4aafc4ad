"""Several processes of one command on this machine, which find each other as those of `torchrun` do."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from operator import methodcaller
from types import FrameType
from typing import IO

from medrecon.commands.processors import processors

__all__ = ["launch"]

_GRACE_SECONDS = 10.0
_BAD_INPUT = 2


def launch(arguments: Sequence[str], count: int) -> int:
    """Run `medrecon ARGUMENTS` in so many processes, and return 0, or the exit status of the one that said what failed.

    When one fails the others are ended, and so are all when this process is told to end (SIGTERM). The first process says what
    there is to say; where another one knows better what was wrong, its complaints are shown, too.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    threads = max(1, processors() // count)
    shared = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
    }
    environment = {"OMP_NUM_THREADS": str(threads), **os.environ, **shared}
    with ExitStack() as stack:
        complaints = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(1, count)]
        children: list[subprocess.Popen[bytes]] = []
        stack.callback(_end, children)
        stack.enter_context(_pass_sigterm_on(children))
        for rank, stderr in enumerate([None, *complaints]):
            own = {**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)}
            children.append(subprocess.Popen([sys.executable, "-m", "medrecon", *arguments], env=own, stderr=stderr))
        failed = _wait(children)
        killed = next((rank for rank, child in enumerate(children) if child.poll() == -signal.SIGKILL), None)
        _end(children)
        if failed is None:
            return 0
        # Of processes that wait for each other, one may be cut off by the end of the one that knows why: that of a bad input.
        order = (0, failed, *range(count))
        knowing = [rank for rank in order if children[rank].returncode == _BAD_INPUT]
        said = next((rank for rank in (*knowing, *order) if children[rank].returncode > 0), failed)
        if said > 0:
            _show(complaints[said - 1])
        if killed is not None and not knowing:
            what = f"process {killed} of {count} was killed from outside, by a lack of memory perhaps"
            sys.stderr.write(f"medrecon: error: {what}; what was saved stays, and --resume goes on\n")
        status = children[said].returncode
        return status if status > 0 else 1


@contextmanager
def _pass_sigterm_on(children: Sequence[subprocess.Popen[bytes]]) -> Iterator[None]:
    """Pass SIGTERM on to the children, who say that they were told to end, and leave as it asks."""

    def leave(number: int, _frame: FrameType | None) -> None:
        for child in children:
            child.terminate()
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _wait(children: Sequence[subprocess.Popen[bytes]]) -> int | None:
    """Wait until all have ended well, or one has not: the number of that one."""
    while True:
        statuses = [child.poll() for child in children]
        failed = next((rank for rank, status in enumerate(statuses) if status not in (None, 0)), None)
        if failed is not None or None not in statuses:
            return failed
        time.sleep(0.05)


def _end(children: Sequence[subprocess.Popen[bytes]]) -> None:
    """Let the rest see what happened, and end those that do not, if need be without asking."""
    for end in (methodcaller("terminate"), methodcaller("kill")):
        deadline = time.monotonic() + _GRACE_SECONDS
        for child in children:
            try:
                child.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                end(child)
    for child in children:
        child.wait()


def _show(complaint: IO[bytes]) -> None:
    complaint.seek(0)
    sys.stderr.write(complaint.read().decode("utf-8", "replace"))
