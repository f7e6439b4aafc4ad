"""Joseph's projector on the CPU: one loop over rays for all images of a batch and all symmetries of the scan, and its transpose.

The images, turned and mirrored by the symmetries, lie innermost, so that a sample of a ray is two loads and two multiply-adds of
a whole vector. A thread owns views in the projector, and rows (then columns) of the image in its transpose: nothing is written
twice, and every run gives the same bits.
"""

from __future__ import annotations

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

_VIEWS = 8  # orbits that a thread computes at a time
_BAND_BYTES = 1 << 22  # of the images: what stays in the cache while the rays of these views pass
_LEAST_ROWS = 32


def forward(image: Floats, views: Floats, bins: Floats, spacing: tuple[float, ...]) -> Floats:
    """Sinogram `(batch, angle, detector)` of `image (batch, y, x)`."""
    shape = image.shape[1:]
    box, orbits = box_of(shape, spacing), _orbits(views, bins, shape, spacing)
    sinogram = np.empty((image.shape[0], len(views), len(bins)), image.dtype)
    for start, stop in batches(image.shape[0], orbits, image.dtype):
        _forward(image[start:stop], sinogram[start:stop], orbits, bins, box)
    return sinogram


def adjoint(
    sinogram: Floats, views: Floats, bins: Floats, shape: tuple[int, int], spacing: tuple[float, ...]
) -> Floats:
    """Image `(batch, *shape)` of `sinogram (batch, angle, detector)`."""
    box, orbits = box_of(shape, spacing), _orbits(views, bins, shape, spacing)
    image = np.empty((sinogram.shape[0], *shape), sinogram.dtype)
    for start, stop in batches(sinogram.shape[0], orbits, sinogram.dtype):
        _adjoint(sinogram[start:stop], image[start:stop], orbits, bins, box)
    return image


# What a part of a batch needs beyond input and output is gone before the next begins.


def _forward(image: Floats, sinogram: Floats, orbits: Orbits, bins: Floats, box: Box) -> None:
    ny, nx = box[:2]
    lanes = lanes_of(len(image), orbits, image.dtype)
    stack, band = stacked(image, orbits, lanes, ny), _rows(nx, len(lanes), image.dtype)
    work = partial(_project, stack, sinogram, orbits.table, bins, orbits.n_bins, box, lanes, band)
    run_all(work, ranges(len(orbits.directions), _VIEWS))


