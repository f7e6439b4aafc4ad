"""Which samples form a batch, and what is drawn for them."""

import itertools

import pytest
import torch

from medrecon.data.batches import derived_seed, epoch_batches, share
from medrecon.training.augmentation import Augmentation
from medrecon.training.curriculum import Curriculum
from medrecon.training.schedules import ConstantRate, CosineRate, StepRate

BUCKETS = ["a"] * 7 + ["b"] * 4


def test_an_epoch_has_every_sample_once_in_batches_of_one_bucket() -> None:
    batches = epoch_batches(BUCKETS, 3, seed=1, epoch=0)
    assert sorted(itertools.chain(*batches)) == list(range(11))
    assert all(len({BUCKETS[index] for index in batch}) == 1 and len(batch) <= 3 for batch in batches)
    assert len(batches) == 5


def test_epochs_differ_and_are_the_same_again() -> None:
    first, second = (epoch_batches(BUCKETS, 3, seed=1, epoch=epoch) for epoch in (0, 1))
    assert first != second
    assert first == epoch_batches(BUCKETS, 3, seed=1, epoch=0)
    assert first != epoch_batches(BUCKETS, 3, seed=2, epoch=0)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 8])
def test_each_process_has_as_many_batches_and_none_is_left_out(n: int) -> None:
    batches = epoch_batches(BUCKETS, 3, seed=1, epoch=0, n_processes=n)
    shares = [batches[process::n] for process in range(n)]
    assert len({len(part) for part in shares}) == 1
    assert set(itertools.chain(*batches)) == set(range(11))
    assert sorted(itertools.chain(*(share(11, process, n) for process in range(n)))) == list(range(11))


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="takes samples"):
        epoch_batches([], 1, seed=0, epoch=0)


def test_seeds_are_unlike_for_unlike_keys_and_fit_a_generator() -> None:
    seeds = {derived_seed(a, b, c) for a in range(10) for b in range(10) for c in range(10)}
    assert len(seeds) == 1000
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derived_seed(1, 2) != derived_seed(2, 1)


def test_a_curriculum_ends_in_its_last_value() -> None:
    stages = Curriculum("8x", ((2, "2x"), (5, "4x")))
    assert [stages.at(epoch) for epoch in (0, 1, 2, 4, 5, 99)] == ["2x", "2x", "4x", "4x", "8x", "8x"]
    with pytest.raises(ValueError, match="growing"):
        Curriculum(0, ((3, 1), (2, 2)))


def test_rates() -> None:
    assert ConstantRate()(7, 10) == 1
    assert [StepRate(40)(epoch, 50) for epoch in (0, 39.9, 40, 49)] == pytest.approx([1, 1, 0.1, 0.1])
    cosine = CosineRate(warmup=2, floor=0.1)
    assert [cosine(epoch, 10) for epoch in (1, 2, 6, 10)] == pytest.approx([0.5, 1, 0.55, 0.1])


def test_augmentation_moves_pixels_and_changes_none() -> None:
    image = torch.zeros(9, 9)
    image[3:6, 4:6] = torch.arange(1.0, 7.0).reshape(3, 2)
    views = set()
    for seed in range(40):
        view = Augmentation(flips=True, turns=True, shift=2)(image, torch.Generator().manual_seed(seed))
        assert torch.equal(view.flatten().sort()[0], image.flatten().sort()[0])
        views.add(tuple(view.flatten().tolist()))
    assert len(views) > 20
    assert torch.equal(Augmentation()(image, torch.Generator()), image)


def test_an_image_that_is_not_square_keeps_its_shape() -> None:
    image = torch.rand(6, 9)
    augmentation = Augmentation(flips=True, turns=True)
    assert all(augmentation(image, torch.Generator().manual_seed(s)).shape == (6, 9) for s in range(8))
