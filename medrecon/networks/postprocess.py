"""A network after a classical reconstruction."""

from __future__ import annotations

from torch import Tensor, nn

from medrecon.networks.execution import in_full_precision
from medrecon.operators import LinearOperator
from medrecon.reconstructor import Reconstructor

__all__ = ["PostProcess"]


class PostProcess(nn.Module):
    """`network(initial(y, A))`: filtered backprojection, zero filling, SENSE or another image, and what a network makes of it.

    The network takes images to images, such as `NormalizedUNet`, or `Residual` of it to learn what is to be added. Fields follow
    the initial image: a `RootSumOfSquares` is real although the images of `A` are complex.
    Jin et al., IEEE Trans Image Process 26:4509 (2017).

    Parameters
    ----------
    initial
        any reconstructor, called as `initial(y, A)`.
    network
        a module from `(..., y, x)` to `(..., y, x)`.
    """

    def __init__(self, initial: Reconstructor, network: nn.Module) -> None:
        super().__init__()
        self.initial, self.network = initial, network

    def forward(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        image: Tensor = self.network(in_full_precision(self.initial, y, A))
        return image
