"""The matrices of the ESPIRiT operator, one a pixel, and their leading eigenvectors."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Field", "leading_eigenpair", "leading_eigenpair_beside", "rest_bound", "waves"]


def waves(n: int, kernel: int, like: Tensor) -> Tensor:
    """Return `exp(2 pi i l x)` at the pixels `x = (j - n//2) / n`, as `(pixel, lag)`."""
    lags = torch.arange(-kernel, kernel, dtype=torch.float64, device=like.device)
    x = (torch.arange(n, dtype=torch.float64, device=like.device) - n // 2) / n
    phase = 2 * math.pi * x[:, None] * lags
    return torch.polar(torch.ones_like(phase), phase).to(like.dtype)


@dataclass(frozen=True)
class Field:
    """The matrices `G(r)` of a slice, from `lags` `(lag y, lag x, a, b)` and the waves of the rows and columns."""

    lags: Tensor
    rows: Tensor
    columns: Tensor

    def everywhere(self) -> Tensor:
        """Return `(y, x, a, b)`."""
        n, m, a, b = self.lags.shape
        half = (self.rows @ self.lags.reshape(n, -1)).reshape(-1, m, a * b)
        return (self.columns @ half).reshape(len(self.rows), len(self.columns), a, b)

    def at(self, y: Tensor, x: Tensor) -> Tensor:
        """Return `(pixel, a, b)` at the pixels `(y, x)`."""
        waves = self.rows[y][:, :, None] * self.columns[x][:, None, :]
        n, m, a, b = self.lags.shape
        return (waves.flatten(1) @ self.lags.reshape(n * m, a * b)).reshape(-1, a, b)


def leading_eigenpair(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """Return the leading eigenvectors `(..., n)` and eigenvalues `(...)` of positive semidefinite `(..., n, n)`.

    A hundred power iterations from the vector of ones, done as `G^64 G^32 G^4 1` by repeated squaring: in batches of
    small matrices far faster than a decomposition. Where two eigenvalues coincide to a percent the vector is a blend of
    both that varies smoothly over the image.
    """
    tiny = torch.finfo(matrices.dtype).tiny
    power = matrices
    vector = torch.ones_like(matrices[..., :1])
    for exponent in range(7):
        if exponent:
            trace = power.diagonal(dim1=-2, dim2=-1).real.sum(-1).clamp_min(tiny)
            power = power / trace[..., None, None]
            power = power @ power
        if exponent in (2, 5, 6):
            vector = power @ vector
            vector = vector / torch.linalg.vector_norm(vector, dim=-2, keepdim=True).clamp_min(tiny)
    value = torch.linalg.vecdot(vector, matrices @ vector, dim=-2).real
    return vector[..., 0], value[..., 0]


def rest_bound(matrices: Tensor, value: Tensor) -> Tensor:
    """Return what the second eigenvalue is at most, `sqrt(|G|^2 - value^2)`, for the largest one, `value`."""
    squares = torch.view_as_real(matrices).square().sum((-3, -2, -1))
    return (squares - value.square()).clamp_min(0).sqrt()


def leading_eigenpair_beside(matrices: Tensor, vector: Tensor) -> tuple[Tensor, Tensor]:
    """Return the leading eigenpair of `P G P`, with `P` the projection that takes the unit `vector` `(..., n)` away.

    Beside the first eigenvector that is the second; beside a blend of two whose eigenvalues coincide, the rest of their plane.
    """
    without = torch.eye(vector.shape[-1], dtype=vector.dtype, device=vector.device)
    without = without - vector[..., :, None] * vector[..., None, :].conj()
    return leading_eigenpair(without @ matrices @ without)
