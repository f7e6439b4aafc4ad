"""Write folders whole or not at all: through a temporary one beside them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from medrecon.data.writers import sweep, temporary_name, unfinished
from medrecon.data.writing import reason_unwritten
from medrecon.errors import InputError

__all__ = ["atomic_folder"]

_OURS = re.compile(r"[0-9]+\.dcm")


@contextmanager
def atomic_folder(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """Give a temporary folder beside `path`, and move it into place when the block ends well.

    On any exception the temporary folder is removed, with all in it, and `path` is as it was. With `overwrite` a folder is
    replaced that holds nothing but numbered DICOM files, as `write_dicom` names them; one that is empty is taken in any case.

    Raises
    ------
    InputError
        If `path` exists and may not be replaced, or cannot be written; or if the disk is full.
    """
    final = Path(os.path.realpath(path))
    temporary = final.parent / temporary_name(final.name)
    try:
        _require_replaceable(Path(path), final, overwrite)
        sweep(final.parent)
        with unfinished(temporary):
            temporary.mkdir()
            yield temporary
            _require_replaceable(Path(path), final, overwrite)
            _replace(temporary, final)
    except OSError as error:
        ours = error.filename is None or Path(error.filename).is_relative_to(temporary) or error.filename == str(final)
        if ours and (reason := reason_unwritten(error)):
            raise InputError(f"{path}: {reason}; it was not written") from error
        raise


def _replace(temporary: Path, final: Path) -> None:
    """Move a folder to where another may lie, which is set aside first, and put back if that fails."""
    if not final.exists():
        temporary.rename(final)
        return
    old = final.parent / temporary_name(final.name)
    with unfinished(old):
        final.rename(old)
        try:
            temporary.rename(final)
        except OSError:
            with suppress(OSError):
                old.rename(final)
            raise


def _require_replaceable(path: Path, final: Path, overwrite: bool) -> None:
    if not final.parent.is_dir():
        raise InputError(f"{path}: its folder {final.parent} does not exist; create it first")
    if not final.exists():
        return
    if not final.is_dir():
        raise InputError(f"{path}: is a file, and a folder is written; give another name")
    others = [entry.name for entry in final.iterdir() if not _OURS.fullmatch(entry.name)]
    if others:
        raise InputError(f"{path}: holds {others[0]}, which is none of our DICOM files; name a new or an empty folder")
    if not overwrite and any(final.iterdir()):
        raise InputError(f"{path}: holds DICOM files already; give --overwrite to replace them, or another name")
