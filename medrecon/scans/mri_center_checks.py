"""Where the center of k-space lies, and that of the image."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import torch
from torch import Tensor

from medrecon.data.mri.fastmri import KSpaceSample
from medrecon.data.mri.one_sided import off_center
from medrecon.findings import Finding, KSpaceFinding, Severity, mended_or_left
from medrecon.scans.mri_energy import LEAST_SIZE, Energy, center_block

__all__ = ["NEAR", "cut_axes", "shift_of", "told_cut", "told_shift"]

NEAR = 1  # lines by which the peak of sound k-space may lie off the middle
AROUND = 5  # samples a side of the square that is compared as the place of a peak
PROMINENT = 4.0  # times the mean magnitude, which the square around a peak has at least
CORNERS = 20.0  # times the energy of its middle that an image has at its edges, if it is taken apart
OUTSIDE = 0.1  # how far the object lies on the side of the edges: 1 is at the edges, 0 even


def shift_of(sample: KSpaceSample, energy: Energy) -> tuple[int, int]:
    """By how much the peak must be rolled to the middle; by nothing along an axis where it is there, or is not sure."""
    total = energy.total
    ky, kx = total.shape
    if min(ky, kx) < LEAST_SIZE:
        return 0, 0
    half = AROUND // 2
    around = torch.nn.functional.pad(total.sqrt()[None, None], (half,) * 4, mode="circular")
    around = torch.nn.functional.avg_pool2d(around, AROUND, 1)[0, 0]
    top, start = divmod(int(around.argmax()), kx)
    if float(around[top, start]) < PROMINENT * float(around.mean()):
        return 0, 0
    rows, lines = (torch.arange(top - half, top + half + 1) % ky, torch.arange(start - half, start + half + 1) % kx)
    window = total[rows][:, lines]
    y, x = divmod(int(window.argmax()), AROUND)
    peak = int(rows[y]), int(lines[x])
    beside = torch.arange(-NEAR, NEAR + 1)
    if not bool(sample.sampled.expand(ky, kx)[(peak[0] + beside) % ky][:, (peak[1] + beside) % kx].all()):
        return 0, 0
    shift = ky // 2 - peak[0], kx // 2 - peak[1]
    return (0, 0) if max(map(abs, shift)) <= NEAR else shift


def told_shift(shift: tuple[int, int], kspace: Tensor, accepted: Collection[KSpaceFinding] = ()) -> Iterator[Finding]:
    """Say by how much k-space `(coil, ky, kx)` is rolled, if at all, and where it may be a part of it instead."""
    size = kspace.shape[-2:]
    if shift == (0, 0):
        return
    peak = tuple(n // 2 - by for n, by in zip(size, shift, strict=True))
    off = tuple(-by for by in shift)
    seen, done = f"the peak of k-space lies {off} off the middle (ky, kx)", "k-space is rolled there"
    if max(peak) <= NEAR:
        seen = (
            f"the peak of k-space lies at (ky, kx) = {peak}, in the corner, as an uncentered FFT leaves it, and not in the middle "
            f"{size[0] // 2, size[1] // 2}, where masks and coil maps look for it"
        )
        done = f"k-space is rolled by {shift}"
    for axis, by in zip((-2, -1), shift, strict=True):
        found = off_center(kspace, axis) if by else None
        if found is not None and found.may_be_one_sided:
            n = 2 * max(found.center, size[axis] - found.center)
            before = n // 2 - found.center
            done += (
                f"; if the side beyond was not acquired (partial Fourier), put {before} zeros before k{'yx'[axis]} and "
            )
            done += f"{n - size[axis] - before} behind it instead, by numpy.pad, or give a header with encoding limits"
    yield mended_or_left(KSpaceFinding.PEAK_OFF_CENTER, seen, done, accepted)


def cut_axes(sample: KSpaceSample) -> tuple[int, ...]:
    """The axes along which an object is cut in two by the edges of the image, its middle empty: transformed about the corner."""
    return tuple(axis for axis in (-2, -1) if _is_cut(sample, axis))


def told_cut(cut: tuple[int, ...], sure: bool, accepted: Collection[KSpaceFinding] = ()) -> Finding:
    """Say along which axes the image is cut in two, and that it is mended where that is sure."""
    along = " and ".join("yx"[axis] for axis in cut)
    seen = f"the object lies at both edges of the image along {along}, and its middle is empty: k-space alternates in sign, as an "
    seen += "uncentered FFT leaves it"
    if sure:
        return mended_or_left(KSpaceFinding.OBJECT_IN_CORNERS, seen, "the image is moved by half its field", accepted)
    return Finding(
        KSpaceFinding.OBJECT_IN_CORNERS,
        Severity.PROBLEM,
        f"{seen}, and the crop and networks look in the middle; multiply k-space by (-1)^k{along}, and write it again",
    )


def _is_cut(sample: KSpaceSample, axis: int) -> bool:
    block = center_block(sample, axis)
    if block is None:
        return False
    n = block.shape[axis]
    window = torch.hann_window(n, periodic=True)
    image = torch.fft.fft(block * (window[:, None] if axis == -2 else window), dim=axis, norm="ortho").abs().double()
    profile = (image / image.max()).square().sum((0, -1 if axis == -2 else -2)).roll(n // 2)
    band = max(1, n // 16)
    middle = profile[n // 2 - band // 2 : n // 2 - band // 2 + band].mean()
    edges = torch.minimum(profile[:band].mean(), profile[-band:].mean())
    around = torch.cos(2 * torch.pi * (torch.arange(n) - n // 2) / n)  # 1 in the middle, -1 at the edges
    is_outside = float((profile * around).sum()) < -OUTSIDE * float(profile.sum())
    return is_outside and float(edges) > max(CORNERS * float(middle), float(profile.mean()) / 2)
