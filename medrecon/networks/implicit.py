"""The exact proximal step of least squares, differentiated at its solution and not through its iterations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from medrecon.operators import Diagonal, LinearOperator
from medrecon.solvers import conjugate_gradient, run

__all__ = ["ConjugateGradients", "regularized_inverse"]


@dataclass(frozen=True)
class ConjugateGradients:
    """How far to solve: until the residual is `tolerance` of the right side, or `iterations` have passed."""

    iterations: int = 20
    tolerance: float = 1e-6

    def __post_init__(self) -> None:
        if self.iterations < 1 or self.tolerance < 0:
            raise ValueError(
                f"ConjugateGradients takes iterations >= 1 and tolerance >= 0, got {self.iterations}, {self.tolerance}"
            )


def regularized_inverse(
    b: Tensor, z: Tensor, weight: Tensor, A: LinearOperator, solver: ConjugateGradients | None = None
) -> Tensor:
    """`x = (A.H A + weight)^-1 (b + weight z)`: the minimizer of `|A x - y|^2 + weight |x - z|^2` for `b = A.H y`.

    Gradients flow to `b`, `z`, `weight` and the tensors that `A` holds (coil maps, say). They are those of the exact solution: with
    `r(x) = b + weight z - (A.H A + weight) x`, the solution of `r = 0` has `dx = (A.H A + weight)^-1 dr`, so that one more
    solution gives them all. Memory does not grow with the iterations; the error is that of the two solutions. There is no second
    derivative. Bai et al., Deep equilibrium models, NeurIPS (2019); Aggarwal et al., MoDL, IEEE Trans Med Imaging 38:394 (2019).

    Parameters
    ----------
    b, z
        of the domain of `A`, with the same batch.
    weight
        real, above 0, a scalar or of the shape of the batch.
    A
        the operator.
    solver
        when to stop; each element of a batch stops on its own.
    """
    solver = ConjugateGradients() if solver is None else solver
    damping = torch.as_tensor(A.domain.expand(weight))

    def solve(right: Tensor, start: Tensor) -> Tensor:
        with torch.no_grad(), torch.autocast(right.device.type, enabled=False):  # which would shorten inner products
            normal = A.gram + Diagonal(damping.detach(), A.domain)
            states = conjugate_gradient(normal, right, start)
            return run(states, max_iterations=solver.iterations, tolerance=solver.tolerance).x

    right = b + damping * z
    x = solve(right.detach(), z.detach())
    if not torch.is_grad_enabled():
        return x
    residual = right - (A.gram(x) + damping * x)
    solution: Tensor = _AtSolution.apply(residual, x, solve)  # type: ignore[no-untyped-call]
    return solution


class _AtSolution(torch.autograd.Function):
    """`x`, as the function of a residual that vanishes there."""

    @staticmethod
    def forward(ctx: Any, residual: Tensor, x: Tensor, solve: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        del residual
        ctx.solve = solve
        return x.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return ctx.solve(gradient.contiguous(), torch.zeros_like(gradient)), None, None
