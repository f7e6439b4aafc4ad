"""The exact proximal step and its gradients, against dense linear algebra."""

import pytest
import torch
from torch import Tensor

from medrecon.networks.implicit import ConjugateGradients, regularized_inverse
from medrecon.operators import LinearOperator, sense
from tests.problems import ct, lines, maps, mri, relative

EXACT = ConjugateGradients(iterations=200, tolerance=1e-13)


def problem(generator: torch.Generator) -> tuple[Tensor, Tensor, LinearOperator]:
    A = sense(lines(6), maps(2, (5, 6)).to(torch.complex128))
    b, z = (A.domain.random((2,), generator=generator, dtype=torch.float64) for _ in range(2))
    return A.H(A(b)), z, A


@pytest.mark.parametrize("scan", [mri, ct])
def test_it_solves_the_normal_equations(scan: object, generator: torch.Generator) -> None:
    A = scan().A  # type: ignore[operator]
    y, z = A.range.random((2,), generator=generator), A.domain.random((2,), generator=generator)
    weight = torch.tensor([0.3, 5.0])
    x = regularized_inverse(A.H(y), z, weight, A, ConjugateGradients(400, 1e-6))
    damping = A.domain.expand(weight)
    assert relative(A.gram(x) + damping * x, A.H(y) + damping * z) < 1e-5


@pytest.mark.parametrize("batch", [False, True])
def test_gradients_by_the_data_the_image_and_the_weight(batch: bool, generator: torch.Generator) -> None:
    b, z, A = problem(generator)
    weight = torch.tensor([0.4, 0.9] if batch else 0.4, dtype=torch.float64)
    inputs = tuple(value.requires_grad_() for value in (b, z, weight))
    assert torch.autograd.gradcheck(lambda *given: regularized_inverse(*given, A, EXACT), inputs)


def test_gradients_by_what_the_operator_holds(generator: torch.Generator) -> None:
    b, z, _ = problem(generator)
    weight = torch.tensor(0.4, dtype=torch.float64)
    held = maps(2, (5, 6)).to(torch.complex128).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda held: regularized_inverse(b, z, weight, sense(lines(6), held), EXACT), (held,)
    )


def kept(iterations: int, generator: torch.Generator) -> int:
    b, z, A = problem(generator)
    sizes: list[int] = []

    def keep(x: Tensor) -> Tensor:
        sizes.append(x.numel())
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        regularized_inverse(b.requires_grad_(), z, torch.tensor(0.1), A, ConjugateGradients(iterations, 0.0))
    return sum(sizes)


def test_memory_does_not_grow_with_the_iterations(generator: torch.Generator) -> None:
    assert kept(1, generator) == kept(30, generator)


def test_there_is_no_second_derivative_in_silence(generator: torch.Generator) -> None:
    b, z, A = problem(generator)
    x = regularized_inverse(b.requires_grad_(), z, torch.tensor(0.4), A, EXACT)
    (first,) = torch.autograd.grad(x.abs().square().sum(), b, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.abs().sum().backward()


def test_half_precision_around_it_does_not_shorten_the_solution(generator: torch.Generator) -> None:
    b, z, A = (
        value if isinstance(value, LinearOperator) else value.to(torch.complex64) for value in problem(generator)
    )
    weight = torch.tensor(0.1)
    want = regularized_inverse(b, z, weight, A)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(regularized_inverse(b, z, weight, A), want)


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="iterations >= 1"):
        ConjugateGradients(iterations=0)
