from collections.abc import Callable
from dataclasses import FrozenInstanceError

import pytest
import torch
from fastmri.data import subsample

from medrecon.data.mri.masks import (
    SamplingMask,
    Seed,
    equispaced_fraction_mask,
    equispaced_mask,
    magic_fraction_mask,
    magic_mask,
    mask_seed,
    random_mask,
)

MakeMask = Callable[[int, float, float, Seed], SamplingMask]
PEERS: list[tuple[MakeMask, type[subsample.MaskFunc]]] = [
    (random_mask, subsample.RandomMaskFunc),
    (equispaced_mask, subsample.EquiSpacedMaskFunc),
    (equispaced_fraction_mask, subsample.EquispacedMaskFractionFunc),
    (magic_mask, subsample.MagicMaskFunc),
    (magic_fraction_mask, subsample.MagicMaskFractionFunc),
]
ALL = [make for make, _ in PEERS]


def lines(text: str, kind: str = "test") -> SamplingMask:
    return SamplingMask(torch.tensor([c == "1" for c in text]), kind)


@pytest.mark.parametrize(("make", "peer"), PEERS, ids=lambda f: f.__name__)
def test_equals_the_fastmri_package_bit_for_bit(make: MakeMask, peer: type[subsample.MaskFunc]) -> None:
    compared = 0
    for width in (*range(1, 50, 3), 64, 99, 320, 368, 372, 396):
        for acceleration in (1, 2, 3, 4, 5, 8, 10):
            for fraction in (0.0, 0.04, 0.08, 0.16, 0.32, 1.0):
                for seed in (0, 123, mask_seed("file1000031.h5")):
                    try:
                        mask, _ = peer([fraction], [acceleration])((1, width, 1), seed=seed)
                    except (ValueError, ZeroDivisionError):
                        continue  # the package fails where the center holds all lines asked for
                    expected = mask.flatten() > 0
                    if expected.any():
                        assert torch.equal(make(width, acceleration, fraction, seed).sampled, expected)
                        compared += 1
    assert compared > 1000


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (random_mask, "00000000000001011100000000000010"),
        (equispaced_mask, "00100010001000111110001000100010"),
        (equispaced_fraction_mask, "00000100000100011100001000001000"),
        (magic_mask, "00010001000100011101000100010001"),
    ],
)
def test_published_strings(make: MakeMask, text: str) -> None:
    assert torch.equal(make(32, 4, 0.08, 123).sampled, lines(text).sampled)


def test_fractional_acceleration_equals_the_package() -> None:
    expected, _ = subsample.RandomMaskFunc([0.08], [3.5])((1, 368, 1), seed=7)
    assert torch.equal(random_mask(368, 3.5, 0.08, 7).sampled, expected.flatten() > 0)
    expected, _ = subsample.EquispacedMaskFractionFunc([0.08], [3.5])((1, 368, 1), seed=7)
    assert torch.equal(equispaced_fraction_mask(368, 3.5, 0.08, 7).sampled, expected.flatten() > 0)


@pytest.mark.parametrize("make", [equispaced_fraction_mask, magic_fraction_mask, random_mask])
def test_keeps_the_center_alone_where_it_holds_all_lines_asked_for(make: MakeMask) -> None:
    mask = make(100, 10, 0.1, 0)
    assert mask.sampled.nonzero().flatten().tolist() == list(range(45, 55))
    assert mask.calibration == 10


@pytest.mark.parametrize("make", ALL)
def test_center_fraction_one_keeps_everything(make: MakeMask) -> None:
    if make is magic_fraction_mask:  # it holds to the acceleration, and cuts the center
        assert make(40, 4, 1.0, 0).acceleration == 4
    else:
        assert bool(make(40, 4, 1.0, 0).sampled.all())


@pytest.mark.parametrize("make", ALL)
def test_the_seed_alone_decides(make: MakeMask) -> None:
    torch.manual_seed(0)
    first = make(368, 4, 0.08, mask_seed("file1.h5")).sampled
    torch.manual_seed(1)
    assert torch.equal(first, make(368, 4, 0.08, mask_seed("file1.h5")).sampled)
    others = [make(368, 4, 0.08, seed).sampled for seed in range(12)]
    assert any(not torch.equal(first, other) for other in others)


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize(
    ("width", "acceleration", "fraction", "words"),
    [
        (0, 4, 0.08, "width of at least one line, got 0"),
        (32, 0.5, 0.08, "acceleration of at least 1, got 0.5"),
        (32, float("nan"), 0.08, "acceleration of at least 1, got nan"),
        (32, float("inf"), 0.08, "acceleration of at least 1, got inf"),
        (32, 4, -0.1, "center fraction in \\[0, 1\\], got -0.1"),
        (32, 4, 8, "center fraction in \\[0, 1\\], got 8"),
    ],
)
def test_refuses_in_words(make: MakeMask, width: int, acceleration: float, fraction: float, words: str) -> None:
    with pytest.raises(ValueError, match=f"{make.__name__} takes .*{words}"):
        make(width, acceleration, fraction, 0)


