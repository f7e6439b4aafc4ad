"""The pixel-driven backprojection on CUDA, with linear interpolation along the detector, and its exact transpose, in Triton.

A pixel's place on the detector is computed by the same operations in both, and both weigh by the hat `max(0, 1 - |place - bin|)`,
sum in a fixed order and use no atomics: the same input gives the same bits. The transpose gathers for each bin over the pixels
between the rays of the bins before and after it, step by step along the axis that its own ray follows most closely.

A pixel and view of a parallel beam cost two fused multiply-adds, a rounding, two weights and two loads of up to 16 bytes, which
serve as many images as fit (4 in float32). A fan adds a division or two.
"""

from __future__ import annotations

from collections.abc import Sequence

import triton
import triton.language as tl
from torch import Tensor

from medrecon.operators.kernels.rays_triton import blocks, edges_table, frames_table, images, on_device, place, width

__all__ = ["adjoint", "forward"]


def forward(
    sinogram: Tensor,
    views: Tensor,
    shape: Sequence[int],
    spacing: Sequence[float],
    detector: Sequence[float],
    tile: tuple[int, int] = (16, 16),
    warps: int = 4,
) -> Tensor:
    """Sums over views `(batch, *shape)` of `sinogram` `(batch, angle, detector)`; a program takes a `tile` of rows and columns."""
    size = width(len(sinogram), sinogram.dtype)
    image = sinogram.new_empty((len(sinogram), *shape))
    if not len(sinogram):
        return image
    frames = frames_table(views, sinogram.shape[2], shape, spacing, detector, sinogram.dtype)
    tiles = triton.cdiv(shape[0], tile[0]) * triton.cdiv(shape[1], tile[1])
    with on_device(sinogram):
        _forward[(tiles, triton.cdiv(len(sinogram), size))](
            blocks(sinogram, size),
            frames,
            image,
            *sinogram.shape,
            *shape,
            KIND=int(detector[0]),
            ROWS=tile[0],
            COLUMNS=tile[1],
            BATCH=size,
            num_warps=warps,
            enable_fp_fusion=False,
        )
    return image


def adjoint(
    image: Tensor,
    views: Tensor,
    n_bins: int,
    spacing: Sequence[float],
    detector: Sequence[float],
    tile: tuple[int, int] = (8, 32),
    warps: int = 4,
) -> Tensor:
    """The transpose of `forward`: `(batch, angle, detector)`; a program takes a `tile` of views and bins."""
    size = width(len(image), image.dtype)
    sinogram = image.new_empty((len(image), len(views), n_bins))
    if not sinogram.numel():
        return sinogram
    edges = edges_table(views, n_bins, image.shape[1:], spacing, detector, image.dtype)
    frames = frames_table(views, n_bins, image.shape[1:], spacing, detector, image.dtype)
    tiles = triton.cdiv(len(views), tile[0]) * triton.cdiv(n_bins, tile[1])
    with on_device(image):
        _adjoint[(tiles, triton.cdiv(len(image), size))](
            images(image, size),
            edges,
            frames,
            sinogram,
            *sinogram.shape,
            *image.shape[1:],
            KIND=int(detector[0]),
            VIEWS=tile[0],
            BINS=tile[1],
            BATCH=size,
            num_warps=warps,
            enable_fp_fusion=False,
        )
    return sinogram


