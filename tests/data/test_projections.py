"""Projections as detectors and their programs write them: counts with flats, darks and angles, in every format that is read."""

import math
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import tifffile
import yaml
from numpy.typing import NDArray

from medrecon.data.arrays import open_arrays
from medrecon.data.ct.exposures import line_integrals
from medrecon.data.ct.geometry_files import geometry_text
from medrecon.data.ct.projection_files import ProjectionFile
from medrecon.data.ct.stated_scan import in_degrees, in_millimeters
from medrecon.data.formats import Format, find_format, open_sinograms
from medrecon.errors import ChangedError, InputError
from medrecon.geometry import FanBeam, ParallelBeam
from tests.program import medrecon
from tests.sinogram_files import GEOMETRY, SCAN, sinograms

ROWS, (VIEWS, BINS) = 3, GEOMETRY.shape
TRUTH = np.stack([one.numpy() for one in sinograms(slices=ROWS)]).astype(np.float64)  # (row, angle, bin)
DARK = 100.0
FLAT = 5e4 * np.random.default_rng(0).uniform(0.7, 1.3, (ROWS, BINS))
COUNTS = np.moveaxis(DARK + FLAT[:, None] * np.exp(-TRUTH), 0, 1).round().astype(np.uint16)  # (angle, row, bin)
WHITE, BLACK = np.tile(DARK + FLAT, (5, 1, 1)).round().astype(np.uint16), np.full((4, ROWS, BINS), DARK, np.uint16)
THETA = np.degrees(list(GEOMETRY.angles))


def exchange(path: Path, **data: object) -> Path:
    held = {"data": COUNTS, "data_white": WHITE, "data_dark": BLACK, "theta": THETA, **data}
    with h5py.File(path, "w") as file:
        for name, values in held.items():
            if values is not None:
                file[f"exchange/{name}"] = values
    return path


def nexus(path: Path, keys: NDArray[np.int64] | None = None, **more: object) -> Path:
    """Flats of half the beam before, of all of it after: the beam grows evenly in between."""
    before, after = WHITE[:2] / 2, WHITE[:2].astype(np.float64)
    n = VIEWS + 7
    frames = np.zeros((n, ROWS, BINS))
    frames[0], frames[1:3], frames[-3:-1], frames[-1] = DARK, before + DARK / 2, after, 60000
    strength = np.interp(np.arange(3, 3 + VIEWS), [1.5, n - 2.5], [0.5, 1.0])
    frames[3 : 3 + VIEWS] = DARK + strength[:, None, None] * (COUNTS - DARK)
    frames[3 + VIEWS] = 7
    stated = np.concatenate([[2, 1, 1], np.zeros(VIEWS), [3, 1, 1, 3]]).astype(int)
    turned = np.concatenate([np.zeros(3), THETA, np.zeros(4)])
    with h5py.File(path, "w") as file:
        file["scan/instrument/detector/data"] = frames
        file["scan/instrument/detector/image_key"] = stated if keys is None else keys
        file["scan/instrument/detector/x_pixel_size"] = 2.0
        file["scan/instrument/detector/x_pixel_size"].attrs["units"] = "mm"
        file["scan/sample/rotation_angle"] = turned
        file["scan/sample/rotation_angle"].attrs["units"] = "degree"
        for name, values in more.items():
            del file[name]
            file[name] = values
    return path


def tiffs(folder: Path) -> Path:
    folder.mkdir()
    for k, frame in enumerate(COUNTS):
        tifffile.imwrite(folder / f"p_{k}.tif", frame)  # p_10 comes after p_9
    return folder


def beside(path: Path) -> Path:
    path.with_suffix(".yaml").write_text(geometry_text(SCAN), encoding="utf-8")
    return path


def gray(path: Path, values: NDArray[np.generic], **more: object) -> None:
    tifffile.imwrite(path, values, photometric="minisblack", **more)


def flat_and_dark(folder: Path) -> tuple[Path, Path]:
    np.save(folder / "flat.npy", WHITE)
    gray(folder / "dark.tif", BLACK)
    return folder / "flat.npy", folder / "dark.tif"


def require_truth(file: object, within: float = 2e-3) -> None:
    assert len(file) == ROWS  # type: ignore[arg-type]
    for row in (2, 0, 1):
        np.testing.assert_allclose(file[row].sinogram.numpy(), TRUTH[row], atol=within)  # type: ignore[index]


def test_data_exchange_is_normalized_row_by_row(tmp_path: Path) -> None:
    file = open_sinograms(exchange(tmp_path / "scan.h5"))
    assert find_format(tmp_path / "scan.h5") is Format.DATA_EXCHANGE
    require_truth(file)
    assert isinstance(file.scan.geometry, ParallelBeam)
    np.testing.assert_allclose(list(file.scan.geometry.angles), list(GEOMETRY.angles))
    assert file.notes[0] == "normalized by 5 flats and 4 darks"
    assert "nothing says how wide a bin is: 1 mm is taken" in file.notes[1]


