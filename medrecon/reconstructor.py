"""What every reconstruction is, classical and learned alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from medrecon.operators import LinearOperator

__all__ = ["Reconstructor"]


class Reconstructor(Protocol):
    """`x = reconstruct(y, A)`: measurements of the range of `A` to an image of its domain, over any leading batch axes."""

    def __call__(self, y: Tensor, A: LinearOperator, /) -> Tensor: ...
