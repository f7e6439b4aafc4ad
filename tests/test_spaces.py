"""Spaces: what is in them, and how they refuse the rest."""

import doctest

import pytest
import torch

import medrecon.spaces
from medrecon.spaces import Space, image_space, kspace_space, root_sum_of_squares

COILS = Space(("coil", "y", "x"), (3, 6, 5), is_complex=True)


def test_doctests() -> None:
    assert doctest.testmod(medrecon.spaces).failed == 0


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (torch.zeros(6, 4, dtype=torch.complex64), "(6, 4) complex"),
        (torch.zeros(3, 6, 5), "(3, 6, 5) real"),
        (torch.zeros(3, 6, 5, dtype=torch.int16), "(3, 6, 5) torch.int16"),
        (torch.zeros(3, 6, 5, 1, dtype=torch.complex64), "(3, 6, 5, 1) complex"),
        (torch.zeros((), dtype=torch.complex64), "() complex"),
    ],
)
def test_refusal_names_both(x: torch.Tensor, text: str) -> None:
    with pytest.raises(ValueError, match="Fourier takes") as refusal:
        COILS.require(x, "Fourier")
    assert str(refusal.value) == f"Fourier takes (..., coil=3, y=6, x=5) complex, got {text}"


def test_contains_any_batch_and_precision() -> None:
    for batch in ((), (2,), (0, 7)):
        for dtype in (torch.complex64, torch.complex128):
            assert COILS.contains(torch.zeros(*batch, 3, 6, 5, dtype=dtype))


@pytest.mark.parametrize(
    ("axes", "shape"), [(("y",), (6, 5)), (("x", "x"), (6, 5)), (("y", "x"), (6, 0)), (("y", "x"), (-1, 5))]
)
def test_refuses_nonsense(axes: tuple[str, ...], shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="Space takes"):
        Space(axes, shape, is_complex=True)


def test_dims_and_names() -> None:
    assert COILS.dims == (-3, -2, -1)
    assert [COILS.dim(axis) for axis in COILS.axes] == [-3, -2, -1]
    with pytest.raises(ValueError, match="no axis 'z'"):
        COILS.dim("z")
    assert image_space((4, 6, 5)).axes == ("z", "y", "x")
    assert kspace_space(3, (6, 5)) == Space(("coil", "ky", "kx"), (3, 6, 5), is_complex=True)
    with pytest.raises(ValueError, match="2 or 3 axes"):
        image_space((5,))


def test_inner_product_and_norm_are_per_batch_element(generator: torch.Generator) -> None:
    x, y = (COILS.random((2, 4), generator=generator, dtype=torch.float64) for _ in range(2))
    inner = COILS.inner(x, y)
    assert inner.shape == (2, 4)
    want = sum(complex(a.conj() * b) for a, b in zip(x[1, 2].flatten(), y[1, 2].flatten(), strict=True))
    assert float(inner[1, 2]) == pytest.approx(want.real, abs=1e-12)
    torch.testing.assert_close(COILS.inner(x, x), COILS.norm(x) ** 2)
    torch.testing.assert_close(COILS.inner(x, y.conj()), COILS.inner(x.conj(), y))


def test_expand_multiplies_each_element_by_its_own(generator: torch.Generator) -> None:
    x = COILS.random((2,), generator=generator)
    scaled = COILS.expand(torch.tensor([2.0, -1.0])) * x
    assert torch.equal(scaled[0], 2 * x[0])
    assert torch.equal(scaled[1], -x[1])
    assert COILS.expand(3.0) == 3.0


def test_random_is_of_the_space_and_repeats_with_the_generator() -> None:
    first, second = (COILS.random((2,), generator=torch.Generator().manual_seed(5)) for _ in range(2))
    assert COILS.contains(first)
    assert first.dtype == torch.complex64
    assert torch.equal(first, second)


@pytest.mark.parametrize("dim", [-1, -2, -3, -4])
@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_root_sum_of_squares_is_the_norm(generator: torch.Generator, dim: int, dtype: torch.dtype) -> None:
    images = torch.randn((2, 3, 6, 5), generator=generator, dtype=dtype)
    for given in (images, images.conj(), images.transpose(0, 2), images[:, :, ::2]):
        wanted = torch.linalg.vector_norm(given, dim=dim)
        torch.testing.assert_close(root_sum_of_squares(given, dim), wanted)
        torch.testing.assert_close(root_sum_of_squares(given, dim, keepdim=True), wanted.unsqueeze(dim))


def test_root_sum_of_squares_has_a_gradient_that_is_zero_where_it_vanishes(generator: torch.Generator) -> None:
    images = torch.randn((3, 4, 5), generator=generator, dtype=torch.complex128).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: root_sum_of_squares(x, -3), images)
    black = images.detach().clone()
    black[:, 1:3] = 0
    black.requires_grad_()
    combined = root_sum_of_squares(black, -3)
    combined.sum().backward()
    assert torch.equal(combined[1:3], torch.zeros(2, 5, dtype=torch.float64))
    assert black.grad is not None
    assert torch.equal(black.grad[:, 1:3], torch.zeros_like(black.grad[:, 1:3]))
    torch.testing.assert_close(black.grad[:, 0], (black / combined)[:, 0].detach())
