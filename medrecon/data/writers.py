"""Which process is writing: a name for it that others can check, so that what the dead left behind is removed."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path

__all__ = ["Life", "Writer", "remove_unfinished", "sweep", "temporary_name", "unfinished"]

_OLD_SECONDS = 7 * 24 * 3600.0  # what a writer on another machine has not touched for so long, it has left behind
_MARK = re.compile(r"\.(?P<host>[0-9a-f]{8})-(?P<pid>[0-9]+)-(?P<start>[0-9]+)-[0-9a-f]{8}")
_TEMPORARY = re.compile(rf"\..*{_MARK.pattern}(\.[^.]*)?", re.DOTALL)
_LONGEST_NAME, _LONGEST_SUFFIX = 120, 20  # bytes, of the 255 that a name may have
_unfinished: set[Path] = set()


class Life(Enum):
    """What is known of a writer from here."""

    ALIVE = "alive"
    DEAD = "dead"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Writer:
    """A process: a hash of its machine, since that was started, and container; its number; when it began, in clock ticks."""

    host: str
    pid: int
    start: int

    @classmethod
    def here(cls) -> Writer:
        """The process that asks."""
        stood = _stat(os.getpid())
        return cls(_host(), os.getpid(), stood.start if stood else 0)

    @classmethod
    def parse(cls, text: str) -> Writer | None:
        """The writer of a text that holds a mark, `.HOST-PID-START-TOKEN`; None of any other."""
        marks = list(_MARK.finditer(text))
        return cls(marks[-1]["host"], int(marks[-1]["pid"]), int(marks[-1]["start"])) if marks else None

    @property
    def mark(self) -> str:
        """What `parse` reads, another one each time."""
        return f".{self.host}-{self.pid}-{self.start}-{secrets.token_hex(4)}"

    @property
    def life(self) -> Life:
        """Whether it is alive; unknown on another machine, in another container, or before this machine was started."""
        if self.host != _host() or os.name != "posix":
            return Life.UNKNOWN
        if (stood := _stat(self.pid)) is not None:
            return Life.ALIVE if stood.start == self.start and stood.state not in "ZX" else Life.DEAD
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return Life.DEAD
        except OSError:
            return Life.ALIVE
        return Life.ALIVE


@dataclass(frozen=True)
class _Stood:
    """What the system says of a process."""

    state: str
    start: int


def temporary_name(name: str, suffix: str = "") -> str:
    """A hidden name for what is to become `name`, which says who writes it; writers that go by the suffix find it at the end."""
    short = os.fsdecode(os.fsencode(name)[:_LONGEST_NAME])
    return f".{short}{Writer.here().mark}{os.fsdecode(os.fsencode(suffix)[:_LONGEST_SUFFIX])}"


def sweep(folder: Path) -> None:
    """Remove the temporary files and folders that writers who are dead left in a folder; once in the life of a process.

    Those of a living process stay, and so do those of another machine or container, of which nothing is known from here, until
    they are a week old. Nothing else is touched.
    """
    _sweep(folder, os.getpid())


@cache
def _sweep(folder: Path, _process: int) -> None:
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _TEMPORARY.fullmatch(entry.name) and _is_left(Path(entry.path)):
                _remove(Path(entry.path))


@contextmanager
def unfinished(path: Path) -> Iterator[None]:
    """Remove a file or folder at the end, and where the process has to leave before, if it is there still."""
    _unfinished.add(path)
    try:
        yield
    finally:
        _remove(path)
        _unfinished.discard(path)


def remove_unfinished() -> None:
    """Remove all that this process has not finished: for one that has to leave where it stands."""
    for path in tuple(_unfinished):
        _remove(path)


def _is_left(path: Path) -> bool:
    writer = Writer.parse(path.name)
    if writer is None or writer.life is Life.ALIVE:
        return False
    try:
        return writer.life is Life.DEAD or time.time() - path.lstat().st_mtime > _OLD_SECONDS
    except OSError:
        return False


def _remove(path: Path) -> None:
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


@cache
def _host() -> str:
    """Eight digits for this machine since it was started, and the container: numbers of processes mean the same within."""
    facts = [socket.gethostname()]
    for read in (_boot, _namespace):
        with suppress(OSError):
            facts.append(read())
    return hashlib.blake2b(" ".join(facts).encode("utf-8", "replace"), digest_size=4).hexdigest()


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _namespace() -> str:
    return str(Path("/proc/self/ns/pid").stat().st_ino)


def _stat(pid: int) -> _Stood | None:
    """The state of a process and when it began, in clock ticks after the machine; None where nobody can tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return _Stood(fields[0].decode(), int(fields[19]))
    except (OSError, IndexError, ValueError):
        return None
