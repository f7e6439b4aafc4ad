"""Measurements that are held back: how well an image that is made of the others predicts them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from medrecon.operators import LinearOperator

__all__ = ["HeldOut", "hold_out"]

_SHARE = 5  # one in so many is held back


@dataclass(frozen=True, eq=False)
class HeldOut:
    """A scan of which some is held back: `y = A x` is the rest, to make an image of, and `held_y = held_A x` judges it."""

    y: Tensor
    A: LinearOperator
    held_y: Tensor
    held_A: LinearOperator  # noqa: N815

    def error(self, x: Tensor) -> Tensor:
        """`|held_A x - held_y|^2 / |held_y|^2`, of shape `batch`: 0 without error, 1 for the black image.

        Above 1 an image predicts worse than none. Noise in what was held back adds its share of the energy, the same to every
        image: the better of two has the smaller number at any dose. Where nothing but zeros was held back it is 0.

        Raises
        ------
        ValueError
            if `x` is not of the domain of the operator.
        """
        space = self.held_A.range
        energy = space.norm(self.held_y).square()
        wrong = space.norm(self.held_A(x) - self.held_y).square()
        return torch.where(energy > 0, wrong / energy, 0.0)


def hold_out(y: Tensor, A: LinearOperator, *, seed: int = 0) -> HeldOut | None:
    """Hold a fifth of the measurements back; None where there are not five that can be left out.

    What is left out together the operator says (`LinearOperator.separable`): lines of k-space, or points, outside the calibration
    area; views. Of five neighbors one is drawn, so that what is held back is spread as the measurements are. Each element of a
    batch is split as it would be alone.

    Raises
    ------
    ValueError
        if `y` is not of the range of `A`.
    """
    A.range.require(y, "hold_out")
    separable = A.separable
    if separable is None or int(separable.sum(-1).min()) < _SHARE:
        return None
    held = _one_in_five(separable, torch.Generator().manual_seed(seed))
    return HeldOut(*A.restricted(y, ~held), *A.restricted(y, held))


def _one_in_five(separable: Tensor, generator: torch.Generator) -> Tensor:
    """Of every five that follow each other in `(..., n)` one, at random; none of what remains in the end."""
    place = separable.cumsum(-1) - 1
    groups = separable.shape[-1] // _SHARE + 1
    drawn = torch.randint(_SHARE, (groups,), generator=generator).to(place.device)
    return separable & (place % _SHARE == drawn[place.clamp_min(0) // _SHARE])
