"""Verification of numbered files that hold stacks, as LoDoPaB-CT's are: the file that is wrong is named."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from medrecon.data.sets import manifest as manifest_module
from medrecon.data.sets.manifest import Split, Stack, UrlSource, load_manifest
from medrecon.data.sets.verify import verify
from medrecon.errors import InputError

LENGTHS = (4, 4, 2)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ten arrays in files of four, of both parts, and their manifest."""
    (tmp_path / "manifests").mkdir()
    monkeypatch.setattr(manifest_module, "manifest_folder", lambda: tmp_path / "manifests")
    texts = dict.fromkeys(("title", "license", "citation", "homepage", "description"), "words")
    stack = {"samples": 10, "per_file": 4, "shape": [3, 5]}
    splits = [
        {"name": name, "pattern": f"{name}_*.hdf5", "datasets": ["data"], "stack": stack}
        for name in ("seen_train", "true_train", "seen_test")
    ]
    content = {"name": "stacks", **texts, "splits": splits, "source": {"kind": "registration", "instructions": "sign"}}
    (tmp_path / "manifests" / "stacks.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in ("seen_train", "true_train"):
        for number, length in enumerate(LENGTHS):
            _write(folder / f"{name}_{number:03d}.hdf5", (length, 3, 5))
    return folder


def _write(path: Path, shape: tuple[int, ...], kind: str = "f4", key: str = "data") -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset(key, data=np.ones(shape, kind))


def test_whole_parts_are_well_and_absent_ones_passed_over(folder: Path) -> None:
    assert verify("stacks", folder) == []


def test_a_folder_for_each_archive_is_well_too(folder: Path) -> None:
    for name in ("seen_train", "true_train"):
        (folder / name).mkdir()
        for file in folder.glob(f"{name}_*.hdf5"):
            file.replace(folder / name / file.name)
    assert verify("stacks", folder) == []
    (folder / "true_train" / "true_train_002.hdf5").unlink()
    assert verify("stacks", folder) == [
        f"{folder / 'true_train' / 'true_train_002.hdf5'}: missing; unpack or fetch true_train again"
    ]


def test_every_wrong_file_is_named_and_no_other(folder: Path) -> None:
    (folder / "seen_train_001.hdf5").unlink()
    _write(folder / "seen_train_002.hdf5", (3, 3, 5))
    _write(folder / "seen_train_003.hdf5", (4, 3, 5))
    _write(folder / "true_train_000.hdf5", (4, 5, 3))
    _write(folder / "true_train_001.hdf5", (4, 3, 5), key="other")
    whole = (folder / "true_train_002.hdf5").read_bytes()
    (folder / "true_train_002.hdf5").write_bytes(whole[:-20])
    problems = verify("stacks", folder)
    expected = (
        "seen_train_001.hdf5: missing; unpack or fetch seen_train again",
        "seen_train_002.hdf5: data is (3, 3, 5) float32, not (2, 3, 5) float32",
        "seen_train_003.hdf5: is none of the 3 files of seen_train",
        "true_train_000.hdf5: data is (4, 5, 3) float32, not (4, 3, 5) float32",
        "true_train_001.hdf5: holds no data",
        "true_train_002.hdf5: is truncated: ",
    )
    for line in expected:
        assert sum(line in problem for problem in problems) == 1, line
    assert len(problems) == len(expected)


def test_integers_and_nan_are_named(folder: Path) -> None:
    _write(folder / "seen_train_000.hdf5", (4, 3, 5), kind="i2")
    with h5py.File(folder / "true_train_001.hdf5", "r+") as file:
        file["data"][-1, 2, 4] = np.nan
    first, second = verify("stacks", folder)
    assert "seen_train_000.hdf5: data is (4, 3, 5) int16" in first
    assert "true_train_001.hdf5: data holds NaN or infinite values" in second


def test_an_empty_folder_is_told(folder: Path) -> None:
    (folder / "other").mkdir()
    assert "expected as seen_train_*.hdf5" in verify("stacks", folder / "other")[0]
    with pytest.raises(InputError, match="is not a folder"):
        verify("stacks", folder / "nowhere")


@pytest.mark.parametrize(("samples", "files", "last"), [(1, 1, 1), (128, 1, 128), (129, 2, 1), (3553, 28, 97)])
def test_the_last_file_holds_the_rest(samples: int, files: int, last: int) -> None:
    stack = Stack(samples=samples, per_file=128, shape=(362, 362))
    assert (stack.files, stack.length(stack.files - 1)) == (files, last)
    assert sum(stack.length(number) for number in range(files)) == samples


def _stacks(name: str) -> dict[str, Stack]:
    splits: tuple[Split, ...] = load_manifest(name).splits
    return {split.name: split.stack for split in splits if split.stack is not None}


def test_lodopab_has_the_files_and_samples_of_its_paper() -> None:
    stacks = _stacks("lodopab")
    for kind, shape in (("observation", (1000, 513)), ("ground-truth", (362, 362))):
        got = {part: stacks[f"{kind}-{part}"] for part in ("train", "validation", "test")}
        assert {part: stack.samples for part, stack in got.items()} == {
            "train": 35820,
            "validation": 3522,
            "test": 3553,
        }
        assert [stack.files for stack in got.values()] == [280, 28, 28]
        assert all(stack.shape == shape for stack in got.values())
    source = load_manifest("lodopab").source
    assert isinstance(source, UrlSource)
    assert len(source.files) == 9
    assert all(file.md5 for file in source.files)
    assert all(file.bytes and file.unpack for file in source.files if file.name.endswith(".zip"))


def test_lodopab_small_has_pairs_in_all_parts() -> None:
    stacks = _stacks("lodopab-small")
    for part in ("train", "validation", "test"):
        assert stacks[f"observation-{part}"].samples == stacks[f"ground-truth-{part}"].samples
    assert stacks["observation-train"].samples > 200
    assert min(stacks[f"observation-{part}"].samples for part in ("validation", "test")) >= 16


def test_files_that_lead_to_others_are_named_unless_that_is_allowed(folder: Path) -> None:
    file = folder / "seen_train_000.hdf5"
    file.rename(folder.parent / "elsewhere.h5")
    with h5py.File(file, "w") as linked:
        linked["data"] = h5py.ExternalLink("../elsewhere.h5", "/data")
    (problem,) = verify("stacks", folder)
    assert problem.startswith(
        f"{file}: `data` is a link to ../elsewhere.h5:/data, in another file; give --allow-external"
    )
    assert verify("stacks", folder, allow_external=True) == []
