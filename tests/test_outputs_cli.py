"""Formats of images as a user meets them: by the ending, by --format, and down a pipe."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pydicom
import pytest

from medrecon.data.ct.attenuation import hounsfield_from_attenuation
from medrecon.data.mri.fastmri import FastMRIFile
from medrecon.geometry import Grid
from medrecon.planes import Prescription, SlicePose
from tests.data.outputs.phantom import oblique
from tests.program import Finished, medrecon, simulate
from tests.sinogram_files import SCAN, write_scan

QUICK = ("--method", "zero-filled")


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate(tmp_path_factory.mktemp("scans") / "scan.h5", slices=3)


@pytest.fixture(scope="module")
def images(scan: Path) -> np.ndarray:
    done = medrecon("reconstruct", scan, "-o", scan.parent / "images.h5", *QUICK)
    assert done.status == 0
    with h5py.File(scan.parent / "images.h5") as file:
        return file["reconstruction"][()]


def reconstruct(scan: Path, output: object, *more: object) -> Finished:
    done = medrecon("reconstruct", scan, "-o", output, *QUICK, *more)
    assert (done.status, done.err) == (0, "")
    return done


def test_all_formats_hold_the_same_images(scan: Path, images: np.ndarray, tmp_path: Path) -> None:
    done = reconstruct(scan, tmp_path / "a.nii.gz", "--json", tmp_path / "a.json")
    assert "note: the raw data state no position and no directions" in done.out
    assert any("state no position" in note for note in json.loads((tmp_path / "a.json").read_text())["notes"])
    volume = nibabel.load(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(volume.get_fdata().T.astype(np.float32), images)
    assert b"state no position" in volume.header.extensions[0].get_content()
    np.testing.assert_allclose(np.abs(np.diag(volume.affine)), (1.0, 1.0, 5.0, 1.0))
    np.testing.assert_allclose(volume.affine @ [20, 24, 1, 1], (0, 0, 0, 1))  # n // 2 of 40 x 48 x 3
    done = reconstruct(scan, tmp_path / "a.npy")
    assert "state no position" not in done.out
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), images)


def test_a_folder_of_dicom(scan: Path, images: np.ndarray, tmp_path: Path) -> None:
    done = reconstruct(scan, tmp_path / "a", "--format", "dicom")
    factor = 32767 / images.max()
    assert f"note: DICOM: stored value = intensity x {factor:.4g}"[:40] in done.out
    read = [pydicom.dcmread(file) for file in sorted((tmp_path / "a").iterdir())]
    np.testing.assert_allclose(np.stack([one.pixel_array for one in read]) / factor, images, atol=0.51 / factor)
    assert "state no position" in read[0].ImageComments
    assert "scan" not in str(read[0])
    assert not read[0].PatientID
    again = medrecon("reconstruct", scan, "-o", tmp_path / "a", "--format", "dicom", *QUICK)
    assert again.status == 2
    assert "give --overwrite" in again.complaint
    reconstruct(scan, tmp_path / "a", "--format", "dicom", "--overwrite", "--slices", "1:2")
    assert [file.name for file in (tmp_path / "a").iterdir()] == ["0001.dcm"]


def test_raw_geometry_comes_through(scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The brightest pixel of an oblique scan lies where the scanner's own directions put it; of a crop and a finer grid, too."""
    read, phase, normal = oblique(3)
    places = [tuple((np.array([5.0, -7.0, 11.0]) + 6.0 * k * np.array(normal)).tolist()) for k in range(3)]
    poses = tuple(SlicePose(place, read, phase, normal) for place in places)
    monkeypatch.setattr(FastMRIFile, "prescription", Prescription(poses, 5.0, "SIEMENS", "HFS"))
    found = []
    for number, size in enumerate(([], ["--size", "96x80"], ["--size", "40x30", "--field-of-view", "40x30"])):
        done = reconstruct(scan, tmp_path / f"{number}.nii", *size)
        assert "state no position" not in done.out
        volume = nibabel.load(tmp_path / f"{number}.nii")
        values = volume.get_fdata()
        middle = np.array(values.shape) // 2
        np.testing.assert_allclose(
            volume.affine @ [middle[0], middle[1], 1, 1], [-places[1][0], -places[1][1], places[1][2], 1], atol=1e-4
        )
        column, row = np.unravel_index(values[:, :, 1].argmax(), values.shape[:2])
        found.append((volume.affine @ [column, row, 1, 1])[:3])
    ours = -np.array(phase) * (found_x := 0.3 * 20) - np.array(read) * (found_y := -0.4 * 24) + np.array(places[1])
    assert found_x > 0 > found_y
    for place in found:
        assert np.linalg.norm(place * [-1, -1, 1] - ours) < 4.0  # the bright disk has a radius of 0.12 * 24 pixels
    reconstruct(scan, tmp_path / "d", "--format", "dicom")
    one = pydicom.dcmread(tmp_path / "d" / "0001.dcm")
    assert (one.PatientPosition, float(one.SliceThickness)) == ("HFS", 5.0)
    np.testing.assert_allclose(one.ImageOrientationPatient, [-part for part in (*phase, *read)], atol=1e-9)


