"""Raw acquisitions of a scanner, whatever the format: what stands at the head of each readout, and the way to its samples.

Inati et al., ISMRM Raw Data format, Magnetic Resonance in Medicine 77, 2017: all formats are told in its words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from medrecon.data.mri.raw_header import RawHeader

__all__ = [
    "COUNTERS",
    "HEAD",
    "NOT_IMAGE",
    "STEPS",
    "VECTORS",
    "Acquisitions",
    "Flag",
    "Heads",
    "Samples",
    "in_blocks",
]

#: Heads of readouts, a structured array of `HEAD`.
Heads = NDArray[Any]

COUNTERS = ("average", "slice", "contrast", "phase", "repetition", "set", "segment")
STEPS = ("kspace_encode_step_1", "kspace_encode_step_2")
VECTORS = ("position", "read_dir", "phase_dir", "slice_dir")
_BLOCK = 2**26  # bytes of samples that are read at once

#: What is kept of the head of a readout, under ISMRMRD's names; lengths in millimeters, directions in patient LPS.
HEAD = np.dtype(
    [
        ("flags", "u8"),
        *((name, "u4") for name in ("number_of_samples", "active_channels", "discard_pre", "discard_post")),
        *((name, "u4") for name in ("center_sample", "encoding_space_ref")),
        ("sample_time_us", "f4"),
        *((name, "f4", (3,)) for name in VECTORS),
        *((name, "u4") for name in (*STEPS, *COUNTERS)),
    ]
)


class Flag(IntEnum):
    """Kinds of readouts, by the bits of ISMRMRD, counted from 1."""

    NOISE = 19
    CALIBRATION = 20
    CALIBRATION_AND_IMAGE = 21
    REVERSE = 22
    NAVIGATION = 23
    PHASE_CORRECTION = 24
    HIGH_PRIORITY_FEEDBACK = 26
    DUMMY = 27
    FEEDBACK = 28
    SURFACE_COIL_CORRECTION = 29
    PHASE_STABILIZATION_REFERENCE = 30
    PHASE_STABILIZATION = 31

    def of(self, heads: Heads) -> NDArray[np.bool_]:
        """Which readouts carry it."""
        carries: NDArray[np.bool_] = (heads["flags"] & np.uint64(1 << (self - 1))) != 0
        return carries


#: Readouts with one of these hold no line of an image, and no line to estimate coil maps from.
NOT_IMAGE = (
    Flag.NOISE,
    Flag.NAVIGATION,
    Flag.PHASE_CORRECTION,
    *(flag for flag in Flag if flag > Flag.PHASE_CORRECTION),
)


class Samples(Protocol):
    """Reads the samples of readouts at increasing places, many at a time; no handle is held between calls."""

    def __call__(self, places: NDArray[np.intp]) -> Iterator[NDArray[np.complex64]]:
        """One complex64 `(coil, sample)` for each of the places, as it was stored.

        Raises
        ------
        InputError
            If one cannot be read, or is of another size than its head says.
        """
        ...


@dataclass(frozen=True, eq=False)
class Acquisitions:
    """All readouts of one measurement, in the order of time.

    Parameters
    ----------
    path
        the file.
    header
        what the scanner says of the whole.
    heads
        of each readout, of `HEAD`.
    samples
        reads the readouts at places among the heads.
    noise
        another measurement of the same file that holds noise alone, if there is one.
    notes
        what was assumed of it.
    """

    path: Path
    header: RawHeader
    heads: Heads
    samples: Samples
    noise: Acquisitions | None = None
    notes: tuple[str, ...] = ()


def in_blocks(heads: Heads, places: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    """Divide places into runs whose samples are small enough to be held at once."""
    sizes = 8 * heads["number_of_samples"][places].astype(np.int64) * heads["active_channels"][places]
    start, held = 0, 0
    for place, size in enumerate(sizes.tolist()):
        if place > start and held + size > _BLOCK:
            yield places[start:place]
            start, held = place, 0
        held += size
    if start < len(places):
        yield places[start:]
