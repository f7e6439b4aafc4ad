"""What the CUDA kernels of both transforms share: tables of rays and of views, the batch laid innermost, places on the detector.

The tables are computed in float64 and rounded once to the type of the image. Rows, columns and bins are counted from the middle
ones, `n // 2`, so that the numbers stay small and float32 suffices. A transform and its transpose read the same tables and place a
pixel by the same operations, contraction to fused multiply-add switched off, so that both see the same weights bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
import triton
import triton.language as tl
from torch import Tensor

from medrecon.operators.kernels.pixels import axis_of

__all__ = [
    "blocks",
    "edges_table",
    "frames_table",
    "half_width",
    "images",
    "lines_table",
    "on_device",
    "place",
    "width",
]

_CURVED = 2  # kinds of detector: 0 parallel, 1 flat, 2 curved
_FAR = 1e6  # pixels: beyond every image


def on_device(x: Tensor) -> AbstractContextManager[object]:
    """Where `x` lies is where kernels are started."""
    return torch.cuda.device(x.device) if x.is_cuda else nullcontext()


def width(batch: int, dtype: torch.dtype) -> int:
    """How many images of a batch a program holds: one load of 16 bytes a pixel."""
    return int(min(triton.next_power_of_2(batch), 16 // dtype.itemsize))


def blocks(x: Tensor, size: int) -> Tensor:
    """`(batch, ...)` to `(block, ..., size)`: images of a block lie side by side; zeros fill the last block."""
    short = -len(x) % size
    if short:
        x = torch.cat([x, x.new_zeros((short, *x.shape[1:]))])
    return x.reshape(-1, size, *x.shape[1:]).movedim(1, -1).contiguous()


def images(x: Tensor, size: int) -> Tensor:
    """`(block, 2 * y * x, size)`: each image beside its transpose, so that rays of both driving axes read along rows."""
    return torch.cat([blocks(x.flatten(1), size), blocks(x.mT.flatten(1), size)], dim=1)


def lines_table(
    views: Tensor,
    bins: Tensor,
    shape: Sequence[int],
    spacing: Sequence[float],
    detector: Sequence[float],
    dtype: torch.dtype,
) -> Tensor:
    """Base, slope, signed scale and increment `(4, angle, detector)` of every ray; of a parallel beam `(4, angle, 1)`.

    On its driving axis a ray lies at `p = base + slope * m` pixels of the other axis in step m; the scale, the length of a
    step in millimeters, is positive where rows are stepped through. Parallel rays hold the base of the middle bin, and what it
    grows by from bin to bin.
    """
    parallel = detector[0] == 0
    chosen = bins[len(bins) // 2 :][:1] if parallel else bins
    cosine, sine = _normals(views, chosen)
    by_rows = cosine.abs() * spacing[0] >= sine.abs() * spacing[1]
    base, slope, along = _crossing(cosine, sine, chosen[:, 2], by_rows, shape, spacing)
    scale = spacing[0] * spacing[1] / along.abs() * torch.where(by_rows, 1.0, -1.0)
    return torch.stack([base, slope, scale, detector[2] / along]).to(dtype)


def edges_table(
    views: Tensor,
    n_bins: int,
    shape: Sequence[int],
    spacing: Sequence[float],
    detector: Sequence[float],
    dtype: torch.dtype,
) -> Tensor:
    """Bases and slopes `(5, angle, detector)` of the rays of the bins before and after each, and 1 where rows are stepped through.

    Pixels that see a bin lie between the two. Where the two do not run along the bin's driving axis, everything lies between.
    """
    numbers = torch.arange(-1, n_bins + 1, dtype=torch.float64, device=views.device)
    bins = _bins(numbers * detector[2] + detector[1], detector)
    cosine, sine = _normals(views, bins)
    by_rows = (cosine.abs() * spacing[0] >= sine.abs() * spacing[1])[:, 1:-1]
    cuts = []
    for part in (slice(0, -2), slice(1, -1), slice(2, None)):
        cuts.append(_crossing(cosine[:, part], sine[:, part], bins[part, 2], by_rows, shape, spacing))
    (base, slope, along), (_, _, middle), (base_after, slope_after, along_after) = cuts
    regular = (along * middle > 0) & (along_after * middle > 0)
    planes = [
        torch.where(regular, base, -_FAR),
        torch.where(regular, slope, 0.0),
        torch.where(regular, base_after, _FAR),
        torch.where(regular, slope_after, 0.0),
        by_rows.to(torch.float64),
    ]
    return torch.stack(planes).to(dtype)


def frames_table(
    views: Tensor,
    n_bins: int,
    shape: Sequence[int],
    spacing: Sequence[float],
    detector: Sequence[float],
    dtype: torch.dtype,
) -> Tensor:
    """Coordinates of pixels in the frame of each view `(8, angle)`: see `place`.

    `lateral = l0 + lr * r + lc * c` and `depth = d0 + dr * r + dc * c`; then the first bin and the scale of the place.
    """
    kind, first, step, source, total = detector
    cosine, sine = views.unbind(-1)
    dy, dx, (hy, hx) = spacing[0], spacing[1], _halves(shape, spacing)
    origin = torch.full_like(cosine, -first / step - n_bins // 2)
    one = torch.ones_like(cosine)
    if kind == 0:
        unit, depth, scale = 1 / step, [one, 0 * one, 0 * one], one
    else:
        dr, dc = cosine * (dy / source), sine * (-dx / source)
        unit, depth = (1 if kind == _CURVED else total / step) / source, [1 + hy * dr + hx * dc, dr, dc]
        scale = one * (total / step)
    lr, lc = sine * (dy * unit), cosine * (dx * unit)
    return torch.stack([hy * lr + hx * lc, lr, lc, *depth, origin, scale]).to(dtype)


@triton.jit  # type: ignore[untyped-decorator]
def place(lateral: tl.tensor, depth: tl.tensor, origin: tl.tensor, scale: tl.tensor, CURVED: tl.constexpr) -> tl.tensor:
    """Place on the detector in bins from the middle one: `lateral / depth`, of a curved detector the angle of it."""
    tangent = lateral / tl.where(tl.abs(depth) > 1e-6, depth, 1e-6)
    if CURVED:
        tangent = _arctangent(tangent) * scale
    return tangent + origin


@triton.jit  # type: ignore[untyped-decorator]
def half_width(
    lateral: tl.tensor,
    depth: tl.tensor,
    lr: tl.tensor,
    lc: tl.tensor,
    dr: tl.tensor,
    dc: tl.tensor,
    scale: tl.tensor,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    CURVED: tl.constexpr,
) -> tl.tensor:
    """How many bins to either side of a pixel's place its hat reaches, at most, for a tile of pixels about `(lateral, depth)`.

    The hat ends one pixel off along a row or a column, where the tangent `lateral / depth` has changed by
    `(l_c - tangent d_c) / (depth + d_c)` or the like; the tile changes the tangent by `spread`.
    """
    nearest = depth - tl.abs(dr) * (ROWS / 2) - tl.abs(dc) * (COLUMNS / 2)
    step = tl.maximum(tl.abs(dr), tl.abs(dc))
    clear = nearest - step > 1e-3
    nearest = tl.where(clear, nearest, 1.0 + step)
    tangent = tl.where(clear, lateral / tl.where(clear, depth, 1.0), 0.0)
    spread = (tl.abs(lr - tangent * dr) * (ROWS / 2) + tl.abs(lc - tangent * dc) * (COLUMNS / 2)) / nearest
    reach = tl.maximum(tl.abs(lr - tangent * dr), tl.abs(lc - tangent * dc)) + step * spread
    reach = reach / (nearest - step)
    if CURVED:
        least = tl.maximum(tl.abs(tangent) - spread - reach, 0.0)
        reach = reach * scale / (1 + least * least)
    return tl.where(clear, reach * 1.0001 + 1e-3, 1e6)


@triton.jit  # type: ignore[untyped-decorator]
def _arctangent(x: tl.tensor) -> tl.tensor:
    """By three halvings of the angle, then the series: 1e-16."""
    size = tl.abs(x)
    z = tl.where(size > 1, 1 / tl.maximum(size, 1), size)
    z = z / (tl.sqrt(z * z + 1) + 1)
    z = z / (tl.sqrt(z * z + 1) + 1)
    z = z / (tl.sqrt(z * z + 1) + 1)
    q = z * z
    series = 1 - q * (1 / 3 - q * (1 / 5 - q * (1 / 7 - q * (1 / 9 - q * (1 / 11 - q * (1 / 13 - q * (1 / 15)))))))
    angle = z * series * 8
    angle = tl.where(size > 1, 1.5707963267948966 - angle, angle)
    return tl.where(x < 0, -angle, angle)


def _normals(views: Tensor, bins: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the angle of each ray's normal, `(angle, detector)`."""
    (cos_view, sin_view), (cos_turn, sin_turn) = views.T[..., None], bins.T[:2, None]
    return cos_view * cos_turn - sin_view * sin_turn, sin_view * cos_turn + cos_view * sin_turn


