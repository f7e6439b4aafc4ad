"""SENSE: least squares by conjugate gradients."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from medrecon.calibration import maps_error
from medrecon.functionals import LeastSquares
from medrecon.operators import Diagonal, LinearOperator
from medrecon.reconstructors.scaling import doubt, intensity, relative_noise
from medrecon.solvers import conjugate_gradient, run

__all__ = ["Sense"]


@dataclass(frozen=True)
class Sense:
    """`argmin |A x - y|^2 + weight * noise^2 |x|^2` by conjugate gradients from `A.H y`.

    `noise` is that of the scan over the intensity of its image, so that a `weight` of 1 is the maximum a posteriori estimate of an
    image of independent pixels of that intensity; 0 is plain least squares, which stopping early regularizes. As far as its coil
    maps are off, the scan is doubted (see `LeastSquares`), so that the image is never far from the zero-filled one for them.
    Pruessmann et al., Magn Reson Med 46:638 (2001).
    """

    weight: float = 3.0
    iterations: int = 20
    tolerance: float = 1e-4

    def __post_init__(self) -> None:
        if self.weight < 0:
            raise ValueError(f"Sense takes a weight of at least 0, got {self.weight}")

    def __call__(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        return self.solve(y, A, maps_error(y, A))

    def solve(self, y: Tensor, A: LinearOperator, misfit: Tensor) -> Tensor:
        """The image, where coil maps have the error `misfit`, of shape `batch`; of 0 they are taken for exact."""
        data = LeastSquares(A, y, doubt(y, A, misfit))
        normal, b = data.normal, data.backprojection
        if self.weight > 0:
            ridge = self.weight * relative_noise(y, A, intensity(b, A)).square()
            normal = normal + Diagonal(torch.as_tensor(A.domain.expand(ridge)), A.domain)
        states = conjugate_gradient(normal, b, b)
        return run(states, max_iterations=self.iterations, tolerance=self.tolerance).x
