"""The one door for foreign data: whatever the library of a format raises becomes one line that says where and what to do."""

import errno
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from medrecon.errors import InputError
from medrecon.words import shortened, sized

__all__ = ["reading", "require_held"]

_TALKATIVE = tuple(map(logging.getLogger, ("nibabel.global", "pydicom")))  # they print on standard error
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


@contextmanager
def reading(path: str | os.PathLike[str], what: str, remedy: str = "copy or export it again") -> Iterator[None]:
    """Read something of a file that others wrote: `what` says in a few words which part, `remedy` what to do if it cannot be.

    ``with reading(path, "`kspace`"): values = data[3]``. What the libraries of formats warn of and log is left out. Only what reads
    and decodes belongs inside, as a fault of our own would be taken for one of the file.

    Raises
    ------
    InputError
        For any exception but an `InputError`, which passes: ``PATH: WHAT cannot be read, and may be ... (REASON); REMEDY``.
    """
    try:
        with _silenced():
            yield
    except InputError:
        raise
    except MemoryError as error:
        raise InputError(
            f"{path}: {what} takes more memory than there is; close other programs, or take a machine with more"
        ) from error
    except OSError as error:
        raise InputError(f"{path}: {_BY_NUMBER.get(error.errno or 0) or _unreadable(what, error, remedy)}") from error
    except Exception as error:  # the libraries let through whatever a damaged file leads to
        raise InputError(f"{path}: {_unreadable(what, error, remedy)}") from error


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


def _unreadable(what: str, error: Exception, remedy: str) -> str:
    reason = shortened(error, 160) or type(error).__name__
    return f"{what} cannot be read, and may be damaged or cut short ({reason}); {remedy}"


@contextmanager
def _silenced() -> Iterator[None]:
    before = [logger.disabled for logger in _TALKATIVE]
    try:
        for logger in _TALKATIVE:
            logger.disabled = True
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, was in zip(_TALKATIVE, before, strict=True):
            logger.disabled = was
