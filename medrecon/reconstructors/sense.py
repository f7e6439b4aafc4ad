"""SENSE: least squares by conjugate gradients."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from medrecon.operators import Identity, LinearOperator
from medrecon.solvers import conjugate_gradient, run

__all__ = ["Sense"]


@dataclass(frozen=True)
class Sense:
    """`argmin |A x - y|^2 + weight |x|^2` by conjugate gradients from 0, stopped after `iterations`.

    Stopping early regularises too. `weight` is relative to the square of the norm of `A`, which is 1 for normalised coil maps.
    Pruessmann et al., Magn Reson Med 46:638 (2001).
    """

    weight: float = 0.0
    iterations: int = 30
    tolerance: float = 1e-4

    def __post_init__(self) -> None:
        if self.weight < 0:
            raise ValueError(f"Sense takes a weight of at least 0, got {self.weight}")

    def __call__(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        b = A.H(y)
        normal = A.gram + self.weight * Identity(A.domain) if self.weight else A.gram
        states = conjugate_gradient(normal, b, torch.zeros_like(b))
        return run(states, max_iterations=self.iterations, tolerance=self.tolerance).x
