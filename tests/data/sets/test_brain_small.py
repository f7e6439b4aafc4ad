"""The making of the small set of heads: slices of one size and scale, a division by person, and files that can be trained on."""

import zlib
from pathlib import Path

import pytest
import torch

from medrecon.data.mri.fastmri import FastMRIFile
from medrecon.data.mri.mr_volume import MRVolume
from medrecon.data.mri.receivers import draw_receiver
from medrecon.data.nifti import write_nifti
from medrecon.data.sets import brain_small as module
from medrecon.data.sets.brain_small import SERIES, Series, convert_brain_small
from medrecon.data.sets.head_images import HeadImages, head_slices
from medrecon.data.sets.manifest import PackageSource, load_manifest
from medrecon.data.volume import CTVolume
from medrecon.errors import InputError


def _head(shape: tuple[int, int, int], spacing: tuple[float, float, float], shift: float = 0.0) -> MRVolume:
    """Give an ellipsoid of half axes 80, 90 and 70 mm, 300 in its left half and 100 in its right one."""
    z, y, x = ((torch.arange(n) - (n - 1) / 2) * step for n, step in zip(shape, spacing, strict=True))
    x = x - shift
    inside = (z[:, None, None] / 80) ** 2 + (y[:, None] / 90) ** 2 + (x / 70) ** 2 < 1
    return MRVolume(inside * torch.where(x > 0, 300.0, 100.0), spacing)


def test_no_person_is_in_two_parts() -> None:
    parts = {series.subject: {one.part for one in SERIES if one.subject == series.subject} for series in SERIES}
    assert all(len(of_one) == 1 for of_one in parts.values())
    people = {
        part: [name for name, of_one in parts.items() if part in of_one] for part in ("train", "validation", "test")
    }
    assert len(people["train"]) >= 3
    assert len(people["test"]) >= 2
    assert people["validation"]
    assert len({(series.package, series.pattern) for series in SERIES}) == len(SERIES)
    assert {series.contrast for series in SERIES if series.part == "train"} >= {"T1", "T2", "PD"}


def test_the_manifest_names_the_archives_of_all_series() -> None:
    manifest = load_manifest("brain-small")
    assert isinstance(manifest.source, PackageSource)
    assert {archive.package for archive in manifest.source.archives} == {series.package for series in SERIES}
    counts = {split.name: split.count for split in manifest.splits}
    for part in ("validation", "test"):
        assert counts[part] == sum(series.part == part for series in SERIES)


