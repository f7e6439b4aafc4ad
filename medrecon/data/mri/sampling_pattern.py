"""Which samples of a slice were acquired, and which lines never were."""

import torch

__all__ = ["HEADER_SLACK", "detect_sampling", "is_ellipse", "lines_if_whole", "settle_padding"]

STRAY_ZEROS = 0.1  # so many zeros among the samples of acquired lines are rounding, more are a pattern of points
RIM = 0.03  # of the samples of an ellipse, that may lie otherwise at its rim
HEADER_SLACK = 2  # lines by which the zero-filled edge of k-space may exceed the header's


def detect_sampling(peak: torch.Tensor) -> torch.Tensor:
    """Return which samples were acquired, from the largest magnitude `(ky, kx)` over the coils: zero means not.

    The answer is `(kx,)` where whole lines are missing or present, but for stray zeros; else `(ky, kx)`.
    """
    occupied = peak > 0
    block = occupied.any(dim=1, keepdim=True) & occupied.any(dim=0, keepdim=True)
    holes = int(block.sum()) - int(occupied.sum())
    return lines_if_whole(block if holes <= STRAY_ZEROS * int(block.sum()) else occupied)


def lines_if_whole(sampled: torch.Tensor) -> torch.Tensor:
    """Return `(kx,)` for a pattern `(ky, kx)` whose rows are alike; else the pattern itself."""
    return sampled[0] if sampled.ndim == 2 and bool((sampled == sampled[0]).all()) else sampled


def settle_padding(sampled: torch.Tensor, said: tuple[int, int] | None) -> tuple[int, int]:
    """Return (left, right) around the acquired lines: what the header says, corrected by what k-space holds.

    A line with a signal was acquired, whatever the header says. Zeros at the edges of an unbroken run of lines are
    padding where they are few: up to `HEADER_SLACK` a side beyond the header's, up to half of all where it is silent.
    """
    lines = sampled if sampled.ndim == 1 else sampled.any(dim=0)
    there = lines.nonzero()
    first, stop, n_lines = int(there[0]), int(there[-1]) + 1, lines.numel()
    if said and max(said[0] - first, stop - said[1]) > HEADER_SLACK:
        said = None  # lines with a signal lie outside of what it says, which is wrong then
    left, right = said or (0, n_lines)
    left, right = min(left, first), max(right, stop)
    whole = first <= n_lines // 2 < stop and bool(lines[first:stop].all())
    few = max(first - left, right - stop) <= HEADER_SLACK if said else 2 * (stop - first) >= n_lines
    return (first, stop) if whole and few else (left, right)


def is_ellipse(sampled: torch.Tensor) -> bool:
    """Whether a pattern `(ky, kx)` is all that lies within an ellipse about the center, but for its rim."""
    ky, kx = sampled.shape
    y, x = torch.arange(ky) - ky // 2, torch.arange(kx) - kx // 2
    reach = float(y[sampled.any(dim=1)].abs().max()), float(x[sampled.any(dim=0)].abs().max())
    for half in (0.0, 0.5):  # of a sample, by which the rim lies beyond the outermost ones
        inside = (y[:, None] / max(reach[0] + half, 1.0)) ** 2 + (x / max(reach[1] + half, 1.0)) ** 2 <= 1
        if int((inside != sampled).sum()) <= RIM * int(inside.sum()):
            return True
    return False
