"""Values that no receiver gives: without an imaginary part, cut off at a highest one, or the same twice over."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from medrecon.data.mri.fastmri import KSpaceSample
from medrecon.findings import Finding, KSpaceFinding, Severity
from medrecon.words import listed

__all__ = ["values_of_no_receiver"]

EVEN = 1e-3  # of the energy of real k-space, that is not even: less is that of a symmetric image without noise
FEWEST_CUT, MOST_CUT = (
    4,
    0.05,
)  # samples at the highest value: fewer are chance, a larger share is an object of a few points
WITHIN = 0.5  # of an axis, about the center, where all samples that are cut off lie


def values_of_no_receiver(sample: KSpaceSample) -> Iterator[Finding]:
    """Tell of what the noise of a receiver, and its phase, leave in no scan."""
    yield from _phase_lost(sample.kspace)
    yield from _clipped(sample.kspace)
    yield from _repeated_lines(sample)
    yield from _repeated_coils(sample.kspace)


def _phase_lost(kspace: Tensor) -> Iterator[Finding]:
    """Look for real or imaginary k-space, which is that of an image symmetric about its middle, and even if this has no phase."""
    middle = kspace.shape[-2] // 2
    for part, other, name in ((kspace.real, kspace.imag, "imaginary"), (kspace.imag, kspace.real, "real")):
        if bool(other[:, middle].any()) or bool(other.any()) or _is_even(part):
            continue
        lowest = " and no value is below zero: these are magnitudes" if float(part.min()) >= 0 else ""
        yield Finding(
            KSpaceFinding.PHASE_LOST,
            Severity.PROBLEM,
            f"the {name} part of k-space is zero everywhere{lowest or ', as in no scan'}; the image would be overlaid by itself, "
            "turned by half a turn: write k-space as complex numbers, both parts",
        )


def _is_even(part: Tensor) -> bool:
    """Whether values `(coil, ky, kx)` are those of a symmetric image: even about the center, or about half a sample before it."""
    part = part / part.abs().max()
    energy = float(part.square().sum())
    turned = part.flip((-2, -1))
    shifts = ((0, 0), (0, 1), (1, 0), (1, 1))
    return min(float((part - turned.roll(by, (-2, -1))).square().sum()) for by in shifts) < EVEN * energy


def _clipped(kspace: Tensor) -> Iterator[Finding]:
    """Look for coils of which several samples about the center, some of them neighbors, read exactly the highest value."""
    cut = {coil: n for coil, values in enumerate(kspace) if (n := _at_ceiling(values))}
    if cut:
        named = listed([f"{coil} ({n} samples)" for coil, n in cut.items()])
        yield Finding(
            KSpaceFinding.CLIPPED,
            Severity.PROBLEM,
            f"k-space stops at a highest value, which samples about its center read exactly, of coils {named}: the receiver was "
            "overdriven, or numbers were cut off; brightness would be wrong over wide parts of the image: measure with less gain",
        )


def _at_ceiling(values: Tensor) -> int:
    """How many samples of one coil `(ky, kx)` are cut off at the largest magnitude of a real or imaginary part."""
    parts = torch.view_as_real(values)
    low, high = parts.aminmax()
    ceiling = float(torch.maximum(-low, high))
    for axis in (0, 1):
        n = parts.shape[axis]
        kept = max(1, int(WITHIN * n))
        parts = parts.narrow(axis, n // 2 - kept // 2, kept)
    at = (parts.abs() == ceiling).any(-1)
    n = int(at.sum())
    if ceiling == 0 or not FEWEST_CUT <= n <= MOST_CUT * values.numel():
        return 0
    is_all = n == int((torch.view_as_real(values).abs() == ceiling).any(-1).sum())
    return n if is_all and bool((at[1:] & at[:-1]).any() | (at[:, 1:] & at[:, :-1]).any()) else 0


def _repeated_lines(sample: KSpaceSample) -> Iterator[Finding]:
    """Look for lines that hold the numbers of others: of noise no two do, and of symmetric images pairs about the center."""
    n, there = sample.kspace.shape[-1], sample.sampled if sample.sampled.ndim == 1 else sample.sampled.any(dim=0)
    lines = there.nonzero().flatten()
    found = [lines[group].tolist() for group in _alike(sample.kspace.movedim(-1, 0), lines)]
    is_mirrored = all(len(group) == 2 and abs(sum(group) - n) <= 1 for group in found)
    repeated = [k for group in found for k in group[1:]]
    if not repeated or is_mirrored or sum(map(len, found)) == len(lines):
        return
    yield Finding(
        KSpaceFinding.REPEATED_LINES,
        Severity.PROBLEM,
        f"lines {listed(repeated)} (kx) hold the numbers of others, noise and all: they were written twice, or not read; the image "
        "would have ghosts: write zeros there, which counts as not acquired",
    )


def _repeated_coils(kspace: Tensor) -> Iterator[Finding]:
    groups = _alike(kspace, torch.arange(len(kspace)))
    if groups and sum(map(len, groups)) < len(kspace):
        named = listed([" and ".join(map(str, group)) for group in groups])
        yield Finding(
            KSpaceFinding.REPEATED_COILS,
            Severity.NOTE,
            f"coils {named} hold the same numbers: one was written twice, and counts twice; is another one missing?",
        )


def _alike(parts: Tensor, places: Tensor) -> list[list[int]]:
    """Groups of the places, counted in their own order, at which the same numbers lie along the first axis, not all zero."""
    rows = torch.view_as_real(parts[:, parts.shape[1] // 2][places]).flatten(1).numpy()
    kinds: dict[bytes, list[int]] = {}
    for k, row in enumerate(rows):
        kinds.setdefault(row.tobytes(), []).append(k)
    groups: list[list[int]] = []
    for first, *others in kinds.values():
        whole = parts[places[first]]
        same = [first, *(k for k in others if torch.equal(parts[places[k]], whole))]
        if len(same) > 1 and bool(whole.any()):
            groups.append(same)
    return groups