def test_a_geometry_without_angles_takes_those_of_the_file(tmp_path: Path) -> None:
    values = yaml.safe_load(geometry_text(SCAN))
    del values["angles"]
    (tmp_path / "g.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    file = open_sinograms(exchange(tmp_path / "scan.h5"), tmp_path / "g.yaml")
    assert file.scan.geometry.shape == GEOMETRY.shape
    assert file.scan.geometry.spacing == GEOMETRY.spacing
    assert len(file.notes) == 1


def test_axes_are_those_that_the_file_states(tmp_path: Path) -> None:
    exchange(tmp_path / "scan.h5", data=np.moveaxis(COUNTS, 1, 0))
    with h5py.File(tmp_path / "scan.h5", "r+") as file:
        file["exchange/data"].attrs["axes"] = "y:theta:x"
    require_truth(open_sinograms(tmp_path / "scan.h5"))


def test_nexus_takes_flats_before_and_after_and_leaves_invalid_frames_out(tmp_path: Path) -> None:
    file = open_sinograms(nexus(tmp_path / "scan.nxs"))
    assert find_format(tmp_path / "scan.nxs") is Format.NEXUS
    require_truth(file, 5e-3)
    assert file.scan.geometry.spacing == 2.0
    assert file.notes == ("normalized by 4 flats and 1 dark", "2 frames marked as invalid are left out")


def test_a_monitor_of_the_beam_divides_the_counts(tmp_path: Path) -> None:
    path = nexus(tmp_path / "scan.nxs")
    strength = np.linspace(0.5, 1.5, VIEWS)
    with h5py.File(path, "r+") as file:
        n = VIEWS + 7
        frames = file["scan/instrument/detector/data"]
        frames[1:3], frames[-3:-1] = WHITE[:2], WHITE[:2]
        frames[3 : 3 + VIEWS] = DARK + strength[:, None, None] * (COUNTS - DARK)
        beam = np.ones(n)
        beam[3 : 3 + VIEWS] = strength
        file["scan/control/data"] = beam
    opened = open_sinograms(path)
    require_truth(opened, 5e-3)
    assert "counts are divided by the beam's strength in `control/data`, 0.5 to 1.5" in opened.notes


ARRAYS: dict[str, Callable[[Path], Path]] = {
    "npy": lambda folder: _saved(folder / "scan.npy", np.save, COUNTS),
    "tiff": lambda folder: _saved(folder / "scan.tif", gray, COUNTS),
    "imagej": lambda folder: _saved(folder / "scan.tif", lambda path, v: gray(path, v, imagej=True), COUNTS),
    "packed": lambda folder: _saved(folder / "scan.tif", lambda p, v: gray(p, v, compression="zlib"), COUNTS),
    "folder": lambda folder: tiffs(folder / "scan"),
    "npz": lambda folder: _saved(folder / "scan.npz", lambda path, v: np.savez(path, projections=v), COUNTS),
    "packed npz": lambda folder: _saved(
        folder / "scan.npz", lambda p, v: np.savez_compressed(p, projections=v), COUNTS
    ),
    "mat": lambda folder: _saved(folder / "scan.mat", lambda path, v: scipy.io.savemat(path, {"a": v}), COUNTS),
}


def _saved(path: Path, save: Callable[..., object], values: object) -> Path:
    save(path, values)
    return path


@pytest.mark.parametrize("kind", ARRAYS)
def test_counts_of_arrays_are_normalized_by_named_files(tmp_path: Path, kind: str) -> None:
    path = beside(ARRAYS[kind](tmp_path))
    flat, dark = flat_and_dark(tmp_path)
    file = open_sinograms(path, flat=flat, dark=dark)
    require_truth(file)
    assert any(
        "are taken as projections (angle, slice, detector), as there are 60 views" in note for note in file.notes
    )


def test_arrays_say_by_their_names_what_they_are(tmp_path: Path) -> None:
    np.savez(tmp_path / "scan.npz", data=COUNTS, flats=WHITE, darks=BLACK, theta=THETA)
    require_truth(open_sinograms(tmp_path / "scan.npz"))


def test_line_integrals_of_any_array_are_taken_as_they_are(tmp_path: Path) -> None:
    np.savez(tmp_path / "scan.npz", sinogram=TRUTH)
    require_truth(open_sinograms(beside(tmp_path / "scan.npz")), 1e-6)


def test_the_struct_of_the_helsinki_challenge_states_its_fan_beam(tmp_path: Path) -> None:
    numbers = {"distanceSourceOrigin": 410.66, "distanceSourceDetector": 553.74, "pixelSizePost": 0.2, "angles": THETA}
    scipy.io.savemat(tmp_path / "a.mat", {"CtDataFull": {"type": "2d", "sinogram": TRUTH[0], "parameters": numbers}})
    file = open_sinograms(tmp_path / "a.mat")
    geometry = file.scan.geometry
    assert isinstance(geometry, FanBeam)
    assert (geometry.source_distance, geometry.detector_distance) == (410.66, pytest.approx(143.08))
    np.testing.assert_allclose(file[0].sinogram.numpy(), TRUTH[0], atol=1e-6)


def test_one_command_reconstructs_counts(tmp_path: Path) -> None:
    path = exchange(tmp_path / "scan.h5")
    done = medrecon("reconstruct", path, "-o", tmp_path / "image.h5", "--slices", "1:2")
    assert done.status == 0, done.err
    with h5py.File(tmp_path / "image.h5") as file:
        image = file["reconstruction"][0]
    assert np.median(image[20:44, 20:44]) == pytest.approx(0.02 * 2 * 1.25, rel=0.05)  # 1/bin, of bins of 2 mm
    assert "normalized by 5 flats and 4 darks" in medrecon("inspect", path).out


def test_a_folder_of_tiff_is_one_scan(tmp_path: Path) -> None:
    folder = beside(tiffs(tmp_path / "scan"))
    flat, dark = flat_and_dark(tmp_path)
    asked = ("--flat", flat, "--dark", dark, "--slices", "0:1")
    done = medrecon("reconstruct", folder, "-o", tmp_path / "image.h5", *asked)
    assert done.status == 0, done.err
    assert medrecon("inspect", folder, *asked[:4]).status == 0


def test_counts_of_zero_and_below_the_dark_stay_finite() -> None:
    beam = np.array([[[1e4, 1e4, 1e4, 500.0, 1.0, 0.0, -3.0]]], np.float32)
    counts = np.array([[[1e4, 0.0, -20.0, 0.0, 0.0, 5.0, 5.0]]], np.float32)
    found = line_integrals(counts, beam)[0, 0]
    np.testing.assert_allclose(found[:5], [0, math.log(1e5), math.log(1e5), math.log(1e4), math.log(1e4)], rtol=1e-6)
    assert np.isnan(found[5:]).all()  # bins to which no beam comes


def test_a_bin_without_beam_is_filled_by_repair(tmp_path: Path) -> None:
    white, data = WHITE.copy(), COUNTS.copy()
    white[:, :, 30], data[:, :, 30] = DARK, DARK
    path = exchange(tmp_path / "scan.h5", data_white=white, data=data)
    asked = ("reconstruct", path, "-o", tmp_path / "image.h5", "--slices", "0:1")
    assert "let --repair fill it" in medrecon(*asked).complaint
    assert medrecon(*asked, "--repair").status == 0


def test_units_of_angles_and_lengths() -> None:
    turn = np.linspace(0, 2 * np.pi, 9)
    np.testing.assert_allclose(in_degrees(turn, None), np.degrees(turn))
    np.testing.assert_allclose(in_degrees(np.degrees(turn), None), np.degrees(turn))
    np.testing.assert_allclose(in_degrees(turn, "rad"), np.degrees(turn))
    assert in_degrees(turn, "deg") is turn
    assert in_millimeters(6.5e-6, None) == pytest.approx(6.5e-3)
    assert in_millimeters(6.5, "um") == pytest.approx(6.5e-3)
    assert in_millimeters(6.5, "bananas") is None


WRONG: dict[str, tuple[Callable[[Path], Path], tuple[str, ...]]] = {
    "missing flats": (
        lambda folder: exchange(folder / "a.h5", data_white=None),
        (
            "holds counts of a detector, and no flats to normalize them by (`exchange/data_white`)",
            "give --flat FILE",
            "about 4",
        ),
    ),
    "flats of another size": (
        lambda folder: exchange(folder / "a.h5", data_white=WHITE[..., 1:]),
        ("`exchange/data_white` is (5, 3, 63) uint16", "(row, bin) = (3, 64)"),
    ),
    "angles": (
        lambda folder: exchange(folder / "a.h5", theta=THETA[:-1]),
        ("`exchange/theta` has 59 angles, and there are 60 projections; mend it, or give --geometry",),
    ),
    "angles that are none": (
        lambda folder: exchange(folder / "a.h5", theta=np.full(60, np.nan)),
        ("`exchange/theta` holds angles that are NaN",),
    ),
    "keys": (
        lambda folder: nexus(folder / "a.nxs", np.zeros(5, int)),
        ("image_key` is (5,) int64, and there are 67 frames",),
    ),
    "no projection": (
        lambda folder: nexus(folder / "a.nxs", np.ones(67, int)),
        ("marks no frame as a projection",),
    ),
    "truncated": (
        lambda folder: _cut(exchange(folder / "a.h5")),
        ("is truncated", "fetch it again"),
    ),
    "truncated TIFF": (lambda folder: _cut(beside(ARRAYS["tiff"](folder))), ("cut short",)),
    "truncated npz": (lambda folder: _cut(beside(ARRAYS["npz"](folder))), ("cannot be read, and may be damaged",)),
    "truncated mat": (lambda folder: _cut(beside(ARRAYS["mat"](folder))), ("cannot be read, and may be damaged",)),
    "pages of two sizes": (
        lambda folder: _with_odd_page(beside(tiffs(folder / "scan"))),
        ("p_70.tif: it is (5, 6) uint16, and those before are (3, 64) uint16",),
    ),
    "colors": (
        lambda folder: _saved(
            folder / "a.tif", lambda p, v: tifffile.imwrite(p, v, photometric="rgb"), np.zeros((9, 9, 3), np.uint8)
        ),
        ("one value a pixel is wanted",),
    ),
    "objects": (
        lambda folder: _saved(folder / "a.npz", np.savez, np.array([{}, "x"], dtype=object)),
        ("holds Python objects, and not numbers",),
    ),
    "several arrays": (
        lambda folder: _saved(folder / "a.npz", lambda path, v: np.savez(path, a=v, b=v), TRUTH),
        ("holds a (3, 60, 64), b (3, 60, 64), and one array of projections or sinograms is wanted",),
    ),
    "no geometry": (
        lambda folder: _saved(folder / "a.npz", lambda path, v: np.savez(path, a=v), TRUTH[0]),
        ("nothing says the angles of its 60 views; give --geometry FILE",),
    ),
}


def _cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def _with_odd_page(folder: Path) -> Path:
    tifffile.imwrite(folder / "p_70.tif", np.zeros((5, 6), np.uint16))
    return folder


@pytest.mark.parametrize("kind", ["npz", "mat"])
def test_bombs_are_refused_before_they_are_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    values = np.zeros((9, 400, 400), np.float32)
    if kind == "npz":
        np.savez_compressed(tmp_path / "a.npz", a=values)
    else:
        scipy.io.savemat(tmp_path / "a.mat", {"a": values}, do_compression=True)
    assert open_arrays(tmp_path / f"a.{kind}")[0].shape == values.shape
    monkeypatch.setattr("medrecon.data.foreign._LARGE", 2**20)
    with pytest.raises(InputError, match="it was never written, or is no measurement"):
        open_arrays(tmp_path / f"a.{kind}")


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_is_told_in_a_line(tmp_path: Path, kind: str) -> None:
    make, says = WRONG[kind]
    complaint = medrecon("inspect", make(tmp_path)).complaint
    for words in says:
        assert words in complaint


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (("--flat", "-3"), "takes a file, or counts from 0"),
        (("--flat", "nowhere.npy"), "nowhere.npy: does not exist"),
        (("--axes", "angle,slice,bin"), "got 'bin'"),
        (("--axes", "angle,angle,detector"), "names angle twice"),
        (("--axes", "angle,detector", "--flat", "9"), "names 2 axes; name each"),
    ],
)
def test_options_that_cannot_be_are_told(tmp_path: Path, asked: tuple[str, ...], says: str) -> None:
    path = beside(ARRAYS["npy"](tmp_path))
    assert says in medrecon("inspect", path, *asked).complaint
    assert says in medrecon("reconstruct", path, "-o", tmp_path / "o.h5", *asked).complaint


