"""Coil maps of a birdcage array in closed form, and a smooth phase: what makes a phantom's images look received.

Positions are those of `medrecon.data.phantoms.ellipses`: units of half the field of view, the origin at index `n // 2`.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from medrecon.data.phantoms.ellipses import coordinates

__all__ = ["background_phase", "birdcage_maps", "birdcage_section", "normalize_maps"]

COILS_PER_RING = 8
# Nearer to a coil than this its map does not grow any more.
NEAREST = 1e-3


def birdcage_maps(
    n_coils: int, shape: Sequence[int], extent: Sequence[float] | None = None, radius: float = 1.5
) -> Tensor:
    """Give the maps of coils that stand around the object, `exp(i phi) / r`.

    r is the distance from the coil, phi the direction to it less the coil's own place on the ring. In 2-D all coils
    stand on one ring; in 3-D on rings of at most 8, one unit apart. Not normalized: see `normalize_maps`.

    Parameters
    ----------
    n_coils : int
        At least 1.
    shape : sequence of int
        `(y, x)` or `(z, y, x)`.
    extent : sequence of float, optional
        Half the field of view along each axis; ones unless given.
    radius : float
        Radius of the rings, in units of half the field of view.

    Returns
    -------
    Tensor
        complex64 `(coil, y, x)` or `(coil, z, y, x)`.

    Raises
    ------
    ValueError
        When there is no coil, or the shape has other than two or three axes.
    """
    if len(shape) not in (2, 3):
        raise ValueError(f"birdcage_maps takes a shape (y, x) or (z, y, x), got {tuple(shape)}")
    axes = _axes(shape, extent)
    if len(shape) == 3:
        return _fields(n_coils, _coils_per_ring(n_coils), axes, radius)
    return _fields(n_coils, n_coils, [torch.zeros((), dtype=torch.float64), *axes], radius)


def birdcage_section(
    n_coils: int, z: float, shape: Sequence[int], extent: Sequence[float] | None = None, radius: float = 1.5
) -> Tensor:
    """Cut the 3-D maps of `birdcage_maps` at height `z`: complex64 `(coil, y, x)` on a grid of `shape` `(y, x)`."""
    height = torch.tensor(z, dtype=torch.float64)
    return _fields(n_coils, _coils_per_ring(n_coils), [height, *_axes(shape, extent)], radius)


def normalize_maps(maps: Tensor) -> Tensor:
    """Divide maps `(coil, [z,] y, x)` by their root sum of squares over the coils; zeros stay zeros."""
    rss = torch.linalg.vector_norm(maps, dim=0)
    return maps / torch.where(rss > 0, rss, 1.0)


def background_phase(
    shape: Sequence[int], generator: torch.Generator, extent: Sequence[float] | None = None, peak: float = math.pi / 2
) -> Tensor:
    """Draw a smooth phase `exp(i p(x))`, p a polynomial of second degree in the positions.

    The coefficients are drawn before the grid is looked at, so that one seed gives the same phase on every grid.

    Parameters
    ----------
    shape : sequence of int
        `(y, x)` or `(z, y, x)`.
    generator : torch.Generator
        A CPU generator.
    extent : sequence of float, optional
        Half the field of view along each axis; ones unless given.
    peak : float
        The largest phase that is possible within half the field of view, radians.

    Returns
    -------
    Tensor
        complex64 of this shape, of magnitude one.
    """
    axes = [torch.ones((), dtype=torch.float64), *_axes(shape, extent)]
    products = [first * second for i, first in enumerate(axes) for second in axes[i:]]
    weights = 2 * torch.rand(len(products), dtype=torch.float64, generator=generator) - 1
    weights *= peak / weights.abs().sum()
    phase = sum(
        (weight * product for weight, product in zip(weights, products, strict=True)),
        start=torch.zeros(tuple(shape), dtype=torch.float64),
    )
    return torch.polar(torch.ones_like(phase), phase).to(torch.complex64)


def _axes(shape: Sequence[int], extent: Sequence[float] | None) -> list[Tensor]:
    """Coordinates of each axis, shaped to broadcast against each other."""
    halves = [1.0] * len(shape) if extent is None else extent
    axes = []
    for i, (n, half) in enumerate(zip(shape, halves, strict=True)):
        axes.append(coordinates(n, half).reshape([-1 if i == j else 1 for j in range(len(shape))]))
    return axes


def _coils_per_ring(n_coils: int) -> int:
    n_rings = math.ceil(n_coils / COILS_PER_RING)
    return math.ceil(n_coils / max(n_rings, 1))


def _fields(n_coils: int, per_ring: int, axes: Sequence[Tensor], radius: float) -> Tensor:
    """Maps of coils on rings one unit apart, seen from points `(z, y, x)`."""
    if n_coils < 1:
        raise ValueError(f"birdcage maps take at least one coil, got {n_coils}")
    z, y, x = axes
    n_rings = math.ceil(n_coils / per_ring)
    maps = []
    for coil in range(n_coils):
        ring, turn = coil // per_ring, 2 * math.pi / per_ring
        dx = x - radius * math.cos(coil * turn)
        dy = y - radius * math.sin(coil * turn)
        dz = z - (ring - 0.5 * (n_rings - 1))
        distance = (dx**2 + dy**2 + dz**2).sqrt().clamp_min(NEAREST)
        phase = torch.atan2(dx, -dy) - (coil + ring) * turn
        maps.append(torch.polar(1 / distance, phase.expand_as(distance)).to(torch.complex64))
    return torch.stack(maps)
