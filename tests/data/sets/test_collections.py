"""Sets made of collections: from where they were published and from their packed form, the same samples, divided by person."""

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
import scipy.io
import torch
import yaml
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from medrecon.data.matlab import read_matlab
from medrecon.data.sets import manifest as manifest_module
from medrecon.data.sets.cache import dataset_home
from medrecon.data.sets.ct_open import CTImages
from medrecon.data.sets.fetch import fetch
from medrecon.data.sets.head_images import HeadImages
from medrecon.data.sets.manifest import CollectionSource, load_manifest, manifest_folder
from medrecon.data.sets.verify import verify
from medrecon.errors import InputError
from tests.program import medrecon

MANIFESTS = manifest_folder()
SLICES = (2, 5, 7)
PARTS = ("train", "validation", "test", "calibration")


def _head(shape: tuple[int, int, int], seed: int) -> np.ndarray:
    """Give an ellipsoid `(left, front, up)`, in air, brighter to the left and to the front, with texture of its own."""
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    inside = (x / 0.8) ** 2 + (y / 0.9) ** 2 + (z / 1.2) ** 2 < 1
    texture = np.random.default_rng(seed).integers(0, 90, shape)
    return (inside * (400 + 150 * x + 100 * y + texture)).astype(np.int16)


class _Folders:
    """The published files, the packed form of the same, and the collections that name both."""

    def __init__(self, folder: Path, address: str) -> None:
        self.published, self.packed, self.address = folder / "published", folder / "packed", address
        self.collections: list[dict[str, object]] = []

    def add(self, name: str, kind: str, files: dict[str, dict[str, object]], arrays: dict[str, np.ndarray]) -> None:
        """Name the published `files`, and pack `arrays`; a file whose place in the packed form is a file is copied there."""
        (self.packed / name).mkdir(parents=True, exist_ok=True)
        archives = {}
        if arrays:
            np.savez(self.packed / name / "arrays.npz", **arrays)
            archives["arrays.npz"] = hashlib.sha256((self.packed / name / "arrays.npz").read_bytes()).hexdigest()
        listed = []
        for path, stated in files.items():
            content = (self.published / path).read_bytes()
            if "/" not in str(stated["packed"]):
                (self.packed / name / str(stated["packed"])).write_bytes(content)
            listed.append({"path": path, "sha256": hashlib.sha256(content).hexdigest(), **stated})
        here = {"name": name, "kind": kind, "address": self.address, "license": "l", "citation": "c"}
        self.collections.append({**here, "archives": archives, "files": listed})

    def manifest(self, folder: Path, name: str, splits: list[dict[str, object]]) -> None:
        """Write the manifest of a set of this name."""
        source = {"kind": "collection", "converter": name, "collections": self.collections}
        words = dict.fromkeys(("title", "license", "citation", "homepage", "description"), "words")
        content = {"name": name, **words, "splits": splits, "source": source}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Folders]:
    """An empty cache, a folder of manifests, and a server on this machine of the published files."""
    monkeypatch.setenv("MEDRECON_DATA", str(tmp_path / "cache"))
    (tmp_path / "manifests").mkdir()
    monkeypatch.setattr(manifest_module, "manifest_folder", lambda: tmp_path / "manifests")
    (tmp_path / "published").mkdir()

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    serve = partial(Handler, directory=str(tmp_path / "published"))
    with ThreadingHTTPServer(("127.0.0.1", 0), serve) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield _Folders(tmp_path, f"http://127.0.0.1:{running.server_port}/")
        running.shutdown()
        thread.join()