def test_directions_are_kept_where_the_field_of_view_is_not_known(
    scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, phase, normal = oblique(3)
    poses = tuple(SlicePose((0.0, 0.0, 6.0 * k), read, phase, normal) for k in range(3))
    monkeypatch.setattr(FastMRIFile, "prescription", Prescription(poses, 5.0, "SIEMENS", "HFS"))
    with h5py.File(scan, "r+") as file:
        del file["ismrmrd_header"]
    done = reconstruct(scan, tmp_path / "d", "--format", "dicom")
    assert "state directions and no field of view: pixels 1 mm apart are taken" in done.out.replace("\n", " ")
    one = pydicom.dcmread(tmp_path / "d" / "0001.dcm")
    np.testing.assert_allclose(one.ImageOrientationPatient, [-part for part in (*phase, *read)], atol=1e-9)
    np.testing.assert_allclose(one.PixelSpacing, [1, 1])


def test_directions_that_cannot_be_are_told_and_left_out(
    scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poses = tuple(SlicePose((0.0, 0.0, 1e30), (1.0, 0.0, 0.0), (0.0, 7.0, 0.0), (0.0, 0.0, 1.0)) for _ in range(3))
    monkeypatch.setattr(FastMRIFile, "prescription", Prescription(poses, 5.0, "SIEMENS", "HFS"))
    done = reconstruct(scan, tmp_path / "d", "--format", "dicom")
    assert "by numbers that cannot be" in done.out.replace("\n", " ")
    one = pydicom.dcmread(tmp_path / "d" / "0001.dcm")
    np.testing.assert_allclose(one.ImageOrientationPatient, [1, 0, 0, 0, 1, 0])


def test_ct_is_in_hounsfield_units_about_the_center_of_its_grid(tmp_path: Path) -> None:
    moved = replace(SCAN, grid=Grid((40, 48), 2.0, (6.0, -4.0)))
    scan = write_scan(tmp_path / "scan.h5", moved, slices=2)
    for name in ("a.h5", "a.nii", "d"):
        form = ("--format", "dicom") if name == "d" else ()
        done = medrecon("reconstruct", scan, "-o", tmp_path / name, "--method", "fbp", *form)
        assert done.status == 0, done.err
    assert "stored values are Hounsfield units" in done.out
    with h5py.File(tmp_path / "a.h5") as file:
        per_mm = file["reconstruction"][()]
    volume = nibabel.load(tmp_path / "a.nii")
    hounsfield = hounsfield_from_attenuation(per_mm)
    np.testing.assert_allclose(volume.get_fdata().T, hounsfield, atol=0.1)
    np.testing.assert_allclose(volume.affine @ [23.5, 19.5, 1, 1], (4.0, -6.0, 0.0, 1.0), atol=1e-6)
    read = [pydicom.dcmread(file) for file in sorted((tmp_path / "d").iterdir())]
    assert {one.Modality for one in read} == {"CT"}
    np.testing.assert_allclose(np.stack([one.pixel_array for one in read]), hounsfield, atol=0.6)
    np.testing.assert_allclose(read[0].ImagePositionPatient[:2], (-4.0 - 47.0, 6.0 - 39.0))


def test_identity_is_copied_where_it_is_asked_for(scan: Path, tmp_path: Path) -> None:
    with h5py.File(scan, "a") as file:
        file.attrs["patient_id"] = "p-77"
    try:
        for name, more in (("a", ()), ("b", ("--keep-identity",))):
            reconstruct(scan, tmp_path / name, "--format", "dicom", *more)
        found = [pydicom.dcmread(tmp_path / name / "0001.dcm") for name in "ab"]
        assert [one.PatientID for one in found] == ["", "p-77"]
    finally:
        with h5py.File(scan, "a") as file:
            del file.attrs["patient_id"]


def test_several_inputs_and_a_folder_that_exists(scan: Path, tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for name in ("a", "b"):
        (source / f"{name}.h5").write_bytes(scan.read_bytes())
    reconstruct(source, tmp_path / "out", "--format", "nifti")
    reconstruct(source, tmp_path / "dcm", "--format", "dicom")
    reconstruct(source / "a.h5", tmp_path / "out", "--format", "nrrd")
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["a.nii.gz", "a.nrrd", "b.nii.gz"]
    assert sorted(str(file.relative_to(tmp_path)) for file in (tmp_path / "dcm").rglob("*2.dcm")) == [
        "dcm/a/0002.dcm",
        "dcm/b/0002.dcm",
    ]


@pytest.fixture
def standard_output(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, bytes, str]]:
    """Run the program with a standard output of bytes."""

    def run(*arguments: object) -> tuple[int, bytes, str]:
        from medrecon.cli import main

        out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
        monkeypatch.setattr("sys.stdout", out)
        monkeypatch.setattr("sys.stderr", err)
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        monkeypatch.undo()
        out.flush()
        return int(ended.value.code or 0), out.buffer.getvalue(), err.getvalue()  # type: ignore[attr-defined]

    return run


def test_images_go_down_a_pipe(
    scan: Path, images: np.ndarray, standard_output: Callable[..., tuple[int, bytes, str]]
) -> None:
    status, out, err = standard_output("reconstruct", scan, "-o", "-", *QUICK)
    assert status == 0
    np.testing.assert_array_equal(np.load(io.BytesIO(out)), images)
    assert "-: 3 images of 48 x 40" in err


def test_json_goes_down_a_pipe(
    scan: Path, tmp_path: Path, standard_output: Callable[..., tuple[int, bytes, str]]
) -> None:
    status, out, err = standard_output("reconstruct", scan, "-o", tmp_path / "a.h5", *QUICK, "--json", "-")
    assert status == 0
    assert json.loads(out)["slices"] == 3
    assert "3 images" in err
    assert (tmp_path / "a.h5").is_file()


def test_what_no_pipe_takes_is_refused_and_nothing_is_printed(
    scan: Path, tmp_path: Path, standard_output: Callable[..., tuple[int, bytes, str]]
) -> None:
    for more, words in (
        (("-o", "-", "--json", "-"), "would both write to standard output"),
        (("-o", "-", "--format", "dicom"), "--output - writes npy, not dicom"),
        ((scan, "-o", "-"), "takes one input"),
        (("-o", "-", "--slices", "7:9"), "slices"),
    ):
        status, out, err = standard_output("reconstruct", scan, *more, *QUICK)
        assert (status, out) == (2, b"")
        assert words in err
        assert len(err.splitlines()) == 1
    assert not list(tmp_path.iterdir())
