"""Files of sinograms: what is written is read, and what does not fit is said."""

import pickle
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from medrecon.data.ct.attenuation import MU_MAX, AttenuationUnit
from medrecon.data.ct.geometry_files import CTScan, geometry_text
from medrecon.data.ct.lodopab import write_lodopab
from medrecon.data.ct.sinogram_files import SinogramFile, write_sinograms
from medrecon.data.formats import Format, find_format, find_scan_files, open_sinograms
from medrecon.errors import InputError
from medrecon.geometry import Arc, FanBeam, Grid, ParallelBeam, lodopab, lodopab_grid
from tests.program import simulate
from tests.sinogram_files import GEOMETRY, GRID, SCAN, sinograms, write_scan


def test_what_is_written_is_read(tmp_path: Path) -> None:
    file = SinogramFile(write_scan(tmp_path / "s.h5", slices=3, photons=1e4))
    file = pickle.loads(pickle.dumps(file))
    assert (len(file), file.shape, file.has_target, file.unit) == (3, (3, 60, 64), True, AttenuationUnit.PER_MM)
    assert file.scan == replace(SCAN, photons=1e4)
    samples = list(file)
    assert [sample.index for sample in samples] == [0, 1, 2]
    assert file[-1].index == 2
    assert (samples[0].name, samples[0].photons) == ("s.h5", 1e4)
    assert samples[1].target is not None
    torch.testing.assert_close(samples[1].target, 1.25 * samples[0].target)
    torch.testing.assert_close(file.raw(2), samples[2].sinogram)
    with pytest.raises(IndexError, match="has 3 sinograms, got index 3"):
        file[3]


@pytest.mark.parametrize("kind", ["beside", "given"])
@pytest.mark.parametrize("change", ["replaced", "written to", "gone", None])
def test_a_geometry_that_changes_while_slices_are_read_ends_that(tmp_path: Path, kind: str, change: str | None) -> None:
    np.save(tmp_path / "s.npy", np.stack([sinogram.numpy() for sinogram in sinograms(slices=2)]))
    text = tmp_path / "s.yaml"
    text.write_text(geometry_text(SCAN))
    file = SinogramFile(tmp_path / "s.npy", text if kind == "given" else None)
    file.raw(0)
    if change == "replaced":
        (tmp_path / "other").write_text(geometry_text(SCAN))
        (tmp_path / "other").replace(text)
    elif change == "written to":
        text.write_text(geometry_text(SCAN) + "photons: 5000\n")
    elif change == "gone":
        text.unlink()
    if change is None:
        assert file.raw(1).shape == file.shape[1:]
        return
    words = {
        "replaced": "was replaced by another while",
        "written to": "was written to while",
        "gone": "does not exist",
    }
    with pytest.raises(InputError, match=rf"s\.yaml: {words[change]}"):
        file.raw(1)


@pytest.mark.parametrize("beside", ["yaml", "yml", "given", "attributes", "data set"])
def test_the_geometry_is_found(tmp_path: Path, beside: str) -> None:
    path, given = tmp_path / "s.h5", None
    with h5py.File(path, "w") as file:
        file["sinogram"] = sinograms()[0].numpy()
        if beside in ("attributes", "data set"):
            place = file if beside == "attributes" else file["sinogram"]
            place.attrs["beam"], place.attrs["spacing"] = "parallel", 2.0
            place.attrs["angles"] = np.array(list(GEOMETRY.angles))
            place.attrs["camera"] = "others may say more"
    if beside in ("yaml", "yml"):
        path.with_suffix(f".{beside}").write_text(geometry_text(SCAN))
    if beside == "given":
        path.with_suffix(".yaml").write_text("not this one")
        given = tmp_path / "g.yaml"
        given.write_text(geometry_text(SCAN))
    geometry = SinogramFile(path, given).scan.geometry
    assert geometry == (
        replace(GEOMETRY, angles=tuple(GEOMETRY.angles)) if given is None and beside[0] in "ad" else GEOMETRY
    )


