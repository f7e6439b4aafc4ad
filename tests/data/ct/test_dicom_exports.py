"""CT series as hospitals export them: in one file or many, with directories, localizers, slabs and tilt among them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import EnhancedCTImageStorage, ImplicitVRLittleEndian, MediaStorageDirectoryStorage, RLELossless

from medrecon.data.ct.dicom import read_dicom
from medrecon.data.dicom_series import all_series, find_images
from medrecon.errors import InputError
from tests.data.ct.test_dicom import _series, _volume, _with, _write

Change = Callable[[FileDataset], None]
WHOLE = torch.from_numpy(_volume().astype(np.float32))


def stack(folder: Path, places: list[float], change: Change = lambda _: None) -> Path:
    for k, z in enumerate(places):
        _write(folder / f"{k}.dcm", _volume()[k % 5], (0.0, 0.0, z), number=k + 1, change=change)
    return folder


def group(name: str, **values: object) -> Dataset:
    """A functional group that holds one macro."""
    macro, found = Dataset(), Dataset()
    for key, value in values.items():
        setattr(macro, key, value)
    setattr(found, name + "Sequence", [macro])
    return found


def write_enhanced(path: Path, frames: list[Dataset], volume: np.ndarray | None = None) -> None:
    """Write all slices as frames of one file, of the groups `frames` and of shared ones."""
    stored = (_volume() if volume is None else volume)[: len(frames)]

    def change(file: FileDataset) -> None:
        file.SOPClassUID = file.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
        for name in ("PixelSpacing", "SliceThickness", "RescaleSlope", "RescaleIntercept"):
            delattr(file, name)
        shared = group("PixelMeasures", PixelSpacing=[0.5, 0.75], SliceThickness=2.0)
        shared.update(group("PlaneOrientation", ImageOrientationPatient=[1, 0, 0, 0, 1, 0]))
        shared.update(group("PixelValueTransformation", RescaleSlope=1, RescaleIntercept=-1024))
        file.SharedFunctionalGroupsSequence = [shared]
        file.PerFrameFunctionalGroupsSequence = frames
        file.NumberOfFrames = len(frames)
        file.PixelData = (stored + 1024).astype("<i2").tobytes()

    _write(path, stored[0], None, change=change)


def frame(z: float, **rescale: float) -> Dataset:
    found = group("PlanePosition", ImagePositionPatient=[0, 0, z])
    if rescale:
        found.update(group("PixelValueTransformation", **rescale))
    return found


def test_frames_of_one_file_are_slices_each_with_its_own_rescale(tmp_path: Path) -> None:
    frames = [frame(2.0 * k) for k in (4, 0, 2, 1, 3)]
    frames[1] = frame(0.0, RescaleSlope=2.0, RescaleIntercept=-1024.0)
    write_enhanced(tmp_path / "a.dcm", frames)
    volume = read_dicom(tmp_path)
    expected = WHOLE[[1, 3, 2, 4, 0]].clone()
    expected[0] = 2 * (WHOLE[1] + 1024) - 1024
    assert torch.equal(volume.hounsfield, expected)
    assert volume.spacing == (2.0, 0.5, 0.75)


def test_a_file_of_one_frame(tmp_path: Path) -> None:
    write_enhanced(tmp_path / "a.dcm", [frame(0.0)])
    assert torch.equal(read_dicom(tmp_path / "a.dcm").hounsfield, WHOLE[:1])


def test_frames_that_are_not_described_or_lie_at_one_place_are_refused(tmp_path: Path) -> None:
    write_enhanced(tmp_path / "a.dcm", [frame(0.0), frame(2.0), frame(2.0)])
    with pytest.raises(InputError, match=r"a\.dcm: frames 1 and 2 lie at the same place; it holds several volumes"):
        read_dicom(tmp_path)
    file = pydicom.dcmread(tmp_path / "a.dcm")
    file.NumberOfFrames = 2
    file.save_as(tmp_path / "a.dcm")
    with pytest.raises(InputError, match=r"a\.dcm: has 2 frames, and 3 of them are described"):
        read_dicom(tmp_path)


def test_a_directory_of_media_is_passed_over_whatever_it_is_called(tmp_path: Path) -> None:
    _series(tmp_path / "S0")
    directory = pydicom.dcmread(tmp_path / "S0" / "0.dcm")
    for name in ("Rows", "SeriesInstanceUID", "Modality", "PixelData"):
        delattr(directory, name)
    directory.SOPClassUID = directory.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    for name in ("DICOMDIR", "DIRFILE"):
        directory.save_as(tmp_path / name)
    volume = read_dicom(tmp_path)
    assert torch.equal(volume.hounsfield, WHOLE)
    assert volume.notes == ()


@pytest.mark.parametrize("syntax", ["explicit", "implicit"])
def test_files_without_preamble_are_read_and_other_files_are_not(tmp_path: Path, syntax: str) -> None:
    _series(tmp_path)
    for path in tmp_path.iterdir():
        file = pydicom.dcmread(path)
        if syntax == "implicit":
            file.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
            file.save_as(path)
        content = path.read_bytes()
        length = (
            132 + 12 + int.from_bytes(content[140:144], "little")
        )  # preamble, and the group of the meta information
        path.write_bytes(content[length:])
        assert path.read_bytes()[:2] == b"\x08\x00"
    (tmp_path / "words.txt").write_text("words that are no image, and long enough to be one " * 9)
    (tmp_path / "a.bin").write_bytes(b"\x08\x00\x05\x00CS\x04\x00abcd" + bytes(999))
    volume = read_dicom(tmp_path)
    assert torch.equal(volume.hounsfield, WHOLE)
    assert volume.notes == ("passed over, as no DICOM images: a.bin, words.txt",)


LOCALIZER = _with(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], ImageOrientationPatient=[1, 0, 0, 0, 0, -1])


def test_localizers_are_passed_over_in_the_series_or_beside_it(tmp_path: Path) -> None:
    _series(tmp_path)
    _write(tmp_path / "scout.dcm", _volume()[0], (0, 0, 0), uid="1.2.9", change=LOCALIZER)
    volume = read_dicom(tmp_path)
    assert torch.equal(volume.hounsfield, WHOLE)
    assert volume.notes == ("other series here were passed over: 1.2.9 (CT chest, 1 slices)",)
    _write(tmp_path / "scout.dcm", _volume()[0], (0, 0, 0), change=LOCALIZER)
    volume = read_dicom(tmp_path)
    assert torch.equal(volume.hounsfield, WHOLE)
    assert volume.notes == ("1 localizer in the series passed over",)
    assert len(all_series(find_images(tmp_path)[0])) == 1


def test_a_series_of_two_patients_is_refused_without_their_names(tmp_path: Path) -> None:
    _series(tmp_path)
    _write(tmp_path / "x.dcm", _volume()[0], (-10, -20, 200), change=_with(PatientID="q", PatientName="Doe^Jane"))
    with pytest.raises(InputError, match="the series is of 2 patients, by its PatientID; put each") as caught:
        read_dicom(tmp_path)
    assert "Doe" not in str(caught.value)


@pytest.mark.parametrize("signed", [False, True])
def test_a_range_of_padding_becomes_air_read_as_the_pixels_are(tmp_path: Path, signed: bool) -> None:
    padded = _volume().astype(np.int32)
    padded[:, 0, :3] = np.array([-2000, -1900, -1500]) - 1024
    stored = padded + 1024

    def change(file: FileDataset) -> None:
        k = int(file.InstanceNumber) - 1
        file.PixelRepresentation = int(signed)
        file.PixelData = stored[k].astype("<i2").tobytes()
        file.add_new("PixelPaddingValue", "US", 65536 - 2000)
        file.add_new("PixelPaddingRangeLimit", "US", 65536 - 1500)

    volume = read_dicom(stack(tmp_path, [2.0 * k for k in range(5)], change))
    assert (volume.hounsfield[:, 0, :3] == -1024).all()
    rest = torch.ones(WHOLE.shape, dtype=torch.bool)
    rest[:, 0, :3] = False
    assert torch.equal(volume.hounsfield[rest], WHOLE[rest])
    assert "15 values (7.1 %) of padding" in volume.notes[-1]


@pytest.mark.parametrize(
    ("places", "says"),
    [
        ([0, 3, 6, 9, 16, 23, 30, 37], "the distance of the slices changes, from 3 to 7 mm; 7 mm is taken"),
        ([0, 7, 14, 17, 20, 23], "the distance of the slices changes, from 7 to 3 mm; 3 mm is taken"),
        ([0, 3.2, 6, 9, 12, 15], "the slices lie 2.8 to 3.2 mm apart; 3 mm is taken"),
        ([0, 3, 6, 12, 15, 18], "the slices lie 3 to 6 mm apart: some are missing; 3 mm is taken"),
        ([0, 3, 6.05, 9, 12], None),
    ],
)
def test_slabs_and_jitter_are_told_from_slices_that_are_missing(
    tmp_path: Path, places: list[float], says: str | None
) -> None:
    assert read_dicom(stack(tmp_path, places)).notes == (() if says is None else (says,))


def test_a_tilted_gantry_is_straightened(tmp_path: Path) -> None:
    """Slices of an object that does not change along the axis of the table come out alike, one behind the other."""
    tilt = np.radians(18.5)
    down = np.array([0.0, np.cos(tilt), -np.sin(tilt)])
    rows = np.arange(40)[:, None] + np.zeros((40, 20))
    for k in range(5):
        position = np.array([0.0, 0.0, 4.22 * k])
        y = (position + rows[..., None] * 0.5 * down)[..., 1:]  # of each pixel: (y, z) in the patient
        across = y @ np.array([np.cos(tilt), -np.sin(tilt)])  # along the plane: what a straight stack shows
        image = np.rint(1000 * np.exp(-(((across - 6) / 1.5) ** 2)) - 1000)

        def turn(file: FileDataset) -> None:
            file.PixelSpacing = [0.5, 0.5]
            file.ImageOrientationPatient = [1, 0, 0, *down]

        _write(tmp_path / f"{k}.dcm", image, tuple(position), change=turn)
    volume = read_dicom(tmp_path)
    assert volume.spacing == pytest.approx((4.22 * np.cos(tilt), 0.5, 0.5))
    assert "tilted by 18.5 degrees: the slices were shifted in their planes, by up to 5.4 mm" in " ".join(volume.notes)
    profiles = volume.hounsfield[:, :, 10].numpy()
    peaks = (profiles + 1024).clip(min=24) - 24
    centers = (peaks * np.arange(profiles.shape[1])).sum(1) / peaks.sum(1)
    assert np.ptp(centers) < 0.05
    assert np.abs(profiles - profiles[2]).max() < 40  # linear interpolation of a bell


def test_slices_beside_each_other_are_no_stack(tmp_path: Path) -> None:
    for k in range(3):
        _write(tmp_path / f"{k}.dcm", _volume()[k], (20.0 * k, 0.0, 2.0 * k))
    with pytest.raises(InputError, match="its slices lie beside each other"):
        read_dicom(tmp_path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_with(RescaleSlope="0"), "its RescaleSlope is 0"),
        (_with(PhotometricInterpretation="PALETTE COLOR"), "holds several frames or colors"),
    ],
)
def test_what_is_no_image_of_hounsfield_units_is_refused(tmp_path: Path, change: Change, says: str) -> None:
    _write(tmp_path / "a.dcm", _volume()[0], (0, 0, 0), change=change)
    with pytest.raises(InputError, match=rf"a\.dcm: {says}"):
        read_dicom(tmp_path)


def test_packed_by_run_lengths(tmp_path: Path) -> None:
    _series(tmp_path)
    for path in tmp_path.iterdir():
        file = pydicom.dcmread(path)
        file.compress(RLELossless, generate_instance_uid=False)
        file.save_as(path)
    assert torch.equal(read_dicom(tmp_path).hounsfield, WHOLE)
