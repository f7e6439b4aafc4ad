"""The Fourier transform against the shifts that define it, and the grams made with it."""

import pytest
import torch

from medrecon.operators import CoilMaps, Composition, Convolution, Crop, Diagonal, Fourier, Mask, Roll, sense
from medrecon.operators.coils import CoilGram
from medrecon.operators.linear import Identity
from medrecon.spaces import Space, image_space

SHAPES = [(6, 5), (5, 6), (4, 8), (6, 10), (7, 9), (1, 4), (3, 4, 5), (4, 6, 2)]


def centered(x: torch.Tensor, dims: tuple[int, ...]) -> torch.Tensor:
    x = torch.fft.ifftshift(x, dim=dims)
    return torch.fft.fftshift(torch.fft.fftn(x, dim=dims, norm="ortho"), dim=dims)


@pytest.mark.parametrize("shape", SHAPES)
def test_is_the_shifted_transform(shape: tuple[int, ...], generator: torch.Generator) -> None:
    F = Fourier(image_space(shape))
    x = F.domain.random((2,), generator=generator, dtype=torch.float64)
    torch.testing.assert_close(F(x), centered(x, F.domain.dims), rtol=0, atol=1e-13)
    torch.testing.assert_close(F.H(F(x)), x, rtol=0, atol=1e-13)


