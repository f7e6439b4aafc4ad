"""An operator that is a matrix, which knows no closed form and no bound of its norm: solvers must do without."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import Tensor

from medrecon.operators import LinearOperator
from medrecon.spaces import Space


@final
@dataclass(frozen=True, eq=False, repr=False)
class Matrix(LinearOperator):
    """`x -> matrix x`, for `matrix` of `(..., sample, x)`; `claimed_norm` is believed, true or not."""

    matrix: Tensor
    claimed_norm: float | None = None

    @property
    def domain(self) -> Space:
        return Space(("x",), (self.matrix.shape[-1],), self.matrix.is_complex())

    @property
    def range(self) -> Space:
        return Space(("sample",), (self.matrix.shape[-2],), self.matrix.is_complex())

    def _forward(self, x: Tensor) -> Tensor:
        return (self.matrix.to(x.dtype) @ x.unsqueeze(-1)).squeeze(-1)

    def _adjoint(self, y: Tensor) -> Tensor:
        return (self.matrix.mH.to(y.dtype) @ y.unsqueeze(-1)).squeeze(-1)

    def _norm_bound(self) -> float | None:
        return self.claimed_norm
