"""NIfTI, MetaImage and NRRD lie where independent readers put them."""

import json
import resource
from dataclasses import replace
from pathlib import Path

import nibabel
import nrrd
import numpy as np
import pytest

from medrecon.data.nifti import read_nifti
from medrecon.data.nrrd import read_nrrd
from medrecon.data.outputs.image_format import ImageFormat
from medrecon.errors import InputError
from tests.data.outputs.phantom import POSITIONS, WITHIN, by_matrix, farthest, planes, volume, write

TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("seed", range(len(POSITIONS)))
def test_nifti_lies_where_nibabel_puts_it(tmp_path: Path, ending: str, seed: int) -> None:
    where, path = planes(seed, POSITIONS[seed]), tmp_path / f"a{ending}"
    write(path, where)
    image = nibabel.load(path)
    values = image.get_fdata()
    assert image.header["sform_code"] == image.header["qform_code"] == 1
    assert image.header.get_xyzt_units() == ("mm", "sec")
    np.testing.assert_array_equal(values, volume().transpose(2, 1, 0))
    for matrix in (image.get_sform(), image.get_qform()):
        assert farthest(values, by_matrix(values.shape, TO_LPS @ matrix), where) < WITHIN


def test_what_was_done_stands_in_nifti_but_no_name_of_a_person(tmp_path: Path) -> None:
    write(tmp_path / "a.nii", replace(planes(0), notes=("assumed",)))
    (extension,) = nibabel.load(tmp_path / "a.nii").header.extensions
    told = json.loads(extension.get_content())
    assert told["method"] == "tv"
    assert told["geometry"] == ["assumed"]
    assert "not for diagnosis" in told["note"]


@pytest.mark.parametrize("ending", ["nii", "mha", "nrrd"])
def test_identifiers_are_copied_where_that_is_asked_for_alone(tmp_path: Path, ending: str) -> None:
    for keep in (False, True):
        path = tmp_path / f"{keep}.{ending}"
        write(path, planes(0), keep_identity=keep)
        assert (b"Doe^Jane" in path.read_bytes()) is keep


@pytest.mark.parametrize("seed", range(4))
def test_nrrd_lies_where_pynrrd_puts_it(tmp_path: Path, seed: int) -> None:
    where = planes(seed)
    write(tmp_path / "a.nrrd", where)
    values, header = nrrd.read(str(tmp_path / "a.nrrd"))
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = header["space directions"].T, header["space origin"]
    assert header["space"] == "left-posterior-superior"
    assert farthest(values, by_matrix(values.shape, matrix), where) < WITHIN
    assert json.loads(header["medrecon"])["method"] == "tv"


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.mha", "a.nrrd"])
@pytest.mark.parametrize("seed", [0, 1, 2, 5])
def test_files_lie_where_itk_puts_them(tmp_path: Path, name: str, seed: int) -> None:
    itk = pytest.importorskip("SimpleITK", exc_type=ImportError)
    where = planes(seed)
    write(tmp_path / name, where)
    image = itk.ReadImage(str(tmp_path / name))
    values = itk.GetArrayFromImage(image)
    z, y, x = values.shape
    world = [[[image.TransformIndexToPhysicalPoint((i, j, k)) for i in range(x)] for j in range(y)] for k in range(z)]
    assert farthest(values, np.array(world), where) < WITHIN


def test_metaimage_is_plain(tmp_path: Path) -> None:
    write(tmp_path / "a.mha", planes(3))
    head, _, values = (tmp_path / "a.mha").read_bytes().partition(b"ElementDataFile = LOCAL\n")
    fields = dict(line.split(" = ", 1) for line in head.decode("ascii").splitlines())
    np.testing.assert_array_equal(np.frombuffer(values, "<f4").reshape(volume().shape), volume())
    matrix = np.eye(4)
    spacing = np.array(fields["ElementSpacing"].split(), float)
    matrix[:3, :3] = np.array(fields["TransformMatrix"].split(), float).reshape(3, 3).T * spacing
    matrix[:3, 3] = np.array(fields["Offset"].split(), float)
    assert farthest(volume().transpose(2, 1, 0), by_matrix((7, 6, 5), matrix), planes(3)) < WITHIN


