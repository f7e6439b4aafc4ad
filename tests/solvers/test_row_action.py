"""SIRT and ordered subsets: first iterates against numpy, then what they converge to."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import torch
from torch import Tensor

from medrecon.functionals import L1, Box, LeastSquares, Zero
from medrecon.operators import Identity
from medrecon.solvers import admm, ordered_subsets, run, sirt
from tests.solvers import reference
from tests.solvers.dense import Matrix

DOUBLE = torch.float64
N, WEIGHT = 6, 0.3
SPLITS = {"whole": [slice(0, 12)], "blocks": [slice(0, 5), slice(5, 12)]}
every_split = pytest.mark.parametrize("split", SPLITS)


def problem(generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Non-negative weights `(12, 6)`, three data and three starts."""
    A = torch.rand(12, N, generator=generator, dtype=DOUBLE) + 0.5 * torch.eye(12, N, dtype=DOUBLE)
    return A, *(torch.randn(3, size, generator=generator, dtype=DOUBLE) + 1 for size in (12, N))


def blocks(A: Tensor, y: Tensor, split: str) -> list[LeastSquares]:
    return [LeastSquares(Matrix(A[part]), y[..., part]) for part in SPLITS[split]]


def arrays(A: Tensor, y: Tensor, split: str) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(A[part].numpy(), y[part].numpy()) for part in SPLITS[split]]


@every_split
def test_first_passes_of_sirt_are_those_of_the_paper(split: str, generator: torch.Generator) -> None:
    A, y, x = problem(generator)
    box = Box(Matrix(A).domain, 0.2, torch.inf)
    states = list(islice(sirt(blocks(A, y, split), box, x), 3))
    for i in range(3):
        want = reference.sirt(arrays(A, y[i], split), x[i].numpy(), 0.2)
        for state, right in zip(states, want, strict=False):
            np.testing.assert_allclose(state.x[i].numpy(), right, rtol=0, atol=1e-10)
    moves = (states[1].x - states[0].x).norm(dim=-1) / states[1].x.norm(dim=-1)
    torch.testing.assert_close(states[1].criterion, moves)


@every_split
def test_first_passes_of_ordered_subsets_are_those_of_the_paper(split: str, generator: torch.Generator) -> None:
    A, y, x = problem(generator)
    K = torch.randn(7, N, generator=generator, dtype=DOUBLE)
    space = Matrix(A).domain
    states = list(
        islice(
            ordered_subsets(
                blocks(A, y, split),
                Box(space, 0.2, torch.inf),
                L1(Matrix(K).range, WEIGHT),
                Matrix(K, claimed_norm=float(torch.linalg.matrix_norm(K, 2))),
                x,
                inner_iterations=3,
            ),
            4,
        )
    )

    def clipped(p: np.ndarray, step: float) -> np.ndarray:
        del step
        return np.clip(p, -WEIGHT, WEIGHT)

    for i in range(3):
        want = reference.ordered_subsets(arrays(A, y[i], split), clipped, K.numpy(), x[i].numpy(), 0.2, 3)
        for state, right in zip(states, want, strict=False):
            np.testing.assert_allclose(state.x[i].numpy(), right, rtol=0, atol=1e-10)


def test_sirt_converges_to_weighted_least_squares_and_never_away_from_it(generator: torch.Generator) -> None:
    A, y, x = problem(generator)
    rows = A.sum(1)
    normal = A.T @ (A / rows[:, None])
    want = torch.linalg.solve(normal, ((y / rows) @ A).T).T
    space = Matrix(A).domain
    states = list(islice(sirt(blocks(A, y, "whole"), Zero(space), x), 4000))
    misfit = torch.stack([((state.x @ A.T - y).square() / rows).sum(-1) for state in states[:50]])
    assert bool((misfit.diff(dim=0) <= 1e-12).all())
    distance = torch.stack([((state.x - want).square() * A.sum(0)).sum(-1) for state in states[:50]])
    assert bool((distance.diff(dim=0) <= 1e-12).all())
    torch.testing.assert_close(states[-1].x, want, rtol=0, atol=1e-5)


def test_consistent_data_make_subsets_faster(generator: torch.Generator) -> None:
    A, _, x = problem(generator)
    truth = x.abs()
    space = Matrix(A).domain
    after = {
        split: run(sirt(blocks(A, truth @ A.T, split), Zero(space), torch.zeros_like(x)), max_iterations=30).x
        for split in SPLITS
    }
    errors = {split: float((after[split] - truth).norm()) for split in SPLITS}
    assert errors["blocks"] < errors["whole"]


