"""The Radon transform of a CT scan, and the backprojection of filtered backprojection."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from medrecon.geometry import Geometry, Grid, require_outside
from medrecon.operators.kernels import operations
from medrecon.operators.kernels.pixels import spacing_of
from medrecon.operators.linear import LinearOperator
from medrecon.spaces import Space

__all__ = ["Backprojection", "Radon"]

_Rays = tuple[Tensor, Tensor, tuple[float, ...]]


@final
@dataclass(frozen=True, eq=False, repr=False)
class Radon(LinearOperator):
    """Line integrals of an image `(..., y, x)` along the rays of a scan: `(..., angle, detector)`.

    An image in 1/mm gives dimensionless integrals. Joseph's method: where a ray crosses the rows (or the columns, if it passes more
    of them) the image is interpolated linearly, and the sum is scaled by the length of the ray from row to row. Outside the grid
    the image is zero. The adjoint is the exact transpose, without any factor. Joseph, IEEE Trans Med Imaging 1:192 (1982).

    Parameters
    ----------
    grid
        the pixels.
    geometry
        the rays.

    Raises
    ------
    ValueError
        if the source lies inside the image.
    """

    grid: Grid
    geometry: Geometry
    _rays: ClassVar[_Rays]  # of each instance: no field of the value

    def __post_init__(self) -> None:
        require_outside(self.geometry, self.grid)
        _keep_rays(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return _shared, (type(self), self.grid, self.geometry)

    @property
    def domain(self) -> Space:
        return Space(("y", "x"), self.grid.shape, is_complex=False)

    @property
    def range(self) -> Space:
        return Space(("angle", "detector"), self.geometry.shape, is_complex=False)

    def _forward(self, x: Tensor) -> Tensor:
        views, bins, detector = self._rays
        y: Tensor = operations.joseph(_batched(x, type(self).__name__), views, bins, spacing_of(self.grid), detector)
        return y.reshape(*self.domain.batch_shape(x), *self.range.shape)

    def _adjoint(self, y: Tensor) -> Tensor:
        views, bins, detector = self._rays
        x: Tensor = operations.joseph_adjoint(
            _batched(y, type(self).__name__), views, bins, self.grid.shape, spacing_of(self.grid), detector
        )
        return x.reshape(*self.range.batch_shape(y), *self.domain.shape)

    def _separable(self) -> Tensor | None:
        return torch.ones(self.geometry.shape[0], dtype=torch.bool)

    def _restricted(self, y: Tensor, kept: Tensor) -> tuple[Tensor, LinearOperator]:
        views = kept.nonzero()[:, 0]
        geometry = self.geometry[views.tolist()]
        return y.index_select(self.range.dim("angle"), views.to(y.device)), Radon(self.grid, geometry)

    def _norm_bound(self) -> float | None:
        return _bound(self)


@final
@dataclass(frozen=True, eq=False, repr=False)
class Backprojection(LinearOperator):
    """Sums over the views of a sinogram `(..., angle, detector)`, at each pixel of an image `(..., y, x)`.

    A pixel finds its place on the detector, and takes the sinogram there, interpolated linearly; beyond the detector's ends that is
    zero. For a fan it is multiplied by `(R / (R + t))^2` on a flat detector, with t how far the pixel lies beyond the center along
    the central ray, and by `(R / L)^2` on a curved one, with L its distance from the source; `R` is that of the center.
    Filtered backprojection ends with it; as the adjoint of `Radon` it is only an approximation.
    Kak & Slaney, Principles of Computerized Tomographic Imaging, ch. 3 (1988).

    Parameters
    ----------
    grid
        the pixels.
    geometry
        the rays.

    Raises
    ------
    ValueError
        if the source lies inside the image.
    """

    grid: Grid
    geometry: Geometry
    _rays: ClassVar[_Rays]  # of each instance: no field of the value

    def __post_init__(self) -> None:
        require_outside(self.geometry, self.grid)
        _keep_rays(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return _shared, (type(self), self.grid, self.geometry)

    @property
    def domain(self) -> Space:
        return Space(("angle", "detector"), self.geometry.shape, is_complex=False)

    @property
    def range(self) -> Space:
        return Space(("y", "x"), self.grid.shape, is_complex=False)

    def _forward(self, x: Tensor) -> Tensor:
        views, bins, detector = self._rays
        y: Tensor = operations.backproject(
            _batched(x, type(self).__name__), views, bins, self.grid.shape, spacing_of(self.grid), detector
        )
        return y.reshape(*self.domain.batch_shape(x), *self.range.shape)

    def _adjoint(self, y: Tensor) -> Tensor:
        views, bins, detector = self._rays
        x: Tensor = operations.backproject_adjoint(
            _batched(y, type(self).__name__), views, bins, spacing_of(self.grid), detector
        )
        return x.reshape(*self.range.batch_shape(y), *self.domain.shape)

    def _norm_bound(self) -> float | None:
        return _bound(self)


_Transform = Radon | Backprojection


def _bound(A: LinearOperator) -> float:
    """`sqrt(|A|_1 |A|_inf)` of a matrix without negative entries: at least its norm, and near it where rows are alike."""
    rows, columns = A._forward(torch.ones(A.domain.shape)), A._adjoint(torch.ones(A.range.shape))
    return math.sqrt(float(rows.max()) * float(columns.max())) * (1 + 1e-5)


@lru_cache(maxsize=16)
def _shared(kind: type[_Transform], grid: Grid, geometry: Geometry) -> _Transform:
    """One object for all that are unpickled, so that the rays and the norm are found once and not with every batch of a loader."""
    return kind(grid, geometry)


def _keep_rays(A: _Transform) -> None:
    """Hold the rays as the operations take them: what `torch.compile` finds when it looks at the operator."""
    rays = A.geometry.rays()
    kept = torch.from_numpy(rays.views), torch.from_numpy(rays.bins), operations.detector_line(A.geometry)
    object.__setattr__(A, "_rays", kept)


def _batched(x: Tensor, who: str) -> Tensor:
    if x.dtype not in (torch.float32, torch.float64) and not torch.is_autocast_enabled(x.device.type):
        raise ValueError(f"{who} takes float32 or float64, got {x.dtype}; convert it, or call under torch.autocast")
    return x.reshape(-1, *x.shape[-2:])
