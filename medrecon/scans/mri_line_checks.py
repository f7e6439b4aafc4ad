"""Whether the lines of k-space go together, and which are missing."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from medrecon.data.mri.fastmri import KSpaceSample
from medrecon.findings import Finding, FindingName, Severity
from medrecon.scans.mri_energy import LEAST_SIZE, center_block

__all__ = ["missing", "odd_lines"]

ONE_SIDED = 0.95  # of the lines about the center: with less, one side of k-space is missing
SURE = 0.7  # how alike images of odd and even lines are at least, for their difference to be told
GHOST_PHASE, GHOST_SHIFT = 0.15, 0.12  # radians and samples of the readout: a ghost of 7 % and more
MOST_COMPARED = 128  # rows and lines around the middle, which are enough for odd and even ones
FINER = 16  # steps of the slope of a phase for each turn over the field


def odd_lines(sample: KSpaceSample) -> Iterator[Finding]:
    """Compare the images that even and odd lines give alone, which a Nyquist ghost sets apart."""
    block = center_block(sample, -1)
    if block is None or sample.sampled.ndim > 1 or block.shape[-2] < LEAST_SIZE:
        return
    even, odd = _even_odd_images(_middle_of(block, MOST_COMPARED))
    sure, phase, shift = _odd_to_even(even, odd)
    if sure <= SURE or (abs(phase) <= GHOST_PHASE and abs(shift) <= GHOST_SHIFT):
        return
    cause = f"odd lines are shifted by {shift:.2f} samples of the readout against the even ones, and turned by {phase:.2f} rad"
    cure = "correct them by a reference scan, or by these numbers (or half a turn more)"
    text = f"{cause}: a ghost of the object, half a field away, lies over the image; {cure}, and write k-space again"
    yield Finding(FindingName.ODD_EVEN_LINES, Severity.PROBLEM, text)


def _middle_of(block: Tensor, most: int) -> Tensor:
    """At most so many rows and lines of the middle of k-space `(coil, ky, kx)`."""
    for axis in (-2, -1):
        n = block.shape[axis]
        kept = min(n, most)
        block = block.narrow(axis, n // 2 - kept // 2, kept)
    return block


def _even_odd_images(block: Tensor) -> tuple[Tensor, Tensor]:
    """The images `(coil, y, x)` of the even, and of the odd lines of k-space, their centers at 0, times the same phase."""
    n = block.shape[-1]
    block = block / block.abs().max() * torch.hann_window(n)
    is_odd = torch.arange(n) % 2 == 1
    even, odd = torch.fft.ifft2(torch.stack([block * ~is_odd, block * is_odd]), norm="ortho")
    return even, odd


def _odd_to_even(even: Tensor, odd: Tensor) -> tuple[float, float, float]:
    """How alike the images are, from 0 to 1, and by what phase and shift along the readout odd lines differ.

    With `f` the image and `g` the same moved by half its field, `2 even = f + g` and `2 odd = f - g`: where one of them is empty,
    `odd` is `even` or `-even`. Lines turned by `p` and shifted by `d` samples leave `(odd conj(even))^2` the phase
    `2 p + 4 pi d y / n`, which is sought over `d` by a Fourier transform.
    """
    n = even.shape[-2]
    product = odd * even.conj()
    profile = (product**2).sum((0, 2)).roll(n // 2)
    slopes = torch.fft.fft(profile, FINER * n)
    best = int(slopes.abs().argmax())
    turns = (best if 2 * best < FINER * n else best - FINER * n) / FINER
    phase = float(slopes[best].angle()) / 2 + math.pi * turns * (n // 2) / n
    total = float(torch.view_as_real(product).square().sum())
    return float(slopes[best].abs()) / total if total else 0.0, (phase + math.pi / 2) % math.pi - math.pi / 2, turns / 2


def missing(sample: KSpaceSample) -> Iterator[Finding]:
    """Name what was left out on one side of the center: lines (partial Fourier), or the start of readouts (asymmetric echo)."""
    ky, kx = sample.kspace.shape[-2:]
    left, right = sample.padding
    share = (right - left) / (2 * max(kx // 2 - left, right - kx // 2))
    cure = "tv and wavelet fill it in better than sense and the root sum of squares, which blur"
    if share < ONE_SIDED:
        text = f"partial Fourier: lines {left} to {right - 1} of {kx} were acquired, {8 * share:.1f} of 8 parts; {cure}"
        yield Finding(FindingName.PARTIAL_FOURIER, Severity.NOTE, text)
    if sample.sampled.ndim == 1:
        return
    rows, lines = sample.sampled.any(dim=1), sample.sampled.any(dim=0)
    if not torch.equal(sample.sampled, rows[:, None] & lines):
        return
    first, stop = int(rows.nonzero()[0]), int(rows.nonzero()[-1]) + 1
    share = (stop - first) / (2 * max(ky // 2 - first, stop - ky // 2))
    if bool(rows[first:stop].all()) and share < ONE_SIDED:
        text = f"asymmetric echo: samples {first} to {stop - 1} of the {ky} of a readout are there, the others are zero; {cure}"
        yield Finding(FindingName.ASYMMETRIC_ECHO, Severity.NOTE, text)
