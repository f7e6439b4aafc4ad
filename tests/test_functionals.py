"""Functionals by hand, and least squares against autograd."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from medrecon.functionals import L1, Box, GroupL1, LeastSquares, SquaredDistance, UnitaryPrecomposition, conjugate
from medrecon.operators import Gradient, LinearOperator, Wavelet, sense
from medrecon.spaces import Space, image_space
from tests.solvers.dense import Matrix

LINE = Space(("x",), (4,), is_complex=True)
REAL_LINE = Space(("x",), (4,), is_complex=False)


def test_soft_thresholding_by_hand() -> None:
    x = torch.tensor([3 + 4j, -1, 0.2j, 0], dtype=torch.complex128)
    want = torch.tensor([(3 + 4j) * 0.8, 0, 0, 0], dtype=torch.complex128)
    torch.testing.assert_close(L1(LINE, 0.5).prox(x, 2.0), want)
    assert float(L1(LINE, 0.5)(x)) == pytest.approx(0.5 * 6.2)


def test_group_thresholding_by_hand() -> None:
    space = Space(("direction", "x"), (2, 3), is_complex=False)
    x = torch.tensor([[3.0, 0.3, 0.0], [-4.0, 0.4, 0.0]])
    torch.testing.assert_close(GroupL1(space, 1.0).prox(x, 1.0), torch.tensor([[2.4, 0.0, 0.0], [-3.2, 0.0, 0.0]]))
    assert float(GroupL1(space, 2.0)(x)) == pytest.approx(11.0)


def test_group_l1_of_a_gradient_is_isotropic_total_variation() -> None:
    D = Gradient(Space(("y", "x"), (4, 4), is_complex=False))
    corner = torch.zeros(4, 4)
    corner[:2, :2] = 1
    assert float(GroupL1(D.range, 1.0)(D(corner))) == pytest.approx(2 + math.sqrt(2))


def test_box_by_hand() -> None:
    box = Box(REAL_LINE, 0.0, 1.0)
    x = torch.tensor([-1.0, 0.5, 2.0, 1.0])
    assert torch.equal(box.prox(x, 3.0), torch.tensor([0.0, 0.5, 1.0, 1.0]))
    assert box(torch.stack([x, box.prox(x, 1.0)])).tolist() == [math.inf, 0.0]


@pytest.mark.parametrize(
    ("space", "lower", "upper"), [(LINE, 0.0, 1.0), (REAL_LINE, 1.0, 0.0), (REAL_LINE, math.nan, 1.0)]
)
def test_box_refuses(space: Space, lower: float, upper: float) -> None:
    with pytest.raises(ValueError, match="Box takes a real space and lower <= upper"):
        Box(space, lower, upper)


def test_conjugate_of_a_squared_distance_in_closed_form(generator: torch.Generator) -> None:
    """`f*(p) = Re <p, c> + |p|^2 / (2 w)`, so that `prox_{s f*}(p) = (p - s c) / (1 + s / w)`."""
    center, p = (LINE.random(generator=generator, dtype=torch.float64) for _ in range(2))
    got = conjugate(SquaredDistance(LINE, center, 0.8)).prox(p, 0.3)
    torch.testing.assert_close(got, (p - 0.3 * center) / (1 + 0.3 / 0.8))


def test_rotated_and_distances_refuse_what_does_not_meet() -> None:
    W = Wavelet(image_space((8, 8)), "haar", 1)
    with pytest.raises(ValueError, match="UnitaryPrecomposition takes a functional of the range of U"):
        UnitaryPrecomposition(L1(LINE, 1.0), W)
    with pytest.raises(ValueError, match=r"SquaredDistance takes \(\.\.\., x=4\) complex, got \(5\) real"):
        SquaredDistance(LINE, torch.zeros(5))


def problems(generator: torch.Generator) -> dict[str, LinearOperator]:
    maps = torch.randn(3, 2, 6, 5, dtype=torch.complex128, generator=generator)
    sampled = torch.rand(6, 5, generator=generator) < 0.5
    return {
        "one": sense(sampled, maps[0]),
        "batch of maps": sense(sampled, maps),
        "no bound": Matrix(torch.randn(7, 5, dtype=torch.complex128, generator=generator)),
        "no bound, batch": Matrix(torch.randn(3, 7, 5, dtype=torch.float64, generator=generator)),
    }


@pytest.mark.parametrize("name", ["one", "batch of maps", "no bound", "no bound, batch"])
def test_least_squares(name: str, generator: torch.Generator) -> None:
    A = problems(generator)[name]
    y = A.range.random((3,), generator=generator, dtype=torch.float64)
    f = LeastSquares(A, y)
    x = A.domain.random((3,), generator=generator, dtype=torch.float64).requires_grad_()
    value = f(x)
    assert value.shape == (3,)
    assert float(value.detach()[1]) == pytest.approx(0.5 * float((A(x) - y).detach()[1].abs().square().sum()))
    (gradient,) = torch.autograd.grad(value.sum(), x)
    torch.testing.assert_close(f.gradient(x), gradient, rtol=0, atol=1e-10)
    assert f.space == A.domain


@pytest.mark.parametrize("name", ["one", "batch of maps", "no bound", "no bound, batch"])
def test_doubted_least_squares(name: str, generator: torch.Generator) -> None:
    A = problems(generator)[name]
    y = A.range.random((3,), generator=generator, dtype=torch.float64)
    doubt = torch.tensor([0.0, 0.4, 1.0], dtype=torch.float64)
    f, sure = LeastSquares(A, y, doubt), LeastSquares(A, y)
    x = A.domain.random((3,), generator=generator, dtype=torch.float64).requires_grad_()
    (gradient,) = torch.autograd.grad(f(x).sum(), x)
    torch.testing.assert_close(f.gradient(x), gradient, rtol=0, atol=1e-10)
    assert torch.equal(f.gradient(x)[0], sure.gradient(x)[0])  # without a doubt, to the bit
    backprojected = A.H(y) / f.lipschitz  # what is left of the scan with nothing but doubt
    torch.testing.assert_close(f.gradient(backprojected)[2], torch.zeros_like(x[2]), rtol=0, atol=1e-10)


@pytest.mark.parametrize("doubt", [None, torch.tensor([0.0, 0.4, 1.0], dtype=torch.float64)], ids=["sure", "doubted"])
@pytest.mark.parametrize("name", ["one", "batch of maps", "no bound", "no bound, batch"])
def test_lipschitz_constant_bounds_every_slope(name: str, doubt: Tensor | None, generator: torch.Generator) -> None:
    A = problems(generator)[name]
    f = LeastSquares(A, A.range.random((3,), generator=generator, dtype=torch.float64), doubt)
    x, z = (A.domain.random((3,), generator=generator, dtype=torch.float64) for _ in range(2))
    for _ in range(300):  # power iteration on the gradient itself comes to the steepest change
        z = x + (z - x) / A.domain.norm(z - x)[:, None].reshape(3, *(1,) * A.domain.ndim)
        change = f.gradient(z) - f.gradient(x)
        assert bool((A.domain.norm(change) <= f.lipschitz * A.domain.norm(z - x) * (1 + 1e-9)).all())
        z = x + change
    if A.norm_bound is None:
        assert float(A.domain.norm(change).max()) >= 0.97 * f.lipschitz


def test_least_squares_refuses_other_data() -> None:
    A = Matrix(torch.ones(7, 5))
    with pytest.raises(ValueError, match=r"LeastSquares takes \(\.\.\., sample=7\) real, got \(5\) real"):
        LeastSquares(A, torch.ones(5))


def test_weights_are_tensors_to_which_gradients_flow(generator: torch.Generator) -> None:
    x = LINE.random((3,), generator=generator, dtype=torch.float64)

    def prox(weight: Tensor) -> Tensor:
        return L1(LINE, weight).prox(x, 1.0)

    weight = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(prox, (weight,))
