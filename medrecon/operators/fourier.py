"""The unitary, centered discrete Fourier transform, and the convolutions that are diagonal under it.

A centered transform is `shift . DFT . unshift`. Instead of moving data, `Fourier` is written `phase_k . DFT . phase_x`: by the
shift theorem an index shift on one side is a phase on the other, and for even sizes the phases are signs. In a composition they are
merged into the mask and the coil maps. A gram needs none: a convolution commutes with shifts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import final

import torch
from torch import Tensor

from medrecon.operators.diagonal import Diagonal
from medrecon.operators.linear import Identity, LinearOperator
from medrecon.operators.sampling import Mask
from medrecon.spaces import Space

__all__ = ["Convolution", "Fourier"]


@final
@dataclass(frozen=True, eq=False, repr=False)
class Fourier(LinearOperator):
    """`X[k] = (1 / sqrt N) sum_n x[n] exp(-2 pi i (k - N // 2)(n - N // 2) / N)` along the named axes.

    Unitary, with the zero frequency and the origin at index `N // 2`; an axis `x` becomes `kx`. Equal to
    `fftshift(fftn(ifftshift(x), norm="ortho"))`, without the copies. By default all of `z`, `y`, `x` that the domain has.

    >>> from medrecon.spaces import image_space
    >>> print(Fourier(image_space((6, 5))).range)
    (..., ky=6, kx=5) complex
    """

    space: Space
    axes: tuple[str, ...] = ("z", "y", "x")

    def __post_init__(self) -> None:
        axes = tuple(axis for axis in self.space.axes if axis in self.axes)
        if not axes or not self.space.is_complex or not set(self.axes) <= {"z", "y", "x"}:
            raise ValueError(
                f"Fourier takes a complex space and some of its axes z, y, x to transform, got {self.space} and {self.axes}"
            )
        object.__setattr__(self, "axes", axes)

    @property
    def domain(self) -> Space:
        return self.space

    @property
    def range(self) -> Space:
        names = tuple(f"k{axis}" if axis in self.axes else axis for axis in self.domain.axes)
        return Space(names, self.domain.shape, is_complex=True)

    @property
    def _dims(self) -> tuple[int, ...]:
        return tuple(self.domain.dim(axis) for axis in self.axes)

    @cached_property
    def _phases(self) -> Diagonal:
        with torch.inference_mode(False):
            return Diagonal(_centring(self.domain, self._dims), self.domain)

    @cached_property
    def _k_phases(self) -> Diagonal:
        return Diagonal(self._phases.values, self.range)

    def _forward(self, x: Tensor) -> Tensor:
        k: Tensor = torch.fft.fftn(self._phases._forward(x), dim=self._dims, norm="ortho")
        return k.mul_(self._k_phases._like(k, conjugate=False))

    def _adjoint(self, y: Tensor) -> Tensor:
        x: Tensor = torch.fft.ifftn(self._k_phases._adjoint(y), dim=self._dims, norm="ortho")
        return x.mul_(self._phases._like(x, conjugate=self._phases.values.is_complex()))

    def _parts(self) -> tuple[LinearOperator, ...]:
        return self._k_phases, _Dft(self), self._phases

    def _gram(self) -> LinearOperator:
        return Identity(self.domain)

    def _congruence(self, inner: LinearOperator) -> LinearOperator:
        if isinstance(inner, Mask) and inner.varying_dims <= set(self._dims):
            return Convolution.of_mask(inner, self.domain)
        return super()._congruence(inner)

    def _norm_bound(self) -> float | None:
        return 1.0


def _centring(space: Space, dims: tuple[int, ...]) -> Tensor:
    """The diagonal `d` with `centered DFT = d . DFT . d`, real where every size allows it.

    With c = N // 2: `(k - c)(n - c) = kn - ck - cn + c^2`, so that `d[n] = exp(2 pi i c (n - c / 2) / N)` an axis.
    """
    phases = torch.ones((), dtype=torch.complex128)
    for dim in dims:
        size = space.shape[dim]
        phases = phases * _axis_phases(size).reshape((size,) + (1,) * (-dim - 1))
    if bool((phases.imag == 0).all()):
        return phases.real.clone()
    return phases


@lru_cache(maxsize=64)
def _axis_phases(size: int) -> Tensor:
    center = size // 2
    n = torch.arange(size, dtype=torch.float64)
    # Reduced modulo one turn in integers (twice the exponent), so that even sizes give exact quarter turns.
    turns = (2 * center * n - center * center) % (2 * size) / (2 * size)
    return _exact_cis(turns)


def _exact_cis(turns: Tensor) -> Tensor:
    """`exp(2 pi i turns)`, exact at quarter turns."""
    quarters = 4 * turns
    exact = torch.tensor([1, 1j, -1, -1j], dtype=torch.complex128)[quarters.round().long() % 4]
    return torch.where(quarters == quarters.round(), exact, torch.polar(torch.ones_like(turns), 2 * math.pi * turns))


@final
@dataclass(frozen=True, eq=False, repr=False)
class _Dft(LinearOperator):
    """The same transform with its origin at index 0."""

    centered: Fourier

    @property
    def domain(self) -> Space:
        return self.centered.domain

    @property
    def range(self) -> Space:
        return self.centered.range

    def _forward(self, x: Tensor) -> Tensor:
        k: Tensor = torch.fft.fftn(x, dim=self.centered._dims, norm="ortho")
        return k

    def _adjoint(self, y: Tensor) -> Tensor:
        x: Tensor = torch.fft.ifftn(y, dim=self.centered._dims, norm="ortho")
        return x


@final
@dataclass(frozen=True, eq=False, repr=False)
class Convolution(LinearOperator):
    """`F.H . diag(multiplier) . F` for a real multiplier in FFT order (zero frequency first), of size 1 where it does not vary.

    The gram of a masked Fourier transform. An axis on which the multiplier does not vary is not transformed.
    """

    multiplier: Tensor
    space: Space

    def __post_init__(self) -> None:
        trailing = self.multiplier.shape[self.multiplier.ndim - self.space.ndim :]
        fits = len(trailing) == self.space.ndim and all(
            have in (1, want) for have, want in zip(trailing, self.space.shape, strict=True)
        )
        if not (fits and self.multiplier.is_floating_point() and self.space.is_complex):
            raise ValueError(
                f"Convolution takes a complex space and a real multiplier with its axes, of size 1 where it does not vary, "
                f"got {self.space} and {tuple(self.multiplier.shape)} {self.multiplier.dtype}"
            )

    @classmethod
    def of_mask(cls, mask: Mask, space: Space) -> Convolution:
        """The gram of `mask @ Fourier`, for a mask that varies along transformed dimensions of `space` only."""
        weights = mask._weights
        for dim in mask.varying_dims:
            weights = torch.fft.ifftshift(weights, dim=dim)
        return cls(weights, space)

    @property
    def domain(self) -> Space:
        return self.space

    @property
    def range(self) -> Space:
        return self.space

    @property
    def dims(self) -> tuple[int, ...]:
        """The dimensions that are transformed."""
        return tuple(dim for dim in self.space.dims if self.multiplier.shape[dim] > 1)

    @cached_property
    def _casts(self) -> dict[torch.dtype, Tensor]:
        return {}

    def multiplier_like(self, x: Tensor) -> Tensor:
        """The multiplier in the dtype of `x`, kept from call to call unless a gradient flows to it."""
        if self.multiplier.requires_grad:
            return self.multiplier.to(x.dtype)
        if x.dtype not in self._casts:
            with torch.inference_mode(False):
                self._casts[x.dtype] = self.multiplier.to(x.dtype)
        return self._casts[x.dtype]

    def _forward(self, x: Tensor) -> Tensor:
        return convolve(x, self.multiplier_like(x), self.dims)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._forward(y)

    @property
    def H(self) -> LinearOperator:
        return self

    def _tensor_ndim(self) -> int | None:
        return self.space.ndim

    def _norm_bound(self) -> float | None:
        return float(self.multiplier.detach().abs().max())


def convolve(x: Tensor, multiplier: Tensor, dims: tuple[int, ...]) -> Tensor:
    """The inverse transform of `multiplier` times the transform of `x` along `dims`."""
    if not dims:
        return x * multiplier
    spectrum = torch.fft.fftn(x, dim=dims)
    sizes = zip(reversed(multiplier.shape), reversed(spectrum.shape), strict=False)
    in_place = multiplier.ndim <= spectrum.ndim and all(
        a in (1, b) for a, b in sizes
    )  # else the multiplier brings a batch
    spectrum = spectrum.mul_(multiplier) if in_place else spectrum * multiplier
    convolved: Tensor = torch.fft.ifftn(spectrum, dim=dims)
    return convolved
