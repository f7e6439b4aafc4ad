"""Projections that the detector cuts off, continued to where the object ends."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medrecon.coverage import Scan, coverage
from medrecon.functionals import Box
from medrecon.geometry import Geometry, Grid, ParallelBeam, clear_radius
from medrecon.operators import Radon
from medrecon.reconstructors.filtered_backprojection import FilteredBackprojection
from medrecon.reconstructors.fitted_ellipse import FittedEllipse, fit_ellipse, rays_of
from medrecon.reconstructors.ramp import Window
from medrecon.reconstructors.subsets import view_blocks
from medrecon.solvers import run, sirt

__all__ = ["extrapolate"]

Floats = NDArray[np.float64]

_PIXELS, _VIEWS = 64, 90  # across the field, and of those used: what lies outside is estimated coarsely
_WITHIN = 0.98  # of the field's radius: where filtered backprojection is believed
_TISSUE = 0.75  # the quantile of the image in the field that stands for what is around it
_LEAST, _MOST = 1.4, 3.0  # fields: how far the object may reach
_MARGIN = 1.1
_SMOOTH = FilteredBackprojection(Window.HANN, 0.5)
_ROUNDS = 3  # of fitting an ellipse to the data of one density
_SUBSETS, _PASSES = 8, 24
_EDGE = 4  # bins by whose mean measured and continued values are joined, at least
_SEEN = 0.02  # of the largest line integral: less is no edge to join to
_ENDS = 0.01  # of it: the object has ended
_STEEPEST = 3.0  # times what is estimated beyond the edge


def extrapolate(y: Tensor, geometry: Geometry) -> tuple[Tensor, Geometry]:
    """Continue a sinogram `(angle, detector)` of an object wider than the field to where it ends; also its geometry.

    The object outside is estimated in three steps: an ellipse of one density whose integrals are nearest to the data; the same
    again, three times, with what the image within the field differs from one density taken off the data; and some steps of SIRT
    from that image inside and that ellipse outside, which find what else is outside from the rays that pass through it. Its
    projections, scaled to join the measured ones at the edge of the detector, are the new bins. Of an offset detector only the
    side that no opposite view sees is continued. It scales with `y`.

    No such estimate is unique: the interior problem has none. Hsieh et al., Med Phys 31:2385 (2004), fit cylinders edge by edge;
    Natterer, The Mathematics of Computerized Tomography, ch. VI.4 (1986).
    """
    field, dtype, device = coverage(geometry).radius, y.dtype, y.device
    measured = y.detach().to("cpu", torch.float64).numpy()
    few, rough = _coarse(measured, geometry)
    ellipse = fit_ellipse(few, rough, field)
    for _ in range(_ROUNDS):
        ellipse = fit_ellipse(_homogeneous(few, rough, ellipse, field), rough, field)
    outside, grid = _estimated(few, rough, ellipse, field)
    wide = _widened(geometry, grid.extent[0] / 2)
    every = Radon(grid, wide)(outside).numpy()
    wide, every = _trimmed(wide, every, geometry)
    return torch.from_numpy(_joined(measured, geometry, wide, every)).to(device, dtype), wide


def _coarse(y: Floats, geometry: Geometry) -> tuple[Floats, Geometry]:
    """Some views, and means over neighboring bins; a rest of bins is left out at the first end."""
    together = max(1, geometry.n_bins // _PIXELS)
    n_bins, rest = geometry.n_bins // together, geometry.n_bins % together
    views = slice(None, None, max(1, len(y) // _VIEWS))
    means = y[views, rest:].reshape(-1, n_bins, together).mean(-1)
    coarse = replace(
        geometry[views],
        n_bins=n_bins,
        spacing=together * geometry.spacing,
        offset=geometry.offset + rest / 2 * geometry.spacing,
    )
    return means, coarse


def _homogeneous(y: Floats, geometry: Geometry, ellipse: FittedEllipse, field: float) -> Floats:
    """The data as if what the ellipse holds of the field had one density, that of tissue."""
    grid = Grid((_PIXELS, _PIXELS), 2 * field / _PIXELS)
    image = _image(y, geometry, ellipse, grid)
    inside = _disk(grid, _WITHIN * field) & ellipse.contains(grid)
    if not inside.any():
        return y
    differs = (image - np.quantile(image[inside], _TISSUE)) * inside
    homogeneous: Floats = y - Radon(grid, geometry)(torch.from_numpy(differs)).numpy()
    return homogeneous


def _image(y: Floats, geometry: Geometry, ellipse: FittedEllipse, grid: Grid) -> Floats:
    """Filtered backprojection of data continued by an ellipse."""
    wide = _widened(geometry, ellipse.reach)
    joined = _joined(y, geometry, wide, ellipse.integrals(rays_of(wide)))
    image: Floats = _SMOOTH(torch.from_numpy(joined), Radon(grid, wide)).numpy()
    return image


def _estimated(y: Floats, geometry: Geometry, ellipse: FittedEllipse, field: float) -> tuple[Tensor, Grid]:
    """An image of the whole object, and its grid."""
    reach = _reach(geometry, max(_MARGIN * ellipse.reach, _LEAST * field))
    count = math.ceil(_PIXELS * reach / field)
    grid = Grid((count, count), 2 * reach / count)
    inside, around = _disk(grid, _WITHIN * field), ellipse.density * ellipse.contains(grid)
    start = torch.from_numpy(np.where(inside, _image(y, geometry, ellipse, grid), around))
    A = Radon(grid, geometry)
    states = sirt(view_blocks(torch.from_numpy(y), A, _SUBSETS), Box(A.domain, 0.0, math.inf), start)
    return run(states, max_iterations=_PASSES).x, grid


def _disk(grid: Grid, radius: float) -> NDArray[np.bool_]:
    y, x = grid.coordinates()
    inside: NDArray[np.bool_] = np.hypot(y[:, None], x) < radius
    return inside


def _reach(geometry: Geometry, radius: float) -> float:
    """The radius, as far as the object may reach."""
    return min(radius, _MOST * coverage(geometry).radius, clear_radius(geometry))


def _widened(geometry: Geometry, radius: float) -> Geometry:
    """The rays, and more beyond the detector: up to a radius on both sides, which then lie alike about the center.

    An offset detector is continued on its far side alone where opposite views see the other.
    """
    reach = _reach(geometry, radius)
    places = geometry.positions()
    if not isinstance(geometry, ParallelBeam):
        angle = math.asin(reach / geometry.source_distance)
        reach = geometry.source_to_detector * (angle if geometry.curved else math.tan(angle))
    reach = max(reach, float(abs(places[[0, -1]]).max()))
    before, after = (math.ceil(gap / geometry.spacing - 1e-6) for gap in (reach + places[0], reach - places[-1]))
    if coverage(geometry).scan is Scan.OFFSET:
        before, after = (0, after) if geometry.offset > 0 else (before, 0)
    return _with_bins(geometry, before, after)


def _with_bins(geometry: Geometry, before: int, after: int) -> Geometry:
    shift = (after - before) / 2 * geometry.spacing
    return replace(geometry, n_bins=before + geometry.n_bins + after, offset=geometry.offset + shift)


def _before(geometry: Geometry, wide: Geometry) -> int:
    """How many bins were added in front."""
    return round(float(geometry.positions()[0] - wide.positions()[0]) / geometry.spacing)


def _trimmed(wide: Geometry, values: Floats, geometry: Geometry) -> tuple[Geometry, Floats]:
    """Without the bins beyond the end of the object, as many on either side."""
    before = _before(geometry, wide)
    after = wide.n_bins - geometry.n_bins - before
    seen = np.flatnonzero((values > _ENDS * values.max()).any(0))
    spare = min(int(seen[0]), wide.n_bins - 1 - int(seen[-1]))
    if coverage(geometry).scan is Scan.OFFSET:
        spare = int(seen[0]) if before else wide.n_bins - 1 - int(seen[-1])
    first, last = (max(0, min(spare - 1, added)) if added else 0 for added in (before, after))
    return _with_bins(wide, -first, -last), values[:, first : wide.n_bins - last]


def _joined(y: Floats, geometry: Geometry, wide: Geometry, values: Floats) -> Floats:
    """Measured values, and beside them `values` of all bins, scaled so that the two meet at the edges."""
    before = _before(geometry, wide)
    after = wide.n_bins - geometry.n_bins - before
    bins = min(max(_EDGE, geometry.n_bins // _PIXELS), geometry.n_bins)
    joined = np.concatenate([values[:, :before], y, values[:, before + geometry.n_bins :]], axis=1)
    for added, edge in (
        (slice(0, before), slice(before, before + bins)),
        (slice(wide.n_bins - after, None), slice(wide.n_bins - after - bins, wide.n_bins - after)),
    ):
        seen, known = joined[:, edge].mean(1, keepdims=True), values[:, edge].mean(1, keepdims=True)
        is_edge = known > _SEEN * values.max()
        share = np.where(is_edge, np.clip(seen / np.where(is_edge, known, 1.0), 0.0, _STEEPEST), 1.0)
        joined[:, added] *= share
    return joined
