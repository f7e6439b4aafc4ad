"""Zooms, tilts and contrasts: what they do to an image, and what they leave alone."""

import math

import pytest
import torch
from torch import Tensor

from medrecon.training.augmentation import Augmentation, Blur, ContrastAugmentation


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def spot(shape: tuple[int, int], place: tuple[float, float], width: float = 3.0) -> Tensor:
    """A smooth spot at `(y, x)` pixels from the middle of the image."""
    y, x = (torch.arange(n) - (n - 1) / 2 for n in shape)
    return torch.exp(-((y - place[0]) ** 2)[:, None] / width**2 - (x - place[1]) ** 2 / width**2)


def middle(image: Tensor) -> tuple[float, float]:
    """The center of gravity, in pixels from the middle of the image."""
    y, x = (torch.arange(n) - (n - 1) / 2 for n in image.shape)
    total = image.sum()
    return float((image.sum(1) * y).sum() / total), float((image.sum(0) * x).sum() / total)


@pytest.mark.parametrize("shape", [(64, 64), (63, 80), (96, 61)])
def test_a_zoom_moves_what_is_away_from_the_middle(shape: tuple[int, int]) -> None:
    zooms = set()
    for seed in range(12):
        y, x = middle(Augmentation(zoom=1.5)(spot(shape, (8.0, -12.0)), seeded(seed)))
        assert y / 8 == pytest.approx(-x / 12, abs=5e-3)
        assert 1 / 1.5 <= y / 8 <= 1.5
        zooms.add(round(y / 8, 1))
    assert len(zooms) > 3


@pytest.mark.parametrize("shape", [(64, 64), (63, 80), (96, 61)])
def test_a_tilt_turns_rigidly_about_the_middle(shape: tuple[int, int]) -> None:
    angles = []
    for seed in range(12):
        y, x = middle(Augmentation(tilt=20)(spot(shape, (8.0, -12.0)), seeded(seed)))
        assert math.hypot(y, x) == pytest.approx(math.hypot(8, 12), rel=5e-3)
        angles.append(math.degrees(math.atan2(y, x) - math.atan2(8, -12)))
    assert max(map(abs, angles)) <= 20.1
    assert min(angles) < -5
    assert max(angles) > 5


@pytest.mark.parametrize("shape", [(64, 64), (63, 80)])
def test_a_blur_adds_its_variance_to_a_spot_and_keeps_its_mass(shape: tuple[int, int]) -> None:
    image = spot(shape, (2.0, -3.0), width=4.0)  # of the standard deviation width / sqrt(2) along an axis
    widths = []
    for seed in range(12):
        blurred = Blur(2.0)(image, seeded(seed))
        assert float(blurred.sum()) == pytest.approx(float(image.sum()), rel=1e-4)
        assert middle(blurred) == pytest.approx((2.0, -3.0), abs=1e-2)
        sigma = 2.0 * float(torch.rand((), generator=seeded(seed)))
        peak = 8 / (8 + sigma**2)  # of a Gaussian of the variance 8 that is blurred along both axes
        assert float(blurred.max() / image.max()) == pytest.approx(peak, abs=0.02)
        widths.append(sigma)
    assert min(widths) < 0.5 < 1.5 < max(widths)


def test_a_blur_leaves_flat_images_and_its_edges_alone() -> None:
    flat = torch.full((2, 9, 7), 3.0)
    for seed in range(6):
        torch.testing.assert_close(Blur(4.0)(flat, seeded(seed)), flat)
        assert torch.equal(Blur()(flat, seeded(seed)), flat)


def test_a_zoom_keeps_brightness_and_no_value_falls_below_zero() -> None:
    image = spot((64, 64), (0.0, 0.0), width=9.0)
    image[:32] = 0
    for seed in range(8):
        view = Augmentation(zoom=1.3, tilt=30)(image, seeded(seed))
        assert float(view.min()) >= 0
        assert float(view.max()) == pytest.approx(1, abs=0.15)


def test_all_images_of_a_stack_are_moved_alike_in_their_precision() -> None:
    stack = torch.stack([spot((40, 48), (4.0, 6.0)), spot((40, 48), (-9.0, 3.0))]).double()
    augmentation = Augmentation(flips=True, shift=4, zoom=1.2, tilt=10)
    together = augmentation(stack, seeded(3))
    assert together.dtype == torch.float64
    for image, view in zip(stack, together, strict=True):
        assert torch.equal(augmentation(image, seeded(3)), view)


def test_what_is_allowed_later_does_not_change_what_is_drawn_before() -> None:
    image = torch.rand(16, 16, generator=seeded(0))
    one, other = seeded(5), seeded(5)
    Augmentation()(image, one)
    Augmentation(flips=True, turns=True, shift=3, zoom=1.5, tilt=45)(image, other)
    assert torch.equal(torch.rand(4, generator=one), torch.rand(4, generator=other))


def test_a_contrast_is_a_curve_through_zero() -> None:
    image = torch.rand(64, 64, generator=seeded(1)).clamp_min(0.5) - 0.5
    for seed in range(20):
        changed = ContrastAugmentation(share=1.0)(image, seeded(seed))
        assert torch.equal(changed[image == 0], torch.zeros(int((image == 0).sum())))
        assert float(changed.min()) >= 0
        order = image.flatten().argsort()  # equal values stay equal, and near ones near: a function, and a smooth one
        steps = changed.flatten()[order].diff().abs()
        assert float(steps.max()) < 0.05 * float(changed.max())
        tissue = image > 0.1 * image.max()
        assert float(changed[tissue].mean()) == pytest.approx(float(image[tissue].mean()), rel=1e-4)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_contrast_knows_no_unit(scale: float) -> None:
    image = torch.rand(32, 32, generator=seeded(1), dtype=torch.float64)
    contrast = ContrastAugmentation(share=1.0)
    torch.testing.assert_close(contrast(scale * image, seeded(4)), scale * contrast(image, seeded(4)))


def test_a_share_of_images_is_changed_and_black_ones_stay() -> None:
    image = torch.rand(8, 8, generator=seeded(1))
    contrast = ContrastAugmentation(share=0.4)
    same = sum(torch.equal(contrast(image, seeded(seed)), image) for seed in range(500))
    assert same / 500 == pytest.approx(0.6, abs=0.07)
    assert torch.equal(ContrastAugmentation()(image, seeded(0)), image)
    black = torch.zeros(8, 8)
    assert torch.equal(ContrastAugmentation(share=1.0)(black, seeded(0)), black)


def test_a_contrast_left_out_draws_as_much_as_one_made() -> None:
    image, generators = torch.rand(8, 8), [seeded(5) for _ in range(2)]
    for share, generator in zip((0.0, 1.0), generators, strict=True):
        ContrastAugmentation(share)(image, generator)
    assert torch.equal(*(torch.rand(4, generator=generator) for generator in generators))