def test_ordered_subsets_of_one_block_converge(generator: torch.Generator) -> None:
    """To what ADMM finds, by quite another way; without the constraint, which that has no room for."""
    A, y, x = problem(generator)
    K = Matrix(torch.randn(7, N, generator=generator, dtype=DOUBLE))
    f = L1(K.range, WEIGHT)
    data = LeastSquares(Matrix(A), y)
    want = run(admm(data, f, K, x, rho=1.0), max_iterations=3000, tolerance=1e-12).x
    states = ordered_subsets([data], Zero(data.space), f, K, x, inner_iterations=10)
    solution = run(states, max_iterations=5000, tolerance=1e-11)
    torch.testing.assert_close(solution.x, want, rtol=0, atol=1e-6)


def test_the_constraint_is_met_at_the_minimizer(generator: torch.Generator) -> None:
    """Karush, Kuhn & Tucker: no slope inside, a rising one at the bound."""
    A, y, x = problem(generator)
    data = LeastSquares(Matrix(A), y - 1)
    identity = Identity(data.space)
    states = ordered_subsets([data], Box(data.space, 0.0, torch.inf), L1(data.space, WEIGHT), identity, x)
    x = run(states, max_iterations=5000, tolerance=1e-11).x
    slope = data.gradient(x) + WEIGHT
    assert bool((x >= 0).all())
    assert bool((x == 0).any())
    assert float(torch.where(x > 0, slope, 0).abs().max()) < 1e-5
    assert float(torch.where(x > 0, 0, slope).min()) > -1e-5


def test_batch_gives_what_a_loop_gives(generator: torch.Generator) -> None:
    A, y, x = problem(generator)
    scaled = torch.tensor([1.0, 0.2, 3.0], dtype=DOUBLE)[:, None, None] * A
    K = Matrix(torch.randn(7, N, generator=generator, dtype=DOUBLE), claimed_norm=6.0)
    weights = torch.tensor([0.1, 0.2, 0.4], dtype=DOUBLE)
    box = Box(K.domain, 0.0, torch.inf)
    both = LeastSquares(Matrix(scaled), y)
    together = run(ordered_subsets([both], box, L1(K.range, weights), K, x), max_iterations=40, tolerance=1e-3)
    simple = run(sirt([both], box, x), max_iterations=40, tolerance=1e-3)
    for i in range(3):
        one = LeastSquares(Matrix(scaled[i]), y[i])
        alone = run(
            ordered_subsets([one], box, L1(K.range, float(weights[i])), K, x[i]), max_iterations=40, tolerance=1e-3
        )
        torch.testing.assert_close(together.x[i], alone.x, rtol=0, atol=1e-10)
        torch.testing.assert_close(
            simple.x[i], run(sirt([one], box, x[i]), max_iterations=40, tolerance=1e-3).x, rtol=0, atol=1e-10
        )


def test_empty_rows_and_columns_do_no_harm(generator: torch.Generator) -> None:
    A, y, _ = problem(generator)
    A[3], A[:, 2] = 0, 0
    data = [LeastSquares(Matrix(A), y)]
    space, x = data[0].space, torch.full((3, N), 0.7, dtype=DOUBLE)
    assert bool((run(sirt(data, Zero(space), x), max_iterations=20).x[:, 2] == 0.7).all())
    states = ordered_subsets(data, Zero(space), L1(space, 0.0), Identity(space), x)
    assert bool((run(states, max_iterations=20).x[:, 2] == 0.7).all())


def test_refusals_in_words() -> None:
    A = Matrix(torch.tensor([[1.0, -2.0], [1.0, 1.0]]))
    data, box = LeastSquares(A, torch.ones(2)), Box(A.domain, 0.0, 1.0)
    identity, f = Identity(A.domain), L1(A.domain, 1.0)
    with pytest.raises(ValueError, match=r"sirt takes an operator without negative entries, .* got Matrix, .* to -1"):
        sirt([data], box, torch.zeros(2))
    with pytest.raises(ValueError, match="ordered_subsets takes an operator without negative entries"):
        ordered_subsets([data], box, f, identity, torch.zeros(2))
    with pytest.raises(ValueError, match="sirt takes at least one block"):
        sirt([], box, torch.zeros(2))
    for blocks, inner in (([], 3), ([data], 0)):
        with pytest.raises(ValueError, match="at least one block and inner_iterations >= 1, got"):
            ordered_subsets(blocks, box, f, identity, torch.zeros(2), inner_iterations=inner)
