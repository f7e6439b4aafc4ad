"""MR volumes: series laid from the feet up, and planes drawn by their Fourier series."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from medrecon.data.mri.mr_volume import draw_plane, read_mr
from medrecon.data.nifti import write_nifti
from medrecon.data.volume import CTVolume
from medrecon.errors import InputError


def _write(
    path: Path, pixels: np.ndarray, z: float, *, uid: str = "1.2.3", along: tuple[float, ...] = (1, 0, 0, 0, 1, 0)
) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = MRImageStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = FileDataset(path, {}, file_meta=meta, preamble=b"\0" * 128)
    file.SOPClassUID, file.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    file.Modality, file.SeriesInstanceUID = "MR", uid
    file.Rows, file.Columns = pixels.shape
    file.SamplesPerPixel, file.PhotometricInterpretation, file.PixelRepresentation = 1, "MONOCHROME2", 1
    file.BitsAllocated = file.BitsStored = 16
    file.HighBit = 15
    file.PixelSpacing = [0.5, 0.75]
    normal = np.cross(along[:3], along[3:])
    file.ImagePositionPatient, file.ImageOrientationPatient = [float(v) for v in z * normal], list(along)
    file.PixelData = pixels.astype("<i2").tobytes()
    file.save_as(path, enforce_file_format=True)


@pytest.mark.parametrize("tilt", [0.0, 20.0])
def test_a_series_is_laid_from_the_feet_up(tmp_path: Path, tilt: float) -> None:
    volume = np.arange(4 * 5 * 6).reshape(4, 5, 6)
    along = (1.0, 0.0, 0.0, 0.0, math.cos(math.radians(tilt)), math.sin(math.radians(tilt)))
    for name, k in zip("dbca", range(4), strict=True):
        _write(tmp_path / f"{name}.dcm", volume[k], -50 + 5.5 * k, along=along)
    got = read_mr(tmp_path)
    assert got.spacing == pytest.approx((5.5, 0.5, 0.75))
    assert got.magnitude.dtype == torch.float32
    np.testing.assert_array_equal(got.magnitude, volume)


def test_what_is_no_axial_series_is_refused(tmp_path: Path) -> None:
    pixels = np.ones((4, 4))
    with pytest.raises(InputError, match=r"takes the files \*.dcm of one series, got 0 files"):
        read_mr(tmp_path)
    for k in range(2):
        _write(tmp_path / f"{k}.dcm", pixels, k, along=(0, 1, 0, 0, 0, -1))
    with pytest.raises(InputError, match="takes axial slices"):
        read_mr(tmp_path)
    _write(tmp_path / "1.dcm", pixels, 1, uid="1.2.4")
    with pytest.raises(InputError, match="of one series, got 2 files"):
        read_mr(tmp_path)
    (tmp_path / "1.dcm").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"1\.dcm: is no DICOM file; take it out of the folder"):
        read_mr(tmp_path)


def test_nifti_keeps_its_values_and_loses_what_is_negative(tmp_path: Path) -> None:
    values = torch.arange(60.0).reshape(3, 4, 5) - 10
    write_nifti(tmp_path / "a.nii.gz", CTVolume(values, (2.0, 1.0, 1.5)))
    got = read_mr(tmp_path / "a.nii.gz")
    assert got.spacing == pytest.approx((2.0, 1.0, 1.5))
    assert torch.equal(got.magnitude, values.clamp(min=0))


def test_what_the_samples_can_hold_is_drawn_exactly() -> None:
    def wave(y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return 2 + torch.sin(2 * math.pi * (3 * y[:, None] / 24 + x / 40)) + torch.cos(2 * math.pi * 5 * x / 40)

    plane = wave(torch.arange(24.0).double(), torch.arange(40.0).double())
    drawn = draw_plane(plane, (1.0, 0.9), (11.3, 20.2), 16, 0.7)
    places = torch.arange(16).double() - 8
    torch.testing.assert_close(drawn, wave(11.3 + 0.7 * places, 20.2 + 0.7 / 0.9 * places))


def test_the_same_pixels_at_the_middle_are_the_same_plane(generator: torch.Generator) -> None:
    plane = torch.rand(9, 9, generator=generator)
    torch.testing.assert_close(draw_plane(plane, (0.8, 0.8), (4.0, 4.0), 9, 0.8), plane)


def test_outside_of_the_plane_is_zero() -> None:
    drawn = draw_plane(torch.ones(10, 10), (1.0, 1.0), (5.0, 5.0), 16, 1.0)
    torch.testing.assert_close(drawn[3:13, 3:13], torch.ones(10, 10))
    assert float(drawn.sum()) == pytest.approx(100, rel=1e-5)


def test_what_coarser_pixels_cannot_hold_is_left_out() -> None:
    x = torch.arange(60).double()
    low, high = (torch.cos(2 * math.pi * k * x / 60).expand(60, 60) for k in (5, 20))
    drawn = draw_plane(low + high, (1.0, 1.0), (30.0, 30.0), 24, 2.5)
    torch.testing.assert_close(drawn, draw_plane(low, (1.0, 1.0), (30.0, 30.0), 24, 2.5))
    assert float(drawn.abs().max()) > 0.9
