"""What is held back of a scan: disjoint, covering, outside the calibration area, and the error that it gives."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from medrecon.geometry import Arc, Grid, ParallelBeam
from medrecon.held_out import HeldOut, hold_out
from medrecon.operators import Identity, LinearOperator, Mask, Radon, sense, stack
from medrecon.spaces import image_space, kspace_space


def lines(n: int = 64, center: int = 6, seed: int = 0) -> Tensor:
    sampled = torch.rand(n, generator=torch.Generator().manual_seed(seed)) < 0.5
    sampled[n // 2 - center // 2 : n // 2 + center // 2] = True
    return sampled


def points(seed: int = 0) -> Tensor:
    sampled = torch.rand(24, 32, generator=torch.Generator().manual_seed(seed)) < 0.4
    sampled[10:14, 14:18] = True
    return sampled


def mri(sampled: Tensor) -> tuple[Tensor, LinearOperator]:
    shape = (24, sampled.shape[-1])
    generator = torch.Generator().manual_seed(1)
    maps = torch.randn(3, *shape, dtype=torch.complex128, generator=generator)
    A = sense(sampled, maps)
    return A(torch.randn(shape, dtype=torch.complex128, generator=generator)), A


def ct(views: int = 23) -> tuple[Tensor, LinearOperator]:
    A = Radon(Grid((8, 8), 1.0), ParallelBeam(Arc.half_turn(views), 12, 1.0))
    return A(torch.rand(8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))), A


SCANS = {"lines": mri(lines()), "points": mri(points()), "full": mri(torch.ones(64, dtype=torch.bool)), "views": ct(30)}


def held(y: Tensor, A: LinearOperator, seed: int = 0) -> HeldOut:
    found = hold_out(y, A, seed=seed)
    assert found is not None
    return found


def matrix(A: LinearOperator) -> Tensor:
    """The dense matrix of an operator, its columns the images of unit vectors."""
    dtype = torch.complex128 if A.domain.is_complex else torch.float64
    units = torch.eye(A.domain.shape[0] * A.domain.shape[1], dtype=dtype).reshape(-1, *A.domain.shape)
    return A(units).flatten(1).mT


@pytest.mark.parametrize("name", SCANS)
def test_the_rest_and_what_is_held_back_are_the_scan_and_share_nothing(name: str) -> None:
    y, A = SCANS[name]
    split = held(y, A)
    total = sum(torch.linalg.vector_norm(part).square() for part in (split.y, split.held_y))
    assert torch.allclose(total, torch.linalg.vector_norm(y).square())
    torch.testing.assert_close(matrix(split.A).mH @ matrix(split.A) + matrix(split.held_A).mH @ matrix(split.held_A),
                               matrix(A).mH @ matrix(A))  # fmt: skip
    n = A.separable
    assert n is not None
    share = torch.linalg.matrix_norm(matrix(split.held_A)).square() / torch.linalg.matrix_norm(matrix(A)).square()
    assert 0.08 < share < 0.21


@pytest.mark.parametrize("name", SCANS)
def test_the_error_is_that_of_the_dense_matrix(name: str) -> None:
    y, A = SCANS[name]
    split = held(y, A)
    x = A.H(y) * 0.3
    predicted = matrix(split.held_A) @ x.flatten()
    wrong = (predicted - split.held_y.flatten()).abs().square().sum()
    torch.testing.assert_close(split.error(x), wrong / split.held_y.abs().square().sum())
    torch.testing.assert_close(split.error(torch.zeros_like(x)), torch.ones((), dtype=torch.float64))


@pytest.mark.parametrize("sampled", [lines(), points()], ids=["lines", "points"])
def test_the_calibration_area_stays(sampled: Tensor) -> None:
    y, A = mri(sampled)
    mask = held(y, A).A.factors[0]
    assert isinstance(mask, Mask)
    kept = mask.pattern.expand(24, -1)
    assert bool(kept[10:14, kept.shape[1] // 2 - 2 : kept.shape[1] // 2 + 2].all())


def test_one_view_in_five_is_held_back_and_the_seed_chooses_which() -> None:
    y, A = ct(25)
    first, second = held(y, A), held(y, A, seed=1)
    assert (first.y.shape, first.held_y.shape) == ((20, 12), (5, 12))
    assert torch.equal(held(y, A).held_y, first.held_y)
    assert not torch.equal(first.held_y, second.held_y)


def test_a_batch_is_split_as_each_of_it() -> None:
    scans = [mri(points(seed)) for seed in (3, 4)]
    y, A = torch.stack([y for y, _ in scans]), stack([A for _, A in scans])
    split, x = held(y, A), torch.stack([A.H(y) for y, A in scans])
    for k, (one_y, one_A) in enumerate(scans):
        one = held(one_y, one_A)
        assert torch.equal(split.y[k], one.y)
        assert torch.equal(split.held_y[k], one.held_y)
        torch.testing.assert_close(split.error(x)[k], one.error(x[k]))


def test_images_that_share_an_operator_are_held_back_alike() -> None:
    y, A = ct()
    split = held(torch.stack([y, 2 * y]), A)
    assert torch.equal(split.held_y[0], held(y, A).held_y)
    assert split.error(torch.zeros(2, 8, 8, dtype=torch.float64)).shape == (2,)


def test_too_little_or_what_cannot_be_left_out_holds_nothing_back() -> None:
    y, A = ct(4)
    assert hold_out(y, A) is None
    identity = Identity(image_space((4, 4)))
    assert hold_out(torch.ones(4, 4) + 0j, identity) is None
    with pytest.raises(ValueError, match="nothing that can be left out"):
        identity.restricted(torch.ones(4, 4) + 0j, torch.ones(4, dtype=torch.bool))


def test_measurements_of_another_scan_are_refused() -> None:
    with pytest.raises(ValueError, match="hold_out takes"):
        hold_out(torch.zeros(3, 3), Mask(lines(), kspace_space(2, (4, 64))))


def test_zeros_are_predicted() -> None:
    y, A = ct()
    assert held(0 * y, A).error(torch.zeros(8, 8, dtype=torch.float64)) == 0


@pytest.mark.parametrize("name", SCANS)
def test_the_truth_errs_less_than_another_image_by_all_they_differ_in(name: str) -> None:
    y, A = SCANS[name]
    split, truth = held(y, A), torch.linalg.lstsq(matrix(A), y.flatten()[:, None]).solution.reshape(A.domain.shape)
    other = truth * 0.7
    assert split.excess(other, truth).share == pytest.approx(1.0)
    assert split.excess(truth, other).share == pytest.approx(-1.0)
    assert split.excess(other, truth).is_large
    assert not split.excess(truth, other).is_large
    same = split.excess(truth, truth)
    assert (same.share, same.significance) == (0.0, 0.0)
    assert split.excess(-truth).share == pytest.approx(3.0)  # 4 - 1, over 1, of the black image


def test_an_excess_is_the_same_in_every_unit_and_over_a_batch_of_one_image() -> None:
    y, A = SCANS["lines"]
    x = A.H(y)
    once = held(y, A).excess(x, 0.5 * x)
    for found in (
        held(3 * y, A).excess(3 * x, 1.5 * x),
        held(torch.stack([y, y]), A).excess(torch.stack([x, x]), 0.5 * x),
    ):
        assert (found.share, found.significance) == pytest.approx((once.share, once.significance))


def test_noise_that_is_the_same_to_both_is_no_doubt_and_equal_images_are_never_worse() -> None:
    generator = torch.Generator().manual_seed(3)
    y, A = ct(200)
    truth = torch.rand(8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    noisy = y + 0.5 * y.std() * torch.randn(y.shape, dtype=torch.float64, generator=generator)
    split = held(noisy, A)
    worse = truth + 0.3 * torch.randn(8, 8, dtype=torch.float64, generator=generator)
    assert split.excess(worse, truth).is_large
    assert split.excess(worse, truth).share == pytest.approx(1.0, abs=0.2)
    alike = [truth + 0.1 * torch.randn(8, 8, dtype=torch.float64, generator=generator) for _ in range(2)]
    assert not split.excess(*alike).is_large


def test_line_integrals_count_as_they_do_in_the_image() -> None:
    """Noise of the image nearly vanishes in a line integral, and too bright a whole does not: the image says which is worse."""
    A = Radon(Grid((32, 32), 1.0), ParallelBeam(Arc.half_turn(100), 46, 1.0))
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, 32, dtype=torch.float64),) * 2, indexing="ij")
    truth = (y.square() + x.square() < 0.6).double()
    noise = 0.1 * torch.randn(32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    noisy, too_bright = truth + noise, 1.04 * truth
    assert (noisy - truth).norm() > 3 * (too_bright - truth).norm()
    split = held(A(truth), A)
    assert split.error(noisy) < split.error(too_bright)
    assert split.excess(noisy, too_bright).is_large
    assert split.predicted(noisy).error > split.predicted(too_bright).error


@pytest.mark.parametrize("name", SCANS)
def test_of_two_predictions_that_with_an_excess_has_the_larger_error_and_a_black_one_has_one(name: str) -> None:
    y, A = SCANS[name]
    split, x = held(y, A), A.H(y)
    generator = torch.Generator().manual_seed(4)
    for _ in range(5):
        one, other = (split.predicted(x * torch.rand(x.shape, generator=generator)) for _ in range(2))
        assert (one.excess(other).share > 0) == (one.error > other.error)
        assert (one.excess().share > 0) == (one.error > 1)
    assert split.predicted(torch.zeros_like(x)).error == pytest.approx(1.0)


@pytest.mark.parametrize(("views", "is_known"), [(7, False), (20, False), (25, True)])
def test_of_fewer_than_five_bands_nothing_is_certain(views: int, is_known: bool) -> None:
    y, A = ct(views)  # each view is a band
    split, truth = held(y, A), torch.rand(8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found = split.excess(3 * truth, truth)
    assert found.share == pytest.approx(1.0)
    assert found.is_certain == is_known
    assert split.excess(3 * truth).is_certain == is_known


def test_three_lines_tell_as_much_as_many_by_the_bands_along_their_readout() -> None:
    sampled = torch.zeros(64, dtype=torch.bool)
    sampled[29:35] = True
    sampled[[2, 8, 13, 17, 22, 40, 44, 47, 51, 55, 58, 60, 62, 7, 19]] = True
    generator = torch.Generator().manual_seed(5)
    maps = torch.randn(3, 128, 64, dtype=torch.complex128, generator=generator)
    A = sense(sampled, maps)
    truth, wrong, noise = (torch.randn(128, 64, dtype=torch.complex128, generator=generator) for _ in range(3))
    y = A(truth)
    split = held(y + 0.3 * A(noise), A)
    assert int((split.held_y != 0).any(0).any(0).sum()) == 3
    assert split.excess(truth + 0.2 * wrong, truth).is_large
    alike = (truth + 0.2 * torch.randn(128, 64, dtype=torch.complex128, generator=generator) for _ in range(2))
    assert not split.excess(*alike).is_certain


def test_bands_do_not_change_what_is_summed() -> None:
    y, A = SCANS["points"]
    split = held(y, A)
    x = A.H(y)
    more = (split.held_A(x) - split.held_y).abs().square().sum() - split.held_y.abs().square().sum()
    assert split.excess(x).share == pytest.approx(float(more / split.held_A(x).abs().square().sum()))


@pytest.mark.parametrize(
    ("texture", "bright", "sigma", "is_large"),
    [(0.02, 5.0, 0.3, False), (1.0, 0.0, 0.3, True), (0.02, 5.0, 0.0, True)],
    ids=["a floor of noise beside a bright object", "a good part of the image", "beyond all noise"],
)
def test_an_excess_of_k_space_is_large_where_the_image_shows_it_or_no_noise_explains_it(
    texture: float, bright: float, sigma: float, is_large: bool
) -> None:
    generator = torch.Generator().manual_seed(6)
    A = sense(lines(64, center=8, seed=7), torch.full((3, 128, 64), 0.5, dtype=torch.complex128))
    drawn, wrong, noise = (torch.randn(128, 64, dtype=torch.complex128, generator=generator) for _ in range(3))
    truth = texture * drawn + bright  # a constant is one sample of k-space
    y = A(truth + sigma * noise)
    split = held(y, A)
    found = split.excess(truth + 0.2 * wrong, truth)
    assert found.share == pytest.approx(1.0, abs=0.1)
    assert found.is_certain
    assert found.is_large == is_large
    more = split.held_A(truth + 0.2 * wrong).sub(split.held_y).abs().square().sum()
    less = split.held_A(truth).sub(split.held_y).abs().square().sum()
    energy = y.abs().square().sum() * (split.held_y != 0).double().mean()
    assert found.of_image == pytest.approx(float((more - less) / energy))


def test_of_line_integrals_the_share_of_the_image_is_not_asked() -> None:
    y, A = ct(30)
    x = A.H(y)
    assert held(y, A).excess(x, 0.5 * x).of_image == float("inf")
