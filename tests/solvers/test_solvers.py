"""Invariants, refusals and limits of single solvers, and SENSE beside SigPy's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice, repeat

import numpy as np
import pytest
import sigpy
import sigpy.mri
import torch

from medrecon.functionals import L1, LeastSquares, SquaredDistance, Zero
from medrecon.operators import Crop, Diagonal, Identity, LinearOperator, sense
from medrecon.solvers import (
    Reason,
    State,
    accelerated_proximal_gradient,
    admm,
    conjugate_gradient,
    primal_dual,
    proximal_gradient,
    run,
    scheduled_proximal_gradient,
)
from medrecon.spaces import Space, image_space
from tests.solvers import reference
from tests.solvers.dense import Matrix

DOUBLE = torch.float64


def least_squares(generator: torch.Generator, *, rows: int = 12, columns: int = 10, batch: int = 3) -> LeastSquares:
    draw = torch.randn(batch, rows, columns, dtype=torch.complex128, generator=generator)
    draw = draw * torch.logspace(0, -1.5, columns, dtype=DOUBLE)
    return LeastSquares(Matrix(draw), torch.randn(batch, rows, dtype=torch.complex128, generator=generator))


# Invariants.


def test_conjugate_gradient_error_falls_in_the_norm_of_the_operator(generator: torch.Generator) -> None:
    f = least_squares(generator, columns=6)
    normal = f.A.gram + 0.05 * Identity(f.space)
    truth = f.space.random((3,), generator=generator, dtype=DOUBLE)
    b = normal(truth)

    def error(x: torch.Tensor) -> torch.Tensor:
        return f.space.inner(x - truth, normal(x - truth))

    errors = torch.stack(
        [error(torch.zeros_like(truth))] + [error(s.x) for s in islice(conjugate_gradient(normal, b, 0 * b), 6)]
    )
    assert bool((errors.diff(dim=0) < 0).all())
    assert bool((errors[-1] < 1e-12 * errors[0]).all()), "solved in as many steps as there are unknowns"


def test_conjugate_gradient_stays_at_the_solution(generator: torch.Generator) -> None:
    f = least_squares(generator)
    normal = f.A.gram + Identity(f.space)
    x = f.space.random((3,), generator=generator, dtype=DOUBLE)
    states = conjugate_gradient(normal, normal(x), x)
    for state in islice(states, 3):
        assert torch.equal(state.x, x)
        assert not bool(state.criterion.any())
    *_, late = islice(conjugate_gradient(normal, normal(x), torch.zeros_like(x)), 200)
    torch.testing.assert_close(late.x, x, rtol=0, atol=1e-10)


def test_conjugate_gradient_of_a_semidefinite_system_stays_in_its_range(generator: torch.Generator) -> None:
    A = Matrix(torch.randn(4, 9, dtype=torch.complex128, generator=generator))
    f = LeastSquares(A, A.range.random(generator=generator, dtype=DOUBLE))
    *_, last = islice(conjugate_gradient(A.gram, f.backprojection, torch.zeros(9, dtype=torch.complex128)), 4)
    torch.testing.assert_close(last.x, torch.linalg.pinv(A.matrix) @ f.y, rtol=0, atol=1e-9)


def badly_conditioned(generator: torch.Generator) -> tuple[Matrix, torch.Tensor]:
    """A root of the system, whose condition is 1e4, and its right side, in single precision."""
    turn, _ = torch.linalg.qr(torch.randn(100, 100, generator=generator, dtype=DOUBLE))
    A = Matrix((torch.logspace(0, -2, 100, dtype=DOUBLE)[:, None] * turn).float())
    return A, A.gram(A.domain.random(generator=generator))


def test_conjugate_gradient_keeps_its_true_residual_in_a_long_run(generator: torch.Generator) -> None:
    """A recurrence alone falls to 1e-20 while the residual itself stays near 1e-6, and after 10000 iterations may be anything."""
    A, b = badly_conditioned(generator)
    exact = A.matrix.double()
    for number, state in enumerate(islice(conjugate_gradient(A.gram, b, torch.zeros_like(b)), 5000), 1):
        if number % 50 == 0:
            residual = b.double() - exact.mT @ (exact @ state.x.double())
            true = float(residual.norm() / b.double().norm())
            assert float(state.criterion) == pytest.approx(true, rel=0.3, abs=5e-7)
            assert number < 1000 or true < 3e-6
    assert not bool(state.indefinite)


def test_conjugate_gradient_takes_the_steps_of_its_paper_until_the_residual_is_refreshed(
    generator: torch.Generator,
) -> None:
    """Bit for bit: all that the shipped methods run."""
    A, b = badly_conditioned(generator)
    x = torch.zeros_like(b)
    r = p = b - A.gram(x)
    for number, state in enumerate(islice(conjugate_gradient(A.gram, b, x), 50), 1):
        q, squared = A.gram(p), r.dot(r)
        alpha = squared / p.dot(q)
        x, r = torch.addcmul(x, alpha, p), torch.addcmul(r, -alpha, q)
        p = torch.addcmul(r, r.dot(r) / squared, p)
        assert torch.equal(state.x, x)
        assert number == 50 or torch.equal(state.criterion, r.dot(r).sqrt() / b.norm())


def test_conjugate_gradient_names_an_indefinite_operator(generator: torch.Generator) -> None:
    """The element whose operator it is stays where it was, and the other is solved."""
    space = Space(("x",), (4,), is_complex=False)
    values = torch.tensor([[3.0, 2.0, 1.0, 0.5], [3.0, 2.0, -1.0, 0.5]])
    truth = space.random((2,), generator=generator)
    N = Diagonal(values, space)
    for tolerance in (1e-5, 0.0):
        solution = run(conjugate_gradient(N, N(truth), torch.zeros(2, 4)), max_iterations=30, tolerance=tolerance)
        assert solution.reason is Reason.INDEFINITE
        assert "not positive semidefinite" in solution.reason.value
        assert solution.converged.tolist() == [tolerance > 0, False]
        assert int(solution.iterations[1]) < 4
        torch.testing.assert_close(solution.x[0], truth[0], rtol=0, atol=1e-4)
    first = run(conjugate_gradient(-1.0 * N, N(truth), truth + 1), max_iterations=30, tolerance=1e-5)
    assert torch.equal(first.x[0], truth[0] + 1), "no step along the first direction"


def test_a_semidefinite_operator_is_not_taken_for_an_indefinite_one(generator: torch.Generator) -> None:
    """Beyond convergence in single precision, where `<p, N p>` is rounding of either sign."""
    for rows in (1, 4, 60):
        A = Matrix(torch.randn(20, rows, 80, generator=generator))
        f = LeastSquares(A, A.range.random((20,), generator=generator))
        for state in islice(conjugate_gradient(A.gram, f.backprojection, 0 * f.backprojection), 100):
            assert not bool(state.indefinite.any())  # type: ignore[union-attr]


@pytest.mark.parametrize("fraction", [0.5, 1.0, 1.9])
def test_proximal_gradient_never_climbs(fraction: float, generator: torch.Generator) -> None:
    f = least_squares(generator)
    g = L1(f.space, 0.2)
    x = f.space.random((3,), generator=generator, dtype=DOUBLE)
    states = islice(proximal_gradient(f, g, x, step=fraction / f.lipschitz), 80)
    objective = torch.stack([f(x) + g(x)] + [f(s.x) + g(s.x) for s in states])
    assert bool((objective.diff(dim=0) <= 1e-12).all())
    assert bool((objective[-1] < 0.9 * objective[0]).all())


def test_acceleration_meets_its_bound_and_restarts_as_the_paper_does(generator: torch.Generator) -> None:
    f = least_squares(generator)
    g = L1(f.space, 0.05)
    x = f.space.random((3,), generator=generator, dtype=DOUBLE)
    step = 1 / f.lipschitz
    states = list(islice(accelerated_proximal_gradient(f, g, x), 150))
    best = run(proximal_gradient(f, g, x, step=1.9 * step), max_iterations=20000).x
    differs = []
    for i in range(3):
        A, y = f.A.matrix[i].numpy(), f.y[i].numpy()  # type: ignore[attr-defined]
        soft = reference.soft(0.05)
        restarted = list(islice(reference.fista(A, y, repeat(soft), x[i].numpy(), step), 150))
        plain = list(islice(reference.fista(A, y, repeat(soft), x[i].numpy(), step, restart=False), 150))
        for state, want in zip(states, restarted, strict=True):
            np.testing.assert_allclose(state.x[i].numpy(), want, rtol=0, atol=1e-8)
        differs.append(next((k for k in range(150) if np.abs(restarted[k] - plain[k]).max() > 1e-9), 150))
    assert len(set(differs)) > 1, "each element restarts when it must, and not with the others"
    optimum = f(best) + g(best)
    distance = f.space.norm(x - best) ** 2
    for k, state in enumerate(states[: min(differs)], 1):
        assert bool((f(state.x) + g(state.x) - optimum <= 2 * f.lipschitz * distance / (k + 1) ** 2).all())


def test_a_schedule_ends_the_run(generator: torch.Generator) -> None:
    f = least_squares(generator)
    schedule = [L1(f.space, weight) for weight in (0.5, 0.2, 0.1)]
    solution = run(scheduled_proximal_gradient(f, schedule, 0 * f.backprojection), max_iterations=100)
    assert solution.iterations.tolist() == [3, 3, 3]
    assert solution.reason is Reason.SCHEDULE_ENDED


def test_primal_dual_approaches_its_saddle_point(generator: torch.Generator) -> None:
    """In the norm of its steps the distance to the solution never grows (Chambolle & Pock's is that of a proximal point)."""
    f = least_squares(generator, batch=1)
    K = Matrix(torch.randn(1, 8, 10, dtype=torch.complex128, generator=generator))
    sigma = 0.95 / (0.1 * float(torch.linalg.matrix_norm(K.matrix, 2)) ** 2)
    center = f.space.random((1,), generator=generator, dtype=DOUBLE)
    g, l1 = SquaredDistance(f.space, center), L1(K.range, 0.3)
    states = list(islice(primal_dual(g, l1, K, center, tau=0.1, sigma=sigma), 1500))
    assert float(states[-1].criterion) < 1e-9
    x = states[-1].x
    dual = center - x  # K.H p at the solution, with |p| <= the weight
    p = torch.linalg.lstsq(K.matrix[0].mH, dual[0, :, None])
    torch.testing.assert_close(K.matrix[0].mH @ p.solution, dual[0, :, None], rtol=0, atol=1e-7)
    assert float(p.solution.abs().max()) <= 0.3 * (1 + 1e-6)


def test_admm_with_an_operator_that_returns_its_argument(generator: torch.Generator) -> None:
    """`K(x)` may be `x` itself, or a view of it."""
    space = image_space((6, 5))
    y = space.random(generator=generator, dtype=DOUBLE)
    for K in (Identity(space), Crop(space, (6, 5))):
        g = L1(K.range, 0.4)
        x = run(admm(LeastSquares(Identity(space), y), g, K, torch.zeros_like(y), rho=0.8), max_iterations=300).x
        torch.testing.assert_close(x, L1(space, 0.4).prox(y, 1.0), rtol=0, atol=1e-10)
    inside = Crop(space, (2, 3))
    x = run(admm(LeastSquares(Identity(space), y), L1(inside.range, 0.4), inside, y, rho=0.8), max_iterations=300).x
    want = y - inside.H(inside(y)) + inside.H(L1(inside.range, 0.4).prox(inside(y), 1.0))
    torch.testing.assert_close(x, want, rtol=0, atol=1e-10)


def test_a_start_that_minimizes_all_but_the_last_term_is_not_the_end(generator: torch.Generator) -> None:
    """The first move is nothing there: a criterion of the move alone would call it converged."""
    space = image_space((6, 5))
    y = space.random((2,), generator=generator, dtype=DOUBLE)
    f, K = LeastSquares(Identity(space), y), Identity(space)
    g = L1(space, 0.4)
    near = SquaredDistance(space, y)
    solvers = (
        admm(f, g, K, y, rho=0.8),
        primal_dual(Zero(space), g, K, y, tau=0.5, sigma=1.0, smooth=f),
        primal_dual(near, g, K, y, tau=0.5, sigma=1.0),
    )
    for states in solvers:
        solution = run(states, max_iterations=500, tolerance=1e-9)
        assert bool(solution.converged.all())
        torch.testing.assert_close(solution.x, g.prox(y, 1.0), rtol=0, atol=1e-7)


# Refusals, at the call and not at the first iteration.


def build(f: LeastSquares) -> dict[str, Callable[[float], Iterator[State]]]:
    x, g, K = f.backprojection, Zero(f.space), Identity(f.space)
    return {
        "proximal_gradient": lambda step: proximal_gradient(f, g, x, step=step),
        "accelerated_proximal_gradient": lambda step: accelerated_proximal_gradient(f, g, x, step=step),
        "scheduled_proximal_gradient": lambda step: scheduled_proximal_gradient(f, [g], x, step=step),
        "primal_dual": lambda step: primal_dual(g, g, K, x, tau=step, sigma=step, smooth=f),
        "admm": lambda step: admm(f, g, K, x, rho=step),
    }


@pytest.mark.parametrize(
    ("name", "steps", "text"),
    [
        (
            "proximal_gradient",
            (0.0, -1.0, 2.01, float("nan")),
            r"takes a step in \(0, 2 / L\] with L = 4, .* at most 0.5",
        ),
        (
            "accelerated_proximal_gradient",
            (0.0, -1.0, 1.01),
            r"takes a step in \(0, 1 / L\] with L = 4, .* at most 0.25",
        ),
        ("scheduled_proximal_gradient", (0.0, 1.01), r"takes a step in \(0, 1 / L\] with L = 4, .* at most 0.25"),
        ("primal_dual", (0.0, -1.0, 2.0), r"tau \(L / 2 \+ sigma \|K\|\^2\) <= 1, got .* L = 4, \|K\| = 1"),
        ("admm", (0.0, -1.0, float("nan")), "admm takes rho > 0 and inner_iterations >= 1, got"),
    ],
)
def test_wrong_steps_are_refused_in_words(name: str, steps: tuple[float, ...], text: str) -> None:
    A = Matrix(2 * torch.eye(3), claimed_norm=2.0)
    make = build(LeastSquares(A, torch.ones(3)))[name]
    for step in steps:
        with pytest.raises(ValueError, match=text) as refusal:
            make(step / 4)
        assert name in str(refusal.value)
        assert f"{step / 4:g}" in str(refusal.value)


@pytest.mark.parametrize(("tau", "sigma"), [(0.1, 0.0), (0.0, 0.1), (-0.1, -0.1), (0.51, 0.5), (0.5, 0.51)])
def test_primal_dual_refuses_steps_beyond_the_norm(tau: float, sigma: float) -> None:
    K = Matrix(2 * torch.eye(3))  # no bound: its norm is found by iteration
    with pytest.raises(ValueError, match="primal_dual takes tau, sigma > 0"):
        primal_dual(Zero(K.domain), Zero(K.range), K, torch.zeros(3), tau=tau, sigma=sigma)
    primal_dual(Zero(K.domain), Zero(K.range), K, torch.zeros(3), tau=0.5, sigma=0.5)


def test_admm_refuses_no_inner_iteration() -> None:
    f = LeastSquares(Matrix(torch.eye(3)), torch.ones(3))
    with pytest.raises(ValueError, match="inner_iterations >= 1, got 1 and 0"):
        admm(f, Zero(f.space), Identity(f.space), torch.zeros(3), rho=1.0, inner_iterations=0)


def test_conjugate_gradient_refuses_what_is_not_a_map_of_one_space(generator: torch.Generator) -> None:
    f = least_squares(generator)
    with pytest.raises(ValueError, match=r"takes an operator from a space to itself, got .*x=10.* to .*sample=12"):
        conjugate_gradient(f.A, f.y, f.y)
    for b, x in ((f.y, f.backprojection), (f.backprojection, f.y)):
        with pytest.raises(
            ValueError, match=r"conjugate_gradient takes \(\.\.\., x=10\) complex, got \(3, 12\) complex"
        ):
            conjugate_gradient(f.A.gram, b, x)


def test_a_batch_whose_maps_differ_keeps_the_largest_lipschitz_constant(generator: torch.Generator) -> None:
    f = least_squares(generator)
    each = [LeastSquares(Matrix(f.A.matrix[i]), f.y[i]).lipschitz for i in range(3)]  # type: ignore[attr-defined]
    assert f.lipschitz == pytest.approx(max(each), rel=1e-3)


def test_maps_that_are_zero_give_zero() -> None:
    A = sense(torch.arange(5) % 2 == 0, torch.zeros(2, 6, 5, dtype=torch.complex64))
    f = LeastSquares(A, torch.zeros(2, 6, 5, dtype=torch.complex64))
    x = torch.zeros(6, 5, dtype=torch.complex64)
    for make in (proximal_gradient, accelerated_proximal_gradient):
        assert not bool(run(make(f, L1(A.domain, 0.1), x), max_iterations=3).x.any())


# Beside a peer.


def sense_solvers(A: LinearOperator, y: torch.Tensor) -> dict[str, Iterator[State]]:
    f = LeastSquares(A, y)
    x, nothing, K = torch.zeros_like(f.backprojection), Zero(A.domain), Identity(A.domain)
    fit = SquaredDistance(A.range, y)
    return {
        "conjugate gradient": conjugate_gradient(A.gram, f.backprojection, x),
        "proximal gradient": proximal_gradient(f, nothing, x, step=1.9 / f.lipschitz),
        "accelerated": accelerated_proximal_gradient(f, nothing, x),
        "primal-dual": primal_dual(nothing, fit, A, x, tau=2 / f.lipschitz, sigma=0.5),
        "primal-dual, smooth": primal_dual(
            nothing, nothing, K, x, tau=1 / f.lipschitz, sigma=0.4 * f.lipschitz, smooth=f
        ),
        "admm": admm(f, nothing, K, x, rho=0.1),
    }


@pytest.mark.parametrize(
    "name",
    ["conjugate gradient", "proximal gradient", "accelerated", "primal-dual", "primal-dual, smooth", "admm"],
)
def test_sense_without_regularization_is_sigpys(name: str) -> None:
    """A 6 x 6 phantom, 4 coils, every second column."""
    phantom = sigpy.shepp_logan((6, 6), dtype=np.complex64)
    maps = sigpy.mri.birdcage_maps((4, 6, 6)).astype(np.complex64)
    sampled = np.arange(6) % 2 == 0
    y = sigpy.fft(maps * phantom, axes=(-2, -1)) * sampled
    peer = sigpy.mri.app.SenseRecon(y, maps, lamda=0, show_pbar=False, max_iter=100).run()
    A = sense(torch.from_numpy(sampled), torch.from_numpy(maps))
    data = torch.from_numpy(y)
    np.testing.assert_allclose(A(torch.from_numpy(phantom)).numpy(), y, rtol=0, atol=1e-6)
    x = run(sense_solvers(A, data)[name], max_iterations=2000, tolerance=1e-6).x.numpy()
    assert np.linalg.norm(x - peer) <= 1e-2 * np.linalg.norm(peer)
    assert np.linalg.norm(x - phantom) <= 1e-2 * np.linalg.norm(phantom)
