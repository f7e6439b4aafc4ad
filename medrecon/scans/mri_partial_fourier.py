"""A slice of k-space whose other side is completed."""

from __future__ import annotations

from dataclasses import replace

import torch

from medrecon.config.mri import PartialFourierName
from medrecon.data.mri.fastmri import KSpaceSample
from medrecon.data.mri.partial_fourier import OneSide, homodyne, pocs
from medrecon.errors import InputError

__all__ = ["completed", "completed_note"]


def completed(sample: KSpaceSample, how: PartialFourierName) -> KSpaceSample:
    """The sample with all lines, those that were not acquired from the other side; itself for zeros.

    Raises
    ------
    InputError
        if it lacks other lines than those of one side.
    """
    if how is PartialFourierName.ZERO:
        return sample
    side = _side(sample, how)
    fill = homodyne if how is PartialFourierName.HOMODYNE else pocs
    every = torch.ones_like(sample.sampled)
    return replace(sample, kspace=fill(sample.kspace, side), sampled=every, padding=(0, len(every)))


def completed_note(sample: KSpaceSample, how: PartialFourierName) -> tuple[str, ...]:
    """Say which lines were not acquired, and where they are from."""
    if how is PartialFourierName.ZERO:
        return ()
    side = _side(sample, how)
    first, last = (side.stop, side.n - 1) if side.start == 0 else (0, side.start - 1)
    return (f"lines {first} to {last} of {side.n} were not acquired: {how} makes them of the other side of k-space",)


def _side(sample: KSpaceSample, how: PartialFourierName) -> OneSide:
    try:
        return OneSide.of(sample.sampled)
    except ValueError as error:
        raise InputError(f"{sample.name}, slice {sample.slice_index}: --partial-fourier {how}: {error}") from None
