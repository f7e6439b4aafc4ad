"""The matrices of the ESPIRiT operator, one a pixel, and their leading eigenvectors."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Field", "leading_eigenpair", "leading_eigenpair_beside", "rest_bound", "waves"]

_MANY = 24  # coils, above which eigenvectors are found in few dimensions first,
_FEW = 16  # so many,
_REFINED = 2  # and then refined so often in all


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
    if matrices.shape[-1] > _MANY and len(matrices):
        return _leading_eigenpair_of_many(matrices)
    tiny = torch.finfo(matrices.dtype).tiny
    power = matrices
    vector = torch.ones_like(matrices[..., :1])
    for exponent in range(7):
        if exponent:
            trace = power.diagonal(dim1=-2, dim2=-1).real.sum(-1).clamp_min(tiny)
            power = power / trace[..., None, None]
            power = power @ power
        if exponent in (2, 5, 6):
            vector = _unit(power @ vector)
    value = torch.linalg.vecdot(vector, matrices @ vector, dim=-2).real
    return vector[..., 0], value[..., 0]


def _leading_eigenpair_of_many(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """The same of large matrices: in the few dimensions that hold most of their mean, then some power iterations in all of them.

    Squaring costs the third power of the coils, a power iteration the second. What the few dimensions lack of an eigenvector falls
    in each iteration by the ratio of the second eigenvalue to the first.
    """
    n = matrices.shape[-1]
    flat = matrices.reshape(-1, n, n)
    some = flat[:: max(1, len(flat) // 256)]
    basis = torch.linalg.eigh(some.mean(0).to(torch.complex128)).eigenvectors[:, -_FEW:].to(flat)
    seen = flat @ basis
    vector = _unit(seen @ leading_eigenpair(basis.mH @ seen)[0][..., None])
    for _ in range(_REFINED):
        vector = _unit(flat @ vector)
    value = torch.linalg.vecdot(vector, flat @ vector, dim=-2).real
    return vector.reshape(matrices.shape[:-1]), value.reshape(matrices.shape[:-2])


def _unit(vectors: Tensor) -> Tensor:
    length = torch.linalg.vector_norm(vectors, dim=-2, keepdim=True)
    unit: Tensor = vectors / length.clamp_min(torch.finfo(length.dtype).tiny)
    return unit


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
