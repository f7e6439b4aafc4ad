"""Cases run one after the other in this process, or by many on Dask."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self, TypeVar

from medrecon.benchmark.cases import (
    Case,
    Group,
    Picture,
    failed_picture,
    failed_row,
    run_group,
    run_pictures,
)
from medrecon.benchmark.rows import Row
from medrecon.errors import InputError

__all__ = ["Workers"]

T = TypeVar("T")
_Work = Callable[[Sequence[Case], int | None], Iterator[T]]

_HERE = "127.0.0.1"  # where all listens, so that nobody on the network can send work
_PATIENCE = "20s"  # for a scheduler to answer
_KILLED = "its worker was killed, twice: by a lack of memory, perhaps; take fewer --workers, or a machine with more"
_DEAF = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"  # Ctrl-C is for us: we end the workers
_LOGGERS = (
    "distributed",
    "distributed.nanny",
    "distributed.scheduler",
    "distributed.worker",
    "distributed.core",
    "tornado",
)
_OPTIONS = {
    "distributed.scheduler.allowed-failures": 0,  # we try again ourselves, a case at a time
    **{f"distributed.worker.memory.{what}": False for what in ("target", "spill", "pause", "terminate")},
    # Dask's own has glibc give memory back at every turn, which slows work on large arrays
    "distributed.nanny.pre-spawn-environ": {f"{library}_NUM_THREADS": 1 for library in ("OMP", "MKL", "OPENBLAS")},
}


class Workers:
    """Where cases are run; a context manager, at whose end processes that were started end.

    Parameters
    ----------
    count
        processes on this machine; 0 runs all in this one, without Dask.
    threads
        of each; None leaves what there is.
    scheduler
        the address of a Dask scheduler whose workers are taken, in place of those on this machine; they need medrecon, and the
        data at the same paths.
    """

    def __init__(self, count: int, threads: int | None = None, scheduler: str | None = None) -> None:
        self.count, self.threads, self.scheduler = count, threads, scheduler
        self._stack = ExitStack()
        self._client: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._client = None
        self._stack.close()

    def run(self, groups: Sequence[Group]) -> Iterator[Row]:
        """Run all, and yield rows as they come, those of a group together.

        When a worker dies, the cases that it had are run once more at the end, one after the other; one that kills another worker
        is a failed row.

        Raises
        ------
        InputError
            If Dask is not installed, or the scheduler does not answer.
        """
        return self._run(groups, run_group, failed_row)

    def run_pictures(self, groups: Sequence[Group]) -> Iterator[Picture]:
        """Run all for their images alone; see `run`."""
        return self._run(groups, run_pictures, failed_picture)

    def _run(self, groups: Sequence[Group], work: _Work[T], failed: Callable[[Case, str], T]) -> Iterator[T]:
        if self.count == 0 and self.scheduler is None:
            for group in groups:
                yield from work(group, self.threads)
            return
        if self._client is None:
            self._client = _connect(self, self._stack)
        yield from self._run_on(self._client, groups, work, failed)

    def _run_on(
        self, client: Any, groups: Sequence[Group], work: _Work[T], failed: Callable[[Case, str], T]
    ) -> Iterator[T]:
        from distributed import as_completed

        def send(group: Group) -> Any:
            return client.submit(_listed, work, group, self.threads, pure=False, retries=0)

        sent = {send(group): group for group in groups}
        suspects: list[Case] = []
        for future in as_completed(list(sent)):
            group = sent.pop(future)
            rows = _rows(future, group, failed)
            if rows is None:
                suspects += group
            else:
                yield from rows
        for case in suspects:  # alone, since what waits for a worker that dies is lost with it
            rows = _rows(send((case,)), (case,), failed)
            yield from [failed(case, _KILLED)] if rows is None else rows


def _rows(future: Any, group: Group, failed: Callable[[Case, str], T]) -> list[T] | None:
    """What became of a group, or None where its worker was killed."""
    from distributed import KilledWorker

    try:
        rows: list[T] = future.result()
    except KilledWorker:
        return None
    except Exception as error:  # of Dask, or of a worker that lacks medrecon
        reason = f"a worker could not run it: {type(error).__name__}: {error}"
        return [failed(case, reason) for case in group]
    return rows


def _listed(work: _Work[T], group: Sequence[Case], threads: int | None) -> list[T]:
    """All of a group at once: what a worker is sent."""
    return list(work(group, threads))


def _connect(workers: Workers, stack: ExitStack) -> Any:
    """A client of the scheduler, or of processes of our own; the stack closes both."""
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise InputError(
            "several workers take the package `distributed`: `pip install distributed`, or give --workers 0"
        ) from error
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what goes wrong is told in rows
    stack.enter_context(dask.config.set(_OPTIONS))
    if workers.scheduler is None:
        cluster = LocalCluster(
            n_workers=workers.count,
            threads_per_worker=1,
            processes=True,
            host=_HERE,
            dashboard_address=f"{_HERE}:0",
            worker_dashboard_address=f"{_HERE}:0",
            security=_security(),
            silence_logs=logging.CRITICAL,
            preload=[_DEAF],
        )
        stack.enter_context(cluster)
        return stack.enter_context(Client(cluster))
    try:
        client = stack.enter_context(Client(workers.scheduler, timeout=_PATIENCE))
    except (OSError, ValueError, RuntimeError, TypeError) as error:  # the last two without certificates for tls://
        raise InputError(
            f"--scheduler {workers.scheduler}: does not answer ({' '.join(str(error).split())}); start one by `dask scheduler`, "
            "and workers by `dask worker ADDRESS`, or leave it out"
        ) from error
    try:
        client.wait_for_workers(1, timeout=_PATIENCE)
    except TimeoutError as error:
        raise InputError(
            f"--scheduler {workers.scheduler}: has no workers; start some by `dask worker {workers.scheduler}`"
        ) from error
    return client


def _security() -> Any:
    """Certificates for this run alone, where `cryptography` is there to make them: other users of this machine cannot send work."""
    from distributed.security import Security

    try:
        return Security.temporary()
    except ImportError:
        return None
