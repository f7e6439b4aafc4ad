"""The simultaneous iterative reconstruction technique, over all rays at once or subset after subset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from medrecon.functionals import Box, LeastSquares, Zero
from medrecon.operators.linear import LinearOperator
from medrecon.solvers.state import State, relative

__all__ = ["row_sums", "sirt"]

_EMPTY = 1e-6  # of the largest sum: a row or column below it has no entries but rounding


def sirt(blocks: Sequence[LeastSquares], g: Box | Zero, x: Tensor) -> Iterator[State]:
    """Step along the residuals, each ray and each pixel over the sum of its weights, one block of rays after the other.

        x <- prox_g(x + C A.H R (y - A x)),    R = 1 / A(1),    C = 1 / A.H(1)

    One block of all rays is SIRT, which minimizes `|y - A x|^2` weighted by `R`; blocks of few are SART and OS-SIRT, faster at
    first and then in a cycle about the minimizer. One state a pass over all blocks, its criterion `|x_k - x_{k-1}| / |x_k|`.

    Gilbert, J Theor Biol 36:105 (1972); Andersen & Kak, Ultrason Imaging 6:81 (1984); Gregor & Benson, IEEE Trans Med Imaging
    27:918 (2008).

    Raises
    ------
    ValueError
        if there is no block, or an operator has negative entries.
    """
    if not blocks:
        raise ValueError("sirt takes at least one block of data, got none")
    return _iterate([_Block.of(data) for data in blocks], g, x)


@dataclass(frozen=True)
class _Block:
    data: LeastSquares
    rows: Tensor
    columns: Tensor

    @classmethod
    def of(cls, data: LeastSquares) -> _Block:
        rows, columns = row_sums(data.A, data.y, "sirt"), row_sums(data.A.H, data.y, "sirt")
        return cls(data, _inverse(rows), _inverse(columns))

    def step(self, x: Tensor) -> Tensor:
        A, y = self.data.A, self.data.y
        return self.columns * A.H(self.rows * (y - A(x)))


def _iterate(blocks: Sequence[_Block], g: Box | Zero, x: Tensor) -> Iterator[State]:
    space = g.space
    while True:
        start = x
        for block in blocks:
            x = g.prox(x + block.step(x), 1.0)
        yield State(x, relative(space, space.norm(x - start), x))


def row_sums(A: LinearOperator, like: Tensor, who: str) -> Tensor:
    """`A(1)`, in the precision and on the device of `like`.

    Raises
    ------
    ValueError
        if one of them is negative: then `A` sums no lengths.
    """
    sums = A(torch.ones(A.domain.shape, dtype=like.dtype, device=like.device))
    least = float(sums.min())
    if least < -_EMPTY * float(sums.abs().max()):
        raise ValueError(
            f"{who} takes an operator without negative entries, such as Radon, got {type(A).__name__}, one of whose rows sums to "
            f"{least:.3g}"
        )
    return sums


def _inverse(sums: Tensor) -> Tensor:
    """`1 / sums`, and 0 where a row or a column is empty."""
    full = sums > _EMPTY * sums.max()
    return torch.where(full, 1 / torch.where(full, sums, 1.0), 0.0)
