"""Folders of DICOM lie where independent readers put them, say nothing of persons, and appear whole or not at all."""

import errno
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest

from medrecon.affine import Affine
from medrecon.data.ct.dicom import read_dicom
from medrecon.data.outputs import dicom
from medrecon.data.outputs.image_format import ImageFormat
from medrecon.errors import InputError
from medrecon.modality import Modality
from medrecon.planes import ImagePlanes
from tests.data.outputs.phantom import (
    IDENTITY,
    POSITIONS,
    WITHIN,
    by_matrix,
    farthest,
    planes,
    volume,
    write,
)

BOTH = pytest.mark.parametrize("modality", list(Modality))


def series(path: Path, modality: Modality, where: ImagePlanes, **more: object) -> list[pydicom.Dataset]:
    write(path, where, modality=modality, form=ImageFormat.DICOM, **more)
    return [pydicom.dcmread(file) for file in sorted(path.iterdir())]


def in_unit(one: pydicom.Dataset, peak: float) -> np.ndarray:
    """The pixels as they were before they were stored: of MR all slices by one factor."""
    values = one.pixel_array.astype(np.float64)
    return values * (1.0 if one.Modality == "CT" else peak / 32767)


def plane(one: pydicom.Dataset) -> np.ndarray:
    """`(4, 4)`: of (row, column, 0), as equation C.7.6.2.1-1 of PS3.3 has it."""
    matrix = np.eye(4)
    dy, dx = map(float, one.PixelSpacing)
    cosines = np.array(one.ImageOrientationPatient, float)
    matrix[:3, 0], matrix[:3, 1] = cosines[3:] * dy, cosines[:3] * dx
    matrix[:3, 3] = one.ImagePositionPatient
    return matrix


@BOTH
@pytest.mark.parametrize("seed", range(len(POSITIONS)))
def test_images_lie_where_the_standard_puts_them(tmp_path: Path, modality: Modality, seed: int) -> None:
    where = planes(seed, POSITIONS[seed])
    images = series(tmp_path / "a", modality, where)
    values = np.stack([in_unit(one, float(volume().max())) for one in images])
    world = np.stack([by_matrix((*one.pixel_array.shape, 1), plane(one))[:, :, 0] for one in images])
    assert farthest(values, world, where) < WITHIN
    assert {one.PatientPosition for one in images} == {POSITIONS[seed]}
    assert [one.InstanceNumber for one in images] == [1, 2, 3, 4, 5]


@BOTH
def test_images_lie_where_itk_puts_them(tmp_path: Path, modality: Modality) -> None:
    itk = pytest.importorskip("SimpleITK", exc_type=ImportError)
    where = planes(2)
    series(tmp_path / "a", modality, where)
    image = itk.ReadImage(itk.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path / "a")))
    values = itk.GetArrayFromImage(image).astype(np.float64)
    z, y, x = values.shape
    world = [[[image.TransformIndexToPhysicalPoint((i, j, k)) for i in range(x)] for j in range(y)] for k in range(z)]
    factor = 1.0 if modality is Modality.CT else float(volume().max()) / 32767
    assert farthest(values * factor, np.array(world), where) < WITHIN