@triton.jit  # type: ignore[untyped-decorator]
def _forward(
    sinogram: tl.tensor,
    frames: tl.tensor,
    image: tl.tensor,
    n_batch: tl.tensor,
    n_views: tl.tensor,
    n_bins: tl.tensor,
    ny: tl.tensor,
    nx: tl.tensor,
    KIND: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    BATCH: tl.constexpr,
) -> None:
    tiles = tl.cdiv(nx, COLUMNS)
    pixel = tl.arange(0, ROWS * COLUMNS)
    row = tl.program_id(0) // tiles * ROWS + pixel // COLUMNS
    column = tl.program_id(0) % tiles * COLUMNS + pixel % COLUMNS
    inside = (row < ny) & (column < nx)
    number = tl.program_id(1).to(tl.int64)
    sinogram += number * (n_views * n_bins * BATCH)

    dtype = image.dtype.element_ty
    r, c = (row - ny // 2).to(dtype), (column - nx // 2).to(dtype)
    batch = tl.arange(0, BATCH)
    total = tl.zeros([ROWS * COLUMNS, BATCH], dtype=dtype)
    for view in range(n_views):
        frame = _frame(frames, view, n_views, KIND)
        t, weight = _sight(frame, r, c, KIND)
        t = tl.minimum(tl.maximum(t, -2.0 * n_bins), 2.0 * n_bins)
        below = tl.floor(t)
        bin = below.to(tl.int32) + n_bins // 2
        at = (view * n_bins + bin)[:, None] * BATCH + batch[None, :]
        left = tl.load(sinogram + at, mask=(inside & (bin >= 0) & (bin < n_bins))[:, None], other=0.0)
        right = tl.load(sinogram + at + BATCH, mask=(inside & (bin >= -1) & (bin < n_bins - 1))[:, None], other=0.0)
        total = tl.fma((weight * (1 - tl.abs(t - below)))[:, None], left, total)
        total = tl.fma((weight * (1 - tl.abs(t - (below + 1))))[:, None], right, total)

    batch += tl.program_id(1) * BATCH
    at = (row * nx + column)[:, None] + batch.to(tl.int64)[None, :] * (ny * nx)
    tl.store(image + at, total, mask=inside[:, None] & (batch < n_batch)[None, :])


@triton.jit  # type: ignore[untyped-decorator]
def _adjoint(
    image: tl.tensor,
    edges: tl.tensor,
    frames: tl.tensor,
    sinogram: tl.tensor,
    n_batch: tl.tensor,
    n_views: tl.tensor,
    n_bins: tl.tensor,
    ny: tl.tensor,
    nx: tl.tensor,
    KIND: tl.constexpr,
    VIEWS: tl.constexpr,
    BINS: tl.constexpr,
    BATCH: tl.constexpr,
) -> None:
    tiles = tl.cdiv(n_bins, BINS)
    ray = tl.arange(0, VIEWS * BINS)
    view = tl.program_id(0) // tiles * VIEWS + ray // BINS
    bin = tl.program_id(0) % tiles * BINS + ray % BINS
    inside = (view < n_views) & (bin < n_bins)
    number = tl.program_id(1).to(tl.int64)
    image += number * (2 * ny * nx * BATCH)

    view, bin = tl.minimum(view, n_views - 1), tl.minimum(bin, n_bins - 1)
    frame = _frame(frames, view, n_views, KIND)
    cut, plane = edges + view * n_bins + bin, n_views * n_bins
    base, slope = tl.load(cut), tl.load(cut + plane)
    base_after, slope_after = tl.load(cut + 2 * plane), tl.load(cut + 3 * plane)
    by_rows = tl.load(cut + 4 * plane) > 0
    steps, cells = tl.where(by_rows, ny, nx), tl.where(by_rows, nx, ny)
    middle, half = steps // 2, cells // 2
    start = tl.where(by_rows, 0, ny * nx)

    # the distance of the two rays is largest at an end of the axis
    ends = middle.to(base.dtype)
    widest = tl.maximum(
        tl.abs(base_after - base + ends * (slope_after - slope)),
        tl.abs(base_after - base - ends * (slope_after - slope)),
    )
    count = tl.minimum(tl.floor(tl.minimum(widest, 1.0e6) * 1.0001 + 2e-3).to(tl.int32) + 1, cells)
    count = tl.max(tl.where(inside, count, 0), 0)

    position = (bin - n_bins // 2).to(base.dtype)
    batch = tl.arange(0, BATCH)
    total = tl.zeros([VIEWS * BINS, BATCH], dtype=image.dtype.element_ty)
    for step in range(tl.max(steps, 0)):
        m = (step - middle).to(base.dtype)
        left = tl.minimum(tl.fma(slope, m, base), tl.fma(slope_after, m, base_after))
        left = tl.minimum(tl.maximum(left - 1e-3, -1.0e6), 1.0e6)
        lowest = tl.maximum(tl.ceil(left).to(tl.int32) + half, 0)
        for j in range(count):
            cell = lowest + j
            other = (cell - half).to(base.dtype)
            t, weight = _sight(frame, tl.where(by_rows, m, other), tl.where(by_rows, other, m), KIND)
            weight *= tl.maximum(1 - tl.abs(t - position), 0.0)
            valid = inside & (step < steps) & (cell < cells)
            at = (start + step * cells + cell)[:, None] * BATCH + batch[None, :]
            total = tl.fma(weight[:, None], tl.load(image + at, mask=valid[:, None], other=0.0), total)

    batch += tl.program_id(1) * BATCH
    at = (view * n_bins + bin)[:, None] + batch.to(tl.int64)[None, :] * (n_views * n_bins)
    tl.store(sinogram + at, total, mask=inside[:, None] & (batch < n_batch)[None, :])


@triton.jit  # type: ignore[untyped-decorator]
def _frame(frames: tl.tensor, view: tl.tensor, n_views: tl.tensor, KIND: tl.constexpr) -> tl.tensor:
    """A column of `frames_table`: of a parallel beam what it needs alone."""
    at = frames + view
    l0, lr, lc, origin = tl.load(at), tl.load(at + n_views), tl.load(at + 2 * n_views), tl.load(at + 6 * n_views)
    depth = (1.0, 0.0, 0.0, 1.0)
    if KIND > 0:
        depth = (
            tl.load(at + 3 * n_views),
            tl.load(at + 4 * n_views),
            tl.load(at + 5 * n_views),
            tl.load(at + 7 * n_views),
        )
    return l0, lr, lc, origin, depth


@triton.jit  # type: ignore[untyped-decorator]
def _sight(frame: tl.tensor, r: tl.tensor, c: tl.tensor, KIND: tl.constexpr) -> tl.tensor:
    """Places of pixels in bins from the middle one, and their distance weights: none behind the source."""
    l0, lr, lc, origin, (d0, dr, dc, scale) = frame
    lateral = tl.fma(lr, r, tl.fma(lc, c, l0))
    if KIND == 0:
        sight = (lateral + origin, 1.0)
    else:
        depth = tl.fma(dr, r, tl.fma(dc, c, d0))
        squared = depth * depth
        if KIND == 2:
            squared += lateral * lateral
        before = depth > 1e-6
        weight = tl.where(before, 1 / tl.where(before, squared, 1.0), 0.0)
        sight = (place(lateral, depth, origin, scale, KIND == 2), weight)
    return sight
