"""Reconstructions in one step: zero filling, and the root sum of squares of the coil images."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile

from torch import Tensor

from medrecon.operators import Fourier, LinearOperator, factor_of
from medrecon.spaces import root_sum_of_squares

__all__ = ["RootSumOfSquares", "ZeroFilled"]


@dataclass(frozen=True)
class ZeroFilled:
    """The adjoint `A.H y`: what was not measured is taken as zero, and coils are combined by their maps."""

    def __call__(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        return A.H(y)


@dataclass(frozen=True)
class RootSumOfSquares:
    """The root sum of squares over the coils of the zero-filled coil images; real `(..., y, x)`. It uses no coil maps.

    Roemer et al., Magn Reson Med 16:192 (1990).

    Raises
    ------
    ValueError
        for an operator without a Fourier transform of coil images.
    """

    def __call__(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        fourier = factor_of(A, Fourier, "RootSumOfSquares")
        if "coil" not in fourier.domain.axes:
            raise ValueError(f"RootSumOfSquares takes multi-coil k-space, got {A.range}")
        images = fourier.H(y)
        inner = A.factors[A.factors.index(fourier) + 1 :]
        for factor in takewhile(
            lambda factor: "coil" in factor.domain.axes, inner
        ):  # such as a finer grid of coil images
            images = factor.H(images)
        return root_sum_of_squares(images, fourier.domain.dim("coil"))
