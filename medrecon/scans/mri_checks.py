"""What k-space itself says of how it was stored: checks of one slice against what Fourier data of an object look like.

A scan is checked on one slice; what can be mended is mended alike in all of its slices, before masks and coil maps.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from medrecon.data.mri.fastmri import KSpaceSample
from medrecon.data.mri.kspace_files import KSpaceFile
from medrecon.errors import ChangedError, InputError
from medrecon.findings import Finding
from medrecon.scans.mri_center_checks import NEAR, cut_axes, shift_of, told_cut, told_shift
from medrecon.scans.mri_energy import Energy
from medrecon.scans.mri_layout_checks import exchanged_axes, layout_findings
from medrecon.scans.mri_line_checks import limits_contradicted, missing, odd_lines
from medrecon.scans.mri_noise_checks import check_noise
from medrecon.scans.mri_slice_checks import FEWEST, MOST, coils_as_slices

__all__ = ["NOTHING", "Checked", "MendedFile", "Mending", "check_kspace", "check_scan"]


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


@dataclass(frozen=True, eq=False)
class Checked:
    """What was found in a scan, and what is done about it; `sample` is the slice that was looked at, if it is the only one.

    With a covariance of the noise, coils are weighted by that.
    """

    findings: tuple[Finding, ...] = ()
    mending: Mending = NOTHING
    noise_covariance: Tensor | None = None
    sample: KSpaceSample | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, eq=False)
class MendedFile:
    """The slices of a file as they should have been stored; the only one, which was looked at, is not read again."""

    file: KSpaceFile
    checked: Checked

    def __getitem__(self, index: int, /) -> KSpaceSample:
        known = self.checked.sample
        read = known if known is not None and known.slice_index == index else self.file[index]
        return self.checked.mending(read)


def check_scan(file: KSpaceFile, indices: range) -> Checked:
    """Check the middle one of the slices, or the one nearest to it that can be used; where none can, nothing is found."""
    middle = indices[len(indices) // 2]
    for index in sorted(indices, key=lambda index: abs(index - middle)):
        try:
            sample = file[index]
        except ChangedError:
            raise
        except InputError:
            continue
        checked = check_kspace(sample)
        more = (*exchanged_axes(file), *limits_contradicted(sample, file.padding), *_of_slices(file))
        return replace(checked, findings=(*checked.findings, *more), sample=sample if len(indices) == 1 else None)
    return Checked()


def _of_slices(file: KSpaceFile) -> Iterator[Finding]:
    """What slices of a single coil say together, a few of them, of which one is held at a time."""
    if file.shape[1] == 1 and len(file) >= FEWEST:
        found = coils_as_slices(_spread_slices(file), len(file))
        yield from () if found is None else (found,)


def _spread_slices(file: KSpaceFile) -> Iterator[KSpaceSample]:
    """A few of the slices, as far as they can be used."""
    few = min(len(file), MOST)
    for place in range(few):
        with suppress(InputError):
            yield file[place * (len(file) - 1) // (few - 1)]


def check_kspace(sample: KSpaceSample) -> Checked:
    """Look whether a slice is k-space `(coil, ky, kx)` with its center in the middle, and say what is wrong or mended."""
    energy = Energy.of(sample.kspace)
    if found := layout_findings(sample, energy):
        return Checked(found)
    mending = Mending(shift_of(sample, energy))
    size = sample.kspace.shape[-2:]
    findings = [*told_shift(mending.shift, size)]
    cut = () if sample.target is not None else cut_axes(mending(sample))
    if cut:
        sure = len(cut) == 2 or abs(mending.shift[cut[0]]) >= size[cut[0]] // 2 - NEAR
        findings.append(told_cut(cut, sure))
        mending = replace(mending, alternate=cut if sure else ())
    mended = mending(sample)
    noisy, covariance = check_noise(mended)
    return Checked((*findings, *odd_lines(mended), *missing(mended), *noisy), mending, covariance)
