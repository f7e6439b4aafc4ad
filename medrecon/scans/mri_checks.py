"""What k-space itself says of how it was stored: checks of one slice against what Fourier data of an object look like.

A scan is checked on one slice; what can be mended is mended alike in all of its slices, before masks and coil maps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from medrecon.data.mri.fastmri import KSpaceSample
from medrecon.data.mri.kspace_files import KSpaceFile
from medrecon.errors import InputError
from medrecon.findings import Finding, FindingName, Severity

__all__ = [
    "NOTHING",
    "Checked",
    "Mending",
    "check_kspace",
    "check_scan",
    "energy_of",
    "may_be_slab",
    "partition_findings",
]

LEAST_SIZE = 16  # samples along an axis, below which nothing is said of it
NEAR = 1  # lines by which the peak of sound k-space may lie off the middle
AROUND = 5  # samples a side of the square that is compared as the place of a peak
PROMINENT = 4.0  # times the mean magnitude, which the square around a peak has at least
SPREAD = 0.2  # of the lines of an axis that hold the energy: more is an image's profile, not k-space's
SPREAD_LINES = 8.0  # and so many at least
CLEARER = 3.0  # times as many lines hold the energy as after a further transform
FLAT = 0.35  # of the entries of an axis that hold the energy: more is an axis of coils
CORNERS = 20.0  # times the energy of its middle that an image has at its edges, if it is taken apart
OUTSIDE = 0.1  # how far the object lies on the side of the edges: 1 is at the edges, 0 even
ONE_SIDED = 0.95  # of the lines about the center: with less, one side of k-space is missing
SURE = 0.7  # how alike images of odd and even lines are at least, for their difference to be told
GHOST_PHASE, GHOST_SHIFT = 0.15, 0.12  # radians and samples of the readout: a ghost of 7 % and more
MOST_COMPARED = 128  # rows and lines around the middle, which are enough for odd and even ones
FINER = 16  # steps of the slope of a phase for each turn over the field
KZ_PEAK = 0.25  # of the slices that hold the energy: less is an axis of k-space


@dataclass(frozen=True)
class Mending:
    """What is done to every slice of a scan: nothing, unless said otherwise.

    Parameters
    ----------
    shift
        `(ky, kx)` by which k-space is rolled, so that its peak comes to the middle.
    alternate
        the axes, of -2 and -1, along which the phase turns by half a turn a sample, which moves the image by half its field.
    """

    shift: tuple[int, int] = (0, 0)
    alternate: tuple[int, ...] = ()

    def __call__(self, sample: KSpaceSample) -> KSpaceSample:
        """The sample as it should have been stored; the same object where nothing is to be done."""
        if self == NOTHING:
            return sample
        kspace = sample.kspace.roll(self.shift, (-2, -1))
        for axis in self.alternate:
            n = kspace.shape[axis]
            turns = (torch.arange(n, dtype=torch.float64) - n // 2) * (n // 2) % n / n
            phase = torch.polar(torch.ones_like(turns), 2 * torch.pi * turns).to(kspace.dtype)
            kspace = kspace * (phase[:, None] if axis == -2 else phase)
        axes = (-1,) if sample.sampled.ndim == 1 else (-2, -1)
        left, right = (edge + self.shift[1] for edge in sample.padding)
        inside = 0 <= left < right <= kspace.shape[-1]
        return replace(
            sample,
            kspace=kspace,
            sampled=sample.sampled.roll(self.shift[-len(axes) :], axes),
            padding=(left, right) if inside else (0, kspace.shape[-1]),
        )


NOTHING = Mending()


@dataclass(frozen=True)
class Checked:
    """What was found in a scan, and what is done about it."""

    findings: tuple[Finding, ...] = ()
    mending: Mending = NOTHING


def check_scan(file: KSpaceFile, indices: range) -> Checked:
    """Check the middle one of the slices, or the one nearest to it that can be used; where none can, nothing is found."""
    middle = indices[len(indices) // 2]
    for index in sorted(indices, key=lambda index: abs(index - middle)):
        try:
            return check_kspace(file[index])
        except InputError:
            continue
    return Checked()


def check_kspace(sample: KSpaceSample) -> Checked:
    """Look whether a slice is k-space `(coil, ky, kx)` with its center in the middle, and say what is wrong or mended."""
    magnitude = _magnitude(sample)
    if found := tuple(_swapped(magnitude)) or tuple(_transformed(sample, magnitude)):
        return Checked(found)
    mending = Mending(_shift(sample, magnitude))
    findings = [*_told_shift(mending.shift, magnitude.shape[-2:])]
    cut = () if sample.target is not None else _cut_axes(mending(sample))
    if cut:
        sure = len(cut) == 2 or abs(mending.shift[cut[0]]) >= magnitude.shape[cut[0]] // 2 - NEAR
        findings.append(_told_cut(cut, sure))
        mending = replace(mending, alternate=cut if sure else ())
    mended = mending(sample)
    return Checked((*findings, *_odd_lines(mended), *_missing(mended)), mending)


def energy_of(sample: KSpaceSample) -> float:
    """The sum of squared magnitudes; of values near one in double precision, as squares of float32 leave its range."""
    peak = float(torch.view_as_real(sample.kspace).abs().max())
    return float((sample.kspace.abs().double() / peak).square().sum()) * peak**2


def may_be_slab(file: KSpaceFile) -> bool:
    """Whether the header counts as many partitions as there are slices, four at least."""
    n = len(file)
    return n >= 4 and n in (file.header.encoded_matrix[2], file.header.recon_matrix[2])


def partition_findings(energies: Sequence[float], file: KSpaceFile) -> Iterator[Finding]:
    """Tell whether the slices of a slab, all of them with their energies, are planes of kz."""
    n = len(energies)
    values = torch.tensor(energies, dtype=torch.float64)
    if not may_be_slab(file) or _spread(values) > max(KZ_PEAK * n, 1.5) or abs(int(values.argmax()) - n // 2) > 1:
        return
    share = 100 * float(values.max() / values.sum())
    yield Finding(
        FindingName.UNTRANSFORMED_PARTITIONS,
        Severity.PROBLEM,
        f"the header says {n} partitions of a slab, and slice {int(values.argmax())} of {n} holds {share:.0f} % of the "
        "energy: the slices are planes of kz, each an image of no slice; transform k-space along its first axis by a centered "
        "inverse FFT, and write it again",
    )


def _magnitude(sample: KSpaceSample) -> Tensor:
    """`(coil, ky, kx)` in double precision, its largest value 1."""
    magnitude = sample.kspace.abs().double()
    return magnitude / magnitude.max()


def _spread(energies: Tensor) -> float:
    """How many entries hold the energy: n where it is even, 1 where one has all of it."""
    return float(energies.sum() ** 2 / energies.square().sum())


def _swapped(magnitude: Tensor) -> Iterator[Finding]:
    """Coils peak nowhere, and k-space does: an axis of coils with a peak in its middle, beside one without."""
    energy = magnitude.square()
    coils, ky, kx = energy.shape
    by_coil = energy.sum((1, 2))
    if coils < LEAST_SIZE or _spread(by_coil) > KZ_PEAK * coils or not _in_middle(by_coil):
        return
    for axis, size, order in ((-1, kx, "(slice, ky, kx, coil)"), (-2, ky, "(slice, ky, coil, kx)")):
        profile = energy.sum((0, -2 if axis == -1 else -1))
        if _spread(profile) > FLAT * size:
            yield Finding(
                FindingName.AXES_SWAPPED,
                Severity.PROBLEM,
                f"k-space says {coils} coils of {ky} x {kx}, but its energy peaks in the middle of the coils, not along the axis "
                f"of {size}: it seems to be {order}, and (slice, coil, ky, kx) is wanted; "
                f"write numpy.moveaxis(kspace, {axis}, 1)",
            )
            return


def _in_middle(profile: Tensor) -> bool:
    """Whether the largest entry is the middle one, or the first, where an uncentered transform has its center."""
    n, peak = len(profile), int(profile.argmax())
    return abs(peak - n // 2) <= max(1, n // 16) or min(peak, n - peak) <= 1


def _transformed(sample: KSpaceSample, magnitude: Tensor) -> Iterator[Finding]:
    """Along an axis of k-space a few lines hold the energy, and a transform spreads it; along one of an image the other way."""
    lines = sample.sampled if sample.sampled.ndim == 1 else sample.sampled.any(dim=0)
    rows = torch.ones(magnitude.shape[-2], dtype=torch.bool) if sample.sampled.ndim == 1 else sample.sampled.any(dim=1)
    for axis, name, whole in ((-2, "readout (ky)", bool(rows.all())), (-1, "phase encoding (kx)", bool(lines.all()))):
        n, other = magnitude.shape[axis], (0, -1 if axis == -2 else -2)
        if min(magnitude.shape[1:]) < LEAST_SIZE or not whole:
            continue
        here = _spread(magnitude.square().sum(other))
        if here <= max(SPREAD * n, SPREAD_LINES):
            continue
        further = torch.fft.fft(sample.kspace, dim=axis, norm="ortho").abs().double()
        profile = (further / further.max()).square().sum(other)
        peak = int(profile.argmax())
        if here > CLEARER * _spread(profile) and min(peak, n - peak) <= 2:
            yield Finding(
                FindingName.TRANSFORMED_ALREADY,
                Severity.PROBLEM,
                f"k-space has no peak along its {name}: {here:.0f} of {n} lines hold the energy, as rows of an image do, and a "
                f"transform gathers it in {_spread(profile):.0f}; the image would be wrong along this axis: transform it back by a "
                "centered FFT, and write it again",
            )


def _shift(sample: KSpaceSample, magnitude: Tensor) -> tuple[int, int]:
    """By how much the peak must be rolled to the middle; by nothing along an axis where it is there, or is not sure."""
    total = magnitude.square().sum(0)
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


def _odd_lines(sample: KSpaceSample) -> Iterator[Finding]:
    """Compare the images that even and odd lines give alone, which a Nyquist ghost sets apart."""
    block = _center_block(sample, -1)
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
    """The images `(coil, y, x)` of the even, and of the odd lines of k-space, at the resolution of the block."""
    n = block.shape[-1]
    block = (block / block.abs().max()).to(torch.complex128) * torch.hann_window(n, dtype=torch.float64)
    is_odd, axes = torch.arange(n) % 2 == 1, (-2, -1)
    parts = torch.fft.ifftshift(torch.stack([block * ~is_odd, block * is_odd]), dim=axes)
    even, odd = torch.fft.fftshift(torch.fft.ifft2(parts), dim=axes)
    return even, odd


def _odd_to_even(even: Tensor, odd: Tensor) -> tuple[float, float, float]:
    """How alike the images are, from 0 to 1, and by what phase and shift along the readout odd lines differ.

    With `f` the image and `g` the same moved by half its field, `2 even = f + g` and `2 odd = f - g`: where one of them is empty,
    `odd` is `even` or `-even`. Lines turned by `p` and shifted by `d` samples leave `(odd conj(even))^2` the phase
    `2 p + 4 pi d y / n`, which is sought over `d` by a Fourier transform.
    """
    n = even.shape[-2]
    profile = ((odd * even.conj()) ** 2).sum((0, 2))
    slopes = torch.fft.fft(profile, FINER * n)
    best = int(slopes.abs().argmax())
    turns = (best if 2 * best < FINER * n else best - FINER * n) / FINER
    phase = float(slopes[best].angle()) / 2 + math.pi * turns * (n // 2) / n
    total = float((odd * even).abs().square().sum())
    return float(slopes[best].abs()) / total if total else 0.0, (phase + math.pi / 2) % math.pi - math.pi / 2, turns / 2


def _missing(sample: KSpaceSample) -> Iterator[Finding]:
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


def _told_shift(shift: tuple[int, int], size: Sequence[int]) -> Iterator[Finding]:
    if shift == (0, 0):
        return
    peak = tuple(n // 2 - by for n, by in zip(size, shift, strict=True))
    where = (
        "in the corner, as an uncentered FFT leaves it, and not in the middle"
        if max(peak) <= NEAR
        else "off the middle"
    )
    yield Finding(
        FindingName.PEAK_OFF_CENTER,
        Severity.MENDED,
        f"the peak of k-space lies at (ky, kx) = {peak}, {where} {size[0] // 2, size[1] // 2}, where masks and coil maps look for "
        f"it: k-space is rolled by {shift}",
    )


def _cut_axes(sample: KSpaceSample) -> tuple[int, ...]:
    """The axes along which an object is cut in two by the edges of the image, its middle empty: transformed about the corner."""
    return tuple(axis for axis in (-2, -1) if _is_cut(sample, axis))


def _told_cut(cut: tuple[int, ...], sure: bool) -> Finding:
    along = " and ".join("yx"[axis] for axis in cut)
    seen = f"the object lies at both edges of the image along {along}, and its middle is empty: k-space alternates in sign, as an "
    if sure:
        return Finding(
            FindingName.OBJECT_IN_CORNERS,
            Severity.MENDED,
            f"{seen}uncentered FFT leaves it; the image is moved by half its field",
        )
    return Finding(
        FindingName.OBJECT_IN_CORNERS,
        Severity.PROBLEM,
        f"{seen}uncentered FFT leaves it, and the crop and networks look in the middle; multiply k-space by (-1)^k{along}, "
        "and write it again",
    )


def _is_cut(sample: KSpaceSample, axis: int) -> bool:
    block = _center_block(sample, axis)
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


def _center_block(sample: KSpaceSample, axis: int) -> Tensor | None:
    """The unbroken run of acquired lines, or rows, around the middle of k-space, of even length and symmetric; None if short."""
    if sample.sampled.ndim == 1:
        there = torch.ones(sample.kspace.shape[-2], dtype=torch.bool) if axis == -2 else sample.sampled
    else:
        there = sample.sampled.any(dim=1 if axis == -2 else 0)
    middle = len(there) // 2
    missing = (~there).nonzero().flatten() - middle
    before, after = missing[missing < 0], missing[missing >= 0]
    reach = min(
        middle if not len(before) else -int(before[-1]) - 1, int(after[0]) if len(after) else len(there) - middle
    )
    return sample.kspace.narrow(axis, middle - reach, 2 * reach) if 2 * reach >= LEAST_SIZE else None
