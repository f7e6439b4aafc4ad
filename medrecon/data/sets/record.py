"""What is written down beside the folder of a fetched data set: where it came from, and what it holds."""

import json
from pathlib import Path

from medrecon.data.sets.cache import sha256_of
from medrecon.data.sets.manifest import Manifest, Source
from medrecon.data.writing import atomic_file

__all__ = ["RECORD", "files_below", "fingerprint", "read_record", "write_record", "write_text"]

#: The file beside the folder.
RECORD = "fetched.json"


def read_record(folder: Path) -> dict[str, object] | None:
    """Return what was written down about a data set's folder; nothing where it was not, or the note is damaged."""
    try:
        record = json.loads((folder.parent / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and isinstance(record.get("files"), dict) else None


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
