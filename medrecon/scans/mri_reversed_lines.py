"""Which lines of k-space go with their neighbors when they are read the other way round."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["reversed_lines", "with_reversed"]

LAGS = (1, 2, 3)  # lines, over which those of an object that does not fill its field are alike
SHIFTS = (-1, 0, 1, 2)  # samples by which a reversed line may lie off


def reversed_lines(block: Tensor) -> Tensor:
    """Label the lines of k-space `(coil, ky, kx)`: bool `(kx,)`, true for those that run against the others, at most half of them.

    From the middle on, each line is compared with those before it as they are, and as they are reversed. That is a guess where
    lines are hardly alike, and the image must tell whether it is a good one.
    """
    n = block.shape[-1]
    flipped = block.flip(-2)
    energy = torch.view_as_real(block).square().sum((0, 1, -1)).sqrt()
    weighed = {}
    for lag in LAGS:
        same = _likeness(block, block, lag)
        turned = torch.stack([_likeness(flipped.roll(by, -2), block, lag) for by in SHIFTS]).amax(0)
        both = (energy[:-lag] * energy[lag:]).clamp_min(torch.finfo(energy.dtype).tiny)
        weighed[lag] = ((same - turned) / both).tolist()
    middle, signs = n // 2, [1] * n
    for j in range(middle + 1, n):
        votes = sum(weighed[lag][j - lag] * signs[j - lag] for lag in LAGS if j - lag >= middle)
        signs[j] = 1 if votes >= 0 else -1
    for j in reversed(range(middle)):
        votes = sum(weighed[lag][j] * signs[j + lag] for lag in LAGS if j + lag <= middle)
        signs[j] = 1 if votes >= 0 else -1
    against = torch.tensor(signs) < 0
    return against if 2 * int(against.sum()) <= n else ~against


def with_reversed(block: Tensor, lines: Tensor, shift: int = 0) -> Tensor:
    """K-space `(coil, ky, kx)` with these lines reversed, and moved by so many samples."""
    turned = block.clone()
    turned[..., lines] = block[..., lines].flip(-2).roll(shift, -2)
    return turned


def _likeness(lines: Tensor, others: Tensor, lag: int) -> Tensor:
    """`|<a_j, b_(j + lag)>|` of the lines of two blocks of k-space, over coils and samples."""
    return (lines[..., :-lag].conj() * others[..., lag:]).sum((0, 1)).abs()
