"""Instance normalization and leaky ReLU in one, against torch's two."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from medrecon.networks import instance_norm_loops as loops
from medrecon.networks.instance_norm import normalize_and_activate

SHAPES = [(2, 5, 9, 7), (1, 18, 70, 65), (3, 1, 4, 6), (1, 300, 3, 2), (2, 2, 1, 2)]


def plain(x: Tensor) -> Tensor:
    return F.leaky_relu(F.instance_norm(x, eps=1e-5), 0.2)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_equals_torch_forward_and_backward(
    shape: tuple[int, ...], dtype: torch.dtype, layout: torch.memory_format, generator: torch.Generator
) -> None:
    x = (torch.randn(shape, generator=generator, dtype=dtype) + 3).contiguous(memory_format=layout)
    arriving = torch.randn(shape, generator=generator, dtype=dtype)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    with torch.no_grad():
        assert torch.allclose(normalize_and_activate(x.clone(), 0.2), plain(x), rtol=0, atol=10 * tolerance)
    found, wanted = x.clone().requires_grad_(), x.clone().requires_grad_()
    y, want = normalize_and_activate(found * 1, 0.2), plain(wanted)
    assert torch.allclose(y, want, rtol=0, atol=10 * tolerance)
    y.backward(arriving)
    want.backward(arriving)
    assert found.grad is not None
    assert wanted.grad is not None
    scale = float(wanted.grad.abs().max())
    assert torch.allclose(found.grad, wanted.grad, rtol=0, atol=100 * tolerance * max(scale, 1))


def test_gradcheck(generator: torch.Generator) -> None:
    x = torch.randn((2, 3, 5, 4), generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: normalize_and_activate(1 * x, 0.2), (x,))


def test_there_is_no_second_derivative_in_silence(generator: torch.Generator) -> None:
    x = torch.randn((1, 2, 5, 4), generator=generator, requires_grad=True)
    (first,) = torch.autograd.grad(normalize_and_activate(1 * x, 0.2).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_is_normalized_in_single(dtype: torch.dtype, generator: torch.Generator) -> None:
    x = (torch.randn((1, 3, 40, 30), generator=generator) + 20).to(dtype)
    found = normalize_and_activate(x.clone(), 0.2)
    assert found.dtype == dtype
    assert torch.equal(found, normalize_and_activate(x.float(), 0.2).to(dtype))


@pytest.mark.parametrize("shape", SHAPES[:-1])  # of two pixels the gradient is 0, but for rounding
def test_gradients_in_bfloat16_are_those_of_its_rounded_numbers(
    shape: tuple[int, ...], generator: torch.Generator
) -> None:
    x = (torch.randn(shape, generator=generator) + 2).bfloat16()
    arriving = torch.randn(shape, generator=generator).bfloat16()
    found, wanted = x.clone().requires_grad_(), x.double().requires_grad_()
    y, want = normalize_and_activate(found * 1, 0.2), plain(wanted)
    y.backward(arriving)
    want.backward(arriving.double())
    assert found.grad is not None
    assert wanted.grad is not None
    assert y.dtype == found.grad.dtype == torch.bfloat16
    scale = float(wanted.grad.abs().max())
    assert torch.allclose(found.grad.double(), wanted.grad, rtol=0, atol=0.02 * scale)


def test_low_precision_that_is_not_finite_stays_so(generator: torch.Generator) -> None:
    x = torch.randn((1, 2, 4, 5), generator=generator).bfloat16()
    x[0, 1, 2, 3] = torch.nan
    found = normalize_and_activate(x, 0.2)
    assert bool(found[0, 1].isnan().all())
    assert bool(found[0, 0].isfinite().all())


def test_a_constant_channel_becomes_zero() -> None:
    assert float(normalize_and_activate(torch.full((1, 2, 6, 5), 7.0), 0.2).abs().max()) == 0


def test_the_number_of_threads_does_not_matter(generator: torch.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn((2, 100, 90, 6), generator=generator)
    results = []
    for threads in (1, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        y = x.reshape(2, -1, 6).clone().numpy()
        inverse = loops.forward(y, 1e-5, 0.2)
        results.append((y, inverse, loops.backward(y, inverse, x.reshape(2, -1, 6).numpy(), 0.2)))
    for one, three in zip(*results, strict=True):
        assert (one == three).all()
