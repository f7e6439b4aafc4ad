"""Several sets of coil maps against the sum of what each set gives alone."""

import pytest
import torch

from medrecon.operators import CoilMapSets, Mask, sense, soft_sense, stack


def _maps(generator: torch.Generator, *batch: int) -> torch.Tensor:
    return torch.randn(*batch, 2, 3, 6, 5, dtype=torch.complex128, generator=generator)


def test_measurements_are_the_sum_of_those_of_each_set(generator: torch.Generator) -> None:
    maps, sampled = _maps(generator), torch.tensor([True, False, True, True, False])
    A = soft_sense(sampled, maps)
    first, second = (sense(sampled, of_set) for of_set in maps)
    x = A.domain.random(generator=generator, dtype=torch.float64)
    assert A.domain.axes == ("set", "y", "x")
    y = first(x[0]) + second(x[1])
    torch.testing.assert_close(A(x), y, rtol=0, atol=1e-12)
    torch.testing.assert_close(A.H(y), torch.stack((first.H(y), second.H(y))), rtol=0, atol=1e-12)


def test_a_set_of_zeros_changes_nothing(generator: torch.Generator) -> None:
    maps, sampled = _maps(generator), torch.rand(6, 5, generator=generator) < 0.5
    maps[1] = 0
    x = torch.randn(2, 6, 5, dtype=torch.complex128, generator=generator)
    A, one = soft_sense(sampled, maps), sense(sampled, maps[0])
    assert torch.equal(A(x), one(x[0]))
    torch.testing.assert_close(A.gram(x)[0], one.gram(x[0]), rtol=0, atol=1e-12)
    assert A.norm_bound == pytest.approx(one.norm_bound)


def test_orthogonal_sets_of_unit_length_have_a_bound_of_one(generator: torch.Generator) -> None:
    columns, _ = torch.linalg.qr(torch.randn(6, 5, 4, 2, dtype=torch.complex128, generator=generator))
    assert CoilMapSets(columns.permute(3, 2, 0, 1)).norm_bound == pytest.approx(1.0)


def test_a_stack_is_a_loop(generator: torch.Generator) -> None:
    scans = [soft_sense(torch.rand(6, 5, generator=generator) < 0.5, _maps(generator)) for _ in range(2)]
    x = scans[0].domain.random((2,), generator=generator, dtype=torch.float64)
    A = stack(scans)
    for n, one in enumerate(scans):
        torch.testing.assert_close(A(x)[n], one(x[n]), rtol=0, atol=1e-12)
        torch.testing.assert_close(A.gram(x)[n], one.gram(x[n]), rtol=0, atol=1e-12)


def test_what_is_held_back_leaves_the_maps(generator: torch.Generator) -> None:
    A = soft_sense(torch.ones(5, dtype=torch.bool), _maps(generator))
    x = A.domain.random(generator=generator, dtype=torch.float64)
    kept = torch.tensor([True, False, True, True, False])
    less, restricted = A.restricted(A(x), kept)
    assert isinstance(restricted.factors[0], Mask)
    torch.testing.assert_close(restricted(x), less, rtol=0, atol=1e-12)
    assert not less[..., 1].any()


@pytest.mark.parametrize(
    "maps",
    [torch.ones(2, 2, 6, 5), torch.ones(2, 6, 5, dtype=torch.complex64), torch.ones(6, 5, dtype=torch.complex64)],
)
def test_maps_are_complex_and_have_sets_and_coils(maps: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"CoilMapSets takes complex maps \(\.\.\., set, coil, y, x\), got"):
        CoilMapSets(maps)
