"""SIRT and its ordered subsets."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from medrecon.functionals import Box
from medrecon.operators import LinearOperator
from medrecon.reconstructors.scaling import require_line_integrals
from medrecon.reconstructors.subsets import view_blocks
from medrecon.solvers import run, sirt

__all__ = ["Sirt"]


@dataclass(frozen=True)
class Sirt:
    """`x <- x + A.H (y - A x)`, rows and columns of `A` over their sums, between bounds; stopping early regularizes.

    With `subsets` the views of a `Radon` take turns, and so many fewer iterations do the same; never less than 15 views in one.

    Gilbert, J Theor Biol 36:105 (1972); Gregor & Benson, IEEE Trans Med Imaging 27:918 (2008).

    Raises
    ------
    ValueError
        if there is less than one iteration or subset, or the bounds are in the wrong order;
        when called, for complex spaces, or data not of the range of `A`.
    """

    iterations: int = 20
    subsets: int = 8
    lower: float = 0.0
    upper: float = math.inf

    def __post_init__(self) -> None:
        if self.iterations < 1 or self.subsets < 1:
            raise ValueError(f"Sirt takes iterations >= 1 and subsets >= 1, got {self.iterations} and {self.subsets}")
        if not self.lower <= self.upper:
            raise ValueError(f"Sirt takes lower <= upper, got {self.lower} and {self.upper}")

    def __call__(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        require_line_integrals(y, A, type(self).__name__)
        blocks = view_blocks(y, A, self.subsets)
        start = torch.zeros((*A.range.batch_shape(y), *A.domain.shape), dtype=y.dtype, device=y.device)
        states = sirt(blocks, Box(A.domain, self.lower, self.upper), start)
        return run(states, max_iterations=self.iterations).x
