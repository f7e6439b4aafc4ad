"""Whether the readouts of k-space go together: of odd lines with those of even ones, and all in one direction."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from medrecon.data.mri.fastmri import KSpaceSample
from medrecon.findings import Finding, KSpaceFinding, Severity
from medrecon.scans.mri_energy import LEAST_SIZE, center_block
from medrecon.scans.mri_reversed_lines import reversed_lines, with_reversed

__all__ = ["odd_lines"]

GHOST_PHASE, GHOST_SHIFT = 0.15, 0.12  # radians and samples of the readout: a ghost of 7 % and more
SPARSER = 0.04  # by so much, over the number of coils, a correction makes an image sparser without its ghost
REVERSED = 0.015  # by so much an image is sparser once lines are reversed that were read the other way round
FULL = 0.96  # of the mean of roots of noise: with more, an image is so full that chance alone makes it sparser
ENOUGH = 48  # pixels a side, with fewer of which chance makes an image sparser, too
MOST_COILS = 8  # that are compared
MOST_COMPARED = 128  # rows and lines around the middle, which are enough for odd and even ones
PHASES = 8  # steps of half a turn
SHIFTS, MOST_SHIFTED = (
    0.5,
    (1.5, 4.0),
)  # steps in samples, and how far they go for lines as they are and for reversed ones
HALVINGS = 4  # of the steps, about the best


@dataclass(frozen=True)
class _Sparsest:
    """How sparse an image is as it is, and is at most when odd lines are turned by -`phase` rad and shifted by -`shift` samples.

    Both are means of the roots of its magnitude, over what that of an even image would be: the less, the sparser.
    """

    plain: float
    least: float
    phase: float
    shift: float

    @property
    def is_off(self) -> bool:
        return abs(self.phase) > GHOST_PHASE or abs(self.shift) > GHOST_SHIFT


def odd_lines(sample: KSpaceSample) -> Iterator[Finding]:
    """Look whether the image is sparser with odd lines turned, shifted or reversed, which a ghost lies over otherwise.

    Of sound lines each of these would make a ghost. An object that fills its field overlaps with its ghost, which makes the image
    less sparse all the same.
    """
    block = center_block(sample, -1)
    if block is None or sample.sampled.ndim > 1 or block.shape[-2] < LEAST_SIZE:
        return
    block = _brightest(_middle_of(block, -1))
    odd = torch.arange(block.shape[-1]) % 2 == 1
    full = FULL * _of_noise(len(block))
    found = _sparsest(_middle_of(block, -2), MOST_SHIFTED[0])
    turned = _sparsest(_middle_of(with_reversed(block, odd), -2), MOST_SHIFTED[1])
    if turned.least < min((1 - _least_gain(block)) * found.least, full):
        yield _told_reversed(turned, found)
    elif some := _some_reversed(block, found.least):
        yield some
    elif found.is_off and found.least < min((1 - SPARSER / len(block)) * found.plain, full):
        cause = (
            f"odd lines are shifted by {found.shift:.2f} samples of the readout against the even ones, and turned by "
        )
        cause += f"{found.phase:.2f} rad"
        cure = "correct them by a reference scan, or by these numbers (or half a turn more)"
        text = (
            f"{cause}: a ghost of the object, half a field away, lies over the image; {cure}, and write k-space again"
        )
        yield Finding(KSpaceFinding.ODD_EVEN_LINES, Severity.PROBLEM, text)


def _some_reversed(block: Tensor, before: float) -> Finding | None:
    """Look whether the image is sparser than it was with those lines reversed that then go better with their neighbors."""
    lines = reversed_lines(_middle_of(block, -2))
    if not bool(lines.any()):
        return None
    least = min(_roots(_middle_of(with_reversed(block, lines, by), -2)) for by in (0, 1))
    if least >= min((1 - _least_gain(block)) * before, FULL * _of_noise(len(block))):
        return None
    return Finding(
        KSpaceFinding.REVERSED_READOUTS,
        Severity.PROBLEM,
        f"some lines were read the other way round and are stored so: about {100 * float(lines.double().mean()):.0f} % of those in "
        f"the middle go better with their neighbors when reversed, and the image is sparser by {100 * (1 - least / before):.0f} % "
        "then; mirrored parts of the object lie over it: write all lines of k-space in one direction",
    )


def _least_gain(block: Tensor) -> float:
    rows, lines = (min(n, MOST_COMPARED) for n in block.shape[-2:])
    return REVERSED * max(1.0, ENOUGH / math.sqrt(rows * lines))


def _told_reversed(turned: _Sparsest, found: _Sparsest) -> Finding:
    more = ""
    if turned.is_off:
        then = f"shifted by {turned.shift:.2f} samples and turned by {turned.phase:.2f} rad"
        more = f"; odd lines are then {then}, which is to be undone, too"
    return Finding(
        KSpaceFinding.REVERSED_READOUTS,
        Severity.PROBLEM,
        f"every second line was read the other way round and is stored so: with odd lines reversed the image is sparser by "
        f"{100 * (1 - turned.least / found.least):.0f} %, without a mirrored ghost that lies over it: write "
        f"kspace[..., 1::2] = kspace[..., ::-1, 1::2]{more}",
    )


def _middle_of(block: Tensor, axis: int) -> Tensor:
    """At most so many rows or lines of the middle of k-space `(coil, ky, kx)` as are compared."""
    n = block.shape[axis]
    kept = min(n, MOST_COMPARED)
    return block.narrow(axis, n // 2 - kept // 2, kept)


def _brightest(block: Tensor) -> Tensor:
    """The coils of most energy, a few of which are enough."""
    if len(block) <= MOST_COILS:
        return block
    middle = _middle_of(_middle_of(block, -1), -2)
    energy = _squared(middle / middle.abs().max()).sum((-2, -1), dtype=torch.float64)
    return block[energy.topk(MOST_COILS).indices]


def _roots(block: Tensor) -> float:
    """The mean of the roots of the magnitude of the image of k-space `(coil, ky, kx)`, over that of an even image."""
    even, odd = _even_odd_images(block)
    energy = _squared(even + odd).sum(0)
    return float(energy.sqrt().sqrt_().mean(dtype=torch.float64)) / _even(energy)


def _sparsest(block: Tensor, most: float) -> _Sparsest:
    """Seek the phase `p` and the shift `d`, up to `most`, with which the image of k-space `(coil, ky, kx)` is sparsest.

    With the images `e` and `o` of even and of odd lines alone, coils `c`, it is
    `sum_c |e + o exp(-i (p + 2 pi d y / n))|^2 = S + 2 Re(P exp(-i (p + 2 pi d y / n)))`, of `S = sum_c |e|^2 + |o|^2` and
    `P = sum_c conj(e) o`. Half a turn moves it by half its field, and makes it no sparser.
    """
    even, odd = _even_odd_images(block)
    S, P = (_squared(even) + _squared(odd)).sum(0), (even.conj() * odd).sum(0)
    step = math.pi / PHASES, SHIFTS
    phases = torch.arange(PHASES, dtype=torch.float64) * step[0]
    shifts = torch.arange(-most, most + SHIFTS / 2, SHIFTS, dtype=torch.float64)
    phase, shift, least = _least(S, P, phases, shifts)
    beside = torch.arange(-1, 2, dtype=torch.float64)
    for _ in range(HALVINGS):
        step = step[0] / 2, step[1] / 2
        phase, shift, least = _least(S, P, phase + step[0] * beside, shift + step[1] * beside)
    none = torch.zeros(1, dtype=torch.float64)
    plain = _least(S, P, none, none)[2]
    return _Sparsest(plain, min(least, plain), (phase + math.pi / 2) % math.pi - math.pi / 2, shift)


def _least(S: Tensor, P: Tensor, phases: Tensor, shifts: Tensor) -> tuple[float, float, float]:
    """That of the phases and that of the shifts with which the mean of the roots of magnitudes is least, and this mean."""
    n = len(S)
    y = torch.fft.fftfreq(n, dtype=torch.float64) * n
    sums = torch.empty(len(phases), len(shifts), dtype=torch.float64)
    energy = torch.empty_like(S)
    for place, shift in enumerate(shifts):
        turned = P * torch.polar(torch.ones_like(y), -2 * math.pi * shift * y / n).to(P.dtype)[:, None]
        real, imag = turned.real.contiguous(), turned.imag.contiguous()
        for row, phase in enumerate(phases.tolist()):
            torch.add(S, real, alpha=2 * math.cos(phase), out=energy).add_(imag, alpha=2 * math.sin(phase))
            sums[row, place] = energy.clamp_min_(0).sqrt_().sqrt_().sum(dtype=torch.float64)
    row, place = divmod(int(sums.argmin()), len(shifts))
    return float(phases[row]), float(shifts[place]), float(sums[row, place]) / S.numel() / _even(S)


def _of_noise(n_coils: int) -> float:
    """The mean of the roots of the magnitude of noise of so many coils, `Gamma(n + 1/4) / (Gamma(n) n^(1/4))`."""
    return math.exp(math.lgamma(n_coils + 0.25) - math.lgamma(n_coils)) / math.sqrt(math.sqrt(n_coils))


def _even(energy: Tensor) -> float:
    """The mean of the roots of the magnitude of an even image of so much energy in all."""
    return math.sqrt(math.sqrt(max(float(energy.mean(dtype=torch.float64)), torch.finfo(torch.float32).tiny)))


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
