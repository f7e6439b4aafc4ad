"""The views of a CT scan dealt out to subsets."""

from __future__ import annotations

import math

from torch import Tensor

from medrecon.functionals import LeastSquares
from medrecon.geometry import Geometry
from medrecon.operators import Diagonal, LinearOperator, Radon

__all__ = ["FEWEST_VIEWS", "view_blocks"]

#: Views that a subset needs to stand for the scan: with 8 the accelerated iteration diverged in trials, with 15 it never did.
FEWEST_VIEWS = 15

_SAME = 1e-9  # radians


def view_blocks(y: Tensor, A: LinearOperator, count: int, weights: Tensor | None = None) -> tuple[LeastSquares, ...]:
    """The data terms `|A_b x - y_b|^2 / 2` of `count` subsets of interleaved views, `geometry[k::count]` of a `Radon`.

    There are fewer where a subset would have less than 15 views, up to a quarter more where a quarter turn then maps each onto
    itself, which makes projectors faster, and one alone of any other operator. `weights`, of the shape of
    `y`, make the terms `<w (A_b x - y_b), A_b x - y_b> / 2`. Neighbors in the sequence lie far apart in angle: it is that of van
    der Corput, the multilevel scheme of Guan & Gordon, Phys Med Biol 39:2005 (1994).
    """
    if not isinstance(A, Radon) or (n := _number(A.geometry, count)) < 2:
        return (_weighted(y, A, weights),)
    return tuple(
        _weighted(
            y[..., k::n, :].contiguous(),
            Radon(A.grid, A.geometry[k::n]),
            None if weights is None else weights[..., k::n, :].contiguous(),
        )
        for k in _far_apart(n)
    )


def _number(geometry: Geometry, count: int) -> int:
    most = geometry.shape[0] // FEWEST_VIEWS
    n = min(count, most)
    angles = list(geometry.angles)
    turned = [k for k, angle in enumerate(angles) if abs(angle - angles[0] - math.pi / 2) < _SAME]
    if not turned or n < 2:
        return n
    return next((k for k in range(n, min(n + n // 4, most) + 1) if turned[0] % k == 0), n)


def _weighted(y: Tensor, A: LinearOperator, weights: Tensor | None) -> LeastSquares:
    if weights is None:
        return LeastSquares(A, y)
    root = weights.sqrt()
    return LeastSquares(Diagonal(root, A.range) @ A, root * y)


def _far_apart(n: int) -> list[int]:
    """`0 .. n - 1` by their bits in reverse."""
    bits = (n - 1).bit_length()
    return sorted(range(n), key=lambda k: int(f"{k:0{bits}b}"[::-1], 2))
