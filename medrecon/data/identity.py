"""A file is the same one from the first thing that is read of it to the last."""

import os
from pathlib import Path

from medrecon.data.foreign import reading
from medrecon.errors import ChangedError

__all__ = ["SameFiles"]


class SameFiles:
    """The files that a run reads, each as it was when it was seen first: its device, inode, size and time of change."""

    def __init__(self) -> None:
        self._seen: dict[Path, tuple[int, int, int, int]] = {}

    def require(self, path: Path, handle: int | None = None) -> int:
        """Make sure that a file is what it was, and return its size in bytes; `handle` is that by which it is open, if it is.

        Raises
        ------
        ChangedError
            If another file lies there now, or this one has another size or time.
        InputError
            If it is not there any more.
        """
        try:
            now = path.stat() if handle is None else os.fstat(handle)
        except OSError:
            with reading(path, "it"):
                raise
        identity = (now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns)
        before = self._seen.setdefault(path, identity)
        if before != identity:
            how = "replaced by another" if before[:2] != identity[:2] else "written to"
            size = "" if before[2] == now.st_size else f", from {before[2]} bytes to {now.st_size}"
            raise ChangedError(f"{path}: was {how} while it was read{size}; wait until it is whole, and start again")
        return now.st_size

    def require_all(self) -> None:
        """Make sure of all files that were seen.

        Raises
        ------
        InputError
            As `require`.
        """
        for path in tuple(self._seen):
            self.require(path)
