"""Differences, shifts and crops, by hand."""

import pytest
import torch

from medrecon.operators import Crop, Gradient, Roll
from medrecon.operators.differences import Laplacian
from medrecon.spaces import Space, image_space

REAL = Space(("y", "x"), (2, 3), is_complex=False)


def test_gradient_by_hand() -> None:
    x = torch.tensor([[1.0, 2.0, 4.0], [0.0, 7.0, 7.0]])
    along_y = torch.tensor([[-1.0, 5.0, 3.0], [0.0, 0.0, 0.0]])
    along_x = torch.tensor([[1.0, 2.0, 0.0], [7.0, 0.0, 0.0]])
    assert torch.equal(Gradient(REAL)(x), torch.stack([along_y, along_x]))


def test_gradient_of_a_constant_vanishes_and_its_adjoint_sums_to_nothing(generator: torch.Generator) -> None:
    D = Gradient(image_space((4, 5)))
    assert not D(torch.ones(4, 5, dtype=torch.complex64)).any()
    divergence = D.H(D.range.random(generator=generator, dtype=torch.float64))
    assert abs(complex(divergence.sum())) < 1e-12


def test_gradient_norm_comes_near_its_bound() -> None:
    for ndim in (2, 3):
        checkerboard = torch.ones(())
        for dim in range(ndim):
            checkerboard = checkerboard.unsqueeze(-1) * (-1.0) ** torch.arange(20)
            del dim
        D = Gradient(Space(("z", "y", "x")[-ndim:], (20,) * ndim, is_complex=False))
        ratio = float(D.range.norm(D(checkerboard)) / D.domain.norm(checkerboard))
        assert 0.97 * D.norm_bound <= ratio <= D.norm_bound  # type: ignore[operator]


def test_laplacian_has_the_five_point_stencil_inside() -> None:
    delta = torch.zeros(5, 5, dtype=torch.complex64)
    delta[2, 2] = 1
    L = Gradient(image_space((5, 5))).gram
    assert isinstance(L, Laplacian)
    want = torch.zeros_like(delta)
    want[2, 2], want[1, 2], want[3, 2], want[2, 1], want[2, 3] = 4, -1, -1, -1, -1
    assert torch.equal(L(delta), want)


def test_roll_moves_forward() -> None:
    x = torch.arange(6.0).reshape(2, 3)
    assert torch.equal(Roll(REAL, (0, 1))(x), torch.tensor([[2.0, 0.0, 1.0], [5.0, 3.0, 4.0]]))
    with pytest.raises(ValueError, match="Roll takes one shift an axis"):
        Roll(REAL, (1,))


@pytest.mark.parametrize("n", [5, 6, 9])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_crop_keeps_the_origin(n: int, size: int) -> None:
    line = Space(("x",), (n,), is_complex=False)
    C = Crop(line, (size,))
    delta = torch.zeros(n)
    delta[n // 2] = 1
    want = torch.zeros(size)
    want[size // 2] = 1
    assert torch.equal(C(delta), want)
    assert torch.equal(C.H(want), delta)


@pytest.mark.parametrize("shape", [(3, 3), (2,), (2, 0), (-1, 3)])
def test_crop_refuses_what_is_not_within(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="Crop takes a shape within"):
        Crop(REAL, shape)
