"""How much memory this process can still take."""

import mmap
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from medrecon.errors import InputError
from medrecon.words import sized

__all__ = ["available_memory", "require_memory"]

_UNKNOWN = 2**62
_SMALL = 2**28  # bytes that are taken without asking
_VERSION_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes")


def available_memory() -> int:
    """Count the bytes that can still be taken: the least of what the machine has free, and of what limits on the process leave.

    Limits are those of its control group and of its address space (`ulimit -v`). Where a system tells nothing, as outside of Linux,
    there is no limit but the last.
    """
    return max(0, min(_of_machine(), _of_group(), _of_address_space()))


def require_memory(size: int, who: str, fits: Callable[[int], str] | None = None) -> None:
    """Refuse what takes more memory than there is: `who`, as the sentence begins, takes `size` bytes.

    `fits` says of so many bytes that are free what would fit in them.

    Raises
    ------
    InputError
        If it does not fit.
    """
    if size < _SMALL or size <= (free := available_memory()):
        return
    would = "" if fits is None else f"{fits(free)}; "
    raise InputError(
        f"{who} takes {sized(size)} of memory, and {sized(free)} are free; {would}close other programs, or take a machine with more"
    )


def _of_machine() -> int:
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", _text(Path("/proc/meminfo")), re.MULTILINE)
    return int(found[1]) * 1024 if found else _UNKNOWN


def _of_group() -> int:
    """What the control group leaves, of version 2 or 1; the cache of files is counted as free, as the kernel gives it up."""
    groups = re.findall(r"^\d+:(memory|):/(.*)$", _text(Path("/proc/self/cgroup")), re.MULTILINE)
    left = _UNKNOWN
    for controller, name in groups:
        root = Path("/sys/fs/cgroup") / controller
        largest, used = ("memory.max", "memory.current") if not controller else _VERSION_1
        folder = root / name
        for place in (folder, *folder.parents):
            if not place.is_relative_to(root):
                break
            limit, taken = _text(place / largest).strip(), _text(place / used).strip()
            if limit.isdigit() and taken.isdigit() and int(limit) < _UNKNOWN:
                cache = re.search(r"^(?:total_)?inactive_file (\d+)$", _text(place / "memory.stat"), re.MULTILINE)
                left = min(left, int(limit) - int(taken) + (int(cache[1]) if cache else 0))
    return left


def _of_address_space() -> int:
    try:
        import resource  # of POSIX alone
    except ImportError:
        return _UNKNOWN
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    sizes = _text(Path("/proc/self/statm")).split()
    if limit == resource.RLIM_INFINITY or not sizes:
        return _UNKNOWN
    return limit - int(sizes[0]) * mmap.PAGESIZE


def _text(path: Path) -> str:
    with suppress(OSError):
        return path.read_text(encoding="ascii", errors="replace")
    return ""
