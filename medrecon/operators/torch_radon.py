"""The Radon transform through the package torch_radon, where that is installed: it needs a CUDA card, and is only called."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from medrecon.geometry import FanBeam, Geometry, Grid, require_outside
from medrecon.operators.linear import LinearOperator
from medrecon.spaces import Space

__all__ = ["TorchRadon"]

_MULTIPLE = 16  # pixels: what the first version of the package takes
_MOST_VIEWS = 4096  # what its backprojection keeps in shared memory


@final
@dataclass(frozen=True, eq=False, repr=False)
class TorchRadon(LinearOperator):
    """Line integrals as `Radon` gives them, computed by torch_radon on a CUDA card, in float32.

    Its adjoint is the package's own backprojection, which is pixel-driven, scaled: it is *not* the exact transpose, but comes near
    it: the package's own tests hold inner products of smooth images to 1e-3. Gradients through it are of the same kind. What needs
    an exact pair, such as conjugate gradients, takes `Radon`. Ronchetti, arXiv:2009.14788 (2020).

    Parameters
    ----------
    grid
        as many rows as columns of square pixels about the center of rotation.
    geometry
        a parallel beam, or a fan with a flat detector; the detector centered.

    Raises
    ------
    ImportError
        if torch_radon cannot be imported.
    ValueError
        if the package cannot compute this geometry.
    """

    grid: Grid
    geometry: Geometry

    def __post_init__(self) -> None:
        require_outside(self.geometry, self.grid)
        (ny, nx), (dy, dx), geometry = self.grid.shape, self.grid.spacing, self.geometry
        if ny != nx or dy != dx or any(self.grid.center):
            raise ValueError(f"TorchRadon takes square grids of square pixels, centered, got {self.grid}; use Radon")
        if isinstance(geometry, FanBeam) and geometry.curved:
            raise ValueError("TorchRadon takes parallel beams and flat detectors, got a curved one; use Radon")
        if geometry.offset:
            raise ValueError(
                f"TorchRadon takes a centered detector, got an offset of {geometry.offset:g} mm; use Radon"
            )
        if len(geometry.angles) > _MOST_VIEWS:
            raise ValueError(f"TorchRadon takes up to {_MOST_VIEWS} views, got {len(geometry.angles)}; use Radon")
        if not hasattr(_package(), "ParallelBeam") and ny % _MULTIPLE:
            raise ValueError(
                f"TorchRadon, with this version of torch_radon, takes sides of a multiple of {_MULTIPLE} pixels, got {ny}; "
                "use Radon"
            )

    @property
    def domain(self) -> Space:
        return Space(("y", "x"), self.grid.shape, is_complex=False)

    @property
    def range(self) -> Space:
        return Space(("angle", "detector"), self.geometry.shape, is_complex=False)

    def _forward(self, x: Tensor) -> Tensor:
        # its rows grow upwards where ours grow downwards
        y = self._run(self._projector.forward, x.flip(-2))
        return y.reshape(*self.domain.batch_shape(x), *self.range.shape)

    def _adjoint(self, y: Tensor) -> Tensor:
        x = self._run(self._projector.backward, y).flip(-2)
        return x.reshape(*self.range.batch_shape(y), *self.domain.shape)

    def _run(self, transform: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """Lengths are pixels in the package: both directions are a pixel's size short."""
        _require_card(x)
        batch = x.reshape(-1, *x.shape[-2:]).to(torch.float32).contiguous()
        return (transform(batch) * self.grid.spacing[0]).to(x.dtype)

    @cached_property
    def _projector(self) -> Any:
        package, geometry, side = _package(), self.geometry, self.grid.shape[0]
        angles = np.fromiter(geometry.angles, dtype=np.float32, count=len(geometry.angles))
        spacing = geometry.spacing / self.grid.spacing[0]
        distances: tuple[float, ...] = ()
        if isinstance(geometry, FanBeam):
            distances = tuple(
                length / self.grid.spacing[0] for length in (geometry.source_distance, geometry.detector_distance)
            )
        if hasattr(package, "ParallelBeam"):  # second version
            volume = package.volumes.Volume2D()
            volume.set_size(side, side)
            if distances:
                return package.FanBeam(geometry.n_bins, angles, *distances, spacing, volume)
            return package.ParallelBeam(geometry.n_bins, angles, spacing, volume)
        if distances:
            return package.RadonFanbeam(side, angles, *distances, geometry.n_bins, spacing)
        return package.Radon(side, angles, geometry.n_bins, spacing)


def _package() -> Any:
    try:
        return importlib.import_module("torch_radon")
    except Exception as error:  # a package built for another PyTorch fails in many ways
        raise ImportError(
            f"TorchRadon needs the package torch_radon, which cannot be imported here ({error}); Radon computes the same "
            "without it"
        ) from error


def _require_card(x: Tensor) -> None:
    if not x.is_cuda:
        raise ValueError(f"TorchRadon takes tensors on a CUDA card, got one on {x.device}; use Radon, or x.to('cuda')")
