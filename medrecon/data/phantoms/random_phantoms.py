"""Phantoms of ellipses drawn at random: images without end, for tests and for trying out a training run."""

from __future__ import annotations

import math

import torch

from medrecon.data.phantoms.ellipses import Ellipse, Phantom

__all__ = ["random_phantom"]


def random_phantom(generator: torch.Generator, n_inside: int = 8) -> Phantom:
    """A body of intensity 0.5 with `n_inside` smaller ellipses in it, each brighter or darker by up to 0.3.

    Lengths in units of half the field of view.
    """
    body = Ellipse(0.5, (0.0, 0.0), (_between(generator, 0.65, 0.85), _between(generator, 0.55, 0.75)))
    inside = []
    for _ in range(n_inside):
        radius, turn = 0.45 * math.sqrt(_between(generator, 0, 1)), _between(generator, 0, 2 * math.pi)
        semi_axes = _between(generator, 0.04, 0.2), _between(generator, 0.04, 0.2)
        center = radius * math.sin(turn), radius * math.cos(turn)
        inside.append(Ellipse(_between(generator, -0.3, 0.3), center, semi_axes, _between(generator, 0, math.pi)))
    return Phantom((body, *inside))


def _between(generator: torch.Generator, low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator, dtype=torch.float64))
