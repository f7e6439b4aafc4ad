"""What every functional promises, tried on each line of the catalogue."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from medrecon.functionals import conjugate
from tests.catalogue import FUNCTIONALS, FunctionalCase

every_functional = pytest.mark.parametrize("name", FUNCTIONALS)
STEP = 0.7
STEPS = torch.tensor([0.2, 0.7, 3.0], dtype=torch.float64)


def points(case: FunctionalCase, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two batches of three points."""
    return tuple(case.f.space.random((3,), generator=generator, dtype=torch.float64) for _ in range(2))  # type: ignore[return-value]


@every_functional
@pytest.mark.parametrize("step", [STEP, STEPS], ids=["one step", "a step a batch element"])
def test_prox_is_the_minimizer(name: str, step: Tensor | float, generator: torch.Generator) -> None:
    """`z` minimizes `f(z) + |z - x|^2 / (2 s)` just where `f(w) >= f(z) + <(x - z) / s, w - z>` for all `w`."""
    case = FUNCTIONALS[name]()
    x, other = points(case, generator)
    space = case.f.space
    z = case.f.prox(x, step)
    slope = (x - z) / space.expand(step)
    at_z = case.value(z)
    assert bool(torch.isfinite(at_z).all())
    rivals = [x, other, torch.zeros_like(x), case.f.prox(other, step), 2 * z, 0.999 * z, 0.5 * (x + z)]
    for scale in (1e-4, 1e-2, 1.0):
        for _ in range(10):
            noise = scale * space.random((3,), generator=generator, dtype=torch.float64)
            one = torch.zeros_like(noise)
            one.flatten(1)[:, 7] = noise.flatten(1)[:, 7]
            rivals += [z + noise, z + one, z + noise * (z != 0)]
    for w in rivals:
        rise = case.value(w) - at_z - space.inner(slope, w - z)
        assert bool((rise >= -1e-10).all()), f"a lower value by {float(-rise.min())}"


@every_functional
def test_prox_is_firmly_nonexpansive(name: str, generator: torch.Generator) -> None:
    case = FUNCTIONALS[name]()
    x, y = points(case, generator)
    for step in (0.01, STEP, 50.0):
        move = case.f.prox(x, step) - case.f.prox(y, step)
        assert bool((case.f.space.norm(move) ** 2 <= case.f.space.inner(move, x - y) + 1e-12).all())


@every_functional
def test_moreau_identity(name: str, generator: torch.Generator) -> None:
    case = FUNCTIONALS[name]()
    x, _ = points(case, generator)
    for step in (STEP, STEPS):
        scale = case.f.space.expand(step)
        whole = case.f.prox(x, step) + scale * conjugate(case.f).prox(x / scale, 1 / step)
        torch.testing.assert_close(whole, x, rtol=0, atol=1e-12)


@every_functional
def test_conjugate_twice_is_the_functional(name: str) -> None:
    f = FUNCTIONALS[name]().f
    f = conjugate(f) if "conjugate" in name else f
    assert conjugate(conjugate(f)) is f
    assert conjugate(f).space == f.space


@every_functional
def test_conjugate_meets_fenchel_young(name: str, generator: torch.Generator) -> None:
    """`p` is a subgradient of `f` at `z` just where `z` is one of `f*` at `p`: both have the pair (z, p) from one prox."""
    case = FUNCTIONALS[name]()
    x, _ = points(case, generator)
    z = case.f.prox(x, 1.0)
    p = conjugate(case.f).prox(x, 1.0)
    torch.testing.assert_close(z + p, x, rtol=0, atol=1e-12)
    torch.testing.assert_close(case.f.prox(z + STEP * p, STEP), z, rtol=0, atol=1e-12)


@every_functional
def test_batch_equals_loop(name: str, generator: torch.Generator) -> None:
    case = FUNCTIONALS[name]()
    x, _ = points(case, generator)
    batch, values = case.f.prox(x, STEPS), case.value(x)
    assert values.shape == (3,)
    for i in range(3):
        one, value = case.f.prox(x[i], float(STEPS[i])), case.value(x[i])
        if case.batched:  # holds three weights: its own for each
            one, value = one[i], value[i]
        torch.testing.assert_close(batch[i], one, rtol=0, atol=1e-12)
        torch.testing.assert_close(values[i], value, rtol=1e-12, atol=1e-12)


@every_functional
def test_alters_nothing_and_is_finite_at_zero(name: str, generator: torch.Generator) -> None:
    case = FUNCTIONALS[name]()
    x, _ = points(case, generator)
    copy = x.clone()
    case.f.prox(x, STEP), case.value(x)
    assert torch.equal(x, copy)
    zero = torch.zeros_like(x).requires_grad_()
    for step in (0.0, STEP) if "conjugate" not in name else (STEP,):
        z = case.f.prox(zero, step)
        (gradient,) = torch.autograd.grad(z.abs().square().sum() + z.real.sum(), zero)
        assert bool(torch.isfinite(z).all())
        assert bool(torch.isfinite(gradient).all())


@every_functional
def test_gradients_flow_through_the_prox(name: str, generator: torch.Generator) -> None:
    case = FUNCTIONALS[name]()
    x, _ = points(case, generator)
    step = STEPS.clone().requires_grad_()
    assert torch.autograd.gradcheck(case.f.prox, (x.requires_grad_(), step), fast_mode=True)


@every_functional
def test_keeps_single_precision(name: str, generator: torch.Generator) -> None:
    case = FUNCTIONALS[name]()
    if case.batched or "distance" in name:
        pytest.skip("holds tensors in double precision")
    x = case.f.space.random((3,), generator=generator)
    assert case.f.prox(x, STEP).dtype == x.dtype
    assert case.f.prox(x, STEPS.float()).dtype == x.dtype
