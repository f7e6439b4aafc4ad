"""What k-space itself says of how it was stored: checks of one slice against what Fourier data of an object look like.

A scan is checked on one slice; what can be mended is mended alike in all of its slices, before masks and coil maps.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from medrecon.calibration import Whitening
from medrecon.data.mri.fastmri import KSpaceSample
from medrecon.data.mri.kspace_files import KSpaceFile
from medrecon.errors import ChangedError, InputError
from medrecon.findings import Finding, KSpaceFinding
from medrecon.scans.mri_center_checks import NEAR, cut_axes, shift_of, told_cut, told_shift
from medrecon.scans.mri_energy import Energy
from medrecon.scans.mri_gain_checks import gain_steps
from medrecon.scans.mri_layout_checks import exchanged_axes, layout_findings, strange_lengths
from medrecon.scans.mri_line_checks import limits_contradicted, missing
from medrecon.scans.mri_noise_checks import check_noise
from medrecon.scans.mri_readout_checks import odd_lines
from medrecon.scans.mri_slice_checks import coils_as_slices, few_of
from medrecon.scans.mri_value_checks import values_of_no_receiver

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
        calibration = None if sample.calibration is None else self._mended(sample.calibration)
        axes = (-1,) if sample.sampled.ndim == 1 else (-2, -1)
        left, right = (edge + self.shift[1] for edge in sample.padding)
        inside = 0 <= left < right <= sample.kspace.shape[-1]
        return replace(
            sample,
            kspace=self._mended(sample.kspace),
            sampled=sample.sampled.roll(self.shift[-len(axes) :], axes),
            padding=(left, right) if inside else (0, sample.kspace.shape[-1]),
            calibration=calibration,
        )

    def _mended(self, kspace: Tensor) -> Tensor:
        kspace = kspace.roll(self.shift, (-2, -1))
        for axis in self.alternate:
            n = kspace.shape[axis]
            turns = (torch.arange(n, dtype=torch.float64) - n // 2) * (n // 2) % n / n
            phase = torch.polar(torch.ones_like(turns), 2 * torch.pi * turns).to(kspace.dtype)
            kspace = kspace * (phase[:, None] if axis == -2 else phase)
        return kspace


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


def check_scan(file: KSpaceFile, indices: range, accepted: Collection[KSpaceFinding] = ()) -> Checked:
    """Check the middle one of the slices, or the one nearest to it that can be used; where none can, nothing is found.

    What is accepted by its name is not mended.
    """
    middle = indices[len(indices) // 2]
    for index in sorted(indices, key=lambda index: abs(index - middle)):
        try:
            sample = file[index]
        except ChangedError:
            raise
        except InputError:
            continue
        checked = check_kspace(sample, accepted)
        more = (
            *exchanged_axes(file),
            *strange_lengths(file),
            *limits_contradicted(sample, file.padding),
            *_of_slices(file),
        )
        return replace(checked, findings=(*checked.findings, *more), sample=sample if len(indices) == 1 else None)
    return Checked()


def _of_slices(file: KSpaceFile) -> Iterator[Finding]:
    """What a few slices say together, of which one is held at a time."""
    if few := few_of(len(file), file.shape[1]):
        found = coils_as_slices(_those_that_can_be_used(file, few), file.shape)
        yield from () if found is None else (found,)


def _those_that_can_be_used(file: KSpaceFile, indices: Sequence[int]) -> Iterator[KSpaceSample]:
    for index in indices:
        try:
            yield file[index]
        except ChangedError:
            raise
        except InputError:
            continue


def check_kspace(sample: KSpaceSample, accepted: Collection[KSpaceFinding] = ()) -> Checked:
    """Look whether a slice is k-space `(coil, ky, kx)` with its center in the middle, and say what is wrong or mended.

    What is accepted by its name is not mended.
    """
    energy = Energy.of(sample.kspace)
    if found := layout_findings(sample, energy):
        return Checked(found)
    shift, size = shift_of(sample, energy), sample.kspace.shape[-2:]
    findings = [*told_shift(shift, sample.kspace, accepted)]
    mending = NOTHING if KSpaceFinding.PEAK_OFF_CENTER in accepted else Mending(shift)
    cut = () if sample.target is not None else cut_axes(mending(sample))
    if cut:
        sure = len(cut) == 2 or abs(mending.shift[cut[0]]) >= size[cut[0]] // 2 - NEAR
        findings.append(told_cut(cut, sure, accepted))
        is_left = not sure or KSpaceFinding.OBJECT_IN_CORNERS in accepted
        mending = replace(mending, alternate=() if is_left else cut)
    mended, total = mending(sample), energy.total.roll(mending.shift, (-2, -1))
    findings += (*values_of_no_receiver(mended), *gain_steps(mended, total))
    noisy, covariance = check_noise(mended, accepted)
    weighed = mended if covariance is None else replace(mended, kspace=Whitening.of(covariance)(mended.kspace))
    findings += (*odd_lines(weighed), *missing(mended), *noisy)
    return Checked(tuple(findings), mending, covariance)
