"""The one door for foreign data: whatever the library of a format raises becomes one line that says where and what to do."""

import errno
import logging
import os
import threading
import warnings
from types import TracebackType

from medrecon.errors import InputError
from medrecon.words import shortened, sized

__all__ = ["reading", "require_few_slices", "require_held"]

_TALKATIVE = tuple(map(logging.getLogger, ("nibabel.global", "pydicom", "tifffile")))  # they print on standard error
_MOST_SLICES = 1_000_000
_SMALL, _MOST_PACKED = 2**24, 1100  # bytes; deflate packs 1032 times at most
_LARGE, _LARGE_PACKED = 2**29, 100  # bytes
_BY_NUMBER = {
    errno.ENOENT: "does not exist; check its name",
    errno.ENOTDIR: "does not exist; check its name",
    errno.EISDIR: "is a folder; name a file in it",
    errno.EACCES: "may not be read; change its permissions",
    errno.EPERM: "may not be read; change its permissions",
    errno.ENAMETOOLONG: "its name is too long; check it",
    errno.ELOOP: "is a link that leads back to itself; name the file",
}


class _Silence:
    """Leaves out what libraries warn of and log from the first of the blocks that are open together, in any thread, to the last."""

    def __init__(self) -> None:
        self._lock, self._depth = threading.Lock(), 0

    def begin(self) -> None:
        with self._lock:
            self._depth += 1
            if self._depth == 1:
                self._disabled = [logger.disabled for logger in _TALKATIVE]
                self._warnings = warnings.catch_warnings(action="ignore")
                self._warnings.__enter__()
                for logger in _TALKATIVE:
                    logger.disabled = True

    def end(self) -> None:
        with self._lock:
            self._depth -= 1
            if self._depth == 0:
                for logger, was in zip(_TALKATIVE, self._disabled, strict=True):
                    logger.disabled = was
                self._warnings.__exit__(None, None, None)


_silence = _Silence()


class reading:  # noqa: N801, it is read as a verb
    """Read something of a file that others wrote: `what` says in a few words which part, `remedy` what to do if it cannot be.

    ``with reading(path, "`kspace`"): values = data[3]``. What the libraries of formats warn of and log is left out. Only what reads
    and decodes belongs inside, as a fault of our own would be taken for one of the file.

    Raises
    ------
    InputError
        For any exception but an `InputError`, which passes: ``PATH: WHAT cannot be read, and may be ... (REASON); REMEDY``.
    """

    def __init__(self, path: str | os.PathLike[str], what: str, remedy: str = "copy or export it again") -> None:
        self._path, self._what, self._remedy = path, what, remedy

    def __enter__(self) -> None:
        _silence.begin()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _silence.end()
        if isinstance(error, Exception) and not isinstance(error, InputError):  # libraries let through whatever happens
            raise InputError(f"{self._path}: {self._reason(error)}") from error

    def _reason(self, error: Exception) -> str:
        if isinstance(error, MemoryError):
            return f"{self._what} takes more memory than there is; close other programs, or take a machine with more"
        if isinstance(error, OSError) and error.errno in _BY_NUMBER:
            return _BY_NUMBER[error.errno]
        reason = shortened(error, 160) or type(error).__name__
        return f"{self._what} cannot be read, and may be damaged or cut short ({reason}); {self._remedy}"


def require_held(who: str, stated: int, held: int) -> None:
    """Refuse an array of `stated` bytes of which a file holds only `held`, packed: `who` begins the sentence.

    No packing of formats makes more than a thousandth of anything, and none a hundredth of a large measurement.

    Raises
    ------
    InputError
        If it is so packed: it was never written, or is there to fill the memory.
    """
    if (stated > _SMALL and stated > _MOST_PACKED * held) or (stated > _LARGE and stated > _LARGE_PACKED * held):
        raise InputError(
            f"{who}, {sized(stated)}, of which the file holds {sized(held)}: it was never written, or is no measurement; export it "
            "again"
        )


def require_few_slices(who: str, count: int) -> None:
    """Refuse more slices than any scan has, which would all be looped over: `who` begins the sentence.

    Raises
    ------
    InputError
        If there are as many.
    """
    if count > _MOST_SLICES:
        raise InputError(f"{who}, and at most {_MOST_SLICES} slices are taken; divide the file")
