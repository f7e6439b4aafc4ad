"""Compressed sensing with a sparse gradient."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from medrecon.calibration import maps_error
from medrecon.functionals import GroupL1, LeastSquares
from medrecon.operators import Gradient, LinearOperator
from medrecon.reconstructors.scaling import doubt, sparsity_unit
from medrecon.solvers import admm, run

__all__ = ["TotalVariation"]

_LEAST = 1e-4  # the weight of which the penalty is that of smaller ones: with none it would be zero


@dataclass(frozen=True)
class TotalVariation:
    """`argmin |A x - y|^2 / 2 + weight * unit * TV(x)`, isotropic, by ADMM.

    `unit` is `sparsity_unit`: one `weight` means the same on every scan. So does `threshold`: an iteration of ADMM sets gradients
    below `threshold * unit` to zero. Its penalty is the ratio of the two; any gives the same minimum, sooner or later.
    As far as its coil maps are off, the scan is doubted (see `LeastSquares`).

    Rudin, Osher & Fatemi, Physica D 60:259 (1992); Block, Uecker & Frahm, Magn Reson Med 57:1086 (2007).
    """

    weight: float = 0.0012
    iterations: int = 20
    tolerance: float = 0.0
    threshold: float = 0.1
    inner_iterations: int = 10

    def __post_init__(self) -> None:
        if self.weight < 0:
            raise ValueError(f"TotalVariation takes a weight of at least 0, got {self.weight}")
        if not self.threshold > 0:
            raise ValueError(f"TotalVariation takes a threshold above 0, got {self.threshold}")

    def __call__(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        misfit = maps_error(y, A)
        data = LeastSquares(A, y, doubt(y, A, misfit))
        D = Gradient(A.domain)
        g = GroupL1(D.range, self.weight * sparsity_unit(y, A, data.backprojection, misfit))
        rho = max(self.weight, _LEAST) / self.threshold
        states = admm(data, g, D, data.backprojection, rho=rho, inner_iterations=self.inner_iterations)
        return run(states, max_iterations=self.iterations, tolerance=self.tolerance).x
