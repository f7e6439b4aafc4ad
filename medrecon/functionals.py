"""Functionals: smooth ones with a gradient, and those with a proximal map.

Values, weights and steps are per batch element: a number, or a tensor of shape `batch`.

Parikh & Boyd, Proximal Algorithms, Found Trends Optim 1:127 (2014).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, final

import torch
from torch import Tensor

from medrecon.operators.diagonal import Diagonal
from medrecon.operators.linear import LinearOperator
from medrecon.operators.norm import operator_norm
from medrecon.spaces import Space

__all__ = [
    "L1",
    "Box",
    "GroupL1",
    "LeastSquares",
    "Proximable",
    "Smooth",
    "SquaredDistance",
    "UnitaryPrecomposition",
    "Zero",
    "conjugate",
]

Scalar = Tensor | float


class Smooth(Protocol):
    """A differentiable functional with a Lipschitz gradient."""

    @property
    def space(self) -> Space: ...
    @property
    def lipschitz(self) -> float: ...
    def __call__(self, x: Tensor, /) -> Tensor: ...
    def gradient(self, x: Tensor, /) -> Tensor: ...


class Proximable(Protocol):
    """A convex functional `f` with `prox(x, step) = argmin_z f(z) + |z - x|^2 / (2 step)`."""

    @property
    def space(self) -> Space: ...
    def prox(self, x: Tensor, step: Scalar, /) -> Tensor: ...


@final
@dataclass(frozen=True, eq=False)
class LeastSquares:
    """`|A x - y|^2 / 2`, or `(1 - d) |A x - y|^2 / 2 + d L |x - A.H y / L|^2 / 2` with a `doubt` d in `A`, of shape `batch`.

    `L` is the Lipschitz constant of the gradient, with any doubt. The normal operator lies between `A.H A`, that of a scan which
    `A` explains, and `L`, whose solution is the backprojection.

    Raises
    ------
    ValueError
        if `y` is not of the range of `A`.
    """

    A: LinearOperator
    y: Tensor
    doubt: Tensor | None = None

    def __post_init__(self) -> None:
        self.A.range.require(self.y, "LeastSquares")

    @property
    def space(self) -> Space:
        return self.A.domain

    @cached_property
    def backprojection(self) -> Tensor:
        """`A.H y`."""
        return self.A.H(self.y)

    @cached_property
    def lipschitz(self) -> float:
        """The squared norm of `A`: its bound where its factors know one, else by power iteration, 1 % up for safety."""
        bound = self.A.norm_bound
        return 1.01 * operator_norm(self.A, device=self.y.device) ** 2 if bound is None else bound**2

    @cached_property
    def normal(self) -> LinearOperator:
        """The operator of the gradient, `normal(x) - A.H y`: `A.H A`, or `(1 - d) A.H A + d L`."""
        if self.doubt is None:
            return self.A.gram
        scales = (1 - self.doubt, self.lipschitz * self.doubt)
        own, other = (Diagonal(torch.as_tensor(self.space.expand(scale)), self.space) for scale in scales)
        return own @ self.A.gram + other

    def __call__(self, x: Tensor, /) -> Tensor:
        value = 0.5 * self.A.range.norm(self.A(x) - self.y) ** 2
        if self.doubt is None:
            return value
        away = 0.5 * self.lipschitz * self.space.norm(x - self.backprojection / self.lipschitz) ** 2
        return (1 - self.doubt) * value + self.doubt * away

    def gradient(self, x: Tensor, /) -> Tensor:
        return self.normal(x).sub(self.backprojection)


@final
@dataclass(frozen=True, eq=False)
class Zero:
    """`0`; its proximal map is the identity."""

    space: Space

    def __call__(self, x: Tensor, /) -> Tensor:
        return x.new_zeros(self.space.batch_shape(x), dtype=x.dtype.to_real())

    def prox(self, x: Tensor, step: Scalar, /) -> Tensor:
        del step
        return x


@final
@dataclass(frozen=True, eq=False)
class L1:
    """`weight * sum |x|`, with soft thresholding of the modulus as its proximal map."""

    space: Space
    weight: Scalar

    def __call__(self, x: Tensor, /) -> Tensor:
        return self.weight * x.abs().sum(self.space.dims)

    def prox(self, x: Tensor, step: Scalar, /) -> Tensor:
        return x * _shrinkage(_modulus((x,)), self.space.expand(self.weight * step))

    def project(self, x: Tensor, /) -> Tensor:
        """The nearest point of which no element exceeds `weight`: the proximal map of the conjugate, whatever the step."""
        return x * _bound(_modulus((x,)), self.space.expand(self.weight))


@final
@dataclass(frozen=True, eq=False)
class GroupL1:
    """`weight * sum sqrt(sum_axis |x|^2)`: the norm of isotropic total variation on a gradient field."""

    space: Space
    weight: Scalar
    axis: str = "direction"

    def _modulus(self, x: Tensor) -> Tensor:
        axis = self.space.dim(self.axis)
        return _modulus(x.unbind(axis)).unsqueeze(axis)

    def __call__(self, x: Tensor, /) -> Tensor:
        return self.weight * self._modulus(x).sum(self.space.dims)

    def prox(self, x: Tensor, step: Scalar, /) -> Tensor:
        return x * _shrinkage(self._modulus(x), self.space.expand(self.weight * step))

    def project(self, x: Tensor, /) -> Tensor:
        """The nearest point of which no group exceeds `weight`: the proximal map of the conjugate, whatever the step."""
        return x * _bound(self._modulus(x), self.space.expand(self.weight))


def _modulus(components: tuple[Tensor, ...]) -> Tensor:
    """`sqrt(sum |x|^2)` over the components, with a gradient of 0 at 0."""
    if torch.is_grad_enabled() and components[0].requires_grad:
        return torch.linalg.vector_norm(torch.stack(components), dim=0)  # type: ignore[no-any-return]
    parts = [part for x in components for part in ((x.real, x.imag) if x.is_complex() else (x,))]
    squares = parts[0].square()
    for part in parts[1:]:
        squares.addcmul_(part, part)
    return squares.sqrt_()


def _shrinkage(modulus: Tensor, threshold: Scalar) -> Tensor:
    """`max(modulus - threshold, 0) / modulus`, and 0 at 0."""
    return (modulus - threshold).clamp_min(0) / modulus.clamp_min(torch.finfo(modulus.dtype).tiny)


def _bound(modulus: Tensor, most: Scalar) -> Tensor:
    """`min(1, most / modulus)`, and 0 at 0 where `most` is 0."""
    limit = torch.as_tensor(most, dtype=modulus.dtype, device=modulus.device)
    return limit / torch.maximum(modulus, limit).clamp_min(torch.finfo(modulus.dtype).tiny)


@final
@dataclass(frozen=True, eq=False)
class Box:
    """`0` where `lower <= x <= upper` everywhere, infinite elsewhere; of real spaces."""

    space: Space
    lower: float
    upper: float

    def __post_init__(self) -> None:
        if self.space.is_complex or not self.lower <= self.upper:
            raise ValueError(f"Box takes a real space and lower <= upper, got {self.space}, {self.lower}, {self.upper}")

    def __call__(self, x: Tensor, /) -> Tensor:
        inside = ((x >= self.lower) & (x <= self.upper)).flatten(-self.space.ndim).all(-1)
        return torch.where(inside, 0.0, torch.inf).to(x.dtype)

    def prox(self, x: Tensor, step: Scalar, /) -> Tensor:
        del step
        return x.clamp(self.lower, self.upper)


@final
@dataclass(frozen=True, eq=False)
class SquaredDistance:
    """`weight * |x - center|^2 / 2`."""

    space: Space
    center: Tensor
    weight: Scalar = 1.0

    def __post_init__(self) -> None:
        self.space.require(self.center, "SquaredDistance")

    def __call__(self, x: Tensor, /) -> Tensor:
        return 0.5 * self.weight * self.space.norm(x - self.center) ** 2

    def prox(self, x: Tensor, step: Scalar, /) -> Tensor:
        pull = self.space.expand(self.weight * step)
        return (x + pull * self.center) / (1 + pull)


@final
@dataclass(frozen=True, eq=False)
class UnitaryPrecomposition:
    """The functional `x -> f(U x)` of a unitary operator `U`, such as a wavelet transform: its proximal map is `U.H prox_f U`.

    That holds where `U.H U = U U.H = 1`, which is not checked.

    Raises
    ------
    ValueError
        if `f` is not a functional of the range of `U`.
    """

    f: Proximable
    U: LinearOperator

    def __post_init__(self) -> None:
        if self.f.space != self.U.range:
            raise ValueError(
                f"UnitaryPrecomposition takes a functional of the range of U, {self.U.range}, got one of {self.f.space}"
            )

    @property
    def space(self) -> Space:
        return self.U.domain

    def prox(self, x: Tensor, step: Scalar, /) -> Tensor:
        return self.U.H(self.f.prox(self.U(x), step))


@final
@dataclass(frozen=True, eq=False)
class _Conjugate:
    f: Proximable

    @property
    def space(self) -> Space:
        return self.f.space

    def prox(self, x: Tensor, step: Scalar, /) -> Tensor:
        scale = self.space.expand(step)
        return x - scale * self.f.prox(x / scale, 1 / step)


@final
@dataclass(frozen=True, eq=False)
class _DualBall:
    """The conjugate of a norm: 0 where the dual norm is at most its weight, infinite elsewhere."""

    f: L1 | GroupL1

    @property
    def space(self) -> Space:
        return self.f.space

    def prox(self, x: Tensor, step: Scalar, /) -> Tensor:
        del step
        return self.f.project(x)


def conjugate(f: Proximable) -> Proximable:
    """The convex conjugate `f*`, with its proximal map by Moreau's identity `x = prox_sf*(x) + s prox_f/s(x / s)`.

    That of the conjugate of a norm is a projection, the same for steps of any size.
    """
    if isinstance(f, _Conjugate | _DualBall):
        return f.f
    return _DualBall(f) if isinstance(f, L1 | GroupL1) else _Conjugate(f)