def test_arrays_of_numpy_of_two_and_three_axes(tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(geometry_text(SCAN))
    for name, values in (("a", sinograms()[0].numpy()), ("b", torch.stack(sinograms(slices=2)).double().numpy())):
        np.save(tmp_path / f"{name}.npy", values)
        file = open_sinograms(tmp_path / f"{name}.npy", tmp_path / "g.yaml")
        assert len(file) == (1 if values.ndim == 2 else 2)
        assert not file.has_target
        np.testing.assert_allclose(file[len(file) - 1].sinogram, values.reshape(-1, 60, 64)[-1], rtol=1e-6)


def test_many_angles_fit_into_the_attribute(tmp_path: Path) -> None:
    geometry = ParallelBeam(tuple(float(angle) for angle in np.linspace(0, 3, 5000)), 4, 2.0)
    scan = CTScan(geometry, Grid((8, 8), 1.0))
    write_sinograms(tmp_path / "s.h5", [torch.zeros(5000, 4)], scan)
    assert SinogramFile(tmp_path / "s.h5").scan == scan


def spoiled(path: Path, values: np.ndarray, target: np.ndarray | None = None) -> Path:
    with h5py.File(path, "w") as file:
        file["sinogram"] = values
        if target is not None:
            file["target"] = target
        file.attrs["geometry"] = geometry_text(SCAN)
    return path


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.zeros((64, 60)), "is (angle, detector) = (64, 60), and the geometry has (60, 64); the axes may be swapped"),
        (np.zeros((2, 59, 64)), "is (angle, detector) = (59, 64), and the geometry has (60, 64); make them agree"),
        (np.zeros((60, 64), np.uint16), "uint16, which looks like counts of photons; give line integrals"),
        (np.zeros((60, 64), np.complex64), "it takes real (angle, detector) or (n, angle, detector)"),
        (np.zeros(60), "it takes real (angle, detector)"),
        (np.zeros((0, 60, 64)), "there is nothing in it"),
    ],
)
def test_sinograms_that_do_not_fit(tmp_path: Path, values: np.ndarray, words: str) -> None:
    path = spoiled(tmp_path / "s.h5", values)
    with pytest.raises(InputError) as caught:
        SinogramFile(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("value", "words"),
    [(np.nan, "1 NaN"), (-np.inf, "1 minus infinity"), (np.inf, "1 infinite"), (1e39, "1 infinite")],
)
def test_line_integrals_that_cannot_be(tmp_path: Path, value: float, words: str) -> None:
    values = np.zeros((3, 60, 64))
    values[1, 5, 7] = value
    file = SinogramFile(spoiled(tmp_path / "s.h5", values))
    assert float(file[0].sinogram.abs().max()) == 0
    with pytest.raises(InputError) as caught:
        file[1]
    assert f"s.h5: slice 1 (of 3, counted from 0): the line integrals are not all finite ({words}" in str(caught.value)
    assert "first at angle 5, bin 7" in str(caught.value)


def test_targets_that_do_not_fit(tmp_path: Path) -> None:
    values = np.zeros((2, 60, 64))
    with pytest.raises(
        InputError, match=r"`target` is \(2, 48, 40\), and the sinograms and their grid take \(2, 40, 48\)"
    ):
        SinogramFile(spoiled(tmp_path / "s.h5", values, np.zeros((2, 48, 40))))
    file = SinogramFile(spoiled(tmp_path / "s.h5", values, np.full((2, 40, 48), np.nan)))
    with pytest.raises(InputError, match="`target` holds NaN"):
        file[0]
    flat = SinogramFile(spoiled(tmp_path / "s.h5", values[0], np.zeros((40, 48))))
    assert flat[0].target is not None


def test_a_sinogram_without_a_geometry(tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", np.zeros((60, 64)))
    with pytest.raises(InputError, match="nothing says how the sinogram was measured; give --geometry FILE"):
        SinogramFile(tmp_path / "s.npy")


def test_damaged_files(tmp_path: Path) -> None:
    path = write_scan(tmp_path / "s.h5", slices=2)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=r"is truncated: .* bytes of"):
        find_format(path)
    np.save(tmp_path / "s.npy", np.zeros((60, 64)))
    (tmp_path / "s.yaml").write_text(geometry_text(SCAN))
    whole = (tmp_path / "s.npy").read_bytes()
    for content in (whole[:-100], whole[:20], b"", b"text"):
        (tmp_path / "s.npy").write_bytes(content)
        with pytest.raises(InputError, match=r"s\.npy: .*cut short.*(write|export) it again$"):
            SinogramFile(tmp_path / "s.npy")
    with pytest.raises(InputError, match="does not exist"):
        SinogramFile(tmp_path / "absent.npy")
    with pytest.raises(InputError, match="does not exist"):
        SinogramFile(tmp_path / "absent.h5")


