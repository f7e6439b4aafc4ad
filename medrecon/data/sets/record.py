"""What is written down beside the folder of a fetched data set: where it came from, and what it holds."""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from medrecon.data.sets.cache import sha256_of
from medrecon.data.sets.manifest import Manifest, Source
from medrecon.data.writing import atomic_file
from medrecon.documents import parse_json, read_text

__all__ = ["RECORD", "Record", "files_below", "fingerprint", "read_record", "write_record", "write_text"]

#: The file beside the folder.
RECORD = "fetched.json"


class _File(BaseModel, frozen=True):
    """A file as it was written."""

    bytes: int
    sha256: str


class Record(BaseModel, frozen=True):
    """What a data set was made from, as `fingerprint` gives it, and its files, by their names in its folder."""

    source: Any = None
    files: dict[str, _File]


def read_record(folder: Path) -> Record | None:
    """Return what was written down about a data set's folder; nothing where it was not, or the note is damaged."""
    path = folder.parent / RECORD
    try:
        return Record.model_validate(parse_json(read_text(path, "the record of a data set"), str(path)))
    except ValueError:
        return None


def write_record(manifest: Manifest, home: Path) -> None:
    """Write down beside ``home/data`` what it was made from and what it holds."""
    data = home / "data"
    files = {
        file.relative_to(data).as_posix(): {"bytes": file.stat().st_size, "sha256": sha256_of(file)}
        for file in files_below(data)
    }
    record = {"name": manifest.name, "source": fingerprint(manifest.source), "files": files}
    write_text(home / RECORD, json.dumps(record, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a file of text whole, whatever lay there."""
    with atomic_file(path, overwrite=True) as temporary:
        temporary.write_text(text, encoding="utf-8")


def files_below(folder: Path) -> list[Path]:
    """Return all files of a folder and of those in it, sorted."""
    return sorted(file for file in folder.rglob("*") if file.is_file())


def fingerprint(source: Source) -> object:
    """Return a source as plain JSON values, to tell whether a folder was made from it."""
    return json.loads(source.model_dump_json())
