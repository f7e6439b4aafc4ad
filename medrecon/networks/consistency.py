"""Data consistency: layers `(x, y, A) -> x` that bring an image nearer to the measurements."""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor, nn

from medrecon.networks.implicit import ConjugateGradients, regularized_inverse
from medrecon.networks.scaling import norm
from medrecon.operators import LinearOperator
from medrecon.reconstructor import Reconstructor

__all__ = ["Consistent", "GradientStep", "Layer", "ProximalStep", "ReplaceMeasured"]

_ROUNDING = 1e-3  # by which the norm of an operator may exceed 1


class Layer(Protocol):
    """What brings `x` nearer to `y = A x`."""

    def __call__(self, x: Tensor, y: Tensor, A: LinearOperator, /) -> Tensor: ...


class GradientStep(nn.Module):
    """`x - step A.H (A x - y) / |A|^2`, with a `step` that is learned."""

    def __init__(self, step: float = 1.0) -> None:
        super().__init__()
        self.step = nn.Parameter(torch.tensor([step]))

    def forward(self, x: Tensor, y: Tensor, A: LinearOperator, /) -> Tensor:
        return x - self.step * gradient(x, A.H(y), A) / norm(A, y.device) ** 2


class ProximalStep(nn.Module):
    """`(A.H A + mu)^-1 (A.H y + mu x)` with `mu = weight |A|^2`: the exact minimizer of `|A u - y|^2 + mu |u - x|^2`.

    The logarithm of the weight is learned, so that it stays above 0. See `regularized_inverse` for how gradients flow.
    Aggarwal et al., MoDL, IEEE Trans Med Imaging 38:394 (2019).
    """

    def __init__(self, weight: float = 0.05, solver: ConjugateGradients | None = None) -> None:
        super().__init__()
        if weight <= 0:
            raise ValueError(f"ProximalStep takes a weight above 0, got {weight}")
        self.log_weight = nn.Parameter(torch.tensor(math.log(weight)))
        self.solver = ConjugateGradients() if solver is None else solver

    def forward(self, x: Tensor, y: Tensor, A: LinearOperator, /) -> Tensor:
        return self.solve(x, A.H(y), A)

    def solve(self, x: Tensor, b: Tensor, A: LinearOperator) -> Tensor:
        """The step where `b = A.H y` is known."""
        weight = self.log_weight.exp() * norm(A, x.device) ** 2
        return regularized_inverse(b, x, weight, A, self.solver)


class ReplaceMeasured(nn.Module):
    """`x + A.H (y - A x)`: measured k-space takes the place of the network's.

    For a masked Fourier transform, of an image or of coil images, that is the hard replacement, as `A A.H` is the mask.
    For SENSE it is the combination by the maps of the coil images in which measured samples were replaced. Those of the image that
    results differ from the measured ones again, as coil images of one image cannot be chosen freely: `ProximalStep` with a small
    weight comes nearer.

    Raises
    ------
    ValueError
        when called, for an operator of a norm above 1, such as a Radon transform: there is nothing that could be replaced.
    """

    def forward(self, x: Tensor, y: Tensor, A: LinearOperator, /) -> Tensor:
        if norm(A, y.device) > 1 + _ROUNDING:
            raise ValueError(
                f"ReplaceMeasured takes an operator of a norm of at most 1 (masked Fourier transforms, SENSE with maps of unit "
                f"root sum of squares), got one of {norm(A, y.device):.4g}; take GradientStep or ProximalStep"
            )
        return x - gradient(x, A.H(y), A)


class Consistent(nn.Module):
    """A reconstruction and a data-consistency layer after it: `layer(reconstruct(y, A), y, A)`.

    >>> from medrecon.networks import NormalizedUNet, PostProcess, Residual, UNet
    >>> from medrecon.reconstructors import ZeroFilled
    >>> network = Consistent(PostProcess(ZeroFilled(), Residual(NormalizedUNet(UNet(2, 2, 8), change=True))), ProximalStep())
    """

    def __init__(self, reconstruct: Reconstructor, layer: Layer) -> None:
        super().__init__()
        self.reconstruct, self.layer = reconstruct, layer

    def forward(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        return self.layer(self.reconstruct(y, A), y, A)


def gradient(x: Tensor, b: Tensor, A: LinearOperator) -> Tensor:
    """`A.H (A x - y)` for `b = A.H y`, by the gram, which may be cheaper than its factors."""
    return A.gram(x) - b
