"""DICOM CT series: laid out the one way whatever their files are called and however they run; wrong ones named."""

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    generate_uid,
)

from medrecon.data.ct.dicom import read_dicom
from medrecon.data.dicom_file import DicomFile
from medrecon.errors import ChangedError, InputError

SHAPE = (5, 6, 7)
UID = "1.2.3.4"


def _volume() -> np.ndarray:
    """Hounsfield units `(z, y, x)`, each value different, from -1000."""
    return (np.arange(np.prod(SHAPE)).reshape(SHAPE) * 7 - 1000).astype(np.int16)


def _write(
    path: Path,
    hounsfield: np.ndarray,
    position: tuple[float, float, float] | None,
    *,
    uid: str = UID,
    number: int = 1,
    change: Callable[[FileDataset], None] = lambda _: None,
) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = FileDataset(path, {}, file_meta=meta, preamble=b"\0" * 128)
    file.SOPClassUID, file.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    file.Modality, file.SeriesInstanceUID, file.InstanceNumber = "CT", uid, number
    file.PatientID, file.SeriesDescription = "p", "chest"
    file.Rows, file.Columns = hounsfield.shape
    file.SamplesPerPixel, file.PhotometricInterpretation, file.PixelRepresentation = 1, "MONOCHROME2", 1
    file.BitsAllocated = file.BitsStored = 16
    file.HighBit = 15
    file.PixelSpacing, file.SliceThickness = [0.5, 0.75], 9.0
    file.RescaleSlope, file.RescaleIntercept = "1", "-1024"
    if position is not None:
        file.ImagePositionPatient, file.ImageOrientationPatient = list(position), [1, 0, 0, 0, 1, 0]
    file.PixelData = (hounsfield.astype(np.int16) + 1024).astype("<i2").tobytes()
    change(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    file.save_as(path, enforce_file_format=True)


def _series(
    folder: Path,
    *,
    step: float = 2.0,
    volume: np.ndarray | None = None,
    change: Callable[[FileDataset], None] = lambda _: None,
) -> Path:
    """Write a series whose files' names and instance numbers say nothing of their order."""
    volume = _volume() if volume is None else volume
    names = [f"{k}.dcm" for k in range(len(volume))]
    random.Random(3).shuffle(names)
    for k, (name, one) in enumerate(zip(names, volume, strict=True)):
        _write(folder / name, one, (-10.0, -20.0, 100.0 + step * k), number=k * 3 % 5, change=change)
    return folder


def test_slices_are_sorted_by_position_and_rescaled(tmp_path: Path) -> None:
    volume = read_dicom(_series(tmp_path))
    assert torch.equal(volume.hounsfield, torch.from_numpy(_volume().astype(np.float32)))
    assert volume.spacing == (2.0, 0.5, 0.75)
    assert (len(volume), volume.notes) == (5, ())


def test_slices_that_were_written_from_the_head_down_come_out_from_the_feet_up(tmp_path: Path) -> None:
    volume = read_dicom(_series(tmp_path, step=-2.0))
    assert torch.equal(volume.hounsfield, torch.from_numpy(_volume()[::-1].astype(np.float32)))


@pytest.mark.parametrize(
    ("orientation", "axes", "flips"),
    [
        ([-1, 0, 0, 0, -1, 0], (0, 1, 2), (1, 2)),  # head first, turned about: the normal stays
        ([0, 1, 0, 1, 0, 0], (0, 2, 1), (0,)),  # rows and columns swapped: the normal turns round
        ([1, 0, 0, 0, 0, -1], (1, 0, 2), (0,)),  # coronal, head at the top: slices run along y
    ],
)
def test_any_orientation_is_laid_out_as_axial(
    tmp_path: Path, orientation: list[int], axes: tuple[int, ...], flips: tuple[int, ...]
) -> None:
    normal = np.cross(orientation[:3], orientation[3:])
    for k, one in enumerate(_volume()):
        position = tuple(float(value) for value in 2.0 * k * normal)

        def turn(file: FileDataset) -> None:
            file.ImageOrientationPatient = orientation

        _write(tmp_path / f"{k}.dcm", one, position, change=turn)
    volume = read_dicom(tmp_path)
    expected = np.flip(_volume().transpose(axes), flips)
    assert torch.equal(volume.hounsfield, torch.from_numpy(expected.astype(np.float32)))
    assert volume.spacing == tuple((2.0, 0.5, 0.75)[axis] for axis in axes)


def test_padding_is_clipped_and_told(tmp_path: Path) -> None:
    padded = _volume()
    padded[:, 0, :2] = -3024

    def state(file: FileDataset) -> None:
        file.add_new("PixelPaddingValue", "SS", -2000)

    for name, change in (("stated", state), ("silent", lambda _: None)):
        volume = read_dicom(_series(tmp_path / name, volume=padded, change=change))
        assert float(volume.hounsfield.min()) == -1024
        assert (volume.hounsfield[:, 0, :2] == -1024).all()
        assert volume.notes == ("10 values (4.8 %) of padding, down to -3024 HU, were set to -1024 HU",)


def test_a_padding_value_within_the_range_becomes_air(tmp_path: Path) -> None:
    padded = _volume()
    padded[1, 2, 3] = 5000

    def state(file: FileDataset) -> None:
        file.add_new("PixelPaddingValue", "SS", 6024)

    volume = read_dicom(_series(tmp_path, volume=padded, change=state))
    assert volume.hounsfield[1, 2, 3] == -1024
    assert volume.notes == ("1 values (0.5 %) of padding were set to -1024 HU",)


def test_the_slope_counts(tmp_path: Path) -> None:
    def change(file: FileDataset) -> None:
        file.RescaleSlope, file.RescaleIntercept = "0.5", "-1000"

    volume = read_dicom(_series(tmp_path, change=change))
    expected = 0.5 * (_volume().astype(np.float32) + 1024) - 1000
    torch.testing.assert_close(volume.hounsfield, torch.from_numpy(expected))


def test_two_series_are_refused_unless_one_is_named(tmp_path: Path) -> None:
    _series(tmp_path)
    _write(tmp_path / "other" / "a.dcm", _volume()[0] + 1, (0, 0, 0), uid="1.2.3.5")
    with pytest.raises(
        InputError, match=r"holds 2 series, name one.*1\.2\.3\.4 \(CT chest, 5 slices\); 1\.2\.3\.5 \(CT chest, 1"
    ):
        read_dicom(tmp_path)
    volume = read_dicom(tmp_path, series=UID)
    assert len(volume) == 5
    assert volume.notes == ("other series here were passed over: 1.2.3.5 (CT chest, 1 slices)",)
    assert len(read_dicom(tmp_path, series="1.2.3.5")) == 1
    with pytest.raises(InputError, match=r"holds no series 9\.9; there are: 1\.2\.3\.4"):
        read_dicom(tmp_path, series="9.9")


def test_the_only_series_of_ct_is_taken_beside_others(tmp_path: Path) -> None:
    def segmentation(file: FileDataset) -> None:
        file.Modality = "SEG"

    _series(tmp_path)
    _write(tmp_path / "seg.dcm", _volume()[0], (0, 0, 0), uid="1.2.3.5", change=segmentation)
    (tmp_path / "LICENSE").write_text("words")
    volume = read_dicom(tmp_path)
    assert len(volume) == 5
    assert volume.notes == (
        "passed over, as no DICOM images: LICENSE",
        "other series here were passed over: 1.2.3.5 (SEG chest, 1 slices)",
    )


def test_without_positions_the_instance_numbers_decide(tmp_path: Path) -> None:
    for k, one in enumerate(_volume()):
        _write(tmp_path / f"{9 - k}.dcm", one, None, number=k + 1)
    volume = read_dicom(tmp_path)
    assert torch.equal(volume.hounsfield, torch.from_numpy(_volume().astype(np.float32)))
    assert volume.spacing[0] == 9.0
    assert "upside down" in volume.notes[0]


def test_a_missing_slice_is_told(tmp_path: Path) -> None:
    for k in (0, 1, 2, 4):
        _write(tmp_path / f"{k}.dcm", _volume()[k], (0, 0, 2.0 * k))
    assert read_dicom(tmp_path).notes == ("the slices lie 2 to 4 mm apart: some are missing; 2 mm is taken",)


def test_a_single_file_is_a_volume_of_one_slice(tmp_path: Path) -> None:
    _write(tmp_path / "a.dcm", _volume()[0], (0, 0, 0))
    assert read_dicom(tmp_path / "a.dcm").hounsfield.shape == (1, 6, 7)


def _without(name: str) -> Callable[[FileDataset], None]:
    def change(file: FileDataset) -> None:
        delattr(file, name)

    return change


def _with(**values: object) -> Callable[[FileDataset], None]:
    def change(file: FileDataset) -> None:
        for name, value in values.items():
            setattr(file, name, value)

    return change


def _compressed(file: FileDataset) -> None:
    file.file_meta.TransferSyntaxUID = JPEG2000Lossless
    file.PixelData = pydicom.encaps.encapsulate([b"\xff\x4f nonsense"])
    file["PixelData"].is_undefined_length = True


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            _with(Rows=3, PixelData=b"\0" * 42),
            r"x\.dcm: its Rows is 3, and that of a\.dcm 6: these are no slices of one volume",
        ),
        (_with(ImageOrientationPatient=[1, 0, 0, 0, 0, -1]), r"x\.dcm: its ImageOrientationPatient is .*localizer"),
        (_with(Modality="MR"), r"x\.dcm: its modality is MR; a CT series is needed"),
        (_with(NumberOfFrames=2), r"x\.dcm: holds several frames or colors; convert"),
        (_with(PixelData=b"\0" * 40), r"x\.dcm: its pixels cannot be read, it may be cut short"),
        (_without("PixelData"), r"x\.dcm: holds no pixel data"),
        (_with(RescaleIntercept=""), r"x\.dcm: states no RescaleSlope and RescaleIntercept"),
        (_with(PixelSpacing=""), r"x\.dcm: its PixelSpacing is None, and that of a\.dcm \[0\.5, 0\.75\]"),
        (
            _with(ImagePositionPatient="", InstanceNumber=""),
            r"x\.dcm: states neither ImagePositionPatient nor InstanceNumber",
        ),
        (_without("RescaleSlope"), r"x\.dcm: states no RescaleSlope and RescaleIntercept"),
        (_compressed, r"x\.dcm: its pixels are compressed \(JPEG 2000 .*decompress the series"),
        (_with(ImagePositionPatient=[0, 0, 0]), r"a\.dcm and x\.dcm lie at the same place"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, change: Callable[[FileDataset], None], says: str) -> None:
    _write(tmp_path / "a.dcm", _volume()[0], (0, 0, 0))
    _write(tmp_path / "x.dcm", _volume()[1], (0, 0, 2), change=change)
    with pytest.raises(InputError, match=says) as caught:
        read_dicom(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_file_cut_short_is_named(tmp_path: Path) -> None:
    file = _series(tmp_path) / "2.dcm"
    whole = file.read_bytes()
    for length in (len(whole) - 20, 400, 150):
        file.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"2\.dcm"):
            read_dicom(tmp_path)


