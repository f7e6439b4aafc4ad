"""Images and sinograms of a batch, turned and mirrored by the symmetries of a scan, laid side by side in the lanes of a vector.

Lane `symmetry * batch + b` of pixel `(y, x)` is that of image b under a symmetry. A stack of images has a border of zeros, one
pixel wide.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medrecon.operators.kernels.compiled import compiled
from medrecon.operators.kernels.orbits import Orbits
from medrecon.operators.kernels.threads import ranges, run_all

__all__ = ["batches", "folded", "lanes_of", "row_stride", "spread", "stacked"]

Floats = NDArray[Any]

_MOST_LANES = {4: 32, 8: 16}  # by the bytes of a number
_ROWS, _ORBITS = 16, 16  # that a thread takes at a time


def batches(count: int, orbits: Orbits, dtype: Any) -> list[tuple[int, int]]:
    """A batch in pieces, each a power of two so that few kernels serve all, as large as a vector allows."""
    size = max(1, _MOST_LANES[np.dtype(dtype).itemsize] // len(orbits.symmetries))
    pieces, start = [], 0
    while start < count:
        while size > count - start:
            size //= 2
        pieces.append((start, start + size))
        start += size
    return pieces


def lanes_of(n_batch: int, orbits: Orbits, dtype: Any) -> tuple[Any, ...]:
    """A tuple whose type says how many lanes there are, and of what."""
    return (np.dtype(dtype).type(0),) * (n_batch * len(orbits.symmetries))


def row_stride(nx: int, n_lanes: int) -> int:
    """Numbers in a row of a stack."""
    return (nx + 2) * n_lanes


def stacked(image: Floats, orbits: Orbits, lanes: tuple[Any, ...], n_rows: int) -> Floats:
    """The flat stack of the first `n_rows` rows of `image (batch, y, x)`, turned and mirrored.

    Where these are the upper half of an odd number of rows, which a half turn completes, the row in the middle counts half.
    """
    stack = np.zeros((n_rows + 2) * row_stride(image.shape[2], len(lanes)), image.dtype)
    run_all(lambda start, stop: _stack(image, stack, orbits.symmetries, n_rows, start, stop), ranges(n_rows, _ROWS))
    return stack


def folded(stack: Floats, orbits: Orbits, n_rows: int, image: Floats) -> None:
    """The transpose of `stacked`: add up the lanes of each image."""
    rows = ranges((image.shape[1] + 1) // 2, _ROWS)
    run_all(lambda start, stop: _fold(image, stack, orbits.symmetries, n_rows, start, stop), rows)


def spread(sinogram: Floats, orbits: Orbits, lanes: tuple[Any, ...], n_bins: int, border: int) -> Floats:
    """The flat `(orbit, bin, lane)` of the first `n_bins` of `sinogram (batch, angle, detector)`; zero where a lane gives no view.

    `border` is the number of zeros at either end of the bins.
    """
    rays = np.zeros(len(orbits.directions) * (n_bins + 2 * border) * len(lanes), sinogram.dtype)

    def work(start: int, stop: int) -> None:
        _spread(sinogram, rays, orbits.views, orbits.flipped, n_bins, border, start, stop)

    run_all(work, ranges(len(orbits.directions), _ORBITS))
    return rays


@compiled
def _source(symmetry: Any, r: Any, c: Any, ny: Any, nx: Any) -> Any:
    """The pixel of an image that its turned copy shows at `(r, c)`."""
    if symmetry[0]:
        r, c = c, r
    return (r if symmetry[2] > 0 else ny - 1 - r), (c if symmetry[1] > 0 else nx - 1 - c)


@compiled
def _stack(image: Any, stack: Any, symmetries: Any, n_rows: Any, start: Any, stop: Any) -> None:
    n_batch, ny, nx = image.shape
    n_lanes = n_batch * symmetries.shape[0]
    for r in range(start, stop):
        share = image.dtype.type(0.5 if n_rows < ny and 2 * r == ny - 1 else 1.0)
        for lane in range(symmetries.shape[0]):
            for b in range(n_batch):
                place = ((r + 1) * (nx + 2) + 1) * n_lanes + lane * n_batch + b
                for c in range(nx):
                    y, x = _source(symmetries[lane], r, c, ny, nx)
                    stack[place + c * n_lanes] = image[b, y, x] * share


@compiled
def _fold(image: Any, stack: Any, symmetries: Any, n_rows: Any, start: Any, stop: Any) -> None:
    """All pixels that symmetries make of the rows `start <= r < stop` of a quarter of the image: each is read once."""
    n_batch, ny, nx = image.shape
    n_symmetries = symmetries.shape[0]
    swaps = symmetries[n_symmetries - 1, 0]
    for r in range(start, stop):
        for c in range(r if swaps else 0, (nx + 1) // 2):
            for corner in range(8 if swaps else 4):
                y, x = (ny - 1 - r if corner & 1 else r), (nx - 1 - c if corner & 2 else c)
                if corner & 4:
                    y, x = x, y
                for b in range(n_batch):
                    total = stack.dtype.type(0)
                    for lane in range(n_symmetries):
                        row, column = _place(symmetries[lane], y, x, ny, nx)
                        if row >= n_rows:
                            continue
                        place = ((row + 1) * (nx + 2) + column + 1) * n_symmetries + lane
                        share = stack.dtype.type(0.5 if n_rows < ny and 2 * row == ny - 1 else 1.0)
                        total += stack[place * n_batch + b] * share
                    image[b, y, x] = total


@compiled
def _place(symmetry: Any, y: Any, x: Any, ny: Any, nx: Any) -> Any:
    """Where a turned copy shows the pixel `(y, x)` of the image."""
    r = y if symmetry[2] > 0 else ny - 1 - y
    c = x if symmetry[1] > 0 else nx - 1 - x
    if symmetry[0]:
        r, c = c, r
    return r, c


@compiled
def _spread(
    sinogram: Any, rays: Any, views: Any, flipped: Any, n_bins: Any, border: Any, start: Any, stop: Any
) -> None:
    n_batch, _, n_all = sinogram.shape
    n_symmetries = views.shape[1]
    n_lanes = n_batch * n_symmetries
    for orbit in range(start, stop):
        for lane in range(n_symmetries):
            view, flip = views[orbit, lane], flipped[orbit, lane]
            if view < 0:
                continue
            # The middle of halved bins belongs to the half that is not flipped.
            count = n_all // 2 if flip and n_bins < n_all else n_bins
            for b in range(n_batch):
                place = (orbit * (n_bins + 2 * border) + border) * n_lanes + lane * n_batch + b
                for k in range(count):
                    target = n_all - 1 - k if flip else k
                    rays[place + k * n_lanes] = sinogram[b, view, target]