def test_the_comment_of_metaimage_is_short_enough_for_itk(tmp_path: Path) -> None:
    write(tmp_path / "a.mha", replace(planes(3), notes=("assumed " * 200,)))
    head, _, _ = (tmp_path / "a.mha").read_bytes().partition(b"ElementDataFile = LOCAL\n")
    assert 100 < max(map(len, head.splitlines())) < 450


def test_our_own_readers_take_them(tmp_path: Path) -> None:
    write(tmp_path / "a.nii.gz", planes(2))
    write(tmp_path / "a.nrrd", planes(2))
    one, other = read_nifti(tmp_path / "a.nii.gz"), read_nrrd(tmp_path / "a.nrrd")
    assert one.hounsfield.equal(other.hounsfield)
    np.testing.assert_allclose(one.spacing, other.spacing, atol=1e-4)


def test_an_array_is_that_of_the_images(tmp_path: Path) -> None:
    write(tmp_path / "a.npy", planes(0))
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), volume())


def test_uneven_slices_are_refused_before_any_is_made(tmp_path: Path) -> None:
    where = planes(0)
    uneven = replace(where, affines=(*where.affines[:3], where.affines[4]))
    with pytest.raises(InputError, match=r"a\.nii: the slices lie 6 to 12 mm apart, .*--format dicom"):
        write(tmp_path / "a.nii", uneven)
    assert not list(tmp_path.iterdir())


def test_a_sheared_stack_has_no_qform(tmp_path: Path) -> None:
    where = planes(0)
    x = np.array(where.affines[0].x)
    moved = [replace(one, origin=tuple((np.array(one.origin) + k * x).tolist())) for k, one in enumerate(where.affines)]
    write(tmp_path / "a.nii", replace(where, affines=tuple(moved)))
    header = nibabel.load(tmp_path / "a.nii").header
    assert (header["sform_code"], header["qform_code"]) == (1, 0)
    np.testing.assert_allclose(header.get_zooms(), (1.5, 2.0, np.hypot(6.0, 1.5)), atol=1e-5)
    values = nibabel.load(tmp_path / "a.nii").get_fdata()
    matrix = TO_LPS @ header.get_sform()
    assert farthest(values, by_matrix(values.shape, matrix), replace(where, affines=tuple(moved))) < WITHIN


@pytest.mark.parametrize(
    ("name", "asked", "match"),
    [
        ("a.png", None, "names no format"),
        ("a", None, "names no format"),
        ("a.nii", ImageFormat.DICOM, "a folder without such an ending"),
        ("a.mha", ImageFormat.NRRD, r"writes \*\.nrrd"),
        ("a", ImageFormat.NIFTI, r"writes \*\.nii\.gz or \*\.nii"),
    ],
)
def test_a_name_of_another_format_is_refused(tmp_path: Path, name: str, asked: ImageFormat | None, match: str) -> None:
    with pytest.raises(InputError, match=match):
        write(tmp_path / name, planes(0), form=asked)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "form"), [("a.nii", None), ("a.nii.gz", None), ("a.mha", None), ("d", ImageFormat.DICOM)]
)
@pytest.mark.parametrize("size", [100, 500, 900])
def test_a_full_disk_leaves_nothing(tmp_path: Path, name: str, form: ImageFormat | None, size: int) -> None:
    """Files cannot grow beyond some bytes, the kernel's own answer: of the first image, of all, and of what is made of them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    where = planes(0)
    values = np.random.default_rng(0).normal(size=(5, 6, 7)).astype(np.float32)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        with pytest.raises(InputError, match=rf"{name}: the disk or the quota is full; .*it was not written"):
            write(tmp_path / name, where, form=form, values=values)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())


def test_nothing_to_write_and_other_shapes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one image"):
        write(tmp_path / "a.nii", planes(0), values=np.zeros((0, 2, 2), np.float32))
    with pytest.raises(ValueError, match="one shape"):
        write(tmp_path / "a.nii", planes(0), values=[np.zeros((2, 2), np.float32), np.zeros((2, 3), np.float32)])
    assert not list(tmp_path.iterdir())
