"""Whether the lines of k-space go together, and which are missing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from medrecon.data.mri.fastmri import KSpaceSample
from medrecon.data.mri.sampling_pattern import HEADER_SLACK
from medrecon.findings import Finding, KSpaceFinding, Severity
from medrecon.scans.mri_energy import LEAST_SIZE, center_block

__all__ = ["limits_contradicted", "missing", "odd_lines"]

ONE_SIDED = 0.95  # of the lines about the center: with less, one side of k-space is missing
SURE = 0.7  # how alike images of odd and even lines are at least, for their difference to be told
GHOST_PHASE, GHOST_SHIFT = 0.15, 0.12  # radians and samples of the readout: a ghost of 7 % and more
SPARSER = 0.03  # by so much, over the number of coils, a correction lowers the sum of magnitudes of an image without its ghost
AGREEING = 0.4  # how alike images of even lines and of odd ones are at least, if those are reversed
CLEARER = 1.3  # times as alike as they are without that
RIM = 0.03  # of the samples of an ellipse, that may lie otherwise at its rim
MOST_COMPARED = 128  # rows and lines around the middle, which are enough for odd and even ones
FINER = 16  # steps of the slope of a phase for each turn over the field


@dataclass(frozen=True)
class _OddToEven:
    """How odd lines differ from even ones: by a phase in radians, and a shift along the readout in samples.

    `sure` is how alike the phases of their images are, and `agreement` how alike their magnitudes are, too; both from 0 to 1.
    """

    sure: float
    agreement: float
    phase: float
    shift: float


def odd_lines(sample: KSpaceSample) -> Iterator[Finding]:
    """Compare the images that even and odd lines give alone, which a Nyquist ghost or reversed readouts set apart."""
    block = center_block(sample, -1)
    if block is None or sample.sampled.ndim > 1 or block.shape[-2] < LEAST_SIZE:
        return
    block = _middle_of(block, -1)
    found = _odd_to_even(_middle_of(block, -2))
    reversed_ = _odd_to_even(_middle_of(_odd_reversed(block), -2))
    if reversed_.agreement > max(AGREEING, CLEARER * found.agreement):
        yield _told_reversed(reversed_, found)
    elif _is_ghost(found) and _is_sparser(_middle_of(block, -2), found):
        cause = (
            f"odd lines are shifted by {found.shift:.2f} samples of the readout against the even ones, and turned by "
        )
        cause += f"{found.phase:.2f} rad"
        cure = "correct them by a reference scan, or by these numbers (or half a turn more)"
        text = (
            f"{cause}: a ghost of the object, half a field away, lies over the image; {cure}, and write k-space again"
        )
        yield Finding(KSpaceFinding.ODD_EVEN_LINES, Severity.PROBLEM, text)


def _is_ghost(found: _OddToEven) -> bool:
    return found.sure > SURE and (abs(found.phase) > GHOST_PHASE or abs(found.shift) > GHOST_SHIFT)


def _is_sparser(block: Tensor, found: _OddToEven) -> bool:
    """Whether the image is sparser once odd lines are corrected: of sound lines the correction would make a ghost.

    An object that fills its field overlaps with itself moved by half the field, so that few coils tell a phase where there is none.
    """
    even, odd = _even_odd_images(block)
    n = block.shape[-2]
    y = torch.fft.fftfreq(n) * n
    turn = torch.polar(torch.ones(n), -(found.phase + 2 * math.pi * found.shift * y / n))
    plain, corrected = (
        float(_squared(image).sum(0).sqrt().sum()) for image in (even + odd, even + odd * turn[:, None])
    )
    return corrected < (1 - SPARSER / len(block)) * plain


def _told_reversed(turned: _OddToEven, found: _OddToEven) -> Finding:
    more = ""
    if abs(turned.phase) > GHOST_PHASE or abs(turned.shift) > GHOST_SHIFT:
        then = f"shifted by {turned.shift:.2f} samples and turned by {turned.phase:.2f} rad"
        more = f"; odd lines are then {then}, which is to be undone, too"
    return Finding(
        KSpaceFinding.REVERSED_READOUTS,
        Severity.PROBLEM,
        f"every second line was read the other way round and is stored so: images of odd and even lines agree to "
        f"{turned.agreement:.2f} with odd lines reversed, to {found.agreement:.2f} as they are; a mirrored ghost lies over "
        f"the image: write kspace[..., 1::2] = kspace[..., ::-1, 1::2]{more}",
    )


def _middle_of(block: Tensor, axis: int) -> Tensor:
    """At most so many rows or lines of the middle of k-space `(coil, ky, kx)` as are compared."""
    n = block.shape[axis]
    kept = min(n, MOST_COMPARED)
    return block.narrow(axis, n // 2 - kept // 2, kept)


def _odd_reversed(block: Tensor) -> Tensor:
    turned = block.clone()
    turned[..., 1::2] = block[..., 1::2].flip(-2)
    return turned


def _odd_to_even(block: Tensor) -> _OddToEven:
    """Compare the images of even and odd lines of k-space `(coil, ky, kx)`.

    With `f` the image and `g` the same moved by half its field, `2 even = f + g` and `2 odd = f - g`: where one of them is empty,
    `odd` is `even` or `-even`. Lines turned by `p` and shifted by `d` samples leave `(odd conj(even))^2` the phase
    `2 p + 4 pi d y / n`, which is sought over `d` by a Fourier transform.
    """
    n = block.shape[-2]
    even, odd = _even_odd_images(block)
    product = odd * even.conj()
    profile = (product**2).sum((0, 2)).roll(n // 2)
    slopes = torch.fft.fft(profile, FINER * n)
    best = int(slopes.abs().argmax())
    turns = (best if 2 * best < FINER * n else best - FINER * n) / FINER
    phase = float(slopes[best].angle()) / 2 + math.pi * turns * (n // 2) / n
    alike, total = float(slopes[best].abs()), float(_squared(product).sum())
    largest = math.sqrt(float(_squared(even).square().sum()) * float(_squared(odd).square().sum()))
    return _OddToEven(
        sure=alike / total if total else 0.0,
        agreement=alike / largest if largest else 0.0,
        phase=(phase + math.pi / 2) % math.pi - math.pi / 2,
        shift=turns / 2,
    )


def _even_odd_images(block: Tensor) -> tuple[Tensor, Tensor]:
    """The images `(coil, y, x)` of the even, and of the odd lines of k-space, their centers at 0, times the same phase."""
    n = block.shape[-1]
    block = block / block.abs().max() * torch.hann_window(n)
    is_odd = torch.arange(n) % 2 == 1
    even, odd = torch.fft.ifft2(torch.stack([block * ~is_odd, block * is_odd]), norm="ortho")
    return even, odd


def _squared(image: Tensor) -> Tensor:
    parts = torch.view_as_real(image)
    return parts[..., 0].square() + parts[..., 1].square()


def missing(sample: KSpaceSample) -> Iterator[Finding]:
    """Name what was left out on one side of the center: lines (partial Fourier), or the start of readouts (asymmetric echo)."""
    ky, kx = sample.kspace.shape[-2:]
    left, right = sample.padding
    share = (right - left) / (2 * max(kx // 2 - left, right - kx // 2))
    cure = "tv and wavelet fill it in better than sense and the root sum of squares, which blur"
    if share < ONE_SIDED:
        text = f"partial Fourier: lines {left} to {right - 1} of {kx} were acquired, {8 * share:.1f} of 8 parts; {cure}"
        yield Finding(KSpaceFinding.PARTIAL_FOURIER, Severity.NOTE, text)
    if sample.sampled.ndim == 1:
        return
    rows, lines = sample.sampled.any(dim=1), sample.sampled.any(dim=0)
    if not torch.equal(sample.sampled, rows[:, None] & lines):
        if _is_ellipse(sample.sampled):
            text = "all samples within an ellipse are there, as 3-D scans are acquired; the corners that they leave out count as "
            text += f"undersampled ({sample.true_acceleration:.2f} times), and --mask does not draw within an ellipse"
            yield Finding(KSpaceFinding.ELLIPTICAL_SCAN, Severity.NOTE, text)
        return
    first, stop = int(rows.nonzero()[0]), int(rows.nonzero()[-1]) + 1
    share = (stop - first) / (2 * max(ky // 2 - first, stop - ky // 2))
    if bool(rows[first:stop].all()) and share < ONE_SIDED:
        text = f"asymmetric echo: samples {first} to {stop - 1} of the {ky} of a readout are there, the others are zero; {cure}"
        yield Finding(KSpaceFinding.ASYMMETRIC_ECHO, Severity.NOTE, text)


def limits_contradicted(sample: KSpaceSample, said: tuple[int, int] | None) -> Iterator[Finding]:
    """Tell of lines with a signal outside of those that the header `said` were acquired, (first, stop)."""
    left, right = sample.padding
    if said is None or max(said[0] - left, right - said[1]) <= HEADER_SLACK:
        return
    yield Finding(
        KSpaceFinding.HEADER_LIMITS,
        Severity.NOTE,
        f"the header says, by its limits and center, that lines {said[0]} to {said[1] - 1} were acquired, and lines {left} to "
        f"{right - 1} hold a signal: the header is not followed",
    )


def _is_ellipse(sampled: Tensor) -> bool:
    """Whether a pattern `(ky, kx)` is all that lies within an ellipse about the center, but for its rim."""
    ky, kx = sampled.shape
    y, x = torch.arange(ky) - ky // 2, torch.arange(kx) - kx // 2
    reach = float(y[sampled.any(dim=1)].abs().max()), float(x[sampled.any(dim=0)].abs().max())
    for half in (0.0, 0.5):  # of a sample, by which the rim lies beyond the outermost ones
        inside = (y[:, None] / max(reach[0] + half, 1.0)) ** 2 + (x / max(reach[1] + half, 1.0)) ** 2 <= 1
        if int((inside != sampled).sum()) <= RIM * int(inside.sum()):
            return True
    return False
