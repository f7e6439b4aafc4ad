"""Where data sets lie on this machine, and how a folder appears there whole or not at all."""

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import platformdirs

from medrecon.errors import InputError

__all__ = [
    "cache_root",
    "dataset_folder",
    "dataset_home",
    "downloads_folder",
    "publish",
    "require_space",
    "sha256_of",
    "staging_folder",
]

_CHUNK = 1 << 20
_STALE_SECONDS = 24 * 3600.0


def cache_root() -> Path:
    """Return the folder of all data: ``$MEDRECON_DATA`` where it is set, else the user's cache folder."""
    chosen = os.environ.get("MEDRECON_DATA", "").strip()
    return Path(chosen).expanduser().absolute() if chosen else platformdirs.user_cache_path("medrecon")


def dataset_home(name: str) -> Path:
    """Return the folder that holds the data set `name` and the note about where it came from."""
    return cache_root() / "sets" / name


def dataset_folder(name: str) -> Path:
    """Return where the files of the data set `name` lie, or would lie; nothing else lies there."""
    return dataset_home(name) / "data"


def downloads_folder() -> Path:
    """Return the folder of archives as they came, whole or in part; it is made if need be."""
    return _made(cache_root() / "downloads")


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot make this folder ({error.strerror}); set MEDRECON_DATA to another"
        ) from error
    return folder


@contextmanager
def staging_folder(name: str) -> Iterator[Path]:
    """Give an empty folder beside the data sets, on the same disk, that is gone afterwards unless it was published."""
    sets = _made(dataset_home(name).parent)
    for old in sets.glob(".staging-*"):  # left behind by a process that was killed
        with suppress(OSError):
            if time.time() - old.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(old)
    folder = Path(tempfile.mkdtemp(prefix=f".staging-{name}-", dir=sets))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def publish(staging: Path, folder: Path) -> None:
    """Put the finished folder `staging` in the place of `folder`, whatever lay there before."""
    if folder.exists():
        aside = Path(tempfile.mkdtemp(prefix=f".staging-{folder.name}-", dir=folder.parent))
        folder.rename(aside / "old")
        staging.rename(folder)
        shutil.rmtree(aside, ignore_errors=True)
    else:
        staging.rename(folder)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def require_space(folder: Path, needed: int) -> None:
    """Refuse, before anything is written, what does not fit on the disk of `folder`; `needed` is in bytes."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(
            f"{folder}: {needed / 1e6:.0f} MB are needed and {free / 1e6:.0f} MB are free; "
            "make room, or set MEDRECON_DATA to a folder on another disk"
        )
