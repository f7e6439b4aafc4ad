"""Several sets of coil maps, an image for each: SENSE of pixels that are seen in more than one way."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from medrecon.operators.coils import CoilMaps, needs_graph
from medrecon.operators.diagonal import Diagonal
from medrecon.operators.fourier import Convolution, Fourier, convolve
from medrecon.operators.linear import LinearOperator, factor_of
from medrecon.operators.sampling import Mask
from medrecon.spaces import Space, image_space

__all__ = ["CoilMapSets", "CoilMapSetsGram", "coils_of", "soft_sense"]

_AXES = 4  # of the maps of one scan


@final
@dataclass(frozen=True, eq=False, repr=False)
class CoilMapSets(LinearOperator):
    """The coil images of several images at once: `x -> sum_set maps_set x_set`, `(..., set, y, x)` to `(..., coil, y, x)`.

    `maps` is complex `(..., set, coil, y, x)`; leading axes are batch. Where one set of maps is not enough, as of an object that is
    wider than its field and lies twice in a pixel, two are.
    Uecker et al., ESPIRiT, Magn Reson Med 71:990 (2014), soft SENSE.

    Raises
    ------
    ValueError
        if `maps` is not complex, or lacks an axis.
    """

    maps: Tensor

    def __post_init__(self) -> None:
        if not self.maps.is_complex() or self.maps.ndim < _AXES:
            raise ValueError(
                f"CoilMapSets takes complex maps (..., set, coil, y, x), got {tuple(self.maps.shape)} {self.maps.dtype}"
            )

    @property
    def domain(self) -> Space:
        n_sets, _, *shape = self.maps.shape[-_AXES:]
        return Space(("set", "y", "x"), (n_sets, *shape), is_complex=True)

    @property
    def range(self) -> Space:
        image = image_space(tuple(self.maps.shape[-2:]))
        return Space(("coil", *image.axes), tuple(self.maps.shape[-3:]), is_complex=True)

    def _forward(self, x: Tensor) -> Tensor:
        images = x.unsqueeze(-3)
        if needs_graph(x, self.maps):
            return (self.maps * images).sum(-_AXES)
        total = self.maps.select(-_AXES, 0) * images.select(-_AXES, 0)
        for n in range(1, self.maps.shape[-_AXES]):
            total.addcmul_(self.maps.select(-_AXES, n), images.select(-_AXES, n))
        return total

    def _adjoint(self, y: Tensor) -> Tensor:
        images: Tensor = torch.linalg.vecdot(self.maps, y.unsqueeze(-_AXES), dim=-3)
        return images

    def _congruence(self, inner: LinearOperator) -> LinearOperator:
        if isinstance(inner, Convolution) and -3 not in inner.dims:
            return CoilMapSetsGram(self, inner)
        return super()._congruence(inner)

    def _absorb(self, outer: LinearOperator) -> LinearOperator | None:
        if not isinstance(outer, Diagonal) or outer.values.requires_grad or self.maps.requires_grad:
            return None
        values = outer.values.to(self.maps.device, self.maps.dtype)
        return replace(self, maps=(values.unsqueeze(-_AXES) if values.ndim > 3 else values) * self.maps)

    def _tensor_ndim(self) -> int | None:
        return _AXES

    def _norm_bound(self) -> float | None:
        """By Gershgorin's circles of the sets' inner products at each pixel, which sets that are orthogonal reach."""
        maps = self.maps.detach()
        products = torch.linalg.vecdot(maps.unsqueeze(-_AXES), maps.unsqueeze(-_AXES - 1), dim=-3)
        return float(products.abs().sum(-3).max().sqrt())


@final
@dataclass(frozen=True, eq=False, repr=False)
class CoilMapSetsGram(LinearOperator):
    """The gram of soft SENSE: `x -> sum_c conj(maps_tc) . convolution(sum_s maps_sc x_s)`, one image for each set `t`.

    On the CPU one coil at a time, as `CoilGram`.
    """

    coils: CoilMapSets
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
        multiplier = convolution.multiplier_like(x).squeeze(-3)
        sets = [maps.unbind(-3) for maps in coils.maps.detach().unbind(-_AXES)]
        images = x.unbind(-3)
        totals: list[Tensor] = []
        for coil in zip(*sets, strict=True):
            seen = coil[0] * images[0]
            for coil_map, image in zip(coil[1:], images[1:], strict=True):
                seen.addcmul_(coil_map, image)
            conjugate = convolve(seen, multiplier, convolution.dims).conj_physical_()
            if not totals:
                totals = [conjugate * coil_map for coil_map in coil]
                continue
            for total, coil_map in zip(totals, coil, strict=True):
                total.addcmul_(coil_map, conjugate)
        return torch.stack(totals, -3).conj_physical_()

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._forward(y)

    @property
    def H(self) -> LinearOperator:
        return self

    def _norm_bound(self) -> float | None:
        bound, multiplier = self.coils.norm_bound, self.convolution.norm_bound
        return None if bound is None or multiplier is None else bound**2 * multiplier


def soft_sense(sampled: Tensor, maps: Tensor) -> LinearOperator:
    """The operator `Mask @ Fourier @ CoilMapSets`, from one image a set to multi-coil k-space.

    Parameters
    ----------
    sampled
        bool, `(kx,)` for whole lines or `(..., ky, kx)`.
    maps
        complex sets of coil maps `(..., set, coil, y, x)`.
    """
    coils = CoilMapSets(maps)
    fourier = Fourier(coils.range)
    return Mask(sampled, fourier.range) @ fourier @ coils


def coils_of(A: LinearOperator, who: str) -> CoilMaps | CoilMapSets:
    """The coil maps in `A`, of one set or several, for a method that needs them.

    Raises
    ------
    ValueError
        if `A` has none or several.
    """
    has_sets = any(isinstance(factor, CoilMapSets) for factor in A.factors)
    return factor_of(A, CoilMapSets, who) if has_sets else factor_of(A, CoilMaps, who)
