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

_MOST, _NOISY = (
    4.0,
    0.085,
)  # by how much noise raises the weight at most, and the relative noise at which it does by half of it


@dataclass(frozen=True)
class Sense:
    """`argmin |A x - y|^2 + ridge |x - A.H y|^2` with `ridge = weight sets noise^2 (1 + 4 noise^2 / (noise^2 + 0.085^2))`.

    By conjugate gradients. `noise` is that of the scan over the intensity of its image, and `sets` the number of sets of coil maps.
    The image is drawn to the zero-filled one where measurements say little, and not to zero, which would darken it; a `weight` of
    0 is plain least squares, which stopping early regularizes. As far as its coil maps are off, the scan is doubted (see
    `LeastSquares`).
    The ridge was fitted on simulated scans of heads in 4 to 16 coils, of signal-to-noise ratios from 15 to 100.
    Pruessmann et al., Magn Reson Med 46:638 (2001).
    """

    weight: float = 3.0
    iterations: int = 20
    tolerance: float = 1e-4

    def __post_init__(self) -> None:
        if self.weight < 0:
            raise ValueError(f"Sense takes a weight of at least 0, got {self.weight}")

    def __call__(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        data = LeastSquares(A, y, doubt(y, A, maps_error(y, A)))
        noise = relative_noise(y, A, intensity(data.backprojection, A)).square()
        sets = A.domain.shape[A.domain.dim("set")] if "set" in A.domain.axes else 1
        ridge = self.weight * sets * noise * (1 + _MOST * noise / (noise + _NOISY**2))
        return self._minimum(data, ridge, data.backprojection * (1 + A.domain.expand(ridge)))

    def plain(self, y: Tensor, A: LinearOperator) -> Tensor:
        """`argmin |A x - y|^2 + weight noise^2 |x|^2`, coil maps taken for exact: what networks learned from."""
        data = LeastSquares(A, y)
        ridge = self.weight * relative_noise(y, A, intensity(data.backprojection, A)).square()
        return self._minimum(data, ridge, data.backprojection)

    def _minimum(self, data: LeastSquares, ridge: Tensor, b: Tensor) -> Tensor:
        """The solution of `(normal + ridge) x = b`, from the backprojection."""
        normal, space = data.normal, data.space
        if self.weight > 0:
            normal = normal + Diagonal(torch.as_tensor(space.expand(ridge)), space)
        states = conjugate_gradient(normal, b, data.backprojection)
        return run(states, max_iterations=self.iterations, tolerance=self.tolerance).x