@pytest.mark.parametrize("make", [equispaced_mask, magic_mask])
def test_refuses_a_fractional_spacing(make: MakeMask) -> None:
    with pytest.raises(ValueError, match=r"whole acceleration, got 3.5; \w+_fraction_mask takes"):
        make(32, 3.5, 0.08, 0)
    assert torch.equal(make(32, 4.0, 0.08, 0).sampled, make(32, 4, 0.08, 0).sampled)


@pytest.mark.parametrize("seed", [(), -1, 2**32, (1, -2)])
def test_refuses_a_bad_seed(seed: Seed) -> None:
    with pytest.raises(ValueError, match="random_mask takes a seed"):
        random_mask(32, 4, 0.08, seed)


def test_mask_seed_is_the_character_codes() -> None:
    assert mask_seed("ab.h5") == (97, 98, 46, 104, 53)


def test_true_acceleration_of_the_fastmri_masks() -> None:
    seed = mask_seed("file1000000.h5")
    assert equispaced_mask(368, 4, 0.08, seed).acceleration == pytest.approx(368 / 114)
    assert equispaced_fraction_mask(368, 4, 0.08, seed).acceleration == pytest.approx(4, rel=0.02)


@pytest.mark.parametrize(
    ("text", "calibration", "spacing"),
    [
        ("11111111", 8, 1),
        ("00011100", 3, None),
        ("10101010", 1, 2),
        ("01010101", 0, 2),
        ("1001001111001001", 4, 3),
        ("100100111101001001", 4, None),  # the grids on the two sides do not meet
        ("1001001111101001", 5, 3),
        ("1000001111001001", 4, None),  # a line is missing
        ("0001111000000001", 0, None),
        ("00001", 0, None),
        ("1", 1, 1),
        ("0000011111", 5, None),
    ],
)
def test_calibration_and_spacing(text: str, calibration: int, spacing: int | None) -> None:
    mask = lines(text)
    assert (mask.calibration, mask.spacing) == (calibration, spacing)


@pytest.mark.parametrize("acceleration", [2, 3, 4, 6])
def test_spacing_of_an_equispaced_mask_is_its_acceleration(acceleration: int) -> None:
    for seed in range(5):
        mask = equispaced_mask(200, acceleration, 0.1, seed)
        assert mask.spacing == acceleration
        assert isinstance(mask.calibration, int)
        assert 20 <= mask.calibration <= 22


@pytest.mark.parametrize("shape", [(8, 8), (9, 8), (7, 9), (1, 5)])
def test_calibration_square_is_the_largest_full_centered_one(shape: tuple[int, int]) -> None:
    ny, nx = shape
    generator = torch.Generator().manual_seed(0)
    for density in (0.7, 0.9, 0.97, 1.1):
        sampled = torch.rand(shape, generator=generator) < density
        sampled[0, 0] = True
        side = 0
        for s in range(1, min(shape) + 1):
            y, x = ny // 2 - s // 2, nx // 2 - s // 2
            side = s if bool(sampled[y : y + s, x : x + s].all()) else side
        mask = SamplingMask(sampled, "test")
        assert mask.calibration == (side, side)
        assert mask.spacing is None


def test_describe() -> None:
    assert equispaced_mask(32, 4, 0.08, 123).describe() == (
        "equispaced: 11 of 32 lines, true acceleration 2.91, 5 calibration lines, spacing 4"
    )
    assert lines("00100", "own").describe() == (
        "own: 1 of 5 lines, true acceleration 5.00, 1 calibration line, irregular spacing"
    )
    assert SamplingMask(torch.ones(4, 6, dtype=torch.bool), "full").describe() == (
        "full: 24 of 24 samples, true acceleration 1.00, 4 x 4 calibration square"
    )


def test_mask_is_a_value() -> None:
    mask = lines("0110")
    with pytest.raises(FrozenInstanceError):
        mask.kind = "other"  # type: ignore[misc]
    with pytest.raises(ValueError, match=r"SamplingMask takes .*got \(4,\) torch.float32"):
        SamplingMask(torch.ones(4), "test")
    with pytest.raises(ValueError, match="SamplingMask takes at least one sample, got none of 4"):
        lines("0000")
    with pytest.raises(ValueError, match=r"SamplingMask takes .*got \(1, 1, 4\)"):
        SamplingMask(torch.ones(1, 1, 4, dtype=torch.bool), "test")
