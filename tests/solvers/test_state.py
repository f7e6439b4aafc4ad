"""The loop that runs solvers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from medrecon.functionals import LeastSquares, Zero
from medrecon.solvers import Reason, State, proximal_gradient, run
from tests.solvers.dense import Matrix


def halving(rates: tuple[float, ...], n: int | None = None) -> Iterator[State]:
    """Iterates `k` with criteria `rate ** k`."""
    number = 0
    while n is None or number < n:
        number += 1
        yield State(torch.full((len(rates), 2), float(number)), torch.tensor(rates, dtype=torch.float64) ** number)


def test_each_element_stops_where_it_met_the_tolerance() -> None:
    solution = run(halving((0.5, 0.1, 0.99)), max_iterations=20, tolerance=0.02)
    assert solution.iterations.tolist() == [6, 2, 20]
    assert solution.converged.tolist() == [True, True, False]
    assert solution.x[:, 0].tolist() == [6.0, 2.0, 20.0]
    assert solution.reason is Reason.ITERATION_LIMIT


def test_stops_early_when_all_have() -> None:
    seen: list[int] = []
    solution = run(halving((0.5, 0.1)), max_iterations=20, tolerance=0.02, watch=lambda number, _: seen.append(number))
    assert seen == [1, 2, 3, 4, 5, 6]
    assert solution.converged.tolist() == [True, True]
    assert solution.reason is Reason.CONVERGED


def test_a_tolerance_of_zero_runs_all() -> None:
    seen: list[tuple[int, float]] = []
    solution = run(
        halving((0.0,)), max_iterations=4, watch=lambda number, state: seen.append((number, float(state.x[0, 0])))
    )
    assert seen == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0)]
    assert solution.iterations.tolist() == [4]
    assert solution.converged.tolist() == [False]
    assert solution.reason is Reason.ITERATION_LIMIT


def test_takes_no_state_more_than_it_needs() -> None:
    states = halving((0.5,))
    run(states, max_iterations=3)
    assert float(next(states).x[0, 0]) == 4.0


def test_ends_where_the_solver_ends() -> None:
    solution = run(halving((0.9, 0.1), n=3), max_iterations=100, tolerance=0.05)
    assert solution.iterations.tolist() == [3, 2]
    assert solution.converged.tolist() == [False, True]
    assert solution.reason is Reason.SCHEDULE_ENDED
    with pytest.raises(ValueError, match="yields at least one state"):
        run(halving((0.9,), n=0), max_iterations=3)


def test_without_batch() -> None:
    A = Matrix(torch.eye(3, dtype=torch.float64), claimed_norm=1.0)
    f = LeastSquares(A, torch.ones(3, dtype=torch.float64))
    solution = run(
        proximal_gradient(f, Zero(A.domain), torch.zeros(3, dtype=torch.float64)), max_iterations=9, tolerance=1e-9
    )
    assert solution.iterations.shape == ()
    assert int(solution.iterations) == 2
    assert bool(solution.converged)
    assert torch.equal(solution.x, f.y)


def test_an_element_that_cannot_be_solved_is_waited_for_no_longer() -> None:
    states = halving((0.5, 0.9))
    stuck = (replace(state, indefinite=torch.tensor([False, True])) if state.x[0, 0] > 2 else state for state in states)
    solution = run(stuck, max_iterations=20, tolerance=0.02)
    assert solution.iterations.tolist() == [6, 3]
    assert solution.converged.tolist() == [True, False]
    assert solution.reason is Reason.INDEFINITE


@pytest.mark.parametrize(("max_iterations", "tolerance"), [(0, 0.0), (-1, 0.1), (5, -0.1)])
def test_refuses_nonsense(max_iterations: int, tolerance: float) -> None:
    with pytest.raises(ValueError, match="run takes max_iterations >= 1 and tolerance >= 0, got"):
        run(halving((0.5,)), max_iterations=max_iterations, tolerance=tolerance)


@pytest.mark.parametrize("tolerance", [0.0, 1e-6])
def test_says_that_it_diverged(tolerance: float) -> None:
    A = Matrix(10 * torch.eye(3), claimed_norm=1.0)  # a false claim makes the step 100 times too long
    f = LeastSquares(A, torch.ones(3))
    with pytest.raises(ArithmeticError, match=rf"{Reason.DIVERGED.value}: after 60 iterations .* not finite"):
        run(proximal_gradient(f, Zero(A.domain), torch.zeros(3)), max_iterations=60, tolerance=tolerance)


def test_an_element_that_is_not_finite_is_not_overlooked() -> None:
    A = Matrix(torch.eye(3), claimed_norm=1.0)
    y = torch.ones(2, 3)
    y[1, 0] = torch.nan
    with pytest.raises(ArithmeticError, match="not finite"):
        run(proximal_gradient(LeastSquares(A, y), Zero(A.domain), torch.zeros(2, 3)), max_iterations=5, tolerance=0.1)


def test_a_step_to_zero_is_no_divergence() -> None:
    """The relative change is infinite in single precision where the iterate becomes 0, and the iterate is fine."""
    A = Matrix(torch.eye(3), claimed_norm=1.0)
    f = LeastSquares(A, torch.zeros(3))
    solution = run(proximal_gradient(f, Zero(A.domain), torch.full((3,), 50.0)), max_iterations=1)
    assert not bool(solution.x.any())