def test_axes_settle_what_shapes_leave_open(tmp_path: Path) -> None:
    values = np.ones((VIEWS, VIEWS, BINS), np.float32)
    path = beside(_saved(tmp_path / "a.npz", lambda path, v: np.savez(path, a=v), values))
    with pytest.raises(InputError, match=r"may be sinograms or projections; say which by --axes slice,angle,detector"):
        open_sinograms(path)
    assert medrecon("inspect", path, "--axes", "angle,slice,detector").status == 0


def test_options_of_counts_are_refused_where_there_are_none(tmp_path: Path) -> None:
    np.save(tmp_path / "k.npy", np.ones((4, 32, 32), np.complex64))
    done = medrecon("inspect", tmp_path / "k.npy", "--flat", "100")
    assert done.status == 2


def test_a_folder_that_changes_between_two_rows_is_read_no_further(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medrecon.data.ct.projection_files._FEWEST", 1)
    monkeypatch.setattr("medrecon.data.ct.projection_files._MOST", 1)
    file = open_sinograms(beside(tiffs(tmp_path / "scan")), flat=5e4)
    assert isinstance(file, ProjectionFile)
    file.raw(0)
    tifffile.imwrite(tmp_path / "scan" / "p_7.tif", np.zeros((ROWS, BINS), np.float64))
    with pytest.raises(ChangedError):
        file.raw(1)
