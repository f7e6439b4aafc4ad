"""From an image to coil images that agree with the measurements."""

from __future__ import annotations

from torch import Tensor, nn

from medrecon.calibration import measured_root_sum_of_squares, measurement_noise
from medrecon.operators import LinearOperator
from medrecon.reconstructor import Reconstructor

__all__ = ["MeasuredRootSumOfSquares"]


class MeasuredRootSumOfSquares(nn.Module):
    """`measured_root_sum_of_squares` of what `reconstruct` gives: real `(..., y, x)`, in which nothing measured was changed.

    The end of the end-to-end VarNet, for a network on the SENSE operator. With `noise_floor` the samples that were not measured
    have the noise of those that were: what to expect of the root sum of squares of a full scan.

    Raises
    ------
    ValueError
        when called, for an operator that is not `sense(...)`, or a `y` not of its range.
    """

    def __init__(self, reconstruct: Reconstructor, *, noise_floor: bool = False) -> None:
        super().__init__()
        self.reconstruct, self.noise_floor = reconstruct, noise_floor

    def forward(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        A.range.require(y, type(self).__name__)
        return self.combined(self.reconstruct(y, A), y, A)

    def combined(self, x: Tensor, y: Tensor, A: LinearOperator) -> Tensor:
        """The image that comes of what `reconstruct` gave, complex `(..., y, x)`: real `(..., y, x)`."""
        noise = measurement_noise(y, A) if self.noise_floor else None
        return measured_root_sum_of_squares(x, y, A, noise)