def _heads(folders: _Folders, manifests: Path) -> dict[str, np.ndarray]:
    """Publish heads of every kind, and give the values by name, `(left, front, up)` or `(y, x, slice)`."""
    affine = np.diag([-1.5, 2.0, 8.0, 1.0])  # NIfTI counts to the right: its axes run left, front, up
    values = {}
    for number in range(len(PARTS)):
        values[f"whole{number}"] = whole = _head((110, 100, 11), number)
        nibabel.Nifti1Image(whole, affine).to_filename(folders.published / f"whole {number}.nii.gz")
        values[f"brain{number}"] = brain = np.pad(_head((90, 84, 11), 10 + number), ((7, 9), (3, 5), (0, 0)))
        nibabel.Nifti1Image(brain, affine).to_filename(folders.published / f"brain{number}.nii.gz")
        values[f"image{number}"] = image = _head((110, 120, 3), 20 + number).astype(np.float64) + 32768
        values[f"kspace{number}"] = kspace = np.random.default_rng(number).normal(size=(16, 12, 2, 2)) @ (1, 1j)
        if number % 2:
            scipy.io.savemat(folders.published / f"image{number}.mat", {"image": image})
            scipy.io.savemat(folders.published / f"kspace{number}.mat", {"k": kspace})
        else:
            with h5py.File(folders.published / f"image{number}.mat", "w") as file:
                file["image"] = image.T
            with h5py.File(folders.published / f"kspace{number}.mat", "w") as file:
                file["k"] = _pairs(kspace.T)
    people = [{"person": f"p{number}", "part": part, "contrast": "T1"} for number, part in enumerate(PARTS)]
    spaced = {"spacing": [20.0, 2.0, 1.5]}
    folders.add(
        "whole",
        "volumes",
        {f"whole {k}.nii.gz": {"packed": f"w{k}.nii.gz", **one} for k, one in enumerate(people)},
        {},
    )
    for kind, name in (("slices", "whole"), ("brains", "brain")):
        ending = f"{name} " if name == "whole" else name
        packed = {f"s{k}": _take(values[f"{name}{k}"], kind == "brains") for k in range(4)}
        files = {
            f"{ending}{k}.nii.gz": {"packed": f"arrays.npz/s{k}", "slices": list(SLICES), **spaced, **one}
            for k, one in enumerate(people)
        }
        folders.add(kind, kind, files, packed)
    counts = {f"i{k}": np.moveaxis(values[f"image{k}"] - 32768, -1, 0).astype(np.uint16) for k in range(4)}
    of_images = {"spacing": [10.0, 1.9, 1.9], "offset": 32768.0}
    folders.add(
        "images",
        "images",
        {f"image{k}.mat": {"packed": f"arrays.npz/i{k}", **of_images, **one} for k, one in enumerate(people)},
        counts,
    )
    folders.add(
        "kspace",
        "kspace",
        {f"kspace{k}.mat": {"packed": f"arrays.npz/k{k}", **one} for k, one in enumerate(people)},
        {f"k{k}": values[f"kspace{k}"].astype(np.complex64) for k in range(4)},
    )
    splits = [{"name": part, "pattern": f"{part}/images_*.h5", "datasets": ["image"]} for part in PARTS]
    measured = {"name": "measured", "pattern": "measured/*.h5", "count": 4, "datasets": ["kspace", "ismrmrd_header"]}
    folders.manifest(manifests, "heads-open", [*splits, measured])
    return values


def _pairs(values: np.ndarray) -> np.ndarray:
    pairs = np.empty(values.shape, np.dtype([("real", "f8"), ("imag", "f8")]))
    pairs["real"], pairs["imag"] = values.real, values.imag
    return pairs


def _take(volume: np.ndarray, cut: bool) -> np.ndarray:
    """Pack slices as `(slice, left, front)`."""
    if cut:
        left, front = (np.flatnonzero((volume != 0).any(axis=(1 - axis, 2))) for axis in (0, 1))
        volume = volume[left[0] : left[-1] + 1, front[0] : front[-1] + 1]
    return np.moveaxis(volume[:, :, list(SLICES)], -1, 0)


