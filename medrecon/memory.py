"""How much memory is left, so that what cannot fit is refused before it is made."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from medrecon.errors import InputError

__all__ = ["available_memory", "memory_words", "require_memory"]

_GROUPS = Path("/sys/fs/cgroup")
_UNKNOWN = 2**63
_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB", "EB")


def available_memory() -> int:
    """The bytes that this process may still take: of the machine, of its control groups, and of its own limit (`ulimit -v`)."""
    return max(0, min(_of_machine(), _of_own_limit(), *_of_groups()))


def require_memory(what: str, n_bytes: int, remedy: str) -> None:
    """Refuse what takes more memory than there is, such as `what="800 views of 10 x 10 bins"`, with a remedy: what would fit.

    Raises
    ------
    InputError
        saying how much it takes, how much is left, and the remedy.
    """
    left = available_memory()
    if n_bytes > left:
        raise InputError(
            f"{what}: takes {memory_words(n_bytes)} of memory, and {memory_words(left)} are left; {remedy}"
        )


def memory_words(n_bytes: int) -> str:
    """Bytes in words, such as `3.2 GB`."""
    for power, unit in enumerate(_UNITS):
        if n_bytes < 1000 ** (power + 1):
            return f"{n_bytes} bytes" if power == 0 else f"{n_bytes / 1000**power:.3g} {unit}"
    return f"more than 1000 {_UNITS[-1]}"


def _of_machine() -> int:
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1])
    with suppress(AttributeError, OSError, ValueError):  # not on every system
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return _UNKNOWN


def _of_own_limit() -> int:
    try:
        import resource
    except ImportError:  # not on every system
        return _UNKNOWN
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return _UNKNOWN
    with suppress(OSError, ValueError):
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        return limit - pages * os.sysconf("SC_PAGE_SIZE")
    return limit


def _of_groups() -> Iterator[int]:
    """What is left in the group of this process and in those above it; caches of files give way, and do not count."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return
    for controllers, own in (line.split(":", 2)[1:] for line in lines):
        if controllers == "":
            yield from _left_in(_GROUPS, own, "memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            names = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
            yield from _left_in(_GROUPS / "memory", own, *names)


def _left_in(root: Path, own: str, limit: str, usage: str, cached: str) -> Iterator[int]:
    group = root / own.strip("/")
    for folder in (group, *group.parents):
        with suppress(OSError, ValueError):  # "max" is no number: there is no limit
            used = int((folder / usage).read_text(encoding="ascii"))
            stated = int((folder / limit).read_text(encoding="ascii"))
            counts = dict(line.split() for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines())
            yield stated - used + int(counts.get(cached, 0))
        if folder == root:
            return
