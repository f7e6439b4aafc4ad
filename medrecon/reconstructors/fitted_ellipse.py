"""The ellipse of one density that line integrals speak of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medrecon.geometry import Geometry, Grid

__all__ = ["FittedEllipse", "fit_ellipse"]

Floats = NDArray[np.float64]

_STARTS = (1.2, 1.6, 2.2)  # radii of the disks to begin with, in those of the field
_ITERATIONS, _TRIALS = 40, 8
_STEP = 1e-4  # of a derivative, relative
_DONE = 1e-6  # relative change of the cost


@dataclass(frozen=True, eq=False)
class FittedEllipse:
    """The points `c + L.T u`, `|u| <= 1`, of a density: `L` is upper triangular, with the logarithms of its diagonal kept.

    Parameters
    ----------
    parameters
        `(6,)`: center `x`, `y` in millimeters, `log L[0, 0]`, `L[0, 1]`, `log L[1, 1]`, density in 1/mm.
    """

    parameters: Floats

    @property
    def density(self) -> float:
        """In 1/mm."""
        return float(self.parameters[5])

    @property
    def reach(self) -> float:
        """Distance in millimeters from the center of rotation beyond which it certainly ends."""
        return float(np.hypot(*self.parameters[:2]) + np.linalg.norm(self._axes, 2))

    def contains(self, grid: Grid) -> NDArray[np.bool_]:
        """Which pixels `(y, x)` lie within."""
        y, x = grid.coordinates()
        points = np.stack(np.broadcast_arrays(x - self.parameters[0], y[:, None] - self.parameters[1]), axis=-1)
        inside: NDArray[np.bool_] = (np.square(points @ np.linalg.inv(self._axes)).sum(-1)) <= 1
        return inside

    def integrals(self, rays: Floats) -> Floats:
        """Line integrals along rays `(3, ...)`: cosine and sine of their normals, and distances, millimeters."""
        cosine, sine, distance = rays
        (a, b), (_, d) = self._axes
        width = (a * cosine + b * sine) ** 2 + (d * sine) ** 2
        off = distance - self.parameters[0] * cosine - self.parameters[1] * sine
        result: Floats = 2 * self.density * a * d * np.sqrt(np.maximum(width - off**2, 0)) / width
        return result

    @property
    def _axes(self) -> Floats:
        _, _, a, b, d, _ = self.parameters
        return np.array([[np.exp(a), b], [0.0, np.exp(d)]])


def rays_of(geometry: Geometry) -> Floats:
    """All rays `(3, angle, detector)`: cosine and sine of their normals, and distances, millimeters."""
    rays = geometry.rays()
    (cos_view, sin_view), (cos_turn, sin_turn, distance) = rays.views.T[:, :, None], rays.bins.T
    cosine, sine = cos_view * cos_turn - sin_view * sin_turn, sin_view * cos_turn + cos_view * sin_turn
    return np.stack([cosine, sine, np.broadcast_to(distance, cosine.shape)])


def fit_ellipse(y: Floats, geometry: Geometry, field: float) -> FittedEllipse:
    """The ellipse whose integrals come nearest to a sinogram `(angle, detector)` by least squares, of any extent beyond it.

    By steps of Levenberg and Marquardt from disks of several radii; `field`, in millimeters, is that of what is seen. It scales
    with `y`. Marquardt, J Soc Indust Appl Math 11:431 (1963).
    """
    rays = rays_of(geometry)
    return min((_fitted(y, rays, start * field) for start in _STARTS), key=lambda found: found[0])[1]


def _fitted(y: Floats, rays: Floats, radius: float) -> tuple[float, FittedEllipse]:
    """The cost, and the ellipse, from a centered disk."""
    parameters = np.array([0.0, 0.0, np.log(radius), 0.0, np.log(radius), 1.0])
    disk = FittedEllipse(parameters).integrals(rays)
    parameters[5] = float((y * disk).sum() / np.square(disk).sum())
    scales = np.array([radius, radius, 1.0, radius, 1.0, parameters[5]])

    def residual(parameters: Floats) -> Floats:
        return (FittedEllipse(parameters).integrals(rays) - y).ravel()

    here, damping = residual(parameters), 1e-2
    cost = float(here @ here)
    for _ in range(_ITERATIONS):
        slopes = np.stack([(residual(parameters + _STEP * step) - here) / _STEP for step in np.diag(scales)], axis=1)
        normal, gradient = slopes.T @ slopes, slopes.T @ here
        before = cost
        for _ in range(_TRIALS):
            damped = normal + damping * np.diag(np.diag(normal)) + 1e-12 * np.trace(normal) * np.eye(6)
            moved = parameters - scales * np.linalg.solve(damped, gradient)
            there = residual(moved)
            if there @ there < cost:
                parameters, here, cost, damping = moved, there, float(there @ there), damping / 5
                break
            damping *= 4
        if before - cost <= _DONE * before:
            break
    return cost, FittedEllipse(parameters)