def test_heads_from_either_form_are_the_same(
    folders: _Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = _heads(folders, tmp_path / "manifests")
    fetched = fetch("heads-open")
    assert verify("heads-open") == []
    monkeypatch.setenv("MEDRECON_DATA", str(tmp_path / "other"))
    done = medrecon("data", "fetch", "heads-open", "--from", folders.packed)
    assert (done.status, done.err) == (0, "")
    packed = dataset_home("heads-open") / "data"
    assert packed != fetched
    for number, part in enumerate(PARTS):
        one, other = HeadImages(fetched, part), HeadImages(packed, part)
        assert len(one) == len(other) >= 11
        assert one.subjects == other.subjects
        assert {name.rpartition("-")[2] for name in one.subjects} == {f"p{number}"}
        for first, second in zip(one, other, strict=True):
            torch.testing.assert_close(first.image, second.image, rtol=0, atol=2e-5)
            assert (first.contrast, first.height) == (second.contrast, second.height)
        image = one[one.subjects.index(f"slices-p{number}")].image
        bright = {"left": image[:, 170:].sum() / image[:, :150].sum(), "front": image[:150].sum() / image[170:].sum()}
        assert bright["left"] > 1.1  # the patient's left is right in a picture, and the front is up
        assert bright["front"] > 1.1
        with h5py.File(fetched / "measured" / f"kspace-p{number}_T1.h5") as scan:
            assert np.array_equal(scan["kspace"], np.moveaxis(values[f"kspace{number}"], -1, 0).astype(np.complex64))
    training = HeadImages(fetched)
    brains = sum(name.startswith("brains") for name in training.subjects)
    assert 0 < brains <= len(training) / 5


def _slice(folder: Path, name: str, hounsfield: np.ndarray, orientation: list[float]) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = FileDataset(folder / name, {}, file_meta=meta, preamble=b"\0" * 128)
    file.SOPClassUID, file.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    file.Modality, file.SeriesInstanceUID, file.InstanceNumber = "CT", generate_uid(), 1
    file.Rows, file.Columns = hounsfield.shape
    file.SamplesPerPixel, file.PhotometricInterpretation, file.PixelRepresentation = 1, "MONOCHROME2", 1
    file.BitsAllocated = file.BitsStored = 16
    file.HighBit = 15
    file.PixelSpacing, file.SliceThickness = [0.75, 0.75], 5.0
    file.RescaleSlope, file.RescaleIntercept = "1", "-1024"
    file.ImagePositionPatient, file.ImageOrientationPatient = [0, 0, 0], orientation
    file.PixelData = (hounsfield.astype(np.int16) + 1024).astype("<i2").tobytes()
    file.save_as(folder / name, enforce_file_format=True)


def test_ct_slices_from_either_form_are_the_same(
    folders: _Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.random.default_rng(3).integers(-900, 900, (4, 20, 20)).astype(np.int16)
    values[:, :3] = -2000  # padding
    turned = [[1, 0, 0, 0, 1, 0], [-1, 0, 0, 0, -1, 0], [0, 1, 0, -1, 0, 0], [1, 0, 0, 0, 1, 0]]
    files = {}
    for number, (one, orientation) in enumerate(zip(values, turned, strict=True)):
        _slice(folders.published, f"{number}.dcm", one, orientation)
        stated = {"spacing": [5.0, 0.75, 0.75], "orientation": orientation, "packed": f"arrays.npz/hu/{number}"}
        files[f"{number}.dcm"] = {**stated, "person": f"p{number}", "part": PARTS[number]}
    folders.add("chests", "dicom", files, {"hu": values})
    stack = {"samples": 1, "per_file": 1, "shape": [20, 20]}
    folders.manifest(
        tmp_path / "manifests",
        "ct-open",
        [{"name": p, "pattern": f"{p}/slices_*.h5", "datasets": ["hounsfield"], "stack": stack} for p in PARTS],
    )
    fetched = fetch("ct-open")
    assert verify("ct-open") == []
    monkeypatch.setenv("MEDRECON_DATA", str(tmp_path / "other"))
    packed = fetch("ct-open", packed=folders.packed)
    assert packed != fetched
    clipped = torch.from_numpy(values.astype(np.float32)).clamp(min=-1024)
    wanted = [clipped[0], clipped[1].flip(0, 1), clipped[2].T.flip(1), clipped[3]]
    for part, image in zip(PARTS, wanted, strict=True):
        one, other = CTImages(fetched, part), CTImages(packed, part)
        assert one.subjects == other.subjects
        assert len(one) == len(other) == 1
        assert one[0].pixel == other[0].pixel == 0.75
        torch.testing.assert_close(one[0].hounsfield, other[0].hounsfield)
        torch.testing.assert_close(one[0].hounsfield, image)
        assert [ct.subject for ct in one] == list(one.subjects)
        with pytest.raises(IndexError):
            one[1]


def test_an_interrupted_download_goes_on_and_a_wrong_file_is_named(folders: _Folders, tmp_path: Path) -> None:
    _heads(folders, tmp_path / "manifests")
    taken = folders.published / "image2.mat"
    content = taken.read_bytes()
    taken.unlink()
    with pytest.raises(InputError, match=r"image2\.mat: the server says 404"):
        fetch("heads-open")
    assert not dataset_home("heads-open").exists()
    taken.write_bytes(content[:-1] + b"?")
    with pytest.raises(InputError, match=r"image2\.mat: what came has sha256 \w+, not"):
        fetch("heads-open")
    kept = {file.name.partition(".")[0] for file in (tmp_path / "cache" / "downloads" / "heads-open").iterdir()}
    taken.write_bytes(content)
    came = [file for file in folders.published.iterdir() if hashlib.sha256(file.read_bytes()).hexdigest()[:24] in kept]
    assert len(came) == len(kept) == 10  # the slices are of the same files as the volumes
    for file in came:
        file.unlink()  # none of them need come again
    assert fetch("heads-open").is_dir()


def test_a_packed_form_that_is_not_the_one_wanted_is_named(folders: _Folders, tmp_path: Path) -> None:
    _heads(folders, tmp_path / "manifests")
    missing = medrecon("data", "fetch", "heads-open", "--from", tmp_path)
    assert (missing.status, missing.err.count("\n")) == (2, 1)
    assert "w0.nii.gz: is not there; --from takes the folder of the packed form" in missing.err
    with (folders.packed / "slices" / "arrays.npz").open("ab") as file:
        file.write(b"?")
    changed = medrecon("data", "fetch", "heads-open", "--from", folders.packed)
    assert changed.status == 2
    assert "arrays.npz: has sha256" in changed.err
    assert not dataset_home("heads-open").exists()


def test_only_collections_have_a_packed_form(tmp_path: Path) -> None:
    done = medrecon("data", "fetch", "brain-axt2", "--from", tmp_path)
    assert done.status == 2
    assert "brain-axt2 has no packed form; get it with `medrecon data fetch brain-axt2`, without --from" in done.err


@pytest.mark.parametrize(("name", "least"), [("heads-open", 12), ("ct-open", 10)])
def test_the_shipped_sets_are_divided_by_person(name: str, least: int) -> None:
    source = load_manifest(name, MANIFESTS).source
    assert isinstance(source, CollectionSource)
    parts: dict[tuple[str, str], set[str]] = {}
    for collection in source.collections:
        assert len(collection.address.split("/")[5]) == 40  # a state of a repository, not a branch
        for file in collection.files:
            parts.setdefault((collection.name, file.person), set()).add(file.part)
            assert (file.packed.split("/")[0] in collection.archives) == ("/" in file.packed)
    assert all(len(of_one) == 1 for of_one in parts.values())
    people = [next(iter(of_one)) for of_one in parts.values()]
    assert people.count("test") >= least
    assert people.count("calibration") >= least
    assert people.count("train") > people.count("test")
    assert "validation" in people


def test_a_matlab_file_that_is_none_or_holds_several_arrays_is_named(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "two.mat", {"a": np.ones((2, 2)), "b": np.ones((2, 2))})
    with pytest.raises(InputError, match=r"two\.mat: holds 2 arrays \(a, b\), and one is wanted"):
        read_matlab(tmp_path / "two.mat")
    (tmp_path / "no.mat").write_bytes(b"nothing of this kind" * 20)
    with pytest.raises(InputError, match=r"no\.mat: its arrays cannot be read"):
        read_matlab(tmp_path / "no.mat")
