"""Where data sets lie on this machine, and how a folder appears there whole or not at all."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from medrecon.data.locks import hold
from medrecon.data.writers import sweep, temporary_name, unfinished
from medrecon.errors import InputError

__all__ = [
    "cache_root",
    "dataset_folder",
    "dataset_home",
    "downloads_folder",
    "publish",
    "require_space",
    "sha256_of",
    "sole_fetch",
    "staging_folder",
]

_CHUNK = 1 << 20


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
    sweep(sets)
    folder = sets / temporary_name(f"staging-{name}")
    with unfinished(folder):
        folder.mkdir(mode=0o700)
        yield folder


@contextmanager
def sole_fetch(name: str) -> Iterator[None]:
    """Let one process alone get the data set `name`.

    Raises
    ------
    InputError
        If another is getting it.
    """
    with hold(downloads_folder() / f".{name}.medrecon.lock", name, "getting it"):
        yield


def publish(staging: Path, folder: Path) -> None:
    """Put the finished folder `staging` in the place of `folder`, whatever lay there before."""
    if folder.exists():
        aside = folder.parent / temporary_name(f"staging-{folder.name}")
        with unfinished(aside):
            folder.rename(aside)
            try:
                staging.rename(folder)
            except BaseException:
                aside.rename(folder)
                raise
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
