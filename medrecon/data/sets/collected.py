"""The files of collections: downloaded from where they were published, or taken from a packed form on this machine."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from medrecon.data.foreign import reading
from medrecon.data.sets.cache import sha256_of
from medrecon.data.sets.download import download
from medrecon.data.sets.manifest import CollectedFile, Collection, CollectionSource
from medrecon.errors import InputError
from medrecon.progress import Progress, silent

__all__ = ["Collected", "downloaded", "unpacked"]


@dataclass(frozen=True)
class Collected:
    """A file of a collection, and what is there of it: the file itself, or the array of its values in the packed form."""

    collection: Collection
    file: CollectedFile
    content: Path | NDArray[np.generic]

    @property
    def subject(self) -> str:
        """The person, told from those of other collections."""
        return f"{self.collection.name}-{self.file.person}"

    def __str__(self) -> str:
        return f"{self.collection.name}/{self.file.path}"


def downloaded(source: CollectionSource, folder: Path, progress: Progress = silent) -> list[Collected]:
    """Download all files of a source into `folder`, or go on where an earlier try stopped.

    Raises
    ------
    InputError
        If one cannot be obtained, or is not what was promised (see `download`).
    """
    pairs = [(collection, file) for collection in source.collections for file in collection.files]
    done = []
    for number, (collection, file) in enumerate(pairs):
        progress(f"{collection.name}: {PurePosixPath(file.path).name}", number, len(pairs))
        remote = collection.remote(file)
        done.append(Collected(collection, file, download(remote, folder / remote.name)))
    return done


def unpacked(source: CollectionSource, folder: Path, progress: Progress = silent) -> Iterator[Collected]:
    """Give all files of a source from the packed form in `folder`; every file of it is verified before it is opened.

    Raises
    ------
    InputError
        If a file is not there, is not the one that the manifest names, or lacks an array.
    """
    for collection in source.collections:
        for name, sha256 in collection.archives.items():
            progress(f"verifying {collection.name}/{name}", 0, 0)
            _verify(folder / collection.name / name, sha256)
        for file in collection.files:
            yield Collected(collection, file, _unpacked(folder / collection.name, file))


def _unpacked(folder: Path, file: CollectedFile) -> Path | NDArray[np.generic]:
    name, *rest = file.packed.split("/")
    place = folder / name
    if not rest:
        return _verify(place, file.sha256)
    with reading(place, f"its array '{'/'.join(rest)}'"), np.load(place, allow_pickle=False) as arrays:
        array: NDArray[np.generic] = arrays[rest[0]]
        return array if len(rest) == 1 else array[int(rest[1])]


def _verify(file: Path, sha256: str) -> Path:
    if not file.is_file():
        raise InputError(
            f"{file}: is not there; --from takes the folder of the packed form, with a folder a collection"
        )
    if (found := sha256_of(file)) != sha256:
        raise InputError(f"{file}: has sha256 {found}, not {sha256}; copy it again")
    return file
