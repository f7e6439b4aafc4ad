"""Joseph's method on CUDA: the Radon transform and its exact transpose, in Triton.

Both sum in a fixed order, without atomics: the same input gives the same bits. Where a ray crosses a step of its driving axis it
spreads over two pixels by the hat `max(0, 1 - |p - c|)`; the transform gathers along rays, the transpose for each pixel over the
bins whose hat reaches it, by the same expression of p.

A step of a ray costs one fused multiply-add, a rounding, two weights and two loads of up to 16 bytes, which serve as many images
as fit (4 in float32): about 10 operations and 8 bytes of first-level cache an image. A program follows 8 neighboring views in 32
bins, which meet nearly the same pixels in a step, so that the second level serves each once for all 8. In the transpose a program
owns a tile of pixels; a view costs a pixel 2 or 3 bins of about 10 operations and one load each, and the tile reads 30 bins of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import triton
import triton.language as tl
from torch import Tensor

from medrecon.operators.kernels.rays_triton import (
    blocks,
    frames_table,
    half_width,
    images,
    lines_table,
    on_device,
    place,
    width,
)

__all__ = ["adjoint", "forward"]


def forward(
    image: Tensor,
    views: Tensor,
    bins: Tensor,
    spacing: Sequence[float],
    detector: Sequence[float],
    tile: tuple[int, int] = (8, 32),
    warps: int = 4,
) -> Tensor:
    """Line integrals `(batch, angle, detector)` of `image` `(batch, y, x)`; a program takes a `tile` of views and bins."""
    size = width(len(image), image.dtype)
    sinogram = image.new_empty((len(image), len(views), len(bins)))
    if not sinogram.numel():
        return sinogram
    lines = lines_table(views, bins, image.shape[1:], spacing, detector, image.dtype)
    tiles = triton.cdiv(len(views), tile[0]) * triton.cdiv(len(bins), tile[1])
    with on_device(image):
        _forward[(tiles, triton.cdiv(len(image), size))](
            images(image, size),
            lines,
            sinogram,
            *sinogram.shape,
            *image.shape[1:],
            PARALLEL=detector[0] == 0,
            VIEWS=tile[0],
            BINS=tile[1],
            BATCH=size,
            num_warps=warps,
            enable_fp_fusion=False,
        )
    return sinogram


def adjoint(
    sinogram: Tensor,
    views: Tensor,
    bins: Tensor,
    shape: Sequence[int],
    spacing: Sequence[float],
    detector: Sequence[float],
    tile: tuple[int, int] = (16, 16),
    warps: int = 4,
) -> Tensor:
    """The transpose of `forward`: `(batch, *shape)`; a program takes a `tile` of rows and columns."""
    size = width(len(sinogram), sinogram.dtype)
    image = sinogram.new_empty((len(sinogram), *shape))
    if not len(sinogram):
        return image
    lines = lines_table(views, bins, shape, spacing, detector, sinogram.dtype)
    frames = frames_table(views, len(bins), shape, spacing, detector, sinogram.dtype)
    tiles = triton.cdiv(shape[0], tile[0]) * triton.cdiv(shape[1], tile[1])
    with on_device(sinogram):
        _adjoint[(tiles, triton.cdiv(len(sinogram), size))](
            blocks(sinogram, size),
            lines,
            frames,
            image,
            *sinogram.shape,
            *shape,
            PARALLEL=detector[0] == 0,
            CURVED=detector[0] == 2,
            ROWS=tile[0],
            COLUMNS=tile[1],
            BATCH=size,
            num_warps=warps,
            enable_fp_fusion=False,
        )
    return image


@triton.jit  # type: ignore[untyped-decorator]
def _forward(
    image: tl.tensor,
    lines: tl.tensor,
    sinogram: tl.tensor,
    n_batch: tl.tensor,
    n_views: tl.tensor,
    n_bins: tl.tensor,
    ny: tl.tensor,
    nx: tl.tensor,
    PARALLEL: tl.constexpr,
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
    beam = _beam(lines, view, n_views, PARALLEL)
    base, slope, scale = _line(lines, beam, view, bin, n_views, n_bins, PARALLEL)
    by_rows = scale > 0
    steps, cells = tl.where(by_rows, ny, nx), tl.where(by_rows, nx, ny)
    middle, half = steps // 2, cells // 2
    start = tl.where(by_rows, 0, ny * nx)
    first, last = _steps_inside(base, slope, steps, cells)
    first, last = tl.min(tl.where(inside, first, ny + nx), 0), tl.max(tl.where(inside, last, 0), 0)

    batch = tl.arange(0, BATCH)
    total = tl.zeros([VIEWS * BINS, BATCH], dtype=image.dtype.element_ty)
    for step in range(first, last):
        p = tl.fma(slope, (step - middle).to(base.dtype), base)
        below = tl.floor(p)
        cell = below.to(tl.int32) + half
        valid = inside & (step < steps)
        at = (start + step * cells + cell)[:, None] * BATCH + batch[None, :]
        left = tl.load(image + at, mask=(valid & (cell >= 0) & (cell < cells))[:, None], other=0.0)
        right = tl.load(image + at + BATCH, mask=(valid & (cell >= -1) & (cell < cells - 1))[:, None], other=0.0)
        total = tl.fma((1 - tl.abs(p - below))[:, None], left, total)
        total = tl.fma((1 - tl.abs(p - (below + 1)))[:, None], right, total)
    total *= tl.abs(scale)[:, None]

    batch += tl.program_id(1) * BATCH
    at = (view * n_bins + bin)[:, None] + batch.to(tl.int64)[None, :] * (n_views * n_bins)
    tl.store(sinogram + at, total, mask=inside[:, None] & (batch < n_batch)[None, :])


@triton.jit  # type: ignore[untyped-decorator]
def _adjoint(
    sinogram: tl.tensor,
    lines: tl.tensor,
    frames: tl.tensor,
    image: tl.tensor,
    n_batch: tl.tensor,
    n_views: tl.tensor,
    n_bins: tl.tensor,
    ny: tl.tensor,
    nx: tl.tensor,
    PARALLEL: tl.constexpr,
    CURVED: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    BATCH: tl.constexpr,
) -> None:
    tiles = tl.cdiv(nx, COLUMNS)
    pixel = tl.arange(0, ROWS * COLUMNS)
    corner_row, corner_column = tl.program_id(0) // tiles * ROWS, tl.program_id(0) % tiles * COLUMNS
    row, column = corner_row + pixel // COLUMNS, corner_column + pixel % COLUMNS
    inside = (row < ny) & (column < nx)
    number = tl.program_id(1).to(tl.int64)
    sinogram += number * (n_views * n_bins * BATCH)

    dtype = image.dtype.element_ty
    r, c = (row - ny // 2).to(dtype), (column - nx // 2).to(dtype)
    # the middle of the tile, in pixels from the middle of the image
    tile_r = (2 * corner_row + ROWS - 1 - ny // 2 * 2).to(dtype) / 2
    tile_c = (2 * corner_column + COLUMNS - 1 - nx // 2 * 2).to(dtype) / 2
    total = tl.zeros([ROWS * COLUMNS, BATCH], dtype=dtype)
    for view in range(n_views):
        l0, lr, lc = tl.load(frames + view), tl.load(frames + n_views + view), tl.load(frames + 2 * n_views + view)
        origin = tl.load(frames + 6 * n_views + view)
        if PARALLEL:
            center = tl.fma(lr, r, tl.fma(lc, c, l0)) + origin
            reach = tl.maximum(tl.abs(lr), tl.abs(lc)) * 1.0001 + 1e-3
        else:
            d0, dr = tl.load(frames + 3 * n_views + view), tl.load(frames + 4 * n_views + view)
            dc, extent = tl.load(frames + 5 * n_views + view), tl.load(frames + 7 * n_views + view)
            center = place(l0 + lr * r + lc * c, d0 + dr * r + dc * c, origin, extent, CURVED)
            lateral, depth = l0 + lr * tile_r + lc * tile_c, d0 + dr * tile_r + dc * tile_c
            reach = half_width(lateral, depth, lr, lc, dr, dc, extent, ROWS, COLUMNS, CURVED)
        reach = tl.minimum(reach, 4.0 * n_bins)
        center = tl.minimum(tl.maximum(center, -2.0 * n_bins), 2.0 * n_bins)
        lowest = tl.maximum(tl.ceil(center - reach).to(tl.int32) + n_bins // 2, 0)
        beam = _beam(lines, view, n_views, PARALLEL)
        row_of_view = sinogram + view * n_bins * BATCH
        for j in tl.static_range(2):
            bin = lowest + j
            total = _add(total, row_of_view, lines, beam, view, bin, r, c, inside, n_views, n_bins, PARALLEL, BATCH)
        for j in range(2, tl.minimum(tl.floor(2 * reach).to(tl.int32) + 1, n_bins)):
            bin = lowest + j
            total = _add(total, row_of_view, lines, beam, view, bin, r, c, inside, n_views, n_bins, PARALLEL, BATCH)

    batch = tl.program_id(1) * BATCH + tl.arange(0, BATCH)
    at = (row * nx + column)[:, None] + batch.to(tl.int64)[None, :] * (ny * nx)
    tl.store(image + at, total, mask=inside[:, None] & (batch < n_batch)[None, :])


@triton.jit  # type: ignore[untyped-decorator]
def _add(
    total: tl.tensor,
    sinogram: tl.tensor,
    lines: tl.tensor,
    beam: tl.tensor,
    view: tl.tensor,
    bin: tl.tensor,
    r: tl.tensor,
    c: tl.tensor,
    inside: tl.tensor,
    n_views: tl.tensor,
    n_bins: tl.tensor,
    PARALLEL: tl.constexpr,
    BATCH: tl.constexpr,
) -> tl.tensor:
    """Add to the pixels `(r, c)` what they get from one bin each of a view."""
    there = inside & (bin < n_bins)
    base, slope, scale = _line(lines, beam, view, tl.minimum(bin, n_bins - 1), n_views, n_bins, PARALLEL)
    by_rows = scale > 0
    p = tl.fma(slope, tl.where(by_rows, r, c), base)
    weight = tl.maximum(1 - tl.abs(p - tl.where(by_rows, c, r)), 0.0) * tl.abs(scale)
    at = bin[:, None] * BATCH + tl.arange(0, BATCH)[None, :]
    return tl.fma(weight[:, None], tl.load(sinogram + at, mask=there[:, None], other=0.0), total)


@triton.jit  # type: ignore[untyped-decorator]
def _beam(lines: tl.tensor, view: tl.tensor, n_views: tl.tensor, PARALLEL: tl.constexpr) -> tl.tensor:
    """What the parallel rays of a view have in common: base of the middle one, increment, slope, scale."""
    beam = (0, 0, 0, 0)
    if PARALLEL:
        at = lines + view
        beam = (tl.load(at), tl.load(at + 3 * n_views), tl.load(at + n_views), tl.load(at + 2 * n_views))
    return beam


@triton.jit  # type: ignore[untyped-decorator]
def _line(
    lines: tl.tensor,
    beam: tl.tensor,
    view: tl.tensor,
    bin: tl.tensor,
    n_views: tl.tensor,
    n_bins: tl.tensor,
    PARALLEL: tl.constexpr,
) -> tl.tensor:
    """Base, slope and signed scale of a ray."""
    if PARALLEL:
        line = (tl.fma(beam[1], (bin - n_bins // 2).to(beam[0].dtype), beam[0]), beam[2], beam[3])
    else:
        at = lines + view * n_bins + bin
        line = (tl.load(at), tl.load(at + n_views * n_bins), tl.load(at + 2 * n_views * n_bins))
    return line


@triton.jit  # type: ignore[untyped-decorator]
def _steps_inside(base: tl.tensor, slope: tl.tensor, steps: tl.tensor, cells: tl.tensor) -> tl.tensor:
    """The steps, first and one past the last, beyond which a ray lies outside of the image."""
    slope = tl.where(tl.abs(slope) < 1e-6, 1e-6, slope)
    low, high = -1.001 - cells // 2, 0.001 + cells - cells // 2
    one, other = (low - base) / slope, (high - base) / slope
    middle = steps // 2
    start, end = -middle.to(base.dtype), (steps - middle).to(base.dtype)
    first = tl.minimum(tl.maximum(tl.minimum(one, other) - 1, start), end)
    last = tl.minimum(tl.maximum(tl.maximum(one, other) + 2, start), end)
    return tl.floor(first).to(tl.int32) + middle, tl.ceil(last).to(tl.int32) + middle
