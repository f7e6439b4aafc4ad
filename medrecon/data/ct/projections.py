"""Phantoms of ellipses seen by a CT scanner: pixels on a grid, and line integrals in closed form."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from medrecon.data.phantoms.ellipses import Ellipse, Phantom
from medrecon.geometry import Geometry, Grid

__all__ = ["phantom_image", "phantom_sinogram"]


def phantom_image(phantom: Phantom, grid: Grid, unit: float = 1.0) -> Tensor:
    """Draw a phantom of ellipses on a grid: each pixel the mean of the phantom over it.

    Parameters
    ----------
    phantom
        in lengths of `unit` millimeters about the center of rotation, intensities in 1/mm.
    grid
        the pixels.
    unit
        millimeters.

    Returns
    -------
    Tensor
        float32 `(y, x)`.
    """
    (ny, nx), (dy, dx) = grid.shape, grid.spacing
    # `Phantom.image` has the origin at pixel n // 2, a CT grid its center in the middle of the image.
    sides = zip((ny, nx), (dy, dx), grid.center, strict=True)
    shift = [((n // 2 - (n - 1) / 2) * step + center) / unit for n, step, center in sides]
    moved = tuple(
        replace(shape, center=(shape.center[0] - shift[0], shape.center[1] - shift[1])) for shape in _ellipses(phantom)
    )
    return Phantom(moved).image((ny, nx), extent=(ny * dy / 2 / unit, nx * dx / 2 / unit))


def phantom_sinogram(phantom: Phantom, geometry: Geometry, unit: float = 1.0) -> Tensor:
    """Line integrals of a phantom of ellipses in closed form, dimensionless, float64 `(angle, detector)`.

    Along the ray of normal phi at distance s, an ellipse of semi-axes a, b turned by alpha about (x0, y0) gives
    `2 mu a b sqrt(w^2 - t^2) / w^2` with `w^2 = a^2 cos^2(phi - alpha) + b^2 sin^2(phi - alpha)` and
    `t = s - x0 cos(phi) - y0 sin(phi)`.
    Kak & Slaney, Principles of Computerized Tomographic Imaging, eq. 3.5 (1988).

    Parameters
    ----------
    phantom
        in lengths of `unit` millimeters about the center of rotation, intensities in 1/mm.
    geometry
        the rays.
    unit
        millimeters.
    """
    rays = geometry.rays()
    views, bins = torch.from_numpy(rays.views)[:, None, :], torch.from_numpy(rays.bins)
    cosine = views[..., 0] * bins[:, 0] - views[..., 1] * bins[:, 1]
    sine = views[..., 1] * bins[:, 0] + views[..., 0] * bins[:, 1]
    total = torch.zeros(geometry.shape, dtype=torch.float64)
    for shape in _ellipses(phantom):
        b, a = (semi * unit for semi in shape.semi_axes)
        y0, x0 = (place * unit for place in shape.center)
        ca, sa = math.cos(shape.angle), math.sin(shape.angle)
        square = (a * (cosine * ca + sine * sa)) ** 2 + (b * (sine * ca - cosine * sa)) ** 2
        distance = bins[:, 2] - x0 * cosine - y0 * sine
        total += 2 * shape.intensity * a * b * (square - distance**2).clamp_min(0).sqrt() / square
    return total


def _ellipses(phantom: Phantom) -> tuple[Ellipse, ...]:
    shapes = tuple(shape for shape in phantom.shapes if isinstance(shape, Ellipse))
    if len(shapes) != len(phantom.shapes):
        raise ValueError("the projection of a phantom takes ellipses, got ellipsoids; cut them with `section` first")
    return shapes
