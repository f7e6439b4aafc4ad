"""A file as it is to be reconstructed: looked at once as a whole, undersampled in retrospect where that is asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from medrecon.data.mri.fastmri import FastMRIFile, KSpaceSample
from medrecon.data.mri.masks import SamplingMask
from medrecon.errors import InputError
from medrecon.operators import Crop
from medrecon.problem import Problem, coil_problem, full_reconstruction, remove_oversampling, sense_problem, undersample
from medrecon.progress import Progress, silent
from medrecon.weights.learned import Weights

__all__ = ["Scan", "as_trained", "open_scan", "pose_kspace", "scaled", "sound_slices"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_LEAST_SCORED = 7  # pixels along an axis: SSIM's window


class _Readable(Protocol[T_co]):
    """A file that is read one slice at a time."""

    def __getitem__(self, index: int, /) -> T_co: ...


@dataclass(frozen=True, eq=False)
class Scan:
    """A file of which slices are known to be sound.

    Parameters
    ----------
    file
        its slices are read one at a time.
    mask
        what is kept of each slice; None for all that was acquired.
    peak
        the maximum of the target over the slices; None where there is no target.
    notes
        what a user should know.
    """

    file: FastMRIFile
    mask: SamplingMask | None
    peak: float | None
    notes: tuple[str, ...] = ()

    def read(self, index: int) -> tuple[KSpaceSample, Tensor | None]:
        """Return a slice, its readout oversampling removed, and its target `(y, x)`."""
        sample = remove_oversampling(self.file[index])
        if self.mask is None:
            return sample, None if self.peak is None else sample.target
        return undersample(sample, self.mask), None if self.peak is None else _target(sample)


def scaled(sample: KSpaceSample) -> tuple[KSpaceSample, float]:
    """Divide a sample by a power of two, so that its largest value is near 1; return this number, too.

    That is exact, and keeps what is computed of it within the range of float32, whatever units the scanner used.
    """
    peak = float(torch.view_as_real(sample.kspace).abs().max())
    scale = 2.0 ** max(-120, min(math.frexp(peak)[1], 120))
    return replace(sample, kspace=sample.kspace / scale), scale


def _target(sample: KSpaceSample) -> Tensor:
    less, scale = scaled(sample)
    return full_reconstruction(less) * scale


def open_scan(
    file: FastMRIFile,
    indices: range,
    draw: Callable[[tuple[int, int]], SamplingMask] | None = None,
    progress: Progress = silent,
) -> Scan:
    """Read the slices at `indices` once, one at a time, and return the scan of them.

    With `draw`, which makes the mask for k-space of shape `(ky, kx)` without oversampling, the target is the full reconstruction,
    else what the file holds.

    Raises
    ------
    InputError
        If a slice cannot be used, or is undersampled already and a mask is to be drawn.
    """
    mask, peak, varies, last = None, None, False, None
    for place, sample in enumerate(sound_slices(file, indices)):
        target = sample.target
        if draw is not None:
            _require_full(sample, file)
            sample = remove_oversampling(sample)
            target = _target(sample)
            ky, kx = sample.kspace.shape[-2:]
            mask = mask or draw((ky, kx))
        if target is not None:
            peak = max(peak or 0.0, float(target.max()))
        pattern = sample.sampled.numpy().tobytes()
        varies, last = varies or last not in (None, pattern), pattern
        progress(f"{file.path.name}: read", place + 1, len(indices))
    notes = ("the sampling differs between slices; that of the middle one is told",) if varies else ()
    if peak is not None and (peak == 0 or min(file.matrix) < _LEAST_SCORED):
        fault = (
            "the target is zero everywhere" if peak == 0 else f"the image has less than {_LEAST_SCORED} pixels a side"
        )
        return Scan(file, mask, None, (*notes, f"{fault}: nothing is scored"))
    return Scan(file, mask, peak, notes)


def sound_slices(file: _Readable[T], indices: range) -> Iterator[T]:
    """Read all, and complain in the end of those that cannot be used, with the longest run of those that can.

    Raises
    ------
    InputError
        If a slice cannot be used.
    """
    faults: dict[int, str] = {}
    for index in indices:
        try:
            sample = file[index]
        except InputError as error:
            faults[index] = str(error)
            continue
        yield sample
        del sample
    if not faults:
        return
    message = next(iter(faults.values()))
    if len(faults) > 1:
        message += f"; {len(faults) - 1} more of the slices asked for cannot be used either"
    edges = [indices.start - 1, *faults, indices.stop]
    start, stop = max(((a + 1, b) for a, b in pairwise(edges)), key=lambda run: run[1] - run[0])
    if start < stop:
        message += f"; --slices {start}:{stop} takes sound ones alone"
    raise InputError(message)


def _require_full(sample: KSpaceSample, file: FastMRIFile) -> None:
    if not sample.fully_sampled:
        raise InputError(
            f"{file.path}: slice {sample.slice_index} is undersampled already ({sample.true_acceleration:.2f} times), and --mask "
            "takes fully sampled scans; leave --mask out to reconstruct the data as they are"
        )


def as_trained(sample: KSpaceSample, scan: Scan, weights: Weights) -> KSpaceSample:
    """The slice that `scan.read` gave, with its readout oversampled again where the weights were trained so.

    Masks of points are drawn for k-space without oversampling: these slices stay as they are.
    """
    if not weights.inference.keep_oversampling or sample.sampled.ndim != 1:
        return sample
    whole = scan.file[sample.slice_index]
    return whole if scan.mask is None else undersample(whole, scan.mask)


def pose_kspace(sample: KSpaceSample, weights: Weights, device: torch.device | str = "cpu") -> Problem:
    """The problem of a slice as the network was trained on it.

    Raises
    ------
    InputError
        If it takes coil maps and there are no calibration lines to estimate them from.
    """
    if weights.family == "sense":
        return sense_problem(sample, device=device)
    taken = sample
    if weights.inference.keep_oversampling:
        taken = replace(sample, matrix=(sample.kspace.shape[-2], sample.matrix[1]))
    problem = replace(coil_problem(taken, device=device), shape=sample.matrix)
    if not weights.inference.crop_first:
        return problem
    center = Crop(problem.A.domain, (sample.kspace.shape[-3], *sample.matrix))
    return replace(problem, A=problem.A @ center.H)
