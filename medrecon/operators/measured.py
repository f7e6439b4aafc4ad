"""Coil images that agree with the measurements, of an image that need not."""

from __future__ import annotations

from torch import Tensor

from medrecon.operators.coils import CoilMaps
from medrecon.operators.fourier import Fourier
from medrecon.operators.linear import LinearOperator, find
from medrecon.operators.sampling import Mask
from medrecon.spaces import root_sum_of_squares

__all__ = ["measured_root_sum_of_squares"]


def measured_root_sum_of_squares(x: Tensor, y: Tensor, A: LinearOperator) -> Tensor:
    """The root sum of squares of the coil images `S x + F.H M (y - A x)`, for the SENSE operator `A = M F S`.

    In k-space every sample that was measured is the measured one, noise included, and the others are those of `x`. This is what a
    target made by the root sum of squares of a full scan is to be compared with: an image combined by maps lacks its noise floor.

    Parameters
    ----------
    x
        complex `(..., y, x)`.
    y
        multi-coil k-space of the range of `A`.

    Returns
    -------
    Tensor
        real `(..., y, x)`.

    Raises
    ------
    ValueError
        if `A` has not one `Mask`, one `Fourier` and one `CoilMaps`.
    """
    who = "measured_root_sum_of_squares"
    mask, fourier, coils = find(A, Mask, who), find(A, Fourier, who), find(A, CoilMaps, who)
    images = coils(x) + (mask @ fourier).H(y - A(x))
    return root_sum_of_squares(images, coils.range.dim("coil"))