@pytest.mark.parametrize("axes", [("x",), ("y",), ("z",), ("z", "x"), ("x", "y")])
def test_over_some_axes(axes: tuple[str, ...], generator: torch.Generator) -> None:
    space = Space(("coil", "z", "y", "x"), (2, 3, 4, 5), is_complex=True)
    F = Fourier(space, axes)
    x = space.random(generator=generator, dtype=torch.float64)
    torch.testing.assert_close(F(x), centered(x, tuple(space.dim(axis) for axis in axes)), rtol=0, atol=1e-13)
    assert F.range.axes == ("coil", *(f"k{axis}" if axis in axes else axis for axis in ("z", "y", "x")))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_constant_is_the_sample_at_the_center(shape: tuple[int, ...]) -> None:
    k = Fourier(image_space(shape))(torch.ones(shape, dtype=torch.complex128))
    want = torch.zeros_like(k)
    want[tuple(size // 2 for size in shape)] = k.numel() ** 0.5
    torch.testing.assert_close(k, want, rtol=0, atol=1e-12)


def test_even_sizes_in_single_precision_as_exact_as_the_bare_transform(generator: torch.Generator) -> None:
    F = Fourier(image_space((64, 48)))
    x = F.domain.random(generator=generator, dtype=torch.float64)
    bare = torch.fft.fftn(x.to(torch.complex64), norm="ortho") - torch.fft.fftn(x, norm="ortho")
    error = F(x.to(torch.complex64)) - F(x)
    assert float(error.abs().max()) <= 2 * float(bare.abs().max())


@pytest.mark.parametrize("axes", [("q",), ("y", "kx"), (), ("z",)])
def test_refuses_axes_it_cannot_transform(axes: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="Fourier takes a complex space"):
        Fourier(image_space((6, 5)), axes)


def test_refuses_a_real_space() -> None:
    with pytest.raises(ValueError, match=r"got \(\.\.\., y=6, x=5\) real"):
        Fourier(Space(("y", "x"), (6, 5), is_complex=False))


def test_composition_equals_its_factors_one_by_one(generator: torch.Generator) -> None:
    maps = torch.randn(3, 6, 5, dtype=torch.complex128, generator=generator)
    coils = CoilMaps(maps)
    fourier = Fourier(coils.range)
    weights = torch.randn(6, 5, dtype=torch.complex128, generator=generator)
    factors = (
        Diagonal(torch.randn(3, 1, 1, dtype=torch.float64, generator=generator), fourier.range),
        Mask(torch.rand(6, 5, generator=generator) < 0.5, fourier.range),
        fourier,
        Identity(coils.range),
        coils,
        Diagonal(weights, coils.domain),
        Roll(coils.domain, (1, -2)),
        Crop(image_space((8, 9)), (6, 5)),
    )
    A = factors[0]
    for factor in factors[1:]:
        A = A @ factor
    assert isinstance(A, Composition)
    assert A.factors == factors
    B = factors[0] @ (factors[1] @ factors[2]) @ ((factors[3] @ factors[4]) @ (factors[5] @ (factors[6] @ factors[7])))
    x = step = A.domain.random((2,), generator=generator, dtype=torch.float64)
    for factor in reversed(factors):
        step = factor(step)
    torch.testing.assert_close(A(x), step, rtol=0, atol=1e-12)
    torch.testing.assert_close(B(x), step, rtol=0, atol=1e-12)
    y = back = A.range.random((2,), generator=generator, dtype=torch.float64)
    for factor in factors:
        back = factor.H(back)
    torch.testing.assert_close(A.H(y), back, rtol=0, atol=1e-12)


def test_sense_runs_three_steps_and_no_sign_of_its_own(generator: torch.Generator) -> None:
    A = sense(torch.arange(8) % 2 == 0, torch.randn(2, 4, 8, dtype=torch.complex64, generator=generator))
    assert isinstance(A, Composition)
    assert [type(part).__name__ for part in A._program] == ["Diagonal", "_Dft", "CoilMaps"]


@pytest.mark.parametrize(
    ("pattern", "dims"),
    [((5,), (-1,)), ((1, 5), (-1,)), ((6, 1), (-2,)), ((6, 5), (-2, -1)), ((3, 1, 5), (-1,)), ((1, 1), ())],
)
def test_gram_transforms_only_where_the_mask_varies(
    pattern: tuple[int, ...], dims: tuple[int, ...], generator: torch.Generator
) -> None:
    sampled = torch.rand(pattern, generator=generator) < 0.5
    sampled[..., 0], sampled[..., -1] = True, pattern[-1] == 1
    if pattern[-1] == 1:
        sampled[..., -2:, :] = torch.tensor([[True], [False]]) if len(dims) else True
    maps = torch.randn(2, 6, 5, dtype=torch.complex128, generator=generator)
    gram = sense(sampled, maps).gram
    assert isinstance(gram, CoilGram)
    assert gram.convolution.dims == dims
    written_out = sampled.expand(*pattern[:-2], 6, 5).clone() if len(pattern) > 1 else sampled.expand(6, 5).clone()
    repeated = sense(written_out, maps).gram
    assert isinstance(repeated, CoilGram)
    assert repeated.convolution.dims == dims


def test_gram_of_a_bare_mask_on_one_coil() -> None:
    F = Fourier(image_space((6, 5)))
    gram = (Mask(torch.arange(5) < 3, F.range) @ F).gram
    assert isinstance(gram, Convolution)
    assert gram.dims == (-1,)


def test_closed_form_grams() -> None:
    F = Fourier(image_space((6, 5)))
    assert isinstance(F.gram, Identity)
    assert isinstance((F @ Roll(F.domain, (1, 2))).gram, Identity)
    coils = CoilMaps(torch.ones(2, 6, 5, dtype=torch.complex64))
    assert isinstance((Fourier(coils.range) @ coils).gram, Diagonal)


@pytest.mark.parametrize(
    ("multiplier", "is_complex"),
    [
        (torch.ones(5), True),
        (torch.ones(6, 4), True),
        (torch.ones(6, 5), False),
        (torch.ones(6, 5, dtype=torch.complex64), True),
    ],
)
def test_convolution_refuses_what_does_not_fit(multiplier: torch.Tensor, is_complex: bool) -> None:
    with pytest.raises(ValueError, match="Convolution takes a complex space and a real multiplier"):
        Convolution(multiplier, Space(("y", "x"), (6, 5), is_complex))
