"""Total variation of an image without negative values: for line integrals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from medrecon.calibration.sinogram_noise import log_noise
from medrecon.functionals import Box, GroupL1
from medrecon.operators import Gradient, LinearOperator
from medrecon.reconstructors.scaling import projection_unit, require_line_integrals
from medrecon.reconstructors.subsets import view_blocks
from medrecon.solvers import State, ordered_subsets, run

__all__ = ["NonnegativeTotalVariation"]


@dataclass(frozen=True)
class NonnegativeTotalVariation:
    """`argmin |A x - y|^2 / 2 + weight * unit * TV(x)` over `x >= 0`, isotropic, by accelerated proximal gradients from zero.

    `unit` is the variance of the noise of the line integrals, read from them, times `projection_unit`: one `weight` means the
    same at every dose and number of views. `A` has no negative entries. The first half of the iterations takes the views of a
    `Radon` in `subsets`, and the second all at once, so that many iterations come to the minimizer.

    Sidky & Pan, Phys Med Biol 53:4777 (2008); Kim, Ramani & Fessler, IEEE Trans Med Imaging 34:167 (2015).

    Raises
    ------
    ValueError
        if the weight or tolerance is negative, or there is less than one iteration or subset;
        when called, for complex spaces, or data not of the range of `A`.
    """

    weight: float = 4.5
    iterations: int = 20
    tolerance: float = 0.0
    subsets: int = 8

    def __post_init__(self) -> None:
        require_settings(type(self).__name__, self.weight, self.iterations, self.tolerance, self.subsets)

    def __call__(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        require_line_integrals(y, A, type(self).__name__)
        b = A.H(y)
        weight = self.weight * log_noise(y, A) * projection_unit(A, b)
        states = self._states(y, A, torch.zeros_like(b), weight)
        return run(states, max_iterations=self.iterations, tolerance=self.tolerance).x

    def _states(self, y: Tensor, A: LinearOperator, x: Tensor, weight: Tensor) -> Iterator[State]:
        for state in total_variation(y, A, x, weight, subsets=self.subsets, iterations=self.iterations // 2):
            x = state.x
            yield state
        yield from total_variation(y, A, x, weight, subsets=1, iterations=self.iterations)


def total_variation(
    y: Tensor,
    A: LinearOperator,
    x: Tensor,
    weight: Tensor,
    *,
    subsets: int,
    iterations: int,
    weights: Tensor | None = None,
) -> Iterator[State]:
    """So many passes of `ordered_subsets` for `<w (A x - y), A x - y> / 2 + weight * TV(x)` over `x >= 0`, from `x`."""
    D = Gradient(A.domain)
    g, f = Box(A.domain, 0.0, torch.inf), GroupL1(D.range, weight)
    return islice(ordered_subsets(view_blocks(y, A, subsets, weights), g, f, D, x), iterations)


def require_settings(who: str, weight: float, iterations: int, tolerance: float, subsets: int) -> None:
    """Refuse settings that cannot be.

    Raises
    ------
    ValueError
        saying which.
    """
    if not weight >= 0 or not tolerance >= 0:
        raise ValueError(f"{who} takes a weight and a tolerance of at least 0, got {weight} and {tolerance}")
    if iterations < 1 or subsets < 1:
        raise ValueError(f"{who} takes iterations >= 1 and subsets >= 1, got {iterations} and {subsets}")
