"""NIfTI volumes: every affine gives the same volume, and what is none is refused."""

import gzip
import itertools
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from medrecon.data.nifti import read_nifti, write_nifti
from medrecon.data.volume import CTVolume
from medrecon.errors import InputError

SHAPE, SPACING = (4, 5, 6), (2.5, 0.5, 0.75)  # z, y, x


def _volume() -> CTVolume:
    values = torch.arange(np.prod(SHAPE), dtype=torch.float32).reshape(SHAPE) * 12 - 1000
    return CTVolume(values, SPACING)


def _save(path: Path, values: np.ndarray, affine: np.ndarray) -> Path:
    nibabel.save(nibabel.Nifti1Image(values, affine), path)
    return path


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("signs", list(itertools.product((1, -1), repeat=3)))
def test_every_order_and_direction_of_axes_gives_the_same_volume(
    tmp_path: Path, order: tuple[int, int, int], signs: tuple[int, int, int]
) -> None:
    """Store the axes right, front, head in any `order`, each forward or backward."""
    right_front_head = _volume().hounsfield.numpy().transpose(2, 1, 0)[::-1, ::-1]
    spacing = SPACING[::-1]
    steps = np.zeros((4, 4))
    steps[3, 3] = 1
    stored = right_front_head.transpose(order)
    for axis, world in enumerate(order):
        steps[world, axis] = signs[axis] * spacing[world]
        if signs[axis] < 0:
            stored = np.flip(stored, axis)
    volume = read_nifti(_save(tmp_path / "ct.nii", np.ascontiguousarray(stored), steps))
    assert torch.equal(volume.hounsfield, _volume().hounsfield)
    assert volume.spacing == pytest.approx(SPACING)
    assert volume.notes == ()


@pytest.mark.parametrize("name", ["ct.nii", "ct.nii.gz"])
def test_what_is_written_is_read(tmp_path: Path, name: str) -> None:
    write_nifti(tmp_path / name, _volume())
    volume = read_nifti(tmp_path / name)
    assert torch.equal(volume.hounsfield, _volume().hounsfield)
    assert volume.spacing == pytest.approx(SPACING)
    stored = nibabel.load(tmp_path / name)
    assert nibabel.aff2axcodes(stored.affine) == ("L", "P", "S")
    center = stored.affine @ [*(np.array(stored.shape) - 1) / 2, 1]
    np.testing.assert_allclose(center[:3], 0, atol=1e-6)
    assert [file.name for file in tmp_path.iterdir()] == [name]
    with pytest.raises(InputError, match="exists already"):
        write_nifti(tmp_path / name, _volume())
    with pytest.raises(InputError, match=r"is called \.nii or \.nii\.gz"):
        write_nifti(tmp_path / "ct.nrrd", _volume())


def test_padding_and_strange_values_are_told(tmp_path: Path) -> None:
    values = np.full(SHAPE, 100, np.int16)
    values[0, 0] = -2048
    volume = read_nifti(_save(tmp_path / "a.nii", values, np.eye(4)))
    assert float(volume.hounsfield.min()) == -1024
    assert volume.notes == ("6 values (5.0 %) of padding, down to -2048 HU, were set to -1024 HU",)
    volume = read_nifti(_save(tmp_path / "b.nii", np.linspace(0, 1, 120, dtype=np.float32).reshape(SHAPE), np.eye(4)))
    assert "values from 0 to 1 are unlike Hounsfield units" in volume.notes[0]


def test_scaled_values_and_meters(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(
        np.arange(-60, 60, dtype=np.int16).reshape(SHAPE) * 10, np.diag([0.001, 0.001, 0.002, 1])
    )
    image.header.set_xyzt_units("meter")
    image.header.set_slope_inter(2.0, -100.0)
    nibabel.save(image, tmp_path / "a.nii")
    raw = np.asarray(nibabel.load(tmp_path / "a.nii").dataobj)
    volume = read_nifti(tmp_path / "a.nii")
    assert volume.spacing == pytest.approx((2.0, 1.0, 1.0))
    np.testing.assert_allclose(volume.hounsfield, np.flip(raw.transpose(2, 1, 0), (1, 2)).clip(-1024), rtol=1e-6)


def test_an_oblique_volume_is_told(tmp_path: Path) -> None:
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(0.2), -np.sin(0.2)], [np.sin(0.2), np.cos(0.2)]]
    volume = read_nifti(_save(tmp_path / "a.nii", _volume().hounsfield.numpy(), turn))
    assert volume.notes == ("the slices are oblique by 11 degrees, and are taken as axial",)


