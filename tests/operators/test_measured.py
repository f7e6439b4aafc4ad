"""Coil images that agree with the measurements."""

import pytest
import torch
from torch import Tensor

from medrecon.geometry import Arc, Grid, ParallelBeam
from medrecon.operators import Fourier, LinearOperator, Radon, measured_root_sum_of_squares, sense
from medrecon.spaces import Space, root_sum_of_squares
from tests.networks.cases import lines, maps

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
    found = measured_root_sum_of_squares(x, y, sense(masks[:, 0], both))
    for k in range(2):
        torch.testing.assert_close(found[k], measured_root_sum_of_squares(x[k], y[k], sense(masks[k, 0, 0], both[k])))


def test_gradients_are_those_of_differences_and_finite_where_all_is_black() -> None:
    A, y = operator(), random(COILS, seed=1) * lines(SHAPE[1])
    x = random(IMAGES, seed=2).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: measured_root_sum_of_squares(x, y, A), x)
    black = torch.zeros(SHAPE, dtype=torch.complex128, requires_grad=True)
    combined = measured_root_sum_of_squares(black, torch.zeros_like(y), A)
    (gradient,) = torch.autograd.grad(combined.sum(), black)
    assert torch.equal(gradient, torch.zeros_like(black))


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
