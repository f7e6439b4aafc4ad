"""Coil images that agree with the measurements."""

import pytest
import torch
from torch import Tensor

from medrecon.calibration import measured_root_sum_of_squares
from medrecon.geometry import Arc, Grid, ParallelBeam
from medrecon.operators import Fourier, LinearOperator, Radon, sense
from medrecon.spaces import Space, root_sum_of_squares
from tests.problems import lines, maps

SHAPE, N_COILS = (10, 9), 3
COILS = Space(("coil", "y", "x"), (N_COILS, *SHAPE), is_complex=True)
IMAGES = Space(("y", "x"), SHAPE, is_complex=True)


def random(space: Space, *batch: int, seed: int) -> Tensor:
    return space.random(batch, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def operator(sampled: Tensor | None = None) -> LinearOperator:
    return sense(lines(SHAPE[1]) if sampled is None else sampled, maps(N_COILS, SHAPE).to(torch.complex128))


def test_of_a_full_scan_it_is_the_root_sum_of_squares_of_the_data_whatever_the_image() -> None:
    y = random(COILS, seed=1)
    wanted = root_sum_of_squares(Fourier(COILS).H(y), -3)
    for seed in (2, 3):
        found = measured_root_sum_of_squares(1e3 * random(IMAGES, seed=seed), y, operator(torch.ones(SHAPE[1]) > 0))
        torch.testing.assert_close(found, wanted)


def test_measured_samples_are_kept_and_the_others_are_those_of_the_image() -> None:
    A, sampled = operator(), lines(SHAPE[1])
    y, x = random(COILS, seed=1) * sampled, random(IMAGES, seed=2)
    kspace = torch.where(sampled, y, Fourier(COILS)(maps(N_COILS, SHAPE) * x))
    torch.testing.assert_close(
        measured_root_sum_of_squares(x, y, A), torch.linalg.vector_norm(Fourier(COILS).H(kspace), dim=-3)
    )


def test_an_image_that_agrees_with_the_data_is_its_magnitude() -> None:
    """With maps of unit root sum of squares."""
    A, x = operator(), random(IMAGES, seed=2)
    torch.testing.assert_close(measured_root_sum_of_squares(x, A(x), A), x.abs())


def test_a_batch_gives_what_its_samples_give() -> None:
    masks = torch.stack([lines(SHAPE[1]), lines(SHAPE[1], every=3)])[:, None, None]
    both = torch.stack([maps(N_COILS, SHAPE), maps(N_COILS, SHAPE).flip(-1)]).to(torch.complex128)
    x, y = random(IMAGES, 2, seed=1), random(COILS, 2, seed=2) * masks
    for noise in (None, torch.tensor([0.5, 2.0], dtype=torch.float64)):
        found = measured_root_sum_of_squares(x, y, sense(masks[:, 0], both), noise)
        for k in range(2):
            A = sense(masks[k, 0, 0], both[k])
            alone = measured_root_sum_of_squares(x[k], y[k], A, None if noise is None else noise[k])
            torch.testing.assert_close(found[k], alone)


def test_gradients_are_those_of_differences_and_finite_where_all_is_black() -> None:
    A, y = operator(), random(COILS, seed=1) * lines(SHAPE[1])
    x = random(IMAGES, seed=2).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: measured_root_sum_of_squares(x, y, A), x)
    black = torch.zeros(SHAPE, dtype=torch.complex128, requires_grad=True)
    combined = measured_root_sum_of_squares(black, torch.zeros_like(y), A)
    (gradient,) = torch.autograd.grad(combined.sum(), black)
    assert torch.equal(gradient, torch.zeros_like(black))


def test_with_noise_it_is_what_to_expect_of_a_full_noisy_scan() -> None:
    """Black coils beyond the object, of which the samples that were taken have noise."""
    n_coils, shape, sigma = 6, (64, 60), 2.0
    sampled = lines(shape[1], every=3)
    sampled[0] = sampled[-1] = True
    space = Space(("coil", "y", "x"), (n_coils, *shape), is_complex=True)
    A = sense(sampled, maps(n_coils, shape).to(torch.complex128))
    noise = sigma * random(space, 20, seed=1)
    black = torch.zeros(20, *shape, dtype=torch.complex128)
    found = measured_root_sum_of_squares(black, noise * sampled, A, torch.full((20,), sigma, dtype=torch.float64))
    without = measured_root_sum_of_squares(black, noise * sampled, A)
    wanted = sigma * n_coils**0.5
    assert float(found.square().mean().sqrt()) == pytest.approx(wanted, rel=0.02)
    assert float(without.square().mean().sqrt()) == pytest.approx(
        wanted * float(sampled.double().mean()) ** 0.5, rel=0.02
    )


def test_what_lies_beyond_the_samples_has_no_noise() -> None:
    x, sampled = random(IMAGES, seed=2), torch.zeros(SHAPE, dtype=torch.bool)
    sampled[2:8, 1:7] = True
    A = operator(sampled)
    filled = measured_root_sum_of_squares(x, A(x), A, torch.tensor(3.0))
    torch.testing.assert_close(filled, measured_root_sum_of_squares(x, A(x), A))
    sampled[4, 2:5] = False
    fewer = operator(sampled.clone())
    floor = 9.0 * N_COILS * 3 / sampled.numel()
    wanted = (measured_root_sum_of_squares(x, fewer(x), fewer).square() + floor).sqrt()
    torch.testing.assert_close(measured_root_sum_of_squares(x, fewer(x), fewer, torch.tensor(3.0)), wanted)


@pytest.mark.parametrize(
    "A",
    [
        Radon(Grid(SHAPE, 1.0), ParallelBeam(Arc.half_turn(4), n_bins=9, spacing=1.0)),
        Fourier(COILS),
    ],
)
def test_other_operators_are_refused(A: LinearOperator) -> None:
    with pytest.raises(ValueError, match="measured_root_sum_of_squares"):
        measured_root_sum_of_squares(torch.zeros(A.domain.shape), torch.zeros(A.range.shape), A)