def _crossing(
    cosine: Tensor, sine: Tensor, s: Tensor, by_rows: Tensor, shape: Sequence[int], spacing: Sequence[float]
) -> tuple[Tensor, Tensor, Tensor]:
    """Base and slope of rays on the given axes in pixels, and millimeters of s per pixel across."""
    u, v = cosine * spacing[1], sine * spacing[0]
    hy, hx = (u.new_tensor(half) for half in _halves(shape, spacing))  # not of torch's default type
    along, across = torch.where(by_rows, u, v), torch.where(by_rows, v, u)
    slope = -across / along
    base = s / along + slope * torch.where(by_rows, hy, hx) - torch.where(by_rows, hx, hy)
    return base, slope, along


def _bins(positions: Tensor, detector: Sequence[float]) -> Tensor:
    """As `medrecon.geometry.Rays.bins`, for bins at any positions."""
    kind, _, _, source, total = detector
    if kind == 0:
        return torch.stack([torch.ones_like(positions), torch.zeros_like(positions), positions], dim=1)
    fan = positions / total if kind == _CURVED else torch.atan(positions / total)
    return torch.stack([fan.cos(), -fan.sin(), source * fan.sin()], dim=1)


def _halves(shape: Sequence[int], spacing: Sequence[float]) -> tuple[float, float]:
    """What the middle pixel `n // 2` lies off the axis of rotation, in pixels `(y, x)`."""
    row, column = axis_of(shape, spacing)
    return shape[0] // 2 - row, shape[1] // 2 - column
