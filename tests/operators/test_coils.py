"""SENSE against its formula, with maps and masks that differ within a batch."""

import pytest
import torch

from medrecon.operators import CoilMaps, Mask, factor_of, sense
from medrecon.operators.linear import Adjoint
from medrecon.spaces import kspace_space


def test_sense_by_hand(generator: torch.Generator) -> None:
    maps = torch.randn(3, 6, 5, dtype=torch.complex128, generator=generator)
    sampled = torch.tensor([True, False, True, True, False])
    A = sense(sampled, maps)
    x = A.domain.random(generator=generator, dtype=torch.float64)
    for coil in range(3):
        k = torch.fft.fftshift(torch.fft.fft2(torch.fft.ifftshift(maps[coil] * x), norm="ortho"))
        torch.testing.assert_close(A(x)[coil], k * sampled, rtol=0, atol=1e-12)


@pytest.mark.parametrize("ndim", [2, 3])
def test_batch_of_maps_and_masks_is_a_loop_over_operators(ndim: int, generator: torch.Generator) -> None:
    shape = (4, 6, 5)[-ndim:]
    maps = torch.randn(3, 2, *shape, dtype=torch.complex128, generator=generator)
    sampled = torch.rand(3, *shape, generator=generator) < 0.5
    A = sense(sampled, maps, ndim)
    x = A.domain.random((3,), generator=generator, dtype=torch.float64)
    for i in range(3):
        one = sense(sampled[i], maps[i], ndim)
        torch.testing.assert_close(A(x)[i], one(x[i]), rtol=0, atol=1e-12)
        torch.testing.assert_close(A.H(A(x))[i], one.H(one(x[i])), rtol=0, atol=1e-12)
        torch.testing.assert_close(A.gram(x)[i], one.gram(x[i]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("batched", ["mask", "maps"])
def test_one_image_through_a_batch_of_operators(batched: str, generator: torch.Generator) -> None:
    maps = torch.randn(*((3,) if batched == "maps" else ()), 2, 6, 5, dtype=torch.complex128, generator=generator)
    sampled = torch.rand(*((3,) if batched == "mask" else ()), 6, 5, generator=generator) < 0.5
    A = sense(sampled, maps)
    x = A.domain.random(generator=generator, dtype=torch.float64)
    assert A.gram(x).shape == (3, 6, 5)
    torch.testing.assert_close(A.gram(x), A.H(A(x)), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "maps", [torch.ones(2, 6, 5), torch.ones(6, 5, dtype=torch.complex64), torch.ones(5, dtype=torch.complex64)]
)
def test_maps_are_complex_and_have_coils(maps: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"CoilMaps takes complex maps \(\.\.\., coil, y, x\), got"):
        CoilMaps(maps)


@pytest.mark.parametrize(
    "sampled",
    [torch.ones(5), torch.ones(4, dtype=torch.bool), torch.ones(5, 6, dtype=torch.bool), torch.tensor(True)],
)
def test_mask_is_bool_and_fits(sampled: torch.Tensor) -> None:
    with pytest.raises(
        ValueError, match=r"Mask takes a bool tensor \(\.\.\., 6, 5\) or \(5,\) for .*kx=5.*got"
    ) as refusal:
        Mask(sampled, kspace_space(2, (6, 5)))
    assert str(tuple(sampled.shape)) in str(refusal.value)


def test_find_says_what_it_needs_and_what_there_is() -> None:
    A = sense(torch.ones(5, dtype=torch.bool), torch.ones(2, 6, 5, dtype=torch.complex64))
    assert factor_of(A, Mask, "GRAPPA") is A.factors[0]
    with pytest.raises(
        ValueError, match="GRAPPA needs an operator with one Adjoint in it, got Mask @ Fourier @ CoilMaps"
    ):
        factor_of(A, Adjoint, "GRAPPA")
