"""Ellipses and ellipsoids, as pixels and as the k-space that a scanner would measure of them, in closed form.

Lengths are in units of half the field of view: an axis of n pixels covers [-e, e), `e` its `extent` (one unless
stated), and pixel i lies at `(i - n // 2) 2 e / n`. Larger extents show the same object in a larger field of view.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Ellipse", "Ellipsoid", "Phantom", "coordinates"]

SUBPIXELS = {2: 8, 3: 4}


@dataclass(frozen=True)
class Ellipse:
    """A filled ellipse of one intensity, lengths in units of half the field of view.

    Parameters
    ----------
    intensity : float
        What the ellipse adds to the image inside it.
    center, semi_axes : tuple of float
        `(y, x)`; y grows downwards (to posterior), x to the right.
    angle : float
        Radians by which the ellipse is turned about its center, from the x axis towards the y axis.

    Raises
    ------
    ValueError
        When a semi-axis is not above zero.
    """

    intensity: float
    center: tuple[float, float]
    semi_axes: tuple[float, float]
    angle: float = 0.0

    def __post_init__(self) -> None:
        _require_semi_axes("Ellipse", self.semi_axes)


@dataclass(frozen=True)
class Ellipsoid:
    """A filled ellipsoid of one intensity, lengths in units of half the field of view.

    Parameters
    ----------
    intensity : float
        What the ellipsoid adds to the image inside it.
    center, semi_axes : tuple of float
        `(z, y, x)`; z grows to superior, y to posterior, x to the right of the picture.
    angle : float
        Radians by which it is turned about an axis along z through its center, from the x axis towards the y axis.

    Raises
    ------
    ValueError
        When a semi-axis is not above zero.
    """

    intensity: float
    center: tuple[float, float, float]
    semi_axes: tuple[float, float, float]
    angle: float = 0.0

    def __post_init__(self) -> None:
        _require_semi_axes("Ellipsoid", self.semi_axes)

    def section(self, z: float) -> Ellipse | None:
        """Cut the ellipsoid by the plane at height `z`; None where the plane misses it."""
        square = 1 - ((z - self.center[0]) / self.semi_axes[0]) ** 2
        if square <= 1e-12:
            return None
        scale = math.sqrt(square)
        semi_axes = (scale * self.semi_axes[1], scale * self.semi_axes[2])
        return Ellipse(self.intensity, self.center[1:], semi_axes, self.angle)


@dataclass(frozen=True)
class Phantom:
    """A sum of ellipses, `image (y, x)`, or of ellipsoids, `image (z, y, x)`.

    Raises
    ------
    ValueError
        When there is no shape.
    """

    shapes: tuple[Ellipse, ...] | tuple[Ellipsoid, ...]

    def __post_init__(self) -> None:
        if not self.shapes:
            raise ValueError("Phantom takes at least one Ellipse or Ellipsoid, got none")

    @property
    def ndim(self) -> int:
        """Number of axes of its image: 2 or 3."""
        return len(self.shapes[0].center)

    def section(self, z: float) -> "Phantom | None":
        """Cut a phantom of ellipsoids at height `z` into one of ellipses; None where the plane misses them all."""
        cuts = [shape.section(z) for shape in self.shapes if isinstance(shape, Ellipsoid)]
        found = tuple(cut for cut in cuts if cut is not None)
        return Phantom(found) if found else None

    def image(self, shape: Sequence[int], extent: Sequence[float] | None = None) -> Tensor:
        """Draw the phantom: each pixel the mean of the phantom over it, by subsamples where an edge runs through.

        Parameters
        ----------
        shape : sequence of int
            `(y, x)` or `(z, y, x)`.
        extent : sequence of float, optional
            Half the field of view along each axis; ones unless given.

        Returns
        -------
        Tensor
            float32 of this shape.

        Raises
        ------
        ValueError
            When the number of axes is not the phantom's.
        """
        sizes, halves = self._grid("image", shape, extent)
        total = torch.zeros(sizes, dtype=torch.float64)
        for ellipse in self.shapes:
            _draw(total, ellipse, halves)
        return total.float()

    def kspace(self, shape: Sequence[int], extent: Sequence[float] | None = None) -> Tensor:
        """Give the k-space of the continuous phantom, scaled as the centered unitary transform of `image` is.

        `y(k) = sqrt(N) / prod(2 e) F(k / (2 e))`, F the continuous Fourier transform: for an ellipse of semi-axes a, b
        and center c, `F(v) = a b J1(2 pi q) / q exp(-2 pi i v c)`, with q the length of v, turned and scaled by (a, b);
        for an ellipsoid the factor is `a b c (sin(2 pi q) - 2 pi q cos(2 pi q)) / (2 pi^2 q^3)`. Its inverse transform
        rings as a truncated Fourier series does, and as a scan does. [Koay et al., MRM 58:430, 2007]

        Parameters
        ----------
        shape : sequence of int
            `(ky, kx)` or `(kz, ky, kx)`.
        extent : sequence of float, optional
            Half the field of view along each axis; ones unless given.

        Returns
        -------
        Tensor
            complex64 of this shape, DC at index `n // 2`.

        Raises
        ------
        ValueError
            When the number of axes is not the phantom's.
        """
        sizes, halves = self._grid("kspace", shape, extent)
        frequencies = [
            (torch.arange(n, dtype=torch.float64) - n // 2) / (2 * e) for n, e in zip(sizes, halves, strict=True)
        ]
        total = torch.zeros(sizes, dtype=torch.complex64)
        for ellipse in self.shapes:
            total += _spectrum(ellipse, frequencies)
        return total * (math.sqrt(math.prod(sizes)) / math.prod(2 * e for e in halves))

    def _grid(
        self, who: str, shape: Sequence[int], extent: Sequence[float] | None
    ) -> tuple[tuple[int, ...], tuple[float, ...]]:
        sizes, halves = tuple(shape), (1.0,) * self.ndim if extent is None else tuple(extent)
        if len(sizes) != self.ndim or len(halves) != self.ndim:
            raise ValueError(f"Phantom.{who} takes {self.ndim} sizes and extents, got {sizes} and {halves}")
        return sizes, halves


def coordinates(n: int, extent: float = 1.0) -> Tensor:
    """Give the centers `(n,)` float64 of the pixels of an axis, `(i - n // 2) 2 extent / n`."""
    return (torch.arange(n, dtype=torch.float64) - n // 2) * (2 * extent / n)


def _turned(ellipse: Ellipse | Ellipsoid, axes: Sequence[Tensor]) -> list[Tensor]:
    """Components of broadcast axes `([z,] y, x)` along the semi-axes of the turned ellipse."""
    *height, y, x = axes
    sine, cosine = math.sin(ellipse.angle), math.cos(ellipse.angle)
    return [*height, cosine * y - sine * x, cosine * x + sine * y]


def _open_grid(axes: Sequence[Tensor]) -> list[Tensor]:
    """Reshape 1-D axes so that they broadcast against each other."""
    return [axis.reshape([-1 if i == j else 1 for j in range(len(axes))]) for i, axis in enumerate(axes)]


def _norm(parts: Sequence[Tensor], scales: Sequence[float]) -> Tensor:
    squares = [(part * scale) ** 2 for part, scale in zip(parts, scales, strict=True)]
    return sum(squares, start=torch.zeros((), dtype=torch.float64)).sqrt()


def _draw(total: Tensor, ellipse: Ellipse | Ellipsoid, halves: Sequence[float]) -> None:
    """Add the ellipse to the image `total`, within the box of pixels that it can reach."""
    pixels = [2 * e / n for n, e in zip(total.shape, halves, strict=True)]
    reach = max(ellipse.semi_axes[-2:])
    reaches = [*ellipse.semi_axes[:-2], reach, reach]
    box, axes = [], []
    for n, half, pixel, c, r in zip(total.shape, halves, pixels, ellipse.center, reaches, strict=True):
        first = max(math.floor((c - r) / pixel) + n // 2 - 1, 0)
        stop = max(min(math.ceil((c + r) / pixel) + n // 2 + 2, n), first)
        box.append(slice(first, stop))
        axes.append(coordinates(n, half)[first:stop] - c)
    inverse = [1 / semi for semi in ellipse.semi_axes]
    radius = _norm(_turned(ellipse, _open_grid(axes)), inverse)
    margin = 0.5 * math.hypot(*pixels) / min(ellipse.semi_axes)
    cover = (radius <= 1).double()
    edge = torch.nonzero((radius - 1).abs() <= margin, as_tuple=True)
    centers = [axis[index] for axis, index in zip(axes, edge, strict=True)]
    m = SUBPIXELS[total.ndim]
    hits = torch.zeros(edge[0].numel(), dtype=torch.float64)
    for steps in itertools.product([(i + 0.5) / m - 0.5 for i in range(m)], repeat=total.ndim):
        points = [c + step * pixel for c, step, pixel in zip(centers, steps, pixels, strict=True)]
        hits += _norm(_turned(ellipse, points), inverse) <= 1
    cover[edge] = hits / m**total.ndim
    total[tuple(box)] += ellipse.intensity * cover


def _spectrum(ellipse: Ellipse | Ellipsoid, frequencies: Sequence[Tensor]) -> Tensor:
    """The continuous Fourier transform, complex64, at cycles per unit length."""
    q = _norm(_turned(ellipse, _open_grid(frequencies)), ellipse.semi_axes)
    size = ellipse.intensity * math.prod(ellipse.semi_axes)
    angle = 2 * math.pi * q.clamp_min(1e-3)
    if len(frequencies) == 2:
        ball = torch.special.bessel_j1(angle) * (2 * math.pi) / angle
        at_zero = math.pi * (1 - (math.pi * q) ** 2 / 2)
    else:
        ball = (angle.sin() - angle * angle.cos()) * (4 * math.pi) / angle**3
        at_zero = 4 * math.pi / 3 * (1 - (2 * math.pi * q) ** 2 / 10)
    spectrum = torch.where(q > 1e-3, ball, at_zero) * size
    waves = [
        torch.polar(torch.ones_like(f), -2 * math.pi * f * c) for f, c in zip(frequencies, ellipse.center, strict=True)
    ]
    result = spectrum.to(torch.complex64)
    for wave in _open_grid(waves):
        result *= wave.to(torch.complex64)
    return result


def _require_semi_axes(who: str, semi_axes: tuple[float, ...]) -> None:
    if not min(semi_axes) > 0:
        raise ValueError(f"{who} takes semi-axes above zero, got {semi_axes}")
