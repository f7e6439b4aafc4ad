"""Whether all of k-space was received with the same gain, as the energies on both sides of its center tell."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from medrecon.data.mri.fastmri import KSpaceSample
from medrecon.findings import Finding, KSpaceFinding, Severity

__all__ = ["gain_steps"]

BESIDE = 8  # pairs of lines that are compared with as many
FIRST = 2  # pairs about the center, where the peak of an object with a phase of its own may lie
HALF, PART = 2 * math.log(1.8), 2 * math.log(2)  # logarithms of energy: gains of one side, and of a part of it


def gain_steps(sample: KSpaceSample, total: Tensor) -> Iterator[Finding]:
    """Tell of an axis along which k-space of energy `total`, `(ky, kx)`, is stronger from a line on than beyond its center.

    Whatever the object, lines at the same distance from the center hold about the same energy. Where these differ by its phase, or
    as signals decay while a scan lasts, they do so by and by.
    """
    sampled = sample.sampled.expand(total.shape)
    for axis, name in ((-1, "lines (kx)"), (-2, "samples of readouts (ky)")):
        other, n = -2 if axis == -1 else -1, total.shape[axis]
        size, first = _step(_pairs(total.sum(other), sampled.any(other)))
        if size:
            where = f"{n // 2 + first} on" if size > 0 else f"{n // 2 - first} back"
            yield Finding(
                KSpaceFinding.GAIN_STEP,
                Severity.PROBLEM,
                f"{name} from {where} are {math.exp(abs(size) / 2):.2g} times as strong as those as far on the other side of the "
                "center: the gain changed during the scan, or a part was scaled when it was written; edges would be smeared along "
                "this axis; divide that part by this number, and write k-space again",
            )


def _pairs(profile: Tensor, there: Tensor) -> Tensor:
    """The logarithm of the energy of each line beyond the center, over that as far before it, of those that were acquired."""
    n, center = len(profile), len(profile) // 2
    reach = n - center - 1
    after, before = slice(center + 1, n), slice(center - reach, center)
    known = there & (profile > 0)
    both = known[after] & known[before].flip(0)
    return (profile[after][both] / profile[before].flip(0)[both]).log()


def _step(pairs: Tensor) -> tuple[float, int]:
    """The logarithm of how much more energy there is on one side, and from which distance on; 0 of a sound axis."""
    if len(pairs) < 3 * BESIDE:
        return 0.0, 0
    near, far = float(pairs[FIRST : FIRST + BESIDE].median()), float(pairs[len(pairs) // 2 :].median())
    if min(abs(near), abs(far)) > HALF and near * far > 0:
        return float(pairs[FIRST:].median()), 1
    windows = pairs.unfold(0, BESIDE, 1)
    low, high = windows.amin(1), windows.amax(1)
    before, after = slice(FIRST, len(windows) - BESIDE), slice(FIRST + BESIDE, None)
    gaps = torch.maximum(low[after] - high[before], low[before] - high[after])
    first = int(gaps.argmax()) + FIRST + BESIDE
    size = float(pairs[first:].median() - pairs[:first].median())
    return (size, first + 1) if min(float(gaps.max()), abs(size)) > PART else (0.0, 0)