@pytest.mark.skipif(shutil.which("dcm2niix") is None, reason="dcm2niix is not installed")
@BOTH
@pytest.mark.parametrize("position", POSITIONS)
def test_images_lie_where_dcm2niix_puts_them(tmp_path: Path, modality: Modality, position: str) -> None:
    where = planes(POSITIONS.index(position), position)
    series(tmp_path / "a", modality, where)
    run = subprocess.run(
        ["dcm2niix", "-z", "n", "-f", "out", "-o", str(tmp_path), str(tmp_path / "a")], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout
    image = nibabel.load(tmp_path / "out.nii")
    values = image.get_fdata() * (1.0 if modality is Modality.CT else float(volume().max()) / 32767)
    world = by_matrix(values.shape, np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine)
    assert farthest(values, world, where) < WITHIN


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy is not installed")
@BOTH
@pytest.mark.parametrize("keep", [False, True])
def test_dciodvfy_finds_no_error(tmp_path: Path, modality: Modality, keep: bool) -> None:
    series(tmp_path / "a", modality, planes(1), keep_identity=keep)
    for file in (tmp_path / "a").iterdir():
        run = subprocess.run(["dciodvfy", str(file)], capture_output=True, text=True)
        assert "Error" not in run.stderr, run.stderr


@BOTH
def test_identifiers_of_persons_are_copied_where_that_is_asked_for_alone(tmp_path: Path, modality: Modality) -> None:
    for image in series(tmp_path / "a", modality, planes(0)):
        assert (image.PatientName, image.PatientID, image.PatientIdentityRemoved) == ("", "", "YES")
        assert "not for diagnosis" in image.DerivationDescription
        assert "Doe" not in str(image)
    for image in series(tmp_path / "b", modality, planes(0), keep_identity=True):
        assert (str(image.PatientName), image.PatientID) == (IDENTITY["PatientName"], IDENTITY["PatientID"])
        assert "PatientIdentityRemoved" not in image


def test_one_study_and_series_of_new_identifiers(tmp_path: Path) -> None:
    found = [series(tmp_path / name, Modality.MRI, planes(0)) for name in "ab"]
    for name in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        sets = [{one.get(name) for one in images} for images in found]
        assert [len(one) for one in sets] == [1, 1]
        assert not sets[0] & sets[1]
        assert all(uid.startswith("2.25.") for uid in sets[0])
    assert len({one.SOPInstanceUID for images in found for one in images}) == 10


def test_one_factor_for_all_slices_of_mr_is_stated(tmp_path: Path) -> None:
    values = volume() * np.array([1.0, 1e-3, 2.0, 0.5, 0.25], np.float32)[:, None, None] * np.float32(1e-9)
    said = write(tmp_path / "a", planes(0), modality=Modality.MRI, form=ImageFormat.DICOM, values=values)
    images = [pydicom.dcmread(file) for file in sorted((tmp_path / "a").iterdir())]
    factor = 32767 / float(values.max())
    assert f"x {factor:.8g}, for all slices" in said[0]
    assert f"x {factor:.8g}, for all slices" in images[3].ImageComments
    stored = np.stack([one.pixel_array for one in images])
    assert stored.dtype == np.uint16
    assert stored.max() == 32767
    np.testing.assert_allclose(stored / factor, values, atol=0.51 / factor)


def test_hounsfield_units_are_stored_as_they_are_and_what_is_clipped_is_counted(tmp_path: Path) -> None:
    values = volume() * np.float32(-1.0)
    values[0, 0, :3] = [-40000.0, 50000.0, 32767.4]
    said = write(tmp_path / "a", planes(0), form=ImageFormat.DICOM, values=values)
    assert "2 values beyond -32768 and 32767 were clipped" in said[0]
    images = [pydicom.dcmread(file) for file in sorted((tmp_path / "a").iterdir())]
    assert "2 values" in images[0].DerivationDescription
    assert [(float(one.RescaleSlope), float(one.RescaleIntercept)) for one in images] == [(1.0, 0.0)] * 5
    stored = np.stack([one.pixel_array for one in images])
    np.testing.assert_array_equal(stored, np.rint(values).clip(-32768, 32767))


def test_zero_and_negative_magnitudes_are_stored(tmp_path: Path) -> None:
    said = write(tmp_path / "a", planes(0), modality=Modality.MRI, form=ImageFormat.DICOM, values=0 * volume())
    assert "x 1," in said[0]
    values = volume()
    values[1, 1, 1] = -3.0
    said = write(tmp_path / "b", planes(0), modality=Modality.MRI, form=ImageFormat.DICOM, values=values)
    assert "1 values beyond 0" in said[0]


def test_decimal_strings_have_at_most_16_characters(tmp_path: Path) -> None:
    directions = tuple(tuple(np.array(v) / 3**0.5) for v in ((1, 1, 1), (1, -1, 0), (1, 1, -2)))
    directions = tuple(tuple((np.array(v) / np.linalg.norm(v)).tolist()) for v in directions)
    one = Affine.centered((1e5 / 3, -1e5 / 3, 1e-7 / 3), directions, spacing=(1 / 3, 2 / 3, 5 / 3), shape=(7, 6, 1))
    where = ImagePlanes((one,) * 5, 5 / 3)
    for image in series(tmp_path / "a", Modality.MRI, where):
        for element in image:
            if element.VR == "DS" and element.value is not None:
                values = element.value if element.VM > 1 else [element.value]
                assert all(len(str(value)) <= 16 for value in values), element


def test_slices_of_any_distance_are_written(tmp_path: Path) -> None:
    where = planes(0)
    uneven = replace(where, affines=(*where.affines[:4], planes(1).affines[4]))
    assert len(series(tmp_path / "a", Modality.MRI, uneven)) == 5


def test_our_own_reader_takes_them(tmp_path: Path) -> None:
    where = assumed()
    write(tmp_path / "a", where, form=ImageFormat.DICOM)
    read = read_dicom(tmp_path / "a")
    np.testing.assert_array_equal(read.hounsfield.numpy(), volume())
    np.testing.assert_allclose(read.spacing, (6.0, 2.0, 1.5))


def assumed() -> ImagePlanes:
    affines = tuple(Affine((1.5, 0, 0), (0, 2.0, 0), (0, 0, 5.0), (-5, -6, 6.0 * k)) for k in range(5))
    return ImagePlanes(affines, 5.0)


def test_what_fails_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sync, calls = os.fsync, []

    def full(handle: int) -> None:
        calls.append(handle)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(handle)

    monkeypatch.setattr(dicom.os, "fsync", full)
    with pytest.raises(InputError, match=r"a: the disk or the quota is full; .*it was not written"):
        series(tmp_path / "a", Modality.MRI, planes(0))
    assert len(calls) == 3
    assert not list(tmp_path.iterdir())


def refused(path: Path, _: Path) -> Path:
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def test_a_folder_is_replaced_whole_where_that_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    series(path, Modality.MRI, planes(0))
    before = {file.name: file.read_bytes() for file in path.iterdir()}
    with pytest.raises(InputError, match="a: holds DICOM files already; give --overwrite"):
        series(path, Modality.CT, planes(0))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", refused)
        with pytest.raises(InputError, match="may not be written"):
            series(path, Modality.CT, planes(0), overwrite=True)
    assert before == {file.name: file.read_bytes() for file in path.iterdir()}
    fewer = planes(0)
    images = series(path, Modality.CT, replace(fewer, affines=fewer.affines[:2]), overwrite=True, values=volume()[:2])
    assert [one.Modality for one in images] == ["CT", "CT"]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_that_holds_anything_else_is_never_replaced(tmp_path: Path, overwrite: bool) -> None:
    path = tmp_path / "a"
    path.mkdir()
    (path / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match=r"a: holds thesis\.tex, which is none of our DICOM files"):
        series(path, Modality.MRI, planes(0), overwrite=overwrite)
    assert (path / "thesis.tex").read_text() == "x"
    (tmp_path / "b").write_text("x")
    with pytest.raises(InputError, match="b: is a file, and a folder is written"):
        series(tmp_path / "b", Modality.MRI, planes(0), overwrite=overwrite)
    with pytest.raises(InputError, match="none does not exist"):
        series(tmp_path / "none" / "c", Modality.MRI, planes(0))


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert len(series(tmp_path / "a", Modality.MRI, planes(0))) == 5
