"""What goes wrong with CT, and what the user sees: one line that says what, where and the remedy; the output whole or absent."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from medrecon.config import methods_of
from medrecon.data.ct.geometry_files import geometry_text
from medrecon.modality import Modality
from tests.program import medrecon, simulate
from tests.sinogram_files import GEOMETRY, SCAN, write_scan

TEXT = geometry_text(SCAN)


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return write_scan(tmp_path / "in" / "scan.h5", slices=3)


def value(number: float) -> Callable[[Path], object]:
    def spoil(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            file["sinogram"][1, 5, 7] = number

    return spoil


def geometry(text: str) -> Callable[[Path], object]:
    def spoil(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            file.attrs["geometry"] = text

    return spoil


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


FAN = TEXT.replace("parallel", "fan") + "source_distance: 60\ndetector_distance: 200\n"
SPOILED: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "missing": (Path.unlink, ("does not exist; check its name",)),
    "truncated": (truncate, ("is truncated", "fetch it again")),
    "NaN": (value(np.nan), ("slice 1 (of 3", "1 NaN", "angle 5, bin 7", "; --slices 0:1 takes sound ones alone")),
    "minus infinity": (value(-np.inf), ("slice 1 (of 3", "1 minus infinity", "floor the counts")),
    "no geometry": (geometry("beam: helical"), ("attribute `geometry`: `beam` is parallel or fan; got 'helical'",)),
    "geometry": (
        geometry(geometry_text(replace(SCAN, geometry=GEOMETRY[::2]))),
        ("the sinogram is (angle, detector) = (60, 64), and the geometry has (30, 64)",),
    ),
    "degrees": (
        geometry(TEXT.replace(f"step: {GEOMETRY.angles.step}", "step: 3.0")),
        ("takes angles in radians, got up to 177, which looks like degrees", "unit: degrees"),
    ),
    "spacing": (geometry(TEXT.replace("spacing: 2.0", "spacing: -2.0")), ("takes a spacing above 0 mm, got -2.0",)),
    "pixels": (geometry(TEXT.replace("[2.0, 2.0]", "[2.0, 0]")), ("Grid takes a spacing above 0 mm, got 0.0",)),
    "source": (geometry(FAN.replace("60\n", "30\n")), ("the source, 30 mm from the center, lies inside the image",)),
    "key": (geometry(TEXT + "pitch: 1\n"), ("unknown key `pitch`; there are beam, angles, n_bins",)),
}


@pytest.mark.parametrize("kind", list(SPOILED))
@pytest.mark.parametrize("options", [(), ("--method", "sirt", "--views", "20")])
def test_a_spoiled_file_is_refused_in_one_line(scan: Path, tmp_path: Path, kind: str, options: tuple[str, ...]) -> None:
    spoil, texts = SPOILED[kind]
    spoil(scan)
    out, report, picture = tmp_path / "out.h5", tmp_path / "r.json", tmp_path / "p.png"
    done = medrecon("reconstruct", scan, "-o", out, *options, "--json", report, "--preview", picture)
    assert (done.status, done.out) == (2, "")
    assert done.complaint.startswith(f"{scan}: ")
    for text in texts:
        assert text in done.complaint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_sound_slices_of_a_spoiled_file_can_be_had_as_the_message_says(scan: Path, tmp_path: Path) -> None:
    SPOILED["NaN"][0](scan)
    assert medrecon("reconstruct", scan, "-o", tmp_path / "o.h5", "--slices", "0:1").status == 0
    assert medrecon("inspect", scan).status == 0


def test_truncated_projections_are_told_with_what_they_do(tmp_path: Path) -> None:
    narrow = write_scan(tmp_path / "s.h5", replace(SCAN, geometry=replace(GEOMETRY, n_bins=24)))
    done = medrecon("reconstruct", narrow, "-o", tmp_path / "o.h5")
    assert (done.status, done.err) == (0, "")
    assert "note: the projections are truncated" in done.out
    assert "the field of 24 mm around the center that is seen whole; they were continued" in done.out
    assert "those beyond it are little more than an outline" in done.out
    assert "too high" not in done.out
    assert (
        "values are too high towards the border of that field, and wrong beyond it" in medrecon("inspect", narrow).out
    )


def test_a_limited_arc_is_told(tmp_path: Path) -> None:
    part = write_scan(tmp_path / "s.h5", replace(SCAN, geometry=GEOMETRY[:30]))
    assert (
        "note: 30 views over 90.0 of the 180.0 degrees needed"
        in medrecon("reconstruct", part, "-o", tmp_path / "o.h5").out
    )


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--mask", "random"), "--mask is an option of MRI, and scan.h5 holds sinograms of CT; --views thins those"),
        (("--acceleration", "4"), "--acceleration is an option of MRI"),
        (("--center-fraction", "0.1"), "--center-fraction is an option of MRI"),
        (
            ("--field-of-view", "99"),
            "--field-of-view is an option of MRI, and scan.h5 holds sinograms of CT; --size and --pixel",
        ),
        (
            ("--method", "wavelet"),
            f"--method wavelet: scan.h5 holds sinograms of CT, whose methods are {', '.join(methods_of(Modality.CT))}",
        ),
        (("--seed", "1"), "--seed belongs to the noise that --photons adds"),
        (("--views", "61"), "scan.h5: has 60 views; --views takes 1 to 60, got 61"),
        (("--views", "0"), "--views should be greater than or equal to 1, got 0"),
        (("--photons", "0"), "--photons should be greater than 0, got 0"),
        (("--photons", "nan"), "--photons should be"),
        (("--offset", "left"), "--offset takes millimeters, such as 2.5, or auto, which measures it; got left"),
        (("--offset", "nan"), "--offset takes millimeters, such as 2.5, or auto, which measures it; got nan"),
        (("--offset", "5000"), "half of the detector, which would not see the axis of rotation else; got 5000"),
        (("--pixel", "-1"), "--pixel should be greater than 0, got -1"),
        (("--size", "wide"), "--size takes N or YxX"),
        (("--size", "0"), "--size should be greater than or equal to 1"),
        (("--weight", "1"), "--weight: the method fbp has no weight"),
        (("--method", "tv", "--window", "hann"), "--window: the method tv has no window"),
        (("--method", "sirt", "--weight", "1"), "--weight: the method sirt has no weight"),
        (("--method", "tv", "--weight", "-1"), "--weight should be greater than or equal to 0, got -1"),
        (("--frequency-scaling", "2"), "--frequency-scaling should be less than or equal to 1, got 2"),
        (("--window", "kaiser"), "Invalid value for '--window'"),
        (("--geometry", "absent.yaml"), "absent.yaml: does not exist; check its name"),
        (("--slices", "1:9"), "has 3 slices, 0 to 2; --slices asks for 1:9"),
        (("--method", "magic"), "--method magic: there is no such method; there are zero-filled, rss,"),
    ],
)
def test_options_that_make_no_sense(
    scan: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], text: str
) -> None:
    monkeypatch.chdir(scan.parent)
    done = medrecon("reconstruct", "scan.h5", "--output", "o.h5", *options)
    assert (done.status, done.out) == (2, "")
    assert text in done.complaint
    assert [path.name for path in scan.parent.iterdir()] == ["scan.h5"]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--views", "4"), "--views is an option of CT, and mri.h5 holds k-space of MRI; leave it out"),
        (("--photons", "4"), "--photons is an option of CT"),
        (("--hu",), "--hu is an option of CT"),
        (("--geometry", "g.yaml"), "--geometry is an option of CT"),
        (("--window", "hann"), "--window: the method wavelet has no window"),
        (
            ("--method", "fbp"),
            "--method fbp: mri.h5 holds k-space of MRI, whose methods are zero-filled, rss, grappa, sense",
        ),
    ],
)
def test_options_of_ct_for_mri(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    simulate(tmp_path / "mri.h5")
    done = medrecon("reconstruct", "mri.h5", "--output", "o.h5", *options)
    assert (done.status, done.out) == (2, "")
    assert text in done.complaint
    assert [path.name for path in tmp_path.iterdir()] == ["mri.h5"]


def test_a_geometry_file_of_other_numbers(scan: Path, tmp_path: Path) -> None:
    other = tmp_path / "g.yaml"
    other.write_text(geometry_text(replace(SCAN, geometry=replace(GEOMETRY, n_bins=65))))
    for command in (("inspect",), ("reconstruct", "-o", tmp_path / "o.h5")):
        done = medrecon(command[0], scan, *command[1:], "--geometry", other)
        assert done.status == 2
        assert f"(angle, detector) = (60, 64), and the geometry of {other} has (60, 65)" in done.complaint


def test_a_grid_that_holds_the_source(tmp_path: Path) -> None:
    path = write_scan(tmp_path / "s.h5")
    geometry(FAN.replace("source_distance: 60", "source_distance: 70"))(path)
    done = medrecon("reconstruct", path, "-o", tmp_path / "o.h5", "--size", 100, "--pixel", 3)
    assert done.status == 2
    assert "the source, 70 mm from the center, lies inside the image of 300 x 300 mm" in done.complaint


def test_other_files_go_on_when_one_fails(scan: Path, tmp_path: Path) -> None:
    write_scan(scan.with_name("zz.h5"))
    SPOILED["NaN"][0](scan)
    done = medrecon("reconstruct", scan.parent, "-o", tmp_path / "out")
    assert done.status == 2
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["zz.h5"]
    assert "1 of 2 files reconstructed" in done.out


def test_an_image_instead_of_an_observation(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "ground_truth_test_000.hdf5", "w") as file:
        file["data"] = np.zeros((1, 362, 362), np.float32)
    done = medrecon("reconstruct", tmp_path / "ground_truth_test_000.hdf5", "-o", tmp_path / "o.h5")
    assert "holds images of LoDoPaB, not measurements; give the observation_*.hdf5 file" in done.complaint


def write_slice(path: Path, series: str, place: float, rows: int = 8) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = CTImageStorage, ExplicitVRLittleEndian
    meta.MediaStorageSOPInstanceUID = generate_uid()
    one = pydicom.Dataset()
    one.file_meta, one.SOPClassUID, one.SOPInstanceUID = meta, CTImageStorage, meta.MediaStorageSOPInstanceUID
    one.Modality, one.SeriesInstanceUID, one.Rows, one.Columns = "CT", series, rows, 8
    one.PixelSpacing, one.ImagePositionPatient, one.ImageOrientationPatient = [2, 2], [0, 0, place], [1, 0, 0, 0, 1, 0]
    one.RescaleSlope, one.RescaleIntercept, one.SamplesPerPixel = 1, -1000, 1
    one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 12, 11, 0
    one.PhotometricInterpretation = "MONOCHROME2"
    one.PixelData = np.full((rows, 8), 1000, np.uint16).tobytes()
    one.save_as(path, enforce_file_format=True)


def test_lengths_that_no_image_has_are_refused(tmp_path: Path) -> None:
    scan = write_scan(tmp_path / "scan.h5")
    geometry(TEXT.replace("[2.0, 2.0]", "[1.0e+9, 2.0]"))(scan)
    done = medrecon("reconstruct", scan, "--output", tmp_path / "o.h5", "--method", "fbp")
    assert done.status == 2
    assert "takes steps and an origin up to 1e+06 mm" in done.complaint
    assert not (tmp_path / "o.h5").exists()


def test_series_of_dicom(tmp_path: Path) -> None:
    series, folder, out = generate_uid(), tmp_path / "series", tmp_path / "s.h5"
    folder.mkdir()
    call = ("simulate", out, "--modality", "ct", "--from", folder, "--views", 8)
    assert "holds no DICOM image" in medrecon(*call).complaint
    for k in range(3):
        write_slice(folder / f"{k}.dcm", series, 5.0 * k)
    done = medrecon(*call)
    assert (done.status, done.err) == (0, "")
    assert "3 sinograms of" in done.out
    out.unlink()
    for images in (folder, folder / "0.dcm"):
        told = medrecon("reconstruct", images, "--output", tmp_path / ("o" if images is folder else "o.h5"))
        assert told.status == 2
        assert "holds DICOM images, which are reconstructed already" in told.complaint
    assert "has 3 slices, and --slices asks for 4" in medrecon(*call, "--slices", 4).complaint
    write_slice(folder / "stray.dcm", series, 20.0, rows=16)
    assert "these are no slices of one volume" in medrecon(*call).complaint
    write_slice(folder / "stray.dcm", generate_uid(), 20.0)
    assert "holds 2 series, name one (--series UID), or put it in a folder of its own" in medrecon(*call).complaint
    (folder / "stray.dcm").write_bytes((folder / "0.dcm").read_bytes()[:-60])
    (folder / "0.dcm").unlink()
    assert "may be cut short" in medrecon(*call).complaint
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--coils", "3"), "--coils is an option of --modality mri; leave it out"),
        (("--snr", "3"), "--snr is an option of --modality mri"),
        (("--phantom", "brain"), "--phantom should be 'shepp-logan' or 'abdomen', got brain"),
        (("--from", "x.nii", "--phantom", "abdomen"), "--phantom is another object than that of --from; leave it out"),
        (("--from", "x.nii"), "x.nii: is no file; check its name"),
        (("--from", "x"), "x: does not exist; check its name"),
        (("--from", "x.nrrd"), "x.nrrd: does not exist; check its name"),
        (("--geometry", "g.yaml"), "g.yaml: does not exist; check its name"),
        (("--photons", "-1"), "--photons should be greater than 0, got -1"),
        (("--views", "0"), "--views should be greater than or equal to 1, got 0"),
        (("--size", "4"), "--size should be greater than or equal to 8, got 4"),
    ],
)
def test_simulating_what_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = medrecon("simulate", "s.h5", "--modality", "ct", *arguments)
    assert (done.status, done.out) == (2, "")
    assert text in done.complaint
    assert list(tmp_path.iterdir()) == []


def test_options_of_ct_for_simulated_mri(tmp_path: Path) -> None:
    for options in (
        ("--views", 3),
        ("--from", "x"),
        ("--photons", 5),
        ("--bins", 3),
        ("--pixel", 3),
        ("--geometry", "g"),
    ):
        done = medrecon("simulate", tmp_path / "s.h5", *options)
        assert f"{options[0]} is an option of --modality ct; leave it out" in done.complaint
    assert (
        "--phantom should be 'brain' or 'shepp-logan', got abdomen"
        in medrecon("simulate", tmp_path / "s.h5", "--phantom", "abdomen").complaint
    )
    (tmp_path / "g.yaml").write_text(TEXT)
    done = medrecon("simulate", tmp_path / "s.h5", "--modality", "ct", "--geometry", tmp_path / "g.yaml", "--views", 3)
    assert "--views and --bins are those of" in done.complaint


def test_an_iteration_that_diverges(scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def diverge(*_: object) -> None:
        raise ArithmeticError("the iteration diverged")

    monkeypatch.setattr("medrecon.reconstructors.sirt.Sirt.__call__", diverge)
    done = medrecon("reconstruct", scan, "-o", tmp_path / "o.h5", "--method", "sirt")
    assert done.status == 2
    assert done.complaint == f"{scan}: slice 0 to 2: the iteration diverged; choose another weight or method"
    assert not (tmp_path / "o.h5").exists()


def test_cuda_that_is_not_there(scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    done = medrecon("reconstruct", scan, "-o", tmp_path / "o.h5", "--device", "cuda")
    assert (done.status, "no CUDA device is available" in done.complaint) == (2, True)