def _adjoint(sinogram: Floats, image: Floats, orbits: Orbits, bins: Floats, box: Box) -> None:
    ny, nx = box[:2]
    lanes = lanes_of(len(image), orbits, image.dtype)
    rays = spread(sinogram, orbits, lanes, orbits.n_bins, border=0)
    stack = np.zeros((ny + 2) * row_stride(nx, len(lanes)), image.dtype)
    work = partial(_backproject, stack, rays, orbits.directions, bins, orbits.n_bins, box, lanes)
    size = _rows(nx, len(lanes), image.dtype)
    run_all(partial(work, False), ranges(ny, min(size, -(-ny // (2 * torch.get_num_threads())))))
    if _any_lies(orbits.directions, bins, orbits.n_bins, box):
        run_all(partial(work, True), ranges(nx, min(size, -(-nx // (2 * torch.get_num_threads())))))
    folded(stack, orbits, ny, image)


def _orbits(views: Floats, bins: Floats, shape: tuple[int, ...], spacing: tuple[float, ...]) -> Orbits:
    square = shape[0] == shape[1] and spacing[0] == spacing[1]
    return find_orbits(views, bins, square=square, centered=is_centered(spacing))


def _rows(nx: int, n_lanes: int, dtype: Any) -> int:
    row_bytes = row_stride(nx, n_lanes) * int(np.dtype(dtype).itemsize)
    return max(_LEAST_ROWS, _BAND_BYTES // row_bytes)


@compiled
def _normal(direction: Any, turn: Any) -> Any:
    cosine = direction[0] * turn[0] - direction[1] * turn[1]
    sine = direction[1] * turn[0] + direction[0] * turn[1]
    return cosine, sine


@compiled
def _lies(cosine: Any, sine: Any, box: Any) -> Any:
    """Whether a ray passes more columns than rows, so that columns drive it."""
    return abs(cosine) * box[2] < abs(sine) * box[3]


@compiled
def _any_lies(directions: Any, bins: Any, n_bins: Any, box: Any) -> Any:
    for orbit in range(directions.shape[0]):
        for k in range(n_bins):
            cosine, sine = _normal(directions[orbit], bins[k])
            if _lies(cosine, sine, box):
                return True
    return False


@compiled
def _line(cosine: Any, sine: Any, distance: Any, box: Any, lies: Any) -> Any:
    """Where a ray crosses row (or column) r: at `base + slope r` of the padded other axis; and its length from row to row."""
    _, nx, dy, dx, row, column = box
    if lies:
        nx, dy, dx, row, column, cosine, sine = box[0], dx, dy, column, row, sine, cosine
    inverse = 1.0 / (cosine * dx)
    slope = -sine * dy * inverse
    base = distance * inverse + (column + 1.0) - slope * row
    return base, slope, dy / abs(cosine), nx + 1.0


@compiled
def _project(
    stack: Any,
    sinogram: Any,
    table: Any,
    bins: Any,
    n_bins: Any,
    box: Any,
    lanes: Any,
    band: Any,
    start: Any,
    stop: Any,
) -> None:
    """The views of the orbits `start <= o < stop`, band by band of the image."""
    directions, views, flipped = table
    n_lanes = len(lanes)
    strides = (box[1] + 2) * n_lanes, n_lanes
    sums = np.zeros((stop - start) * n_bins * n_lanes, stack.dtype)
    for lies in (False, True):
        if lies and not _any_lies(directions[start:stop], bins, n_bins, box):
            continue
        along, across = (strides[1], strides[0]) if lies else strides
        origin = along  # the first row of pixels is the second of the padded stack
        count = box[1] if lies else box[0]
        for first in range(0, count, band):
            last = min(first + band, count)
            for orbit in range(start, stop):
                for k in range(n_bins):
                    cosine, sine = _normal(directions[orbit], bins[k])
                    if _lies(cosine, sine, box) != lies:
                        continue
                    base, slope, _, limit = _line(cosine, sine, bins[k, 2], box, lies)
                    low, high = clip(base, slope, limit, first, last)
                    place = ((orbit - start) * n_bins + k) * n_lanes
                    _gather(stack, sums, place, base, slope, low, high, origin, along, across, lanes)
    _give(sums, sinogram, directions, views, flipped, bins, n_bins, box, n_lanes, start, stop)


@compiled
def _gather(
    stack: Any,
    sums: Any,
    place: Any,
    base: Any,
    slope: Any,
    low: Any,
    high: Any,
    origin: Any,
    along: Any,
    across: Any,
    lanes: Any,
) -> None:
    """Add the samples of a ray at the rows `low <= r < high`; two rows at a time, so that no addition waits for the one before."""
    number = stack.dtype.type
    a, b, c, d = load(sums, place, lanes), zeros(lanes), zeros(lanes), zeros(lanes)
    r, row = float(low), origin + low * along
    for _ in range((high - low) // 2):
        p, q = base + slope * r, base + slope * (r + 1.0)
        i, j = int(p), int(q)
        v, w = number(p - i), number(q - j)
        at, beside = row + i * across, row + along + j * across
        a = multiply_add(number(1) - v, load(stack, at, lanes), a)
        b = multiply_add(v, load(stack, at + across, lanes), b)
        c = multiply_add(number(1) - w, load(stack, beside, lanes), c)
        d = multiply_add(w, load(stack, beside + across, lanes), d)
        r += 2.0
        row += 2 * along
    if (high - low) % 2 > 0:
        p = base + slope * r
        i = int(p)
        v = number(p - i)
        at = row + i * across
        a = multiply_add(number(1) - v, load(stack, at, lanes), a)
        b = multiply_add(v, load(stack, at + across, lanes), b)
    store(sums, place, multiply_add(1.0, multiply_add(1.0, a, b), multiply_add(1.0, c, d)))


@compiled
def _give(
    sums: Any,
    sinogram: Any,
    directions: Any,
    views: Any,
    flipped: Any,
    bins: Any,
    n_bins: Any,
    box: Any,
    n_lanes: Any,
    start: Any,
    stop: Any,
) -> None:
    """Scale the sums by the length of the ray between rows, and lay them where they belong."""
    n_batch, n_symmetries, n_all = sinogram.shape[0], views.shape[1], bins.shape[0]
    lengths = np.empty(n_bins, sums.dtype)
    for orbit in range(start, stop):
        for k in range(n_bins):
            cosine, sine = _normal(directions[orbit], bins[k])
            lengths[k] = box[3] / abs(sine) if _lies(cosine, sine, box) else box[2] / abs(cosine)
        for symmetry in range(n_symmetries):
            view, flip = views[orbit, symmetry], flipped[orbit, symmetry]
            if view < 0:
                continue
            # The middle of halved bins is given by the half that is not flipped.
            count = n_all // 2 if flip and n_bins < n_all else n_bins
            for batch in range(n_batch):
                place = (orbit - start) * n_bins * n_lanes + symmetry * n_batch + batch
                for k in range(count):
                    target = n_all - 1 - k if flip else k
                    sinogram[batch, view, target] = sums[place + k * n_lanes] * lengths[k]


@compiled
def _backproject(
    stack: Any,
    rays: Any,
    directions: Any,
    bins: Any,
    n_bins: Any,
    box: Any,
    lanes: Any,
    lies: Any,
    first: Any,
    last: Any,
) -> None:
    """Lay all rays that rows (or columns) drive over the rows (or columns) `first <= r < last`."""
    number, n_lanes = stack.dtype.type, len(lanes)
    strides = (box[1] + 2) * n_lanes, n_lanes
    along, across = (strides[1], strides[0]) if lies else strides
    for orbit in range(directions.shape[0]):
        for k in range(n_bins):
            cosine, sine = _normal(directions[orbit], bins[k])
            if _lies(cosine, sine, box) != lies:
                continue
            base, slope, length, limit = _line(cosine, sine, bins[k, 2], box, lies)
            low, high = clip(base, slope, limit, first, last)
            value = load(rays, (orbit * n_bins + k) * n_lanes, lanes)
            value = multiply_add(length, value, zeros(lanes))
            r, row = float(low), along + low * along
            for _ in range(high - low):
                p = base + slope * r
                i = int(p)
                w = number(p - i)
                at = row + i * across
                store(stack, at, multiply_add(number(1) - w, value, load(stack, at, lanes)))
                store(stack, at + across, multiply_add(w, value, load(stack, at + across, lanes)))
                r += 1.0
                row += along
