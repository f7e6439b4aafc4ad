"""Which lines of k-space are missing."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from medrecon.data.mri.fastmri import KSpaceSample
from medrecon.data.mri.sampling_pattern import HEADER_SLACK, is_ellipse
from medrecon.findings import Finding, KSpaceFinding, Severity

__all__ = ["limits_contradicted", "missing"]

ONE_SIDED = 0.95  # of the lines about the center: with less, one side of k-space is missing


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
        if is_ellipse(sample.sampled):
            text = "fully sampled within an ellipse, as 3-D scans are acquired: the corners that it leaves out do not count, and "
            text += "--mask draws within it"
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
