"""Coil sensitivity maps, and the SENSE operator made with them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from medrecon.operators.diagonal import Diagonal
from medrecon.operators.fourier import Convolution, Fourier, convolve
from medrecon.operators.linear import LinearOperator
from medrecon.operators.sampling import Mask
from medrecon.spaces import Space, image_space

__all__ = ["CoilGram", "CoilMaps", "sense"]


@final
@dataclass(frozen=True, eq=False, repr=False)
class CoilMaps(LinearOperator):
    """The coil images of an image: `x -> maps * x`, `(..., y, x)` to `(..., coil, y, x)`.

    `maps` is complex `(..., coil, y, x)`, or `(..., coil, z, y, x)` with `ndim=3`; leading axes are batch.
    Pruessmann et al., SENSE, Magn Reson Med 42:952 (1999).
    """

    maps: Tensor
    ndim: int = 2

    def __post_init__(self) -> None:
        if self.ndim not in (2, 3) or not self.maps.is_complex() or self.maps.ndim <= self.ndim:
            axes = "coil, z, y, x" if self.ndim == 3 else "coil, y, x"
            raise ValueError(
                f"CoilMaps takes complex maps (..., {axes}), got {tuple(self.maps.shape)} {self.maps.dtype}"
            )

    @property
    def domain(self) -> Space:
        return image_space(tuple(self.maps.shape[-self.ndim :]))

    @property
    def range(self) -> Space:
        image = self.domain
        return Space(("coil", *image.axes), tuple(self.maps.shape[-self.ndim - 1 :]), is_complex=True)

    @property
    def _coil(self) -> int:
        return -self.ndim - 1

    def _forward(self, x: Tensor) -> Tensor:
        return self.maps * x.unsqueeze(self._coil)

    def _adjoint(self, y: Tensor) -> Tensor:
        if needs_graph(y, self.maps) or y.device.type != "cpu":
            return (self.maps.conj() * y).sum(self._coil)
        return combine(self.maps.detach().unbind(self._coil), (image.conj_physical() for image in y.unbind(self._coil)))

    def _gram(self) -> LinearOperator:
        if self.maps.requires_grad:
            return super()._gram()
        return Diagonal(self.maps.abs().square().sum(self._coil), self.domain)

    def _congruence(self, inner: LinearOperator) -> LinearOperator:
        if isinstance(inner, Convolution) and self._coil not in inner.dims:
            return CoilGram(self, inner)
        return super()._congruence(inner)

    def _absorb(self, outer: LinearOperator) -> LinearOperator | None:
        if not isinstance(outer, Diagonal) or outer.values.requires_grad or self.maps.requires_grad:
            return None
        return CoilMaps(outer.values.to(self.maps.device, self.maps.dtype) * self.maps, self.ndim)

    def _tensor_ndim(self) -> int | None:
        return self.ndim + 1

    def _norm_bound(self) -> float | None:
        return float(self.maps.detach().abs().square().sum(self._coil).max().sqrt())


@final
@dataclass(frozen=True, eq=False, repr=False)
class CoilGram(LinearOperator):
    """The gram of SENSE: `x -> sum_c conj(maps_c) . convolution(maps_c x)`.

    On the CPU one coil at a time, so that what is worked on stays in the cache; at once on a GPU and where a graph is recorded.
    """

    coils: CoilMaps
    convolution: Convolution

    @property
    def domain(self) -> Space:
        return self.coils.domain

    @property
    def range(self) -> Space:
        return self.coils.domain

    def _forward(self, x: Tensor) -> Tensor:
        coils, convolution = self.coils, self.convolution
        if needs_graph(x, coils.maps) or x.device.type != "cpu":
            return coils._adjoint(convolution._forward(coils._forward(x)))
        multiplier = convolution.multiplier_like(x).squeeze(coils._coil)
        maps = coils.maps.detach().unbind(coils._coil)
        images = (convolve(coil_map * x, multiplier, convolution.dims) for coil_map in maps)
        return combine(maps, (image.conj_physical_() for image in images))

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._forward(y)

    @property
    def H(self) -> LinearOperator:
        return self

    def _norm_bound(self) -> float | None:
        bound, multiplier = self.coils.norm_bound, self.convolution.norm_bound
        return None if bound is None or multiplier is None else bound**2 * multiplier


def combine(maps: tuple[Tensor, ...], conjugate_images: Iterator[Tensor]) -> Tensor:
    """`sum_c conj(maps_c) image_c`, from the conjugates of the images: one coil at a time, without a conjugate of the maps."""
    total = next(conjugate_images) * maps[0]
    for coil_map, image in zip(maps[1:], conjugate_images, strict=True):
        total.addcmul_(coil_map, image)
    return total.conj_physical_()


def needs_graph(x: Tensor, maps: Tensor) -> bool:
    return torch.is_grad_enabled() and (x.requires_grad or maps.requires_grad)


def sense(sampled: Tensor, maps: Tensor, ndim: int = 2) -> LinearOperator:
    """The SENSE operator `Mask @ Fourier @ CoilMaps`, from images to multi-coil k-space.

    Parameters
    ----------
    sampled
        bool, `(kx,)` for whole lines or `(..., ky, kx)`.
    maps
        complex coil maps `(..., coil, y, x)`, or `(..., coil, z, y, x)` with `ndim=3`.
    ndim
        number of image axes, 2 or 3.
    """
    coils = CoilMaps(maps, ndim)
    fourier = Fourier(coils.range)
    return Mask(sampled, fourier.range) @ fourier @ coils
