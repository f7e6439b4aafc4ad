"""Operators of a batch: what stacks, what is refused, and that equality is of values."""

from __future__ import annotations

import math
import pickle

import pytest
import torch

from medrecon.geometry import Arc, Grid, ParallelBeam
from medrecon.operators import (
    CoilMaps,
    Crop,
    DetectorFilter,
    Diagonal,
    Fourier,
    Gradient,
    Identity,
    LinearOperator,
    Mask,
    Radon,
    Roll,
    Wavelet,
    sense,
    stack,
)
from medrecon.spaces import Space, image_space, kspace_space

IMAGE = image_space((6, 5))
REAL = Space(("y", "x"), (6, 5), is_complex=False)
GRID = Grid((6, 5), 1.0)


def radon(*angles: float) -> Radon:
    return Radon(GRID, ParallelBeam(angles, 7, 1.0))


def sampled(*shape: int) -> torch.Tensor:
    return torch.arange(math.prod(shape)).reshape(shape) % 3 != 1


@pytest.mark.parametrize(
    "operators",
    [
        [Mask(sampled(5), kspace_space(2, (6, 5))), Mask(sampled(6, 5), kspace_space(2, (6, 5)))],
        [Mask(sampled(6, 1), kspace_space(2, (6, 5))), Mask(sampled(1, 5), kspace_space(2, (6, 5)))],
        [Diagonal(torch.tensor(2.0), REAL), Diagonal(torch.tensor(3.0), REAL), Diagonal(torch.rand(6, 1), REAL)],
        [Diagonal(torch.rand(5), IMAGE), Diagonal(torch.rand(6, 5).to(torch.complex64), IMAGE)],
        [Diagonal(torch.full((), scale), radon(0.1, 0.9).range) @ radon(0.1, 0.9) for scale in (1.0, 5.0)],
        [2.0 * Diagonal(torch.tensor(scale), IMAGE).H + Roll(IMAGE, (1, 0)) for scale in (1.0, 5.0)],
    ],
)
def test_tensors_of_different_shape_stack(operators: list[LinearOperator], generator: torch.Generator) -> None:
    stacked, n = stack(operators), len(operators)
    for together, alone in ((stacked, operators), (stacked.H, [A.H for A in operators])):
        x = together.domain.random((n,), generator=generator)
        want = torch.stack([A(part) for A, part in zip(alone, x, strict=True)])
        torch.testing.assert_close(together(x), want, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("one", "other", "what"),
    [
        (radon(0.1, 0.9), radon(0.1, 0.8), "Radon of different geometry"),
        (2.0 * Identity(IMAGE), 3.0 * Identity(IMAGE), "Scaled of different scalar"),
        (Roll(IMAGE, (1, 0)), Roll(IMAGE, (0, 1)), "Roll of different shifts"),
        (
            Wavelet(image_space((8, 8)), "haar", 1),
            Wavelet(image_space((8, 8)), "db2", 1),
            "Wavelet of different wavelet",
        ),
        (Crop(IMAGE, (4, 4)), Crop(IMAGE, (4, 2)), r"Crop from .* to \(\.\.\., y=4, x=4\) complex and Crop"),
        (Gradient(IMAGE), Gradient(REAL), "real"),
        (Identity(IMAGE), Roll(IMAGE, (0, 0)), "Identity from .* and Roll from"),
        (
            Fourier(IMAGE).H @ Fourier(IMAGE),
            Roll(IMAGE, (0, 0)) @ Fourier(IMAGE).H @ Fourier(IMAGE),
            "different operators",
        ),
    ],
)
def test_what_holds_no_batch_is_refused(one: LinearOperator, other: LinearOperator, what: str) -> None:
    with pytest.raises(ValueError, match=rf"stack takes operators .*{what}.*; take batch_size 1"):
        stack([one, other])


def test_coils_of_another_number_are_refused() -> None:
    one, two = (sense(sampled(5), torch.ones(n, 6, 5, dtype=torch.complex64)) for n in (1, 2))
    for operators in ([one, two], [one.gram, two.gram]):
        with pytest.raises(ValueError, match="made alike"):
            stack(operators)


def test_no_operator_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one operator"):
        stack([])


def test_equal_values_are_one_operator() -> None:
    A, B = (Radon(GRID, ParallelBeam(Arc.half_turn(4), 7, 1.0)) for _ in range(2))
    assert stack([A, B]) is A
    maps = torch.ones(2, 6, 5, dtype=torch.complex64)
    first = sense(sampled(5), maps)
    assert stack([first, sense(sampled(5), maps.clone())]) is first
    response = torch.ones(8)
    filters = [
        DetectorFilter(response.clone(), Space(("angle", "detector"), (3, 7), is_complex=False)) for _ in range(2)
    ]
    assert stack(filters) is filters[0]


def test_a_gradient_flows_to_every_tensor() -> None:
    maps = [torch.ones(2, 6, 5, dtype=torch.complex64, requires_grad=True) for _ in range(2)]
    stacked = stack([CoilMaps(each) for each in maps])
    stacked(torch.ones(2, 6, 5, dtype=torch.complex64)).abs().sum().backward()
    assert all(bool(each.grad.abs().min() > 0) for each in maps)  # type: ignore[union-attr]


def test_a_radon_that_comes_from_another_process_is_one_object() -> None:
    A = radon(0.1, 0.9)
    B, C = (pickle.loads(pickle.dumps(A)) for _ in range(2))
    assert B is C
    assert A.to("meta") is A
