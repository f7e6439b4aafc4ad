"""What the protocol of a Siemens scan says, in the words of all raw measurements."""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medrecon.data.foreign import reading
from medrecon.data.mri.acquisitions import Heads
from medrecon.data.mri.fastmri_header import EncodingLimits
from medrecon.data.mri.raw_header import Encoding, RawHeader
from medrecon.errors import InputError

__all__ = ["Protocol", "read_protocol"]

_REMEDY = "export it again from the scanner"
_BUFFERS = ("Dicom", "Meas", "MeasYaps")
_TRAJECTORIES = {1: "cartesian", 2: "radial", 4: "spiral", 8: "blade"}
_SLAB = 4  # of ucDimension
_OVERSAMPLING = 2  # of every readout
_LARGEST = 2**14


@dataclass(frozen=True)
class Protocol:
    """The parts of a protocol by their names; `notes` say what was assumed."""

    parts: dict[str, Any]
    path: Path
    notes: tuple[str, ...] = ()

    @property
    def dwell(self) -> float:
        """Microseconds from sample to sample, 0 where it is not said; the protocol says nanoseconds."""
        times = self._of("MeasYaps", "sRXSPEC", "alDwellTime")
        first = times[0] if isinstance(times, list) and times else 0
        return float(first) / 1000 if isinstance(first, int | float) else 0.0

    def header(self, image: Heads, center_lines: NDArray[Any], center_partitions: NDArray[Any]) -> RawHeader:
        """What it says of the lines of an image; the center of k-space is stated beside each readout.

        Raises
        ------
        InputError
            If matrix or fields of view are missing, or beyond any scanner's.
        """
        is_slab = self._of("MeasYaps", "sKSpace", "ucDimension") == _SLAB
        base, lines = (self._size(name) for name in ("lBaseResolution", "lPhaseEncodingLines"))
        partitions = self._size("lPartitions") if is_slab else 1
        one = self._of("MeasYaps", "sSliceArray", "asSlice")
        one = one[0] if isinstance(one, list) and one and isinstance(one[0], dict) else {}
        read, phase, thickness = (_length(one.get(name)) for name in ("dReadoutFOV", "dPhaseFOV", "dThickness"))
        over_phase, over_slice = (
            1 + _length(self._of("MeasYaps", "sKSpace", name))
            for name in ("dPhaseOversamplingForDialog", "dSliceOversamplingForDialog")
        )
        if not is_slab:
            over_slice = 1.0
        has_fields = min(read, phase) > 0
        trajectory = self._of("MeasYaps", "sKSpace", "ucTrajectory")
        encoding = Encoding(
            encoded_matrix=(_OVERSAMPLING * base, lines, partitions),
            recon_matrix=(base, _pixels(base, phase, read), max(1, round(partitions / over_slice))),
            encoded_fov=(_OVERSAMPLING * read, phase * over_phase, thickness * over_slice) if has_fields else None,
            recon_fov=(read, phase, thickness) if has_fields else None,
            line_limits=_limits(image["kspace_encode_step_1"], center_lines),
            partition_limits=_limits(image["kspace_encode_step_2"], center_partitions) if is_slab else None,
            trajectory=_TRAJECTORIES.get(trajectory, f"of kind {trajectory}" if isinstance(trajectory, int) else ""),
        )
        return RawHeader(
            encodings=(encoding,),
            vendor=str(self._of("Dicom", "Manufacturer") or "SIEMENS"),
            acquisition=str(self._of("MeasYaps", "tProtocolName") or ""),
            patient_position=str(self._of("Meas", "tPatientPosition") or ""),
            field_strength=_length(self._of("Dicom", "flMagneticFieldStrength")) or None,
        )

    def trajectory(self, n_samples: int) -> NDArray[np.float64] | None:
        """Where along the readout each sample was taken, if that is not at even distances.

        Raises
        ------
        InputError
            If the protocol says so, and not where.
        """
        modes = self._of("Meas", "alRegridMode")
        if not isinstance(modes, list) or not modes or not isinstance(modes[0], int) or modes[0] < 2:
            return None
        from twixtools.recon_helpers import calc_regrid_traj

        with reading(self.path, "the gradient of its readouts", _REMEDY):
            places = calc_regrid_traj(self.parts, ncol=n_samples)
        if not np.isfinite(places).all() or not (np.diff(places) > 0).all():
            raise InputError(f"{self.path}: the gradient of its readouts is none that samples lie along; {_REMEDY}")
        return np.asarray(places, np.float64)

    def _of(self, *path: str) -> Any:
        place: Any = self.parts
        for name in path:
            place = place.get(name) if isinstance(place, dict) else None
        return place

    def _size(self, name: str) -> int:
        value = self._of("MeasYaps", "sKSpace", name)
        if not isinstance(value, int) or not 1 <= value <= _LARGEST:
            raise InputError(f"{self.path}: its protocol states no size `{name}`; {_REMEDY}")
        return value


def read_protocol(header: bytes, path: Path) -> Protocol:
    """Read the header of a measurement.

    Raises
    ------
    InputError
        If the package `twixtools` is not there, or the header is damaged.
    """
    try:
        from twixtools.twixprot import parse_buffer
    except ImportError:
        raise InputError(
            f"{path}: raw data of Siemens take the package twixtools; pip install 'medrecon[twix]'"
        ) from None
    parts = {}
    with reading(path, "its protocol", _REMEDY):
        for name, text in _buffers(header):
            if name not in _BUFFERS:
                continue
            if re.search(r"\[\d{5,}\]", text):
                raise ValueError(f"{name} has a list longer than any protocol")
            parts[name] = parse_buffer(text)
    if "MeasYaps" not in parts:
        raise InputError(f"{path}: its header holds no protocol MeasYaps; {_REMEDY}")
    return Protocol(parts, path)


def _buffers(header: bytes) -> list[tuple[str, str]]:
    """The texts of a header by their names: each behind its name, a zero, and its length."""
    (count,) = struct.unpack_from("<I", header, 4)
    place, found = 8, []
    for _ in range(min(count, 64)):
        end = header.index(b"\0", place, place + 64)
        (length,) = struct.unpack_from("<I", header, end + 1)
        text = header[end + 5 : end + 5 + length]
        if len(text) < length:
            raise ValueError("a part reaches beyond its end")
        found.append((header[place:end].decode("latin1"), text.decode("latin1")))
        place = end + 5 + length
    return found


def _length(value: object) -> float:
    number = float(value) if isinstance(value, int | float) else 0.0
    return number if math.isfinite(number) and 0 < number <= _LARGEST else 0.0


def _pixels(base: int, phase: float, read: float) -> int:
    """Lines of the image: its pixels are square."""
    return min(_LARGEST, max(1, round(base * phase / read))) if min(phase, read) > 0 else base


def _limits(counters: NDArray[Any], centers: NDArray[Any]) -> EncodingLimits | None:
    if len(counters) == 0 or len(centers) == 0:
        return None
    return EncodingLimits(int(counters.min()), int(counters.max()), int(centers[-1]))
