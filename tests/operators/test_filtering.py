"""Convolution along the detector, against sums written out."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from medrecon.operators.filtering import DetectorFilter
from medrecon.spaces import Space

SPACE = Space(("angle", "detector"), (3, 7), is_complex=False)
EXTENSIONS = [(0, 0), (2, 0), (0, 3), (4, 1)]


def even_kernel(length: int, generator: torch.Generator) -> Tensor:
    """Values at the lags 0 to length // 2."""
    return torch.randn(length // 2 + 1, generator=generator, dtype=torch.float64)


def response(kernel: Tensor) -> Tensor:
    periodic = torch.cat([kernel, kernel[1:-1].flip(0)])
    return torch.fft.rfft(periodic).real.contiguous()


def written_out(x: Tensor, kernel: Tensor, before: int, after: int) -> Tensor:
    n = x.shape[-1]
    places = [sum(kernel[abs(k - j)] * x[..., j] for j in range(n)) for k in range(-before, n + after)]
    return torch.stack([torch.as_tensor(value) for value in places], -1)


def dense(A: DetectorFilter) -> tuple[Tensor, Tensor]:
    there = torch.stack([A(unit).flatten() for unit in units(A.domain)], -1)
    back = torch.stack([A.H(unit).flatten() for unit in units(A.range)], -1)
    return there, back


def units(space: Space) -> Tensor:
    n = math.prod(space.shape)
    return torch.eye(n, dtype=torch.float64).reshape(n, *space.shape)


@pytest.mark.parametrize(("before", "after"), EXTENSIONS)
def test_it_is_the_sum_written_out(before: int, after: int, generator: torch.Generator) -> None:
    kernel = even_kernel(2 * (6 + max(before, after)), generator)
    A = DetectorFilter(response(kernel), SPACE, before, after)
    x = SPACE.random((2,), generator=generator, dtype=torch.float64)
    assert A.range.shape == (3, before + 7 + after)
    assert torch.allclose(A(x), written_out(x, kernel, before, after), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("before", "after"), EXTENSIONS)
def test_the_adjoint_is_the_transpose(before: int, after: int, generator: torch.Generator) -> None:
    there, back = dense(DetectorFilter(response(even_kernel(20, generator)), SPACE, before, after))
    assert torch.allclose(there.mT, back, rtol=0, atol=1e-12)


def test_it_is_its_own_adjoint_on_the_detector(generator: torch.Generator) -> None:
    there, back = dense(DetectorFilter(response(even_kernel(12, generator)), SPACE))
    assert torch.allclose(there, back, rtol=0, atol=1e-12)


def test_gradients_of_data_and_response(generator: torch.Generator) -> None:
    held = response(even_kernel(18, generator)).requires_grad_()
    x = SPACE.random(generator=generator, dtype=torch.float64).requires_grad_()
    for adjoint in (False, True):

        def apply(x: Tensor, held: Tensor, adjoint: bool = adjoint) -> Tensor:
            A = DetectorFilter(held, SPACE, 2, 1)
            return A.H(A(x)) if adjoint else A(x)

        assert torch.autograd.gradcheck(apply, (x, held))
        assert torch.autograd.gradgradcheck(apply, (x, held))


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_same_with_and_without_a_graph(batch: tuple[int, ...], dtype: torch.dtype, generator: torch.Generator) -> None:
    A = DetectorFilter(response(even_kernel(18, generator)), SPACE, 1, 2)
    for B in (A, A.H):
        x = B.domain.random(batch, generator=generator, dtype=dtype)
        plain, recorded = B(x), B(x.clone().requires_grad_())
        assert plain.dtype == recorded.dtype == dtype
        assert plain.shape == (*batch, *B.range.shape)
        torch.testing.assert_close(plain, recorded.detach())  # two libraries' Fourier transforms


def test_views_of_memory_are_taken(generator: torch.Generator) -> None:
    A = DetectorFilter(response(even_kernel(18, generator)), SPACE, 1, 2)
    x = torch.randn(7, 4, 3, generator=generator, dtype=torch.float64).permute(1, 2, 0)
    assert torch.equal(A(x), A(x.contiguous()))


def test_norm_bound(generator: torch.Generator) -> None:
    A = DetectorFilter(response(even_kernel(18, generator)), SPACE, 1, 2)
    there, _ = dense(A)
    assert A.norm_bound is not None
    assert A.norm_bound >= float(torch.linalg.matrix_norm(there, 2))


def test_refusals() -> None:
    with pytest.raises(ValueError, match=r"lags of up to 9, and takes a response of a length of at least 10, got 9"):
        DetectorFilter(torch.ones(9), SPACE, 3, 0)
    with pytest.raises(ValueError, match=r"takes a real response with one axis, got torch\.complex64"):
        DetectorFilter(torch.ones(9, dtype=torch.complex64), SPACE)
    with pytest.raises(ValueError, match="before and after of at least 0"):
        DetectorFilter(torch.ones(20), SPACE, -1, 0)
    with pytest.raises(ValueError, match=r"takes \(..., angle=3, detector=7\) real, got \(3, 6\)"):
        DetectorFilter(torch.ones(20), SPACE)(torch.from_numpy(np.ones((3, 6))))