def test_refusals_of_the_writer(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one sinogram"):
        write_sinograms(tmp_path / "s.h5", [], SCAN)
    with pytest.raises(ValueError, match=r"takes a real sinogram of \(60, 64\)"):
        write_sinograms(tmp_path / "s.h5", [torch.zeros(64, 60)], SCAN)
    with pytest.raises(ValueError, match=r"takes a real target of \(40, 48\)"):
        write_sinograms(tmp_path / "s.h5", sinograms(), SCAN, targets=[torch.zeros(3, 3)])
    with pytest.raises(ValueError, match="the source, 50 mm"):
        CTScan(FanBeam(Arc.full_turn(4), 4, 1.0, 50.0, 40.0), Grid((120, 120), 1.0))
    assert list(tmp_path.iterdir()) == []


def test_formats_are_told_by_their_content(tmp_path: Path) -> None:
    assert find_format(write_scan(tmp_path / "ct.h5")) is Format.SINOGRAM
    assert find_format(simulate(tmp_path / "mri.h5")) is Format.FASTMRI
    np.save(tmp_path / "anything.npy", np.zeros((60, 64)))
    assert find_format(tmp_path / "anything.npy") is Format.SINOGRAM
    write_lodopab(tmp_path, "test", [(torch.zeros(lodopab().shape), torch.zeros(lodopab_grid().shape))])
    assert find_format(tmp_path / "observation_test_000.hdf5") is Format.LODOPAB
    with pytest.raises(InputError, match="holds images of LoDoPaB, not measurements"):
        find_format(tmp_path / "ground_truth_test_000.hdf5")
    with pytest.raises(InputError, match="holds k-space of MRI, not sinograms"):
        open_sinograms(tmp_path / "mri.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["pictures"] = [1]
    with pytest.raises(
        InputError, match="no data set `kspace`, it holds pictures; give a file in the format of fastMRI"
    ):
        find_format(tmp_path / "other.h5")


def test_scans_of_a_folder(tmp_path: Path) -> None:
    for name in ("b.h5", "a.hdf5", "c.npy", "d.npy", "d.yaml", ".e.h5", "ground_truth_test_000.hdf5", "t.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in find_scan_files(tmp_path)] == ["a.hdf5", "b.h5", "d.npy"]
    assert [path.name for path in find_scan_files(tmp_path, arrays=True)] == ["a.hdf5", "b.h5", "c.npy", "d.npy"]
    assert find_scan_files(tmp_path / "t.txt") == [tmp_path / "t.txt"]


def test_lodopab_is_opened_as_other_sinograms_are(tmp_path: Path) -> None:
    image = torch.zeros(lodopab_grid().shape)
    image[3, 9] = MU_MAX / 2
    write_lodopab(tmp_path, "test", [(torch.full(lodopab().shape, 2.0), image)])
    path = tmp_path / "observation_test_000.hdf5"
    file = open_sinograms(path)
    assert (len(file), file.has_target, file.unit) == (1, True, AttenuationUnit.LODOPAB)
    assert (file.scan.geometry, file.scan.grid, file.scan.photons) == (lodopab(), lodopab_grid(), 4096)
    torch.testing.assert_close(file.raw(0), torch.full(lodopab().shape, 2.0))
    torch.testing.assert_close(file[0].target, image)
    with pytest.raises(InputError, match="leave --geometry out"):
        open_sinograms(path, tmp_path / "g.yaml")


def test_the_grid_is_all_that_the_rays_see_unless_it_is_said(tmp_path: Path) -> None:
    text = "\n".join(line for line in geometry_text(SCAN).splitlines() if "grid" not in line and "  s" not in line)
    np.save(tmp_path / "s.npy", np.zeros((60, 64)))
    (tmp_path / "s.yaml").write_text(text)
    assert SinogramFile(tmp_path / "s.npy").scan.grid == Grid((64, 64), 2.0)
    assert GRID.shape == (40, 48)
