"""Locks of what is written over time, such as the folder of a run: a second process is refused, and told of the first."""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO

from medrecon.data.writers import Life, Writer, sweep, unfinished
from medrecon.documents import parse_json
from medrecon.errors import InputError

__all__ = ["hold", "hold_folder"]

_NAME = ".medrecon.lock"
_TAKEN = (errno.EACCES, errno.EAGAIN)
_held: dict[Path, int] = {}  # by which process: the system lets one process lock a file twice


@contextmanager
def hold_folder(folder: Path, doing: str) -> Iterator[None]:
    """Keep other processes from writing to a folder, which is made if need be, and gone again if it stays empty.

    Raises
    ------
    InputError
        See `hold`.
    """
    new = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with hold(folder / _NAME, str(folder), doing):
            sweep(folder)
            yield
    finally:
        with suppress(OSError):  # of one that is not empty
            for one in new:
                one.rmdir()


@contextmanager
def hold(path: Path, name: str, doing: str) -> Iterator[None]:
    """Hold the lock in the file `path`, of what is called `name`, while this process is `doing` something, such as "training".

    It is one of the system's (POSIX) on the file, which is known to other machines on network file systems that know locks, is not
    passed on to children, and ends with the process however that ends. Where there are no such locks the process that the file
    names must be dead. The file is removed in the end.

    Raises
    ------
    InputError
        If another process holds it; the text names that process and its machine.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    real = path.parent.resolve() / path.name
    if _held.get(real) == os.getpid():
        raise InputError(f"{name}: this process is at work there already; wait for it, or end it")
    file = _locked(real, name)
    _held[real] = os.getpid()
    try:
        with unfinished(real):
            _sign(file, doing)
            yield
    finally:
        del _held[real]
        file.close()


def _locked(path: Path, name: str) -> IO[bytes]:
    while True:
        file = path.open("a+b", buffering=0)
        try:
            _lock(file, name)
            with suppress(FileNotFoundError):  # the one who held it may have removed it between
                if path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                    return file
        except BaseException:
            file.close()
            raise
        file.close()


def _lock(file: IO[bytes], name: str) -> None:
    try:
        import fcntl

        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError) as error:
        holder = _holder(file)
        if isinstance(error, OSError) and error.errno in _TAKEN:
            raise InputError(f"{name}: {_words(holder)}; wait for it, or end it") from error
        writer = Writer.parse(str(holder.get("mark")))  # of a file system without locks
        if writer is not None and writer != Writer.here() and writer.life is not Life.DEAD:
            raise InputError(
                f"{name}: {_words(holder)}; wait for it, or, where it has ended, remove {Path(file.name)}"
            ) from error


def _sign(file: IO[bytes], doing: str) -> None:
    file.truncate(0)
    since = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")
    text = {"doing": doing, "process": os.getpid(), "host": socket.gethostname(), "since": since}
    file.write(json.dumps({**text, "mark": Writer.here().mark}).encode())


def _holder(file: IO[bytes]) -> dict[str, object]:
    """What the one who holds a lock wrote into it; nothing while it has not yet."""
    try:
        file.seek(0)
        found = parse_json(file.read(4096), file.name)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _words(holder: dict[str, object]) -> str:
    if not {"process", "host", "doing", "since"} <= holder.keys():
        return "another process is at work there"
    return f"process {holder['process']} on {holder['host']} is {holder['doing']} there since {holder['since']}"
