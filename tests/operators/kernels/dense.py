"""The Radon transform and the pixel-driven backprojection as matrices, float64, written down from their definitions.

Rows and columns are flattened: a sinogram `(angle, detector)`, an image `(y, x)`. For small sizes: they grow as angles x bins x
pixels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medrecon.geometry import FanBeam, Geometry, Grid

__all__ = ["backprojection_matrix", "joseph_matrix"]

Matrix = NDArray[np.float64]


def joseph_matrix(grid: Grid, geometry: Geometry) -> Matrix:
    """Joseph's method: a ray steps along the axis it follows most closely and interpolates linearly along the other.

    `(angle * detector, y * x)`, millimeters: Joseph, IEEE Transactions on Medical Imaging 1(3):192 (1982).
    """
    (ny, nx), (dy, dx) = grid.shape, grid.spacing
    y, x = grid.coordinates()
    rays = geometry.rays()
    matrix = np.zeros((*geometry.shape, ny, nx))
    for a, (cos_view, sin_view) in enumerate(rays.views):
        for k, (cos_turn, sin_turn, s) in enumerate(rays.bins):
            cosine, sine = cos_view * cos_turn - sin_view * sin_turn, sin_view * cos_turn + cos_view * sin_turn
            if abs(cosine) * dy >= abs(sine) * dx:
                columns = (s - y * sine) / cosine / dx + (nx - 1) / 2 - grid.center[1] / dx
                matrix[a, k] = dy / abs(cosine) * _hats(columns, nx)
            else:
                rows = (s - x * cosine) / sine / dy + (ny - 1) / 2 - grid.center[0] / dy
                matrix[a, k] = dx / abs(sine) * _hats(rows, ny).T
    return matrix.reshape(np.prod(geometry.shape), ny * nx)


def backprojection_matrix(grid: Grid, geometry: Geometry) -> Matrix:
    """Each pixel sums, over the views, the sinogram at its own place on the detector, interpolated linearly.

    `(y * x, angle * detector)`. The terms of a fan carry the distance weight `(R / depth)^2`, on a curved detector `(R / L)^2`;
    a pixel that lies not before the source gets none. Beyond its ends the detector holds zeros.
    """
    y, x = (axis.ravel() for axis in np.meshgrid(*grid.coordinates(), indexing="ij"))
    n_angles, n_bins = geometry.shape
    first = geometry.positions()[0]
    matrix = np.zeros((y.size, n_angles, n_bins))
    for a, (cosine, sine) in enumerate(geometry.rays().views):
        position, weight = _seen(geometry, x * cosine + y * sine, y * cosine - x * sine)
        matrix[:, a] = weight[:, None] * _hats((position - first) / geometry.spacing, n_bins)
    return matrix.reshape(y.size, n_angles * n_bins)


def _seen(geometry: Geometry, lateral: Matrix, along: Matrix) -> tuple[Matrix, Matrix]:
    """Place of pixels on the detector in millimeters, and their weights, from their coordinates in the frame of the view."""
    if not isinstance(geometry, FanBeam):
        return lateral, np.ones_like(lateral)
    R, total = geometry.source_distance, geometry.source_to_detector
    depth = R + along
    before = depth > 0
    depth = np.where(before, depth, 1.0)
    if geometry.curved:
        return total * np.arctan2(lateral, depth), before * R**2 / (lateral**2 + depth**2)
    return total * lateral / depth, before * (R / depth) ** 2


def _hats(places: Matrix, count: int) -> Matrix:
    """`(place, index)`: weights `max(0, 1 - |place - index|)` of linear interpolation in a row of `count` numbers."""
    return np.maximum(0.0, 1.0 - abs(places[:, None] - np.arange(count)))
