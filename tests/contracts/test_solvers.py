"""What every solver promises: the iterates of its paper, each batch element on its own, and refusals in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice, repeat

import numpy as np
import pytest
import torch
from torch import Tensor

from medrecon.functionals import L1, LeastSquares, Proximable, SquaredDistance, Zero
from medrecon.operators import Identity
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
from tests.solvers import reference
from tests.solvers.dense import Matrix

BATCH = 3
N = 6
WEIGHT, RIDGE, RHO, TAU, SIGMA, STEP = 0.3, 0.2, 0.7, 0.05, 0.4, 0.03
WEIGHTS = (0.8, 0.4, 0.2, 0.1)


@dataclass(frozen=True)
class Problem:
    """Three least-squares problems, each with its matrix, data and start, of different conditions."""

    A: Tensor
    K: Tensor
    y: Tensor
    x: Tensor

    @classmethod
    def random(cls, generator: torch.Generator, *, is_complex: bool = True) -> Problem:
        dtype = torch.complex128 if is_complex else torch.float64
        draw = partial(torch.randn, generator=generator, dtype=dtype)
        spread = torch.tensor([0.6, 1.0, 0.3], dtype=torch.float64)[:, None, None]
        return cls(spread * draw(BATCH, 8, N), 0.5 * draw(BATCH, 7, N), draw(BATCH, 8), draw(BATCH, N))

    def __getitem__(self, i: int) -> Problem:
        return Problem(self.A[i], self.K[i], self.y[i], self.x[i])

    @property
    def data(self) -> LeastSquares:
        return LeastSquares(Matrix(self.A), self.y)

    @property
    def numpy(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        return self.A.numpy(), self.K.numpy(), self.y.numpy(), self.x.numpy()


def exactly(normal: np.ndarray, b: np.ndarray, x: np.ndarray) -> np.ndarray:
    del x
    return np.linalg.solve(normal, b)


def by_two_steps(normal: np.ndarray, b: np.ndarray, x: np.ndarray) -> np.ndarray:
    *_, last = islice(reference.conjugate_gradient(normal, b, x), 2)
    return last


def moreau(prox: reference.Prox) -> reference.Prox:
    return lambda p, step: p - step * prox(p / step, 1 / step)


def towards(center: np.ndarray, weight: float) -> reference.Prox:
    return lambda x, step: (x + step * weight * center) / (1 + step * weight)


def ours(name: str, p: Problem) -> Iterator[State]:
    data = p.data
    K = Matrix(p.K)
    space = data.space
    l1, field_l1 = L1(space, WEIGHT), L1(K.range, WEIGHT)
    match name:
        case "conjugate gradient":
            return conjugate_gradient(data.A.gram + RIDGE * Identity(space), data.backprojection, p.x)
        case "proximal gradient":
            return proximal_gradient(data, l1, p.x, step=STEP)
        case "accelerated":
            return accelerated_proximal_gradient(data, l1, p.x, step=STEP)
        case "scheduled":
            schedule: list[Proximable] = [L1(space, weight) for weight in WEIGHTS]
            return scheduled_proximal_gradient(data, schedule, p.x, step=STEP)
        case "primal-dual":
            near = SquaredDistance(space, p.x + 1, RIDGE)
            return primal_dual(near, field_l1, K, p.x, tau=TAU, sigma=SIGMA)
        case "primal-dual, smooth":
            return primal_dual(l1, field_l1, K, p.x, tau=TAU, sigma=SIGMA, smooth=data)
        case "primal-dual, smooth alone":
            return primal_dual(Zero(space), field_l1, K, p.x, tau=TAU, sigma=SIGMA, smooth=data)
        case "admm":
            return admm(data, field_l1, K, p.x, rho=RHO, inner_iterations=N)
        case "admm, inexact":
            return admm(data, field_l1, K, p.x, rho=RHO, inner_iterations=2)
        case "admm, identity":
            return admm(data, l1, Identity(space), p.x, rho=RHO, inner_iterations=N)
    raise ValueError(name)


def papers(name: str, p: Problem) -> Iterator[np.ndarray]:
    A, K, y, x = p.numpy
    soft = reference.soft(WEIGHT)

    def gradient(x: np.ndarray) -> np.ndarray:
        return A.conj().T @ (A @ x - y)

    match name:
        case "conjugate gradient":
            return reference.conjugate_gradient(A.conj().T @ A + RIDGE * np.eye(N), A.conj().T @ y, x)
        case "proximal gradient":
            return reference.proximal_gradient(A, y, soft, x, STEP)
        case "accelerated":
            return reference.fista(A, y, repeat(soft), x, STEP)
        case "scheduled":
            return reference.fista(A, y, map(reference.soft, WEIGHTS), x, STEP)
        case "primal-dual":
            near = towards(x + 1, RIDGE)
            return reference.primal_dual(np.zeros_like, near, moreau(soft), K, x, TAU, SIGMA)
        case "primal-dual, smooth":
            return reference.primal_dual(gradient, soft, moreau(soft), K, x, TAU, SIGMA)
        case "primal-dual, smooth alone":
            return reference.primal_dual(gradient, reference.nothing, moreau(soft), K, x, TAU, SIGMA)
        case "admm":
            return reference.admm(A, y, soft, K, x, RHO, exactly)
        case "admm, inexact":
            return reference.admm(A, y, soft, K, x, RHO, by_two_steps)
        case "admm, identity":
            return reference.admm(A, y, soft, np.eye(N), x, RHO, exactly)
    raise ValueError(name)


SOLVERS = (
    "conjugate gradient",
    "proximal gradient",
    "accelerated",
    "scheduled",
    "primal-dual",
    "primal-dual, smooth",
    "primal-dual, smooth alone",
    "admm",
    "admm, inexact",
    "admm, identity",
)
every_solver = pytest.mark.parametrize("name", SOLVERS)


@every_solver
@pytest.mark.parametrize("is_complex", [True, False])
def test_first_three_iterates_are_those_of_the_paper(name: str, is_complex: bool, generator: torch.Generator) -> None:
    p = Problem.random(generator, is_complex=is_complex)
    states = list(islice(ours(name, p), 3))
    for i in range(BATCH):
        for state, want in zip(states, papers(name, p[i]), strict=False):
            np.testing.assert_allclose(state.x[i].numpy(), want, rtol=0, atol=1e-9)


@every_solver
def test_criteria_are_those_stated(name: str, generator: torch.Generator) -> None:
    p = Problem.random(generator)
    x = p.x
    gram = p.A.mH @ p.A + RIDGE * torch.eye(N, dtype=torch.float64)
    b = (p.A.mH @ p.y[..., None])[..., 0]
    for state in islice(ours(name, p), 3):
        if name == "conjugate gradient":
            want = (b - (gram @ state.x[..., None])[..., 0]).norm(dim=-1) / b.norm(dim=-1)
        else:
            want = (state.x - x).norm(dim=-1) / state.x.norm(dim=-1)
        if name.startswith(("primal-dual", "admm")):
            assert bool((state.criterion >= (1 - 1e-12) * want).all()), "what the move leaves out only adds"
            x = state.x
            continue
        torch.testing.assert_close(state.criterion, want, rtol=1e-9, atol=1e-12)
        x = state.x


@every_solver
def test_batch_gives_what_a_loop_gives(name: str, generator: torch.Generator) -> None:
    p = Problem.random(generator)
    limit = len(WEIGHTS) if name == "scheduled" else 400
    tolerance = {"scheduled": 0.1, "conjugate gradient": 0.03}.get(name, 1e-4)
    together = run(ours(name, p), max_iterations=limit, tolerance=tolerance)
    if name != "scheduled":
        assert len(set(together.iterations.tolist())) > 1, "a problem too easy to tell"
    for i in range(BATCH):
        alone = run(ours(name, p[i]), max_iterations=limit, tolerance=tolerance)
        assert int(together.iterations[i]) == int(alone.iterations)
        assert bool(together.converged[i]) == bool(alone.converged)
        assert (alone.reason is Reason.CONVERGED) == bool(alone.converged)
        torch.testing.assert_close(together.x[i], alone.x, rtol=0, atol=1e-9)


@every_solver
def test_alters_neither_its_start_nor_its_data(name: str, generator: torch.Generator) -> None:
    p = Problem.random(generator)
    before = [tensor.clone() for tensor in (p.A, p.K, p.y, p.x)]
    states = list(islice(ours(name, p), 3))
    kept = [state.x.clone() for state in states[:2]]
    list(islice(ours(name, p), 3))
    assert all(torch.equal(a, b) for a, b in zip((p.A, p.K, p.y, p.x), before, strict=True))
    later = ours(name, p)
    first = next(later).x
    next(later)
    assert torch.equal(first, kept[0]), "a later iteration wrote into an iterate already given"


@every_solver
def test_zero_data_from_zero_stay_zero(name: str, generator: torch.Generator) -> None:
    p = Problem.random(generator)
    if name == "primal-dual":
        pytest.skip("its data is not y")
    y = p.y.clone()
    y[1] = 0
    x = torch.zeros_like(p.x)
    solution = run(ours(name, Problem(p.A, p.K, y, x)), max_iterations=4, tolerance=1e-12)
    assert not bool(solution.x[1].any())
    assert bool(solution.converged[1])
    assert int(solution.iterations[1]) == 1
    assert bool(torch.isfinite(solution.x).all())


@every_solver
def test_gradients_flow_through_the_iterations(name: str, generator: torch.Generator) -> None:
    p = Problem.random(generator)

    def third(A: Tensor, y: Tensor) -> Tensor:
        *_, last = islice(ours(name, Problem(A, p.K, y, p.x)), 3)
        return last.x

    if name in ("primal-dual",):
        pytest.skip("its data is not y")
    if name == "admm":
        pytest.skip("exact conjugate gradients end in 0 / 0, which has no derivative")
    assert torch.autograd.gradcheck(third, (p.A.requires_grad_(), p.y.requires_grad_()), fast_mode=True, atol=1e-4)


# What each converges to.


def tikhonov(name: str, p: Problem) -> Iterator[State]:
    data = p.data
    space, A = data.space, data.A
    ridge = SquaredDistance(space, torch.zeros(N, dtype=torch.complex128), RIDGE)
    fit = SquaredDistance(A.range, p.y)
    solvers: dict[str, Callable[[], Iterator[State]]] = {
        "conjugate gradient": lambda: conjugate_gradient(A.gram + RIDGE * Identity(space), data.backprojection, p.x),
        "proximal gradient": lambda: proximal_gradient(data, ridge, p.x),
        "accelerated": lambda: accelerated_proximal_gradient(data, ridge, p.x),
        "scheduled": lambda: scheduled_proximal_gradient(data, repeat(ridge), p.x),
        "primal-dual": lambda: primal_dual(ridge, fit, A, p.x, tau=0.1, sigma=9.9 / data.lipschitz),
        "primal-dual, smooth": lambda: primal_dual(
            Zero(space), ridge, Identity(space), p.x, tau=1 / data.lipschitz, sigma=data.lipschitz / 2.1, smooth=data
        ),
        "admm": lambda: admm(data, ridge, Identity(space), p.x, rho=0.5),
    }
    return solvers[name]()


@pytest.mark.parametrize(
    "name",
    [
        "conjugate gradient",
        "proximal gradient",
        "accelerated",
        "scheduled",
        "primal-dual",
        "primal-dual, smooth",
        "admm",
    ],
)
def test_agrees_with_the_closed_form(name: str, generator: torch.Generator) -> None:
    p = Problem.random(generator)
    normal = p.A.mH @ p.A + RIDGE * torch.eye(N, dtype=torch.float64)
    want = torch.linalg.solve(normal, p.A.mH @ p.y[..., None])[..., 0]
    solution = run(tikhonov(name, p), max_iterations=3000, tolerance=1e-11)
    assert bool(solution.converged.all())
    torch.testing.assert_close(solution.x, want, rtol=0, atol=1e-6)


def test_all_agree_on_an_l1_problem(generator: torch.Generator) -> None:
    p = Problem.random(generator)
    names = ("proximal gradient", "accelerated", "admm, identity")
    a, b, c = (run(ours(name, p), max_iterations=3000, tolerance=1e-12).x for name in names)
    torch.testing.assert_close(a, b, rtol=0, atol=1e-6)
    torch.testing.assert_close(a, c, rtol=0, atol=1e-6)
    slope = (p.A.mH @ (p.y - (p.A @ b[..., None])[..., 0])[..., None])[..., 0]
    aligned = WEIGHT * b / b.abs().clamp_min(1e-30)
    assert float(torch.where(b.abs() > 1e-9, slope - aligned, 0).abs().max()) < 1e-5
    assert float(torch.where(b.abs() > 1e-9, 0, slope.abs()).max()) <= WEIGHT * (1 + 1e-6)


def test_primal_dual_and_admm_agree_on_an_analysis_problem(generator: torch.Generator) -> None:
    p = Problem.random(generator)
    a = run(ours("primal-dual, smooth alone", p), max_iterations=5000, tolerance=1e-12).x
    b = run(ours("admm", p), max_iterations=5000, tolerance=1e-12).x
    torch.testing.assert_close(a, b, rtol=0, atol=1e-6)
