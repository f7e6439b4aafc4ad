"""Least squares with Tikhonov's regularization, by conjugate gradients."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from medrecon.calibration.sinogram_noise import log_noise
from medrecon.functionals import LeastSquares
from medrecon.operators import Diagonal, LinearOperator
from medrecon.reconstructors.scaling import image_scale, rays_per_pixel, require_line_integrals
from medrecon.solvers import conjugate_gradient, run

__all__ = ["Tikhonov"]


@dataclass(frozen=True)
class Tikhonov:
    """`argmin |A x - y|^2 + weight * unit * |x|^2` by conjugate gradients on the normal equations, from zero.

    `unit` is the variance of the noise of the line integrals, read from them, over the squared intensity of the image, times rays
    per pixel: one `weight` means about the same at every dose and number of views. Stopping early regularizes too, and alone with
    a weight of 0. Hestenes & Stiefel, J Res Natl Bur Stand 49:409 (1952).

    Raises
    ------
    ValueError
        if the weight is negative or there is less than one iteration;
        when called, for complex spaces, or data not of the range of `A`.
    """

    weight: float = 6.0
    iterations: int = 20
    tolerance: float = 1e-3

    def __post_init__(self) -> None:
        if not self.weight >= 0 or self.iterations < 1 or not self.tolerance >= 0:
            raise ValueError(
                f"Tikhonov takes a weight of at least 0, iterations >= 1 and tolerance >= 0, got {self.weight}, "
                f"{self.iterations} and {self.tolerance}"
            )

    def __call__(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        require_line_integrals(y, A, type(self).__name__)
        data = LeastSquares(A, y)
        b = data.backprojection
        normal = A.gram
        if self.weight > 0:
            ridge = self.weight * rays_per_pixel(A) * log_noise(y, A) / image_scale(b, A).square()
            normal = normal + Diagonal(torch.as_tensor(A.domain.expand(ridge)), A.domain)
        states = conjugate_gradient(normal, b, torch.zeros_like(b))
        return run(states, max_iterations=self.iterations, tolerance=self.tolerance).x