def test_a_trailing_axis_of_one_is_nothing(tmp_path: Path) -> None:
    assert read_nifti(_save(tmp_path / "a.nii", np.zeros((4, 5, 6, 1), np.int16), np.eye(4))).hounsfield.shape == (
        6,
        5,
        4,
    )


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 6, 2)])
def test_two_and_four_axes_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = _save(tmp_path / "a.nii", np.zeros(shape, np.int16), np.eye(4))
    with pytest.raises(InputError, match=r"a\.nii: has the shape .* a CT volume has three axes"):
        read_nifti(path)


def test_nan_complex_and_flat_volumes_are_refused(tmp_path: Path) -> None:
    values = _volume().hounsfield.numpy().copy()
    values[1, 2, 3:5] = np.nan
    with pytest.raises(InputError, match="2 values are NaN or infinite"):
        read_nifti(_save(tmp_path / "a.nii", values, np.eye(4)))
    with pytest.raises(InputError, match="its values are complex64"):
        read_nifti(_save(tmp_path / "b.nii", np.zeros(SHAPE, np.complex64), np.eye(4)))
    content = bytearray(nibabel.Nifti1Image(np.zeros(SHAPE, np.int16), np.eye(4)).to_bytes())
    content[312:328] = bytes(16)  # the row of the affine that says where the head is
    (tmp_path / "c.nii").write_bytes(content)
    with pytest.raises(InputError, match=r"c\.nii: its axes do not span space"):
        read_nifti(tmp_path / "c.nii")


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    noise = torch.randint(-1000, 1000, (40, 40, 40), generator=torch.Generator().manual_seed(1)).float()
    write_nifti(path, CTVolume(noise, SPACING))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        InputError, match=r"a\.nii\.gz: its NIfTI volume cannot be read, and may be damaged or cut short"
    ) as caught:
        read_nifti(path)
    assert "\n" not in str(caught.value)
    (tmp_path / "b.nii").write_bytes(gzip.decompress(whole)[:5000])
    (tmp_path / "c.nii").write_text("words")
    for name in ("b.nii", "c.nii"):
        with pytest.raises(InputError, match=f"{name}: its NIfTI volume cannot be read"):
            read_nifti(tmp_path / name)
    with pytest.raises(InputError, match="is no file"):
        read_nifti(tmp_path / "none.nii")


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_sizes_that_the_file_cannot_hold_are_refused_before_they_are_unpacked(tmp_path: Path, name: str) -> None:
    content = bytearray(nibabel.Nifti1Image(np.zeros(SHAPE, np.int16), np.eye(4)).to_bytes())
    content[40:56] = np.array([3, 20_000, 20_000, 10, 1, 1, 1, 1], "<i2").tobytes()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    with pytest.raises(InputError, match=r"has the shape \(20000, 20000, 10\), 7\.5 GiB, of which the file holds"):
        read_nifti(tmp_path / name)


def test_a_volume_that_does_not_fit_in_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _save(tmp_path / "a.nii", np.zeros(SHAPE, np.int16), np.eye(4))
    monkeypatch.setattr("medrecon.memory.available_memory", lambda: 900)
    monkeypatch.setattr("medrecon.memory._SMALL", 0)
    with pytest.raises(InputError, match=r"and to read it takes .* of memory, and 900 bytes are free; 50 values fit"):
        read_nifti(path)


@pytest.mark.parametrize(("place", "number"), [(108, np.inf), (108, np.nan), (280, 1e30), (280, np.nan), (76, np.nan)])
def test_numbers_that_are_none_are_refused_and_nothing_is_printed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], place: int, number: float
) -> None:
    content = bytearray(nibabel.Nifti1Image(np.zeros(SHAPE, np.int16), np.eye(4)).to_bytes())
    content[place : place + 4] = np.float32(number).tobytes()
    (tmp_path / "a.nii").write_bytes(content)
    if place == 76:  # the handedness of quaternions, which nibabel mends with a warning
        read_nifti(tmp_path / "a.nii")
    else:
        with pytest.raises(InputError, match=r"a\.nii: "):
            read_nifti(tmp_path / "a.nii")
    assert capfd.readouterr() == ("", "")
