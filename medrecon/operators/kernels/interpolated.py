"""Backprojection on the CPU, pixel by pixel with interpolation along the detector, and its transpose.

As in Joseph's projector, a batch and the symmetries of the scan lie innermost. Where a half turn gives the lower half of the
image, only the upper half is computed. A thread owns rows of the image in the backprojection, and views in its transpose.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medrecon.operators.kernels.clipping import clip
from medrecon.operators.kernels.compiled import compiled
from medrecon.operators.kernels.orbits import Orbits, find_orbits
from medrecon.operators.kernels.pixels import Box, box_of, is_centered
from medrecon.operators.kernels.stacks import batches, folded, lanes_of, row_stride, spread, stacked
from medrecon.operators.kernels.threads import ranges, run_all
from medrecon.operators.kernels.vectors import load, multiply_add, store, zeros

__all__ = ["adjoint", "forward"]

Floats = NDArray[Any]
Detector = tuple[float, ...]  # see `operations.detector_line`; the kernels take one over the spacing in place of it

_ROWS, _VIEWS = 16, 8  # that a thread takes at a time


def forward(
    sinogram: Floats,
    views: Floats,
    bins: Floats,
    shape: tuple[int, int],
    spacing: tuple[float, ...],
    detector: Detector,
) -> Floats:
    """Image `(batch, *shape)` of `sinogram (batch, angle, detector)`."""
    orbits, box = _orbits(views, bins, shape, spacing), box_of(shape, spacing)
    image = np.empty((sinogram.shape[0], *shape), sinogram.dtype)
    for start, stop in batches(sinogram.shape[0], orbits, sinogram.dtype):
        _forward(sinogram[start:stop], image[start:stop], orbits, box, _pitched(detector))
    return image


def adjoint(image: Floats, views: Floats, bins: Floats, spacing: tuple[float, ...], detector: Detector) -> Floats:
    """Sinogram `(batch, angle, detector)` of `image (batch, y, x)`."""
    shape = image.shape[1:]
    orbits, box = _orbits(views, bins, shape, spacing), box_of(shape, spacing)
    sinogram = np.zeros((image.shape[0], len(views), len(bins)), image.dtype)
    for start, stop in batches(image.shape[0], orbits, image.dtype):
        _adjoint(image[start:stop], sinogram[start:stop], orbits, box, _pitched(detector))
    return sinogram


# What a part of a batch needs beyond input and output is gone before the next begins.


def _forward(sinogram: Floats, image: Floats, orbits: Orbits, box: Box, detector: Detector) -> None:
    n_bins, n_rows = sinogram.shape[2], _n_rows(orbits, box)
    lanes = lanes_of(len(image), orbits, image.dtype)
    rays = spread(sinogram, orbits, lanes, n_bins, border=1)
    stack = np.zeros((n_rows + 2) * row_stride(box[1], len(lanes)), image.dtype)
    work = partial(_interpolate, stack, rays, orbits.directions, n_bins, detector, box, lanes)
    run_all(work, ranges(n_rows, min(_ROWS, -(-n_rows // (2 * torch.get_num_threads())))))
    folded(stack, orbits, n_rows, image)


def _adjoint(image: Floats, sinogram: Floats, orbits: Orbits, box: Box, detector: Detector) -> None:
    n_bins, n_rows = sinogram.shape[2], _n_rows(orbits, box)
    lanes = lanes_of(len(image), orbits, image.dtype)
    stack = stacked(image, orbits, lanes, n_rows)
    rays = np.zeros(len(orbits.directions) * (n_bins + 2) * len(lanes), image.dtype)
    work = partial(_scatter, stack, rays, orbits.directions, n_bins, detector, box, lanes, n_rows)
    run_all(work, ranges(len(orbits.directions), _VIEWS))
    _collect(rays, sinogram, orbits.views, orbits.flipped)


def _n_rows(orbits: Orbits, box: Box) -> int:
    """Rows that are computed: the upper half where a half turn gives the others."""
    return (box[0] + 1) // 2 if orbits.halved else box[0]


def _orbits(views: Floats, bins: Floats, shape: tuple[int, ...], spacing: tuple[float, ...]) -> Orbits:
    square = shape[0] == shape[1] and spacing[0] == spacing[1]
    return find_orbits(views, bins, square=square, centered=is_centered(spacing))


def _pitched(detector: Detector) -> Detector:
    kind, first, spacing, radius, distance = detector
    return kind, first, 1.0 / spacing, radius, distance


@compiled
def _seen(x: Any, y: Any, direction: Any, detector: Any) -> Any:
    """Where a point falls on the detector of a fan, in bins of which the first is 1, and its weight; -1 for nowhere."""
    kind, first, pitch, radius, distance = detector
    across = x * direction[0] + y * direction[1]
    depth = radius + y * direction[0] - x * direction[1]
    if depth <= 0:
        return -1.0, 0.0  # behind the source
    if kind == 1:
        inverse = 1.0 / depth
        return (distance * across * inverse - first) * pitch + 1.0, (radius * inverse) ** 2
    angle = math.atan2(across, depth)
    return (distance * angle - first) * pitch + 1.0, radius**2 / (depth**2 + across**2)


@compiled
def _interpolate(
    stack: Any,
    rays: Any,
    directions: Any,
    n_bins: Any,
    detector: Any,
    box: Any,
    lanes: Any,
    start: Any,
    stop: Any,
) -> None:
    """Add what the pixels of the rows `start <= r < stop` find in all views."""
    _, nx, dy, dx, axis_row, axis_column = box
    n_lanes = len(lanes)
    for orbit in range(directions.shape[0]):
        view = orbit * (n_bins + 2) * n_lanes
        for r in range(start, stop):
            y = (r - axis_row) * dy
            row = ((r + 1) * (nx + 2) + 1) * n_lanes
            if detector[0] == 0:
                base, slope = _line(y, directions[orbit], detector, axis_column, dx)
                low, high = clip(base, slope, n_bins + 1.0, 0, nx)
                for c in range(low, high):
                    _take(stack, rays, row + c * n_lanes, view, base + slope * c, 1.0, lanes)
            else:
                for c in range(nx):
                    p, weight = _seen((c - axis_column) * dx, y, directions[orbit], detector)
                    if 0 < p < n_bins + 1:
                        _take(stack, rays, row + c * n_lanes, view, p, weight, lanes)


@compiled
def _line(y: Any, direction: Any, detector: Any, axis_column: Any, dx: Any) -> Any:
    """Where the pixel c of a row falls on the detector of parallel rays: at `base + slope c`, the first bin being 1."""
    slope = dx * direction[0] * detector[2]
    return (y * direction[1] - detector[1]) * detector[2] + 1.0 - axis_column * slope, slope


@compiled
def _take(stack: Any, rays: Any, place: Any, view: Any, p: Any, weight: Any, lanes: Any) -> None:
    i = int(p)
    at = view + i * len(lanes)
    share = p - i
    total = multiply_add((1.0 - share) * weight, load(rays, at, lanes), load(stack, place, lanes))
    total = multiply_add(share * weight, load(rays, at + len(lanes), lanes), total)
    store(stack, place, total)


@compiled
def _scatter(
    stack: Any,
    rays: Any,
    directions: Any,
    n_bins: Any,
    detector: Any,
    box: Any,
    lanes: Any,
    n_rows: Any,
    start: Any,
    stop: Any,
) -> None:
    """Lay all pixels on the detector in the orbits `start <= o < stop`."""
    _, nx, dy, dx, axis_row, axis_column = box
    n_lanes = len(lanes)
    for r in range(n_rows):
        y = (r - axis_row) * dy
        row = ((r + 1) * (nx + 2) + 1) * n_lanes
        for orbit in range(start, stop):
            view = orbit * (n_bins + 2) * n_lanes
            if detector[0] == 0:
                base, slope = _line(y, directions[orbit], detector, axis_column, dx)
                low, high = clip(base, slope, n_bins + 1.0, 0, nx)
                for c in range(low, high):
                    _give(stack, rays, row + c * n_lanes, view, base + slope * c, 1.0, lanes)
            else:
                for c in range(nx):
                    p, weight = _seen((c - axis_column) * dx, y, directions[orbit], detector)
                    if 0 < p < n_bins + 1:
                        _give(stack, rays, row + c * n_lanes, view, p, weight, lanes)


@compiled
def _give(stack: Any, rays: Any, place: Any, view: Any, p: Any, weight: Any, lanes: Any) -> None:
    i = int(p)
    at = view + i * len(lanes)
    share = p - i
    value = multiply_add(weight, load(stack, place, lanes), zeros(lanes))
    store(rays, at, multiply_add(1.0 - share, value, load(rays, at, lanes)))
    store(rays, at + len(lanes), multiply_add(share, value, load(rays, at + len(lanes), lanes)))


@compiled
def _collect(rays: Any, sinogram: Any, views: Any, flipped: Any) -> None:
    """Add up what the lanes hold of each view."""
    n_batch, _, n_bins = sinogram.shape
    n_orbits, n_symmetries = views.shape
    n_lanes = n_batch * n_symmetries
    for orbit in range(n_orbits):
        for symmetry in range(n_symmetries):
            view, flip = views[orbit, symmetry], flipped[orbit, symmetry]
            if view < 0:
                continue
            for batch in range(n_batch):
                place = (orbit * (n_bins + 2) + 1) * n_lanes + symmetry * n_batch + batch
                for k in range(n_bins):
                    target = n_bins - 1 - k if flip else k
                    sinogram[batch, view, target] += rays[place + k * n_lanes]
