"""Where the pixels of an image lie, as the kernels take it."""

from __future__ import annotations

from collections.abc import Sequence

from medrecon.geometry import Grid

__all__ = ["Box", "axis_of", "box_of", "is_centered", "spacing_of"]

Box = tuple[int, int, float, float, float, float]  # ny, nx, dy, dx; row and column of the axis of rotation


def spacing_of(grid: Grid) -> tuple[float, ...]:
    """`(dy, dx)`, and the center `(y, x)` after them where it is not the axis of rotation."""
    return (*grid.spacing, *grid.center) if any(grid.center) else grid.spacing


def is_centered(spacing: Sequence[float]) -> bool:
    """Whether the middle of the image lies on the axis of rotation."""
    return not any(spacing[2:])


def axis_of(shape: Sequence[int], spacing: Sequence[float]) -> tuple[float, float]:
    """Row and column, not whole numbers, of the axis of rotation."""
    dy, dx, *center = spacing
    y, x = center or (0.0, 0.0)
    return 0.5 * (shape[0] - 1) - y / dy, 0.5 * (shape[1] - 1) - x / dx


def box_of(shape: Sequence[int], spacing: Sequence[float]) -> Box:
    """What the compiled loops take of an image `shape`."""
    return int(shape[0]), int(shape[1]), float(spacing[0]), float(spacing[1]), *axis_of(shape, spacing)
