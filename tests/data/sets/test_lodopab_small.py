"""The making of the small set: LoDoPaB-CT's recipe step by step, and a division by person."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.transform import resize

from medrecon.data.ct.attenuation import MU_MAX, attenuation_from_hounsfield
from medrecon.data.ct.lodopab import LoDoPaB
from medrecon.data.ct.photons import largest_line_integral
from medrecon.data.nifti import write_nifti
from medrecon.data.sets import lodopab_small as module
from medrecon.data.sets.lodopab_small import (
    SUBJECTS,
    Subject,
    convert_lodopab_small,
    ground_truth,
    simulate,
    simulation_grid,
)
from medrecon.data.volume import CTVolume
from medrecon.errors import InputError
from medrecon.geometry import lodopab, lodopab_grid


def _nothing_passes(images: torch.Tensor) -> torch.Tensor:
    return torch.full((*images.shape[:-2], *lodopab().shape), math.inf)


def test_no_person_is_in_two_parts() -> None:
    parts = {subject.name: subject.part for subject in SUBJECTS}
    assert len(parts) == len(SUBJECTS)
    assert len({(subject.package, subject.pattern) for subject in SUBJECTS}) == len(SUBJECTS)
    assert sum(part == "train" for part in parts.values()) >= 2
    assert set(parts.values()) == {"train", "validation", "test"}


def test_the_center_is_cut_and_its_values_are_spread_over_one_unit(generator: torch.Generator) -> None:
    hounsfield = torch.full((512, 512), -700.0)
    hounsfield[75, 75] = 500.0
    hounsfield[436, 436] = 700.0
    hounsfield[74, :] = hounsfield[437, :] = 2000.0
    image = ground_truth(hounsfield, generator)
    assert image.shape == lodopab_grid().shape
    units = (image.double() - 0.02) / 1.998e-5
    assert 500 <= float(units[0, 0]) <= 501.001
    assert 700 <= float(units[-1, -1]) <= 701.001
    spread = units.flatten()[1:-1] + 700
    assert -0.001 <= float(spread.min()) < 0.001
    assert 0.999 < float(spread.max()) <= 1.001
    assert float(spread.mean()) == pytest.approx(0.5, abs=0.005)
    assert float(spread.var()) == pytest.approx(1 / 12, rel=0.02)


def test_what_is_beyond_the_range_is_clipped(generator: torch.Generator) -> None:
    hounsfield = torch.full((400, 362), -1024.0)
    hounsfield[200] = 9000.0
    image = ground_truth(hounsfield, generator)
    assert float(image.min()) == 0
    assert float(image.max()) == pytest.approx(MU_MAX)
    assert image.unique().numel() == 2
    with pytest.raises(ValueError, match="at least 362 x 362 pixels, got 512 x 300"):
        ground_truth(torch.zeros(512, 300), generator)


def test_the_image_is_drawn_finer_before_it_is_projected(generator: torch.Generator) -> None:
    image = torch.rand(362, 362, generator=generator, dtype=torch.float64)
    seen: list[torch.Tensor] = []

    def project(fine: torch.Tensor) -> torch.Tensor:
        seen.append(fine)
        return torch.zeros(*fine.shape[:-2], *lodopab().shape)

    simulate(image, project, generator)
    assert seen[0].shape == simulation_grid().shape == (1000, 1000)
    assert simulation_grid().extent == pytest.approx(lodopab_grid().extent)
    by_skimage = resize(image.numpy(), (1000, 1000), order=1)  # LoDoPaB's own call
    np.testing.assert_allclose(seen[0][2:-2, 2:-2], by_skimage[2:-2, 2:-2], atol=1e-12)


def test_noise_is_that_of_4096_photons(generator: torch.Generator) -> None:
    clean = torch.full((3, *lodopab().shape), 2.0)
    noisy = simulate(torch.zeros(3, 362, 362), lambda _: clean, generator)
    assert float(noisy.var()) == pytest.approx(math.exp(2) / 4096, rel=0.02)
    blocked = simulate(torch.zeros(362, 362), _nothing_passes, generator)
    assert float(blocked.max()) == pytest.approx(largest_line_integral(4096))


@pytest.fixture
def unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three people's volumes, of which one has a slice of air, in place of those of the packages."""
    folder = tmp_path / "unpacked"
    people = []
    for k, part in enumerate(("train", "validation", "test")):
        volume = torch.full((4, 364, 366), 50.0 + k)
        volume[:, :182] += 100.0
        volume[2] = -1000.0
        (folder / f"package{k}").mkdir(parents=True)
        write_nifti(folder / f"package{k}" / "ct.nii", CTVolume(volume, (5.0, 1.0, 1.0)))
        people.append(Subject(f"person-{k}", part, f"package{k}", "*.nii", 2 if k == 1 else 1))
    monkeypatch.setattr(module, "SUBJECTS", tuple(people))
    return folder


def _sums(images: torch.Tensor) -> torch.Tensor:
    """Stand in for a projector: each ray sees the image's mean."""
    mean = 100 * images.mean(dim=(-2, -1), keepdim=True)
    return mean.expand(*images.shape[:-2], *lodopab().shape)


def test_volumes_become_files_of_lodopab(unpacked: Path, tmp_path: Path) -> None:
    said: list[tuple[str, int, int]] = []
    for name in ("first", "again"):
        (tmp_path / name).mkdir()
        convert_lodopab_small(unpacked, tmp_path / name, _sums, lambda *words: said.append(words))
    data = {part: LoDoPaB(tmp_path / "first", part) for part in ("train", "validation", "test")}
    assert {part: len(samples) for part, samples in data.items()} == {"train": 3, "validation": 1, "test": 3}
    assert (tmp_path / "first" / "slices_train.csv").read_text() == (
        "sample,subject,slice\n0,person-0,0\n1,person-0,1\n2,person-0,3\n"
    )
    assert said[:4] == [("simulating train", n, 0) for n in (1, 2, 3)] + [("simulating validation", 1, 0)]
    sample = data["test"][0]
    assert sample.target is not None
    assert sample.target[0, 0] == pytest.approx(attenuation_from_hounsfield(152.5), abs=1.1e-5)  # the front is up
    assert sample.target[-1, -1] == pytest.approx(attenuation_from_hounsfield(52.5), abs=1.1e-5)
    assert float(sample.sinogram.mean()) == pytest.approx(100 * float(sample.target.mean()), abs=0.01)
    for part, samples in data.items():
        again = LoDoPaB(tmp_path / "again", part)
        assert torch.equal(again[0].sinogram, samples[0].sinogram)
        assert torch.equal(again[0].target, samples[0].target)  # type: ignore[arg-type]
    assert not torch.equal(
        data["train"][0].sinogram - data["train"][0].sinogram.mean(), sample.sinogram - sample.sinogram.mean()
    )


def test_an_archive_that_lacks_a_volume_is_named(unpacked: Path, tmp_path: Path) -> None:
    (unpacked / "package1" / "ct.nii").unlink()
    with pytest.raises(InputError, match=r"package1: holds 0 of \*\.nii, not one; fetch again"):
        convert_lodopab_small(unpacked, tmp_path, _sums)
