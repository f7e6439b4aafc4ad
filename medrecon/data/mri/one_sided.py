"""Whether a peak of k-space that lies off the middle was moved there, or lines on one side of it were not acquired."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["OffCenter", "off_center"]

LEAST_OFF = (
    4,
    1 / 20,
)  # samples, and share of an axis, by which a peak lies off the middle if a side of k-space was left out
LEAST_SIDE = 1 / 16  # of the axis, which is there on the short side of the peak
SURE = 0.1  # of the logarithm of a ratio of energies
PEAKED = 0.2, 8  # share of an axis, and samples, that hold its energy at most: more is no axis of k-space
PROMINENT = 4.0  # times the mean energy, which the peak has at least
COMPARED = 1 / 8  # of the axis: the samples at its end that are compared, at most


@dataclass(frozen=True)
class OffCenter:
    """A peak at sample `center` of an axis, off its middle.

    `rise` is the logarithm of the energy at the end of the long side, over that half the axis from the peak. If lines were left
    out, the energy falls until the end. If they were rolled, the end is nearer to the peak than what lies half the axis from it.
    """

    center: int
    rise: float

    @property
    def is_one_sided(self) -> bool:
        """Whether lines on the short side were not acquired, beyond doubt."""
        return self.rise < -SURE

    @property
    def may_be_one_sided(self) -> bool:
        return self.rise < SURE


def off_center(kspace: Tensor, axis: int) -> OffCenter | None:
    """Look at the peak along an axis, -2 or -1, of k-space `(..., ky, kx)`; None where no side of it can have been left out.

    That is so where the peak is near the middle or at an end, where there is none, and where samples are missing.
    """
    if not bool(kspace.isfinite().all()) or not bool(kspace.any()):
        return None
    energy = torch.view_as_real(kspace / kspace.abs().max()).square().sum(-1)
    profile = energy.reshape(-1, *kspace.shape[-2:]).sum(0, dtype=torch.float64).sum(-1 if axis == -2 else -2)
    n, center = len(profile), int(profile.argmax())
    short, off = min(center, n - 1 - center), abs(center - n // 2)
    if off < max(LEAST_OFF[0], LEAST_OFF[1] * n) or short < LEAST_SIDE * n or not bool((profile > 0).all()):
        return None
    spread = float(profile.sum() ** 2 / profile.square().sum())
    if spread > max(PEAKED[0] * n, PEAKED[1]) or float(profile.max()) < PROMINENT * float(profile.mean()):
        return None
    outward = profile[center:] if center < n // 2 else profile[: center + 1].flip(0)
    count = max(2, min(off, int(COMPARED * n)))
    opposite = outward[n // 2 - count // 2 : n // 2 + (count + 1) // 2]
    return OffCenter(center, math.log(float(outward[-count:].mean() / opposite.mean())))