def test_slices_show_the_upper_head_in_the_middle_with_a_mean_of_one() -> None:
    volume = _head((180, 120, 110), (1.0, 2.0, 2.0), shift=12.0)
    heads = head_slices(volume, "someone", "T2")
    images = torch.stack([head.image for head in heads])
    assert images.shape[1:] == (320, 320)
    assert float(images[images > 0.1].mean()) == pytest.approx(1, rel=0.02)
    assert float(images.min()) == 0
    values = images[len(images) // 2].flatten()
    assert float(values.quantile(0.95)) / float(values[values > 0.3].quantile(0.1)) == pytest.approx(3, rel=0.1)
    heights = torch.tensor([head.height for head in heads])
    torch.testing.assert_close(heights.diff(), torch.full_like(heights[1:], 3 / 128))  # every 3 mm, upwards
    torch.testing.assert_close(heights, -heights.flip(0))
    assert (len(heads) - 1) * 3 <= 125 < len(heads) * 3
    shown = images.amax(dim=0) > 0.25
    for axis, width in ((0, 180), (1, 140)):
        inside = shown.any(dim=1 - axis).nonzero()[:, 0]
        assert float(inside[0] + inside[-1]) / 2 == pytest.approx(160, abs=2)
        assert (float(inside[-1] - inside[0]) + 1) * 0.8 == pytest.approx(width, abs=6)
    areas = (images > 0.1).sum(dim=(1, 2))
    assert areas[-1] < areas[len(areas) // 2]  # the top is last


@pytest.mark.parametrize(
    ("spacing", "n_slices", "step", "apart"), [(1.0, 150, 7, 3.0), (5.0, 30, 1, 5.0), (5.0, 30, 3, 15.0)]
)
def test_thin_slices_are_averaged_and_thick_ones_taken_as_they_are(
    spacing: float, n_slices: int, step: int, apart: float
) -> None:
    head = _head((n_slices, 110, 110), (spacing, 2.0, 2.0))
    flickering = head.magnitude * torch.where(torch.arange(n_slices) % 2 > 0, 1.5, 0.5)[:, None, None]
    heads = head_slices(MRVolume(flickering, head.spacing), "someone", "T2", step)
    steps = torch.tensor([one.height for one in heads]).diff() * 128
    torch.testing.assert_close(steps, torch.full_like(steps, apart))
    middle = torch.stack([one.image[150:170, 180:190].mean() for one in heads])
    assert float(middle.max() / middle.min()) == pytest.approx(1 if spacing < 2 else 3, rel=0.02)


def test_a_volume_without_a_head_is_refused() -> None:
    with pytest.raises(ValueError, match="takes a volume that shows a head, got someone T2"):
        head_slices(MRVolume(torch.ones(5, 10, 10), (5.0, 1.0, 1.0)), "someone", "T2")


@pytest.fixture
def unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three people's heads in place of those of the packages."""
    folder = tmp_path / "unpacked"
    people = []
    for k, part in enumerate(("train", "validation", "test")):
        (folder / f"package{k}").mkdir(parents=True)
        head = _head((9, 60, 50), (20.0, 4.0, 4.0), shift=4.0 * k)
        write_nifti(folder / f"package{k}" / "mr.nii", CTVolume(head.magnitude, head.spacing))
        people.append(Series(f"person-{k}", "T1", part, f"package{k}", "*.nii", 3 if k else 2, 2 + k))
    monkeypatch.setattr(module, "SERIES", tuple(people))
    return folder


def test_volumes_become_images_and_scans(unpacked: Path, tmp_path: Path) -> None:
    said: list[str] = []
    for name in ("first", "again"):
        (tmp_path / name).mkdir()
        convert_brain_small(unpacked, tmp_path / name, lambda what, _done, _total: said.append(what))
    assert said[:3] == ["person-0 T1, train", "person-1 T1, validation", "person-2 T1, test"]
    images = HeadImages(tmp_path / "first")
    assert len(images) == len(list(images)) == images.shape[0] == 4
    assert images[0].subject == "person-0"
    assert images[-1].height == pytest.approx(-images[0].height)
    assert torch.equal(images[-1].image, images[3].image)
    with pytest.raises(IndexError):
        images[4]
    for k, part in ((1, "validation"), (2, "test")):
        (path,) = (tmp_path / "first" / part).iterdir()
        file = FastMRIFile(path)
        assert path.name == f"person-{k}_T1.h5"
        assert file.shape == (3, 2 + k, 640, 320)
        assert file.matrix == (320, 320)
        assert (file.oversampling, file.padding, file.notes) == (2.0, (0, 320), ())
        assert (file.header.acquisition, file.header.patient_id) == ("AXT1", f"person-{k}")
        again = FastMRIFile(tmp_path / "again" / part / path.name)
        assert torch.equal(again.raw(1), file.raw(1))
        receiver = draw_receiver(torch.Generator().manual_seed(zlib.crc32(path.stem.encode())), 2 + k)
        target = file[1].target
        assert target is not None
        shown = target / receiver.scale
        assert float(shown[160, 160:200].mean()) > 10 * float(shown[:10].mean())  # a head, and noise around it
        assert float(shown[:10].mean()) > receiver.sigma
    first, second = (FastMRIFile(next((tmp_path / "first" / part).iterdir())) for part in ("validation", "test"))
    assert first.maximum != second.maximum


def test_an_archive_that_lacks_a_volume_is_named(unpacked: Path, tmp_path: Path) -> None:
    (unpacked / "package1" / "mr.nii").unlink()
    (tmp_path / "made").mkdir()
    with pytest.raises(InputError, match=r"package1: holds 0 of \*\.nii, not one; fetch again"):
        convert_brain_small(unpacked, tmp_path / "made")


def test_images_that_are_not_there_or_do_not_fit_their_list_are_named(unpacked: Path, tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    with pytest.raises(
        InputError, match=r"holds no images of the part train .*; get the set with `medrecon data fetch"
    ):
        HeadImages(made)
    convert_brain_small(unpacked, made)
    listed = made / "slices_train.csv"
    listed.write_text(listed.read_text() + "4,person-0,T1,0.5\n")
    with pytest.raises(InputError, match="lists 5 images and holds 4; get"):
        HeadImages(made)
    listed.write_text("sample,subject,contrast,height\n0,person-0\n")
    with pytest.raises(InputError, match="holds no images of the part train"):
        HeadImages(made)
