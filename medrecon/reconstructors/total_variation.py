"""Compressed sensing with a sparse gradient."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from medrecon.functionals import GroupL1, LeastSquares
from medrecon.operators import Gradient, LinearOperator
from medrecon.reconstructors.scaling import sparsity_unit
from medrecon.solvers import admm, run

__all__ = ["TotalVariation"]


@dataclass(frozen=True)
class TotalVariation:
    """`argmin |A x - y|^2 / 2 + weight * unit * TV(x)`, isotropic, by ADMM.

    `unit` is `sparsity_unit`: one `weight` means the same on every scan.

    Rudin, Osher & Fatemi, Physica D 60:259 (1992); Block, Uecker & Frahm, Magn Reson Med 57:1086 (2007).
    """

    weight: float = 0.0008
    iterations: int = 30
    tolerance: float = 0.0
    rho: float = 0.02
    inner_iterations: int = 4

    def __post_init__(self) -> None:
        if self.weight < 0:
            raise ValueError(f"TotalVariation takes a weight of at least 0, got {self.weight}")

    def __call__(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        data = LeastSquares(A, y)
        D = Gradient(A.domain)
        g = GroupL1(D.range, self.weight * sparsity_unit(y, A, data.backprojection))
        states = admm(data, g, D, data.backprojection, rho=self.rho, inner_iterations=self.inner_iterations)
        return run(states, max_iterations=self.iterations, tolerance=self.tolerance).x