def test_without_pixel_spacing_nothing_is_guessed(tmp_path: Path) -> None:
    for name, change in (("none", _without("PixelSpacing")), ("empty", _with(PixelSpacing=""))):
        with pytest.raises(InputError, match="states no PixelSpacing"):
            read_dicom(_series(tmp_path / name, change=change))


def test_a_folder_without_images(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("words")
    with pytest.raises(InputError, match="holds no DICOM image"):
        read_dicom(tmp_path)
    with pytest.raises(InputError, match="nowhere: does not exist"):
        read_dicom(tmp_path / "nowhere")


def _raw(name: str, kind: str, content: bytes) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        file, tag = pydicom.dcmread(path), Tag(tag_for_keyword(name) or 0)
        file[tag] = RawDataElement(tag, kind, len(content), content, 0, False, True)
        file.save_as(path)

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_raw("NumberOfFrames", "IS", b"1e400 "), "its NumberOfFrames cannot be read"),
        (_raw("ImagePositionPatient", "DS", b"\xff\xff"), "its ImagePositionPatient cannot be read"),
        (_raw("Rows", "US", b"\x1b$B!!"), "its Rows cannot be read"),
        (_raw("RescaleSlope", "DS", b"1\\2 "), "its RescaleSlope has 2 numbers, not 1"),
        (_raw("RescaleIntercept", "DS", b"1e308 "), r"its RescaleIntercept is .*1e\+308.*, which no scanner states"),
        (_raw("PixelSpacing", "DS", b"nan\\1 "), r"its PixelSpacing is \[nan, 1\.0\], which no scanner states"),
        (_raw("PixelSpacing", "DS", b"1e-9\\1 "), "its axes do not span space"),
        (_raw("PixelPaddingValue", "US", b"\0\0\0\0"), "its PixelPaddingValue has 2 numbers, not 1"),
        (_raw("ImageOrientationPatient", "DS", b"0\\0\\0\\0\\0\\0 "), "its axes do not span space"),
        (_raw("BitsAllocated", "US", b"\xff\xff"), "its pixels cannot be read"),
    ],
)
def test_values_that_no_scanner_states_are_refused_in_one_line(
    tmp_path: Path, recwarn: pytest.WarningsRecorder, change: Callable[[Path], None], says: str
) -> None:
    _write(tmp_path / "a.dcm", _volume()[0], (0, 0, 0))
    change(tmp_path / "a.dcm")
    recwarn.clear()
    with pytest.raises(InputError, match=rf"a?\.?(dcm|0): {says}|{says}") as caught:
        read_dicom(tmp_path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    assert not recwarn.list


@pytest.mark.parametrize("frames", [1, 60_000])
def test_pixels_of_which_the_file_holds_nothing_are_refused_before_they_are_decoded(
    tmp_path: Path, frames: int
) -> None:
    def change(file: FileDataset) -> None:
        file.Rows = file.Columns = 65_000
        file.NumberOfFrames = frames

    _write(tmp_path / "a.dcm", _volume()[0], (0, 0, 0), change=change)
    says = "several frames" if frames > 1 else r"its pixels are 65000 x 65000, 7\.9 GiB, of which the file holds"
    with pytest.raises(InputError, match=says):
        read_dicom(tmp_path)


def test_a_series_that_does_not_fit_in_memory_is_refused_with_what_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _series(tmp_path)
    monkeypatch.setattr("medrecon.memory.available_memory", lambda: 1200)
    monkeypatch.setattr("medrecon.memory._SMALL", 0)
    with pytest.raises(InputError, match=r"to read 5 slices of 6 x 7 takes 2\.5 KiB of memory.*; 2 such slices fit"):
        read_dicom(tmp_path)


def test_a_large_file_that_is_deflated_as_a_whole_is_not_unpacked(tmp_path: Path) -> None:
    def change(file: FileDataset) -> None:
        file.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian

    _write(tmp_path / "a.dcm", _volume()[0], (0, 0, 0), change=change)
    assert len(read_dicom(tmp_path)) == 1
    with (tmp_path / "a.dcm").open("ab") as file:
        file.write(bytes(2**20))
    with pytest.raises(InputError, match=r"a\.dcm: is deflated as a whole; unpack it"):
        read_dicom(tmp_path)


def test_a_slice_that_is_replaced_while_the_series_is_read_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _series(tmp_path)
    last = sorted(tmp_path.iterdir())[-1]
    real = DicomFile.pixels

    def pixels(self: DicomFile) -> object:
        monkeypatch.setattr(DicomFile, "pixels", real)
        last.write_bytes(last.read_bytes())
        return real(self)

    monkeypatch.setattr(DicomFile, "pixels", pixels)
    with pytest.raises(ChangedError, match=rf"{last.name}: was written to while it was read"):
        read_dicom(tmp_path)
