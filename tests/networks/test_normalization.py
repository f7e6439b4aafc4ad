"""The intensities that a network sees."""

import pytest
import torch

from medrecon.networks import Normalization


@pytest.mark.parametrize("offset", [0.0, 5.0, 100.0])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_moments_are_those_of_double_precision(
    offset: float, layout: torch.memory_format, generator: torch.Generator
) -> None:
    x = 1e-6 * (torch.randn((2, 2, 130, 97), generator=generator) + offset).contiguous(memory_format=layout)
    std, mean = torch.std_mean(x.double(), dim=(2, 3), keepdim=True)
    normal, moments = Normalization()(x)
    assert torch.allclose(moments.std.double(), std, rtol=1e-6, atol=0)
    assert float(((moments.mean - mean) / std).abs().max()) < 1e-7 * (1 + offset)
    assert torch.allclose(normal.double(), (x - mean) / std, rtol=0, atol=1e-5 + 1e-6 * offset)
    assert torch.allclose(Normalization().undo(normal, moments), x, rtol=1e-5, atol=1e-11)


def test_gradients_are_exact(generator: torch.Generator) -> None:
    x = torch.randn((2, 2, 4, 5), generator=generator, dtype=torch.float64, requires_grad=True)

    def through(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        normal, moments = Normalization(eps=1e-3)(x)
        return normal, moments.mean, moments.std

    assert torch.autograd.gradcheck(through, (x,))


def test_a_constant_image_becomes_zero_and_comes_back_with_finite_gradients() -> None:
    x = torch.full((1, 2, 6, 5), 3.0, requires_grad=True)
    normal, moments = Normalization()(x)
    assert float(normal.detach().abs().max()) == 0
    assert float(moments.std.detach().abs().max()) == 0
    Normalization().undo(normal + 1, moments).sum().backward()
    assert x.grad is not None
    assert bool(torch.isfinite(x.grad).all())
