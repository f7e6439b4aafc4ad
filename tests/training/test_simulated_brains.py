"""Images of heads: how often each is seen, by which scanner, in which contrast."""

from collections import Counter
from pathlib import Path

import h5py
import pytest
import torch

from medrecon.data.sets.head_images import HeadImages
from medrecon.errors import InputError
from medrecon.training.augmentation import Augmentation, ContrastAugmentation
from medrecon.training.mri import PhantomImages
from medrecon.training.simulated_brains import HeadScans

CONTRASTS = ("T1", "T2", "T1", "PD")


@pytest.fixture
def images(tmp_path: Path) -> HeadImages:
    (tmp_path / "train").mkdir()
    with h5py.File(tmp_path / "train" / "images_000.h5", "w") as file:
        file["image"] = torch.stack([PhantomImages(4, (24, 20))[i] for i in range(4)]).numpy()
    rows = (f"{i},subject{i},{contrast},{i / 10}" for i, contrast in enumerate(CONTRASTS))
    (tmp_path / "slices_train.csv").write_text("sample,subject,contrast,height\n" + "\n".join(rows) + "\n")
    return HeadImages(tmp_path)


def scans(images: HeadImages, **changes: object) -> HeadScans:
    given = {"augmentation": Augmentation(), "contrast": ContrastAugmentation(), "seed": 0, **changes}
    return HeadScans(images, **given)  # type: ignore[arg-type]


def test_a_contrast_is_seen_as_often_as_it_is_repeated(images: HeadImages) -> None:
    found = scans(images, repeats={"T2": 3, "PD": 2})
    assert len(found) == 2 + 3 + 2
    names = Counter(found.sample(index, 0).name for index in range(len(found)))
    assert names == {"subject0 T1": 1, "subject1 T2": 3, "subject2 T1": 1, "subject3 PD": 2}
    assert len(scans(images)) == 4


def test_each_repetition_is_another_scan(images: HeadImages) -> None:
    found = scans(images, repeats={"T2": 3})
    repeated = [found.sample(index, 0) for index in (1, 2, 3)]
    assert {sample.name for sample in repeated} == {"subject1 T2"}
    targets = [sample.target for sample in repeated if sample.target is not None]
    assert len(targets) == 3
    ratios = [float((target / target.mean() - targets[0] / targets[0].mean()).abs().max()) for target in targets[1:]]
    assert min(ratios) > 1e-3


def test_coils_stay_from_epoch_to_epoch_and_are_those_of_the_bucket(images: HeadImages) -> None:
    found = scans(images, repeats={"T2": 9})
    buckets = [found.bucket(index) for index in range(len(found))]
    assert len(set(buckets)) > 2
    for index in (0, 5, 9):
        for epoch in (None, 0, 4):
            assert found.sample(index, epoch).kspace.shape == (buckets[index], 24, 20)


def test_an_epoch_repeats_and_another_differs(images: HeadImages) -> None:
    one, other = (scans(images, augmentation=Augmentation(flips=True, zoom=1.2, tilt=10)) for _ in range(2))
    assert torch.equal(one.sample(2, 3).kspace, other.sample(2, 3).kspace)
    assert not torch.equal(one.sample(2, 3).kspace, one.sample(2, 4).kspace)
    assert not torch.equal(one.sample(2, 3).kspace, scans(images, seed=1).sample(2, 3).kspace)


def test_contrast_and_views_change_training_alone(images: HeadImages) -> None:
    plain = scans(images)
    changed = scans(images, contrast=ContrastAugmentation(share=1.0), augmentation=Augmentation(shift=4, zoom=1.5))
    assert torch.equal(plain.sample(1, None).kspace, changed.sample(1, None).kspace)
    assert not torch.equal(plain.sample(1, 0).kspace, changed.sample(1, 0).kspace)


def test_the_target_is_what_the_scan_holds(images: HeadImages) -> None:
    """Contrast and views are made before the scan: k-space and target show the same image."""
    everything = scans(images, contrast=ContrastAugmentation(share=1.0), augmentation=Augmentation(flips=True, shift=3))
    for epoch in range(3):
        sample = everything.sample(1, epoch)
        shifted = torch.fft.ifft2(torch.fft.ifftshift(sample.kspace, dim=(-2, -1)), norm="ortho")
        coils = torch.fft.fftshift(shifted, dim=(-2, -1))
        assert sample.target is not None
        torch.testing.assert_close(torch.linalg.vector_norm(coils, dim=0), sample.target, rtol=1e-4, atol=1e-9)


def test_a_contrast_that_is_not_there_is_named(images: HeadImages) -> None:
    with pytest.raises(InputError, match=r"images_000\.h5: holds no FLAIR to repeat; its contrasts are PD, T1, T2"):
        scans(images, repeats={"T2": 2, "FLAIR": 3})
