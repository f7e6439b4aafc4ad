"""Manifests: those in the repository load, and a wrong one is refused with its file and field named."""

from pathlib import Path

import pydantic
import pytest
import yaml

from medrecon.data.sets import manifest as module
from medrecon.data.sets.manifest import (
    Manifest,
    PackageSource,
    Registration,
    load_manifest,
    manifest_folder,
    manifest_names,
)
from medrecon.errors import InputError

GOOD = {
    "name": "small-set",
    "title": "t",
    "license": "l",
    "citation": "c",
    "homepage": "h",
    "description": "d",
    "splits": [{"name": "test", "pattern": "*.h5", "datasets": ["kspace"]}],
    "source": {"kind": "url", "files": [{"name": "a.h5", "url": "https://example.org/a.h5", "sha256": "0" * 64}]},
}


def _write(folder: Path, content: dict[str, object], file: str = "small_set.yaml") -> Path:
    (folder / file).write_text(yaml.safe_dump(content), encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", manifest_names())
def test_every_manifest_of_the_repository_loads(name: str) -> None:
    manifest = load_manifest(name)
    assert manifest.name == name
    assert len(manifest.license) > 40
    assert "http" in manifest.license
    assert manifest.citation
    assert len({split.name for split in manifest.splits}) == len(manifest.splits)


def test_no_manifest_names_a_package_host() -> None:
    texts = [file.read_text(encoding="utf-8") for file in manifest_folder().glob("*.yaml")]
    assert texts
    assert not any(word in text for text in texts for word in ("pypi", "pythonhosted"))


def test_fastmri_volume_counts_and_archives() -> None:
    knee = {split.name: split.count for split in load_manifest("fastmri-knee").splits}
    assert (knee["multicoil-train"], knee["multicoil-val"], knee["multicoil-test"]) == (973, 199, 118)
    brain = load_manifest("fastmri-brain")
    assert {split.name: split.count for split in brain.splits} == {
        "train": 4469,
        "val": 1378,
        "test": 558,
        "test-full": 558,
    }
    assert isinstance(brain.source, Registration)
    assert "brain_multicoil_train_batch_9.tar.xz" in {file.name for file in brain.files}


def test_brain_axt2_pins_its_archive() -> None:
    source = load_manifest("brain-axt2").source
    assert isinstance(source, PackageSource)
    assert [len(archive.sha256) for archive in source.archives] == [64]


def test_the_installed_folder_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "medrecon" / "data" / "sets" / "manifest.py"
    monkeypatch.setattr(module, "__file__", str(file))
    assert manifest_folder() == tmp_path / "data_manifests"
    (tmp_path / "medrecon" / "data_manifests").mkdir(parents=True)
    assert manifest_folder() == tmp_path / "medrecon" / "data_manifests"


def test_a_manifest_does_not_change(tmp_path: Path) -> None:
    manifest = load_manifest("small-set", _write(tmp_path, GOOD))
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        manifest.name = "other"
    assert Manifest.model_validate_json(manifest.model_dump_json()) == manifest


def test_unknown_name_lists_the_known_ones() -> None:
    known = "brain-axt2, brain-small, ct-open, fastmri-brain, fastmri-knee, heads-open"
    with pytest.raises(InputError, match=rf"no data set is called 'brian'.*{known}"):
        load_manifest("brian")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"color": "red"}, r"small_set\.yaml: color: Extra inputs"),
        ({"license": None}, r"small_set\.yaml: license: "),
        ({"source": {"kind": "ftp"}}, r"small_set\.yaml: source: .*'registration', 'package', 'url'"),
        (
            {"source": {"kind": "url", "files": [{"name": "../a", "url": "https://x.org"}]}},
            r"source\.url\.files\.0\.name",
        ),
        ({"source": {"kind": "url", "files": [{"name": "a", "url": "file:///etc"}]}}, r"source\.url\.files\.0\.url"),
        ({"name": "other"}, r"name is 'other', and the file's name says 'small-set'"),
    ],
)
def test_a_wrong_manifest_is_refused_in_words(tmp_path: Path, change: dict[str, object], says: str) -> None:
    with pytest.raises(InputError, match=says):
        load_manifest("small-set", _write(tmp_path, GOOD | change))


def test_text_that_is_not_yaml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "small_set.yaml").write_text("a: [", encoding="utf-8")
    with pytest.raises(InputError, match=r"small_set\.yaml: is not YAML"):
        load_manifest("small-set", tmp_path)
