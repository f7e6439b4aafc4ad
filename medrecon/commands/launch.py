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
from pathlib import Path

from medrecon.commands.console import COMPLAIN_TO, complain
from medrecon.commands.processors import processors
from medrecon.commands.statuses import USER_ERROR
from medrecon.commands.termination import Terminated, end_on_signals
from medrecon.data.writers import sweep, temporary_name, unfinished

__all__ = ["LAUNCHED_BY", "launch"]

#: The variable of the environment of each process that says which one started it, to end when that does.
LAUNCHED_BY = "MEDRECON_LAUNCHED_BY"
_GRACE_SECONDS = 10.0


def launch(arguments: Sequence[str], count: int) -> int:
    """Run `medrecon ARGUMENTS` in so many processes, and return 0, or the exit status of the one that said what failed.

    When one fails the others are ended, and so are all when this process is told to end. The notes shown are those
    of the first process, and the complaint that of the one that knows what was wrong.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    threads = max(1, processors() // count)
    shared = {
        LAUNCHED_BY: str(os.getpid()),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
    }
    # What its processes have to say of lost connections stays unsaid: of one error, one line.
    environment = {"OMP_NUM_THREADS": str(threads), "TORCH_CPP_LOG_LEVEL": "FATAL", **os.environ, **shared}
    with ExitStack() as stack:
        folder = stack.enter_context(_folder_of_complaints())
        complaints = [folder / str(rank) for rank in range(count)]
        children: list[subprocess.Popen[bytes]] = []
        stack.callback(_end, children)
        stack.enter_context(_pass_the_end_on(children))
        for rank, complaint in enumerate(complaints):
            own = {**environment, COMPLAIN_TO: str(complaint), "RANK": str(rank), "LOCAL_RANK": str(rank)}
            stderr = None if rank == 0 else stack.enter_context(complaint.open("ab"))
            children.append(subprocess.Popen([sys.executable, "-m", "medrecon", *arguments], env=own, stderr=stderr))
        failed = _wait(children)
        killed = next((rank for rank, child in enumerate(children) if child.poll() == -signal.SIGKILL), None)
        _end(children)
        if failed is None:
            return 0
        # Of processes that wait for each other, one may be cut off by the end of the one that knows why: that of a bad input.
        order = (failed, *range(count))
        knowing = [rank for rank in order if children[rank].returncode == USER_ERROR]
        said = next((rank for rank in (*knowing, *order) if children[rank].returncode > 0), failed)
        if killed is None or knowing:
            _show(complaints[said])
        else:
            what = f"process {killed} of {count} was killed from outside, by a lack of memory perhaps"
            complain(f"{what}; what was saved stays, and --resume goes on")
        status = children[said].returncode
        return status if status > 0 else 1


@contextmanager
def _folder_of_complaints() -> Iterator[Path]:
    """Give a folder for temporary files, and remove those that were left where this process was killed before."""
    temporary = Path(tempfile.gettempdir())
    sweep(temporary)
    folder = temporary / temporary_name("medrecon")
    with unfinished(folder):
        folder.mkdir(mode=0o700)
        yield folder


@contextmanager
def _pass_the_end_on(children: Sequence[subprocess.Popen[bytes]]) -> Iterator[None]:
    """Pass SIGTERM and SIGHUP on to the children, who say that they were told to end, and leave as it asks."""
    with end_on_signals():
        try:
            yield
        except Terminated:
            for child in children:
                child.terminate()
            raise


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


def _show(complaint: Path) -> None:
    if complaint.exists():
        sys.stderr.write(complaint.read_text("utf-8", "replace"))
