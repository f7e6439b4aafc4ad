"""Periodic interpolation of unit vectors that are known up to a phase."""

import math

import torch
from torch import Tensor

__all__ = ["interpolate_directions", "lagrange_weights"]


def lagrange_weights(n: int, m: int, like: Tensor) -> Tensor:
    """Return the `(n, m)` matrix of cubic interpolation from `m` nodes of a period to `n`, index `m//2` on `n//2`."""
    position = (torch.arange(n, dtype=torch.float64) - n // 2) * (m / n) + m // 2
    first = position.floor().long() - 1
    weights = torch.zeros(n, m, dtype=torch.float64)
    for tap in range(4):
        others = [other for other in range(4) if other != tap]
        factors = [(position - (first + other)) / (tap - other) for other in others]
        weight = torch.stack(factors).prod(0)
        weights[torch.arange(n), (first + tap) % m] += weight
    return weights.to(like)


def interpolate_directions(vectors: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Interpolate unit vectors `(y, x, coil)`, each of arbitrary phase, by the weights `(y', y)` and `(x', x)`.

    Along each axis in turn the phases are first aligned between neighbors. The result `(y', x', coil)` has lengths
    near one where the directions vary smoothly between the nodes, and off one where they do not.
    """
    aligned = _align(vectors.movedim(0, 1)).movedim(1, 0)
    flat = torch.view_as_real(aligned.contiguous()).flatten(1)
    along_y = torch.view_as_complex((rows @ flat).reshape(-1, *vectors.shape[1:], 2))
    flat = torch.view_as_real(_align(along_y)).flatten(2)
    return torch.view_as_complex((columns @ flat).reshape(len(rows), len(columns), -1, 2))


def _align(vectors: Tensor) -> Tensor:
    """Turn the phases of `(..., node, coil)` so that neighbors around the period agree.

    What is left after one turn around the period is spread evenly over its nodes.
    """
    steps = torch.linalg.vecdot(vectors, vectors.roll(-1, -2)).angle()
    excess = torch.remainder(steps.sum(-1, keepdim=True) + math.pi, 2 * math.pi) - math.pi
    steps = steps - excess / steps.shape[-1]
    phase = steps.cumsum(-1) - steps
    return vectors * torch.polar(torch.ones_like(phase), -phase)[..., None]
