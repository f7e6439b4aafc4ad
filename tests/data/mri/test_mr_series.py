"""MR series of DICOM: volumes of one file or many, each voxel where the standard puts it."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import EnhancedMRImageStorage, JPEGLSLossless

from medrecon.data.mri.mr_series import read_mr_series
from medrecon.data.outputs.image_format import ImageFormat
from medrecon.errors import InputError
from medrecon.modality import Modality
from tests.data.ct.test_dicom_exports import group
from tests.data.mri.test_mr_volume import _write
from tests.data.outputs.phantom import POSITIONS, WITHIN, farthest, oblique, places, planes, volume, write

SHAPE = (3, 4, 5)


def enhanced(path: Path) -> list[np.ndarray]:
    """A magnitude and a field map in one file, oblique, their frames mixed, each rescaled in its own way; the true values."""
    stored = np.random.default_rng(0).integers(0, 4000, (2, *SHAPE))
    _write(path, np.concatenate(list(stored)).reshape(-1, 5), 0.0)
    file: FileDataset = pydicom.dcmread(path)
    file.file_meta.MediaStorageSOPClassUID = file.SOPClassUID = EnhancedMRImageStorage
    for name in ("PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient"):
        delattr(file, name)
    x, y, _ = oblique(4)
    shared = group("PixelMeasures", PixelSpacing=[2.0, 1.5], SliceThickness=3.0)
    shared.update(group("PlaneOrientation", ImageOrientationPatient=[*x, *y]))
    file.SharedFunctionalGroupsSequence = [shared]
    order = [(1, 2), (0, 1), (0, 0), (1, 1), (1, 0), (0, 2)]
    file.PerFrameFunctionalGroupsSequence = [frame(*one) for one in order]
    file.Rows, file.Columns, file.NumberOfFrames = SHAPE[1], SHAPE[2], len(order)
    file.PixelData = np.stack([stored[one] for one in order]).astype("<i2").tobytes()
    file.save_as(path)
    return [1.25 * stored[0], 0.25 * stored[1] - 500.0]


def frame(kind: int, k: int) -> Dataset:
    place = np.array([10.0, -20.0, 30.0]) + 4.0 * k * np.cross(*oblique(4)[:2])
    found = group("PlanePosition", ImagePositionPatient=place.tolist())
    found.update(group("PixelValueTransformation", RescaleSlope=[1.25, 0.25][kind], RescaleIntercept=-500 * kind))
    found.update(group("MRImageFrameType", FrameType=["ORIGINAL", "PRIMARY", "T1", ["M", "FIELD_MAP"][kind]]))
    return found


def test_frames_of_two_kinds_are_two_volumes_each_rescaled_by_its_own(tmp_path: Path) -> None:
    expected = enhanced(tmp_path / "a.dcm")
    found = read_mr_series(tmp_path)
    assert sorted(one.name for one in found) == ["ORIGINAL\\PRIMARY\\T1\\FIELD_MAP", "ORIGINAL\\PRIMARY\\T1\\M"]
    field, magnitude = found
    np.testing.assert_allclose(magnitude.values, expected[0])
    np.testing.assert_allclose(field.values, expected[1])
    assert field.spacing == pytest.approx((4.0, 2.0, 1.5))
    x, y, _ = map(np.array, oblique(4))
    affine = field.planes.volume()
    np.testing.assert_allclose(
        affine(3, 2, 1), np.array([10.0, -20.0, 30.0]) + 4.5 * x + 4 * y + 4 * np.cross(x, y), atol=1e-6
    )
    assert field.planes.thickness == 3.0


@pytest.mark.parametrize("seed", range(len(POSITIONS)))
def test_what_we_write_is_read_where_it_lay(tmp_path: Path, seed: int) -> None:
    where = planes(seed, POSITIONS[seed])
    write(tmp_path / "a", where, modality=Modality.MRI, form=ImageFormat.DICOM)
    (read,) = read_mr_series(tmp_path / "a")
    factor = float(volume().max()) / 32767
    assert read.planes.patient_position == POSITIONS[seed]
    assert farthest(read.values.numpy() * factor, places(read.planes), where) < WITHIN


@pytest.mark.parametrize("name", ["RLE", "jpeg_ls_lossless", "jp2klossless"])
def test_packed_pixels_are_those_of_the_file_as_it_was(name: str) -> None:
    """Of files that come with pydicom."""
    paths = [Path(get_testdata_file(f"MR_small{end}.dcm", download=False)) for end in ("", f"_{name}")]
    (plain,), (packed,) = map(read_mr_series, paths)
    assert torch.equal(plain.values, packed.values)
    assert float(plain.values.max()) > 1000


def test_what_nothing_unpacks_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for installed, words in (
        (True, "cannot be decoded here; decompress"),
        (False, r"install medrecon\[dicom\], or dec"),
    ):
        _write(tmp_path / "a.dcm", np.ones((4, 4)), 0)
        file = pydicom.dcmread(tmp_path / "a.dcm")
        file.file_meta.TransferSyntaxUID = JPEGLSLossless
        file.PixelData = pydicom.encaps.encapsulate([b"nonsense"])
        file["PixelData"].is_undefined_length = True
        file.save_as(tmp_path / "a.dcm")
        monkeypatch.setattr("medrecon.data.dicom_file.util.find_spec", lambda _, found=installed: found or None)
        with pytest.raises(InputError, match=rf"compressed \(JPEG-LS Lossless Image Compression\) and .*{words}"):
            read_mr_series(tmp_path)


def test_what_has_no_place_is_refused(tmp_path: Path) -> None:
    for k in range(2):
        _write(tmp_path / f"{k}.dcm", np.ones((4, 4)), k)
    file = pydicom.dcmread(tmp_path / "1.dcm")
    del file.ImagePositionPatient
    file.InstanceNumber = 2
    file.save_as(tmp_path / "1.dcm")
    with pytest.raises(InputError, match="states neither ImagePositionPatient nor InstanceNumber"):
        read_mr_series(tmp_path)
    (tmp_path / "0.dcm").unlink()
    with pytest.raises(InputError, match=r"1\.dcm: states no ImagePositionPatient"):
        read_mr_series(tmp_path)
