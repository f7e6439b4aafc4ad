"""Read raw data of Siemens scanners (twix, of VB, VD, VE and XA) by the tables and parsers of the package `twixtools`.

A file of VB holds one measurement, of which each coil of a readout has a head of its own; later ones hold several, adjustments
first, and one head a readout. The last measurement is the scan.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from medrecon.data.foreign import reading
from medrecon.data.identity import SameFiles
from medrecon.data.mri.acquisitions import HEAD, NOT_IMAGE, Acquisitions, Flag, Heads
from medrecon.data.mri.twix_protocol import Protocol, read_protocol
from medrecon.errors import InputError
from medrecon.words import counted

__all__ = ["is_twix", "read_twix"]

_REMEDY = "export it again from the scanner"
_MOST_HEADER, _MOST_SCANS, _MOST = 2**26, 64, 2**24  # bytes, measurements of a file, readouts
_NAMES = (b"Config\0", b"Dicom\0", b"Meas\0", b"MeasYaps\0", b"Phoenix\0", b"Spice\0")
_ENTRY = 152  # bytes of a measurement in the table of a file
_SKIP_REGRIDDING = 55
#: Which bit of Siemens' mask is which flag; it counts from 0.
_FLAGS = {
    25: Flag.NOISE,
    24: Flag.REVERSE,
    60: Flag.NAVIGATION,
    21: Flag.PHASE_CORRECTION,
    2: Flag.HIGH_PRIORITY_FEEDBACK,
    1: Flag.FEEDBACK,
    14: Flag.PHASE_STABILIZATION_REFERENCE,
    15: Flag.PHASE_STABILIZATION,
    51: Flag.DUMMY,
    53: Flag.DUMMY,
    56: Flag.DUMMY,
}
_PATREF, _PATREF_AND_IMAGE = 22, 23
_COUNTERS = {
    "kspace_encode_step_1": "Lin",
    "kspace_encode_step_2": "Par",
    "average": "Ave",
    "slice": "Sli",
    "contrast": "Eco",
    "phase": "Phs",
    "repetition": "Rep",
    "set": "Set",
    "segment": "Seg",
}


def is_twix(start: bytes) -> bool:
    """Whether a file that starts so, 10 KiB of it or more, is one of Siemens' raw data."""
    if len(start) < 64:
        return False
    first, second = (int(number) for number in np.frombuffer(start, "<u4", 2))
    if start[8:].startswith(_NAMES):  # of VB, which begins with the protocol
        return 32 <= first < _MOST_HEADER and 1 <= second <= 16
    if first < 10_000 and 1 <= second <= _MOST_SCANS:
        offset = int(np.frombuffer(start, "<u8", 1, 16)[0])
        return 8 + second * _ENTRY <= offset and offset % 512 == 0 and len(start) >= 8 + _ENTRY
    return False


def read_twix(path: str | os.PathLike[str]) -> Acquisitions:
    """Read the heads of the last measurement of a file, with a scan of noise before it.

    Raises
    ------
    InputError
        If the package `twixtools` is not there, or the file is cut short or damaged.
    """
    path, same = Path(path), SameFiles()
    with reading(path, "it", _REMEDY), path.open("rb") as file:
        size = same.require(path, file.fileno())
        places, is_vb = _measurements(file, size, path)
        scan = _measurement(file, places[-1], is_vb, path, same)
        noise = None
        if not Flag.NOISE.of(scan.heads).any():
            for place in reversed(places[:-1]):
                before = _measurement(file, place, is_vb, path, same)
                found = np.flatnonzero(Flag.NOISE.of(before.heads))
                if len(found):
                    noise = replace(before, heads=before.heads[found], samples=_Some(before.samples, found))
                    break
    if len(places) > 1:
        told = f"{counted(len(places), 'measurement')}: the last is the scan, those before it adjust the scanner"
        scan = replace(scan, notes=(told, *scan.notes))
    return replace(scan, noise=noise)


def _measurements(file: BinaryIO, size: int, path: Path) -> tuple[list[tuple[int, int]], bool]:
    """Where measurements start and stop, and whether the file is of VB."""
    start = file.read(64)
    if start[8:].startswith(_NAMES):
        return [(0, size)], True
    count = int(np.frombuffer(start, "<u4", 2)[1])
    file.seek(8)
    table = np.frombuffer(
        file.read(_ENTRY * count), np.dtype([("", "V8"), ("start", "<u8"), ("length", "<u8"), ("n", "V128")])
    )
    found = []
    for start, length in zip(table["start"].tolist(), table["length"].tolist(), strict=True):
        stop = start + length if length else size
        if not 8 <= start < stop or stop > size:
            raise InputError(
                f"{path}: a measurement at {start} to {stop} bytes reaches beyond the file of {size}; {_REMEDY}"
            )
        found.append((start, stop))
    return found, False


def _measurement(file: BinaryIO, place: tuple[int, int], is_vb: bool, path: Path, same: SameFiles) -> Acquisitions:
    start, stop = place
    file.seek(start)
    length = int(np.frombuffer(file.read(4), "<u4", 1)[0])
    if not 32 <= length <= min(_MOST_HEADER, stop - start):
        raise InputError(f"{path}: a header of {length} bytes does not fit into its measurement; {_REMEDY}")
    file.seek(start)
    protocol = read_protocol(file.read(length), path)
    stored, at = _walk(file, start + length, stop, is_vb, path)
    heads = _heads(stored, protocol)
    image = ~np.logical_or.reduce([flag.of(heads) for flag in (*NOT_IMAGE, Flag.CALIBRATION)])
    image = image if image.any() else np.ones(len(heads), np.bool_)
    header = protocol.header(heads[image], stored["CenterLin"][image], stored["CenterPar"][image])
    regrid = _Regridding.of(protocol, stored)
    return Acquisitions(path, header, heads, _Blocks(path, same, heads, at, is_vb, regrid), notes=protocol.notes)


def _walk(file: BinaryIO, start: int, stop: int, is_vb: bool, path: Path) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The heads of all readouts, as they are stored, and where each lies; those of other data are passed over."""
    from twixtools import mdh_def

    dtype = np.dtype(mdh_def.VB17_header if is_vb else mdh_def.Scan_header)
    mask, samples, coils = (dtype.fields[name][1] for name in ("EvalInfoMask", "SamplesInScan", "UsedChannels"))
    parts: list[bytes] = []
    places: list[int] = []
    while start + dtype.itemsize <= stop and len(parts) < _MOST:
        file.seek(start)
        head = file.read(dtype.itemsize)
        flags = int.from_bytes(head[mask : mask + 8], "little")
        if flags & 1:
            return np.frombuffer(b"".join(parts), dtype), np.array(places, np.int64)
        n, m = (int.from_bytes(head[at : at + 2], "little") for at in (samples, coils))
        is_other = bool(flags & 1 << 5)  # SYNCDATA
        length = int.from_bytes(head[:4], "little") % 2**25 if is_other else _length(n, m, is_vb)
        if length < dtype.itemsize or start + length > stop:
            break
        if not is_other and n and m:
            parts.append(head)
            places.append(start)
        start += length
    raise InputError(
        f"{path}: is cut short after {counted(len(parts), 'readout')}, the end of the scan is missing; copy it again"
    )


def _length(samples: int, coils: int, is_vb: bool) -> int:
    return coils * (128 + 8 * samples) if is_vb else 192 + coils * (32 + 8 * samples)


def _heads(stored: NDArray[Any], protocol: Protocol) -> Heads:
    heads = np.zeros(len(stored), HEAD)
    mask = stored["EvalInfoMask"].astype(np.uint64)

    def carries(bit: int) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = (mask >> np.uint64(bit)) & np.uint64(1) == 1
        return found

    for bit, flag in _FLAGS.items():
        heads["flags"] |= carries(bit) * np.uint64(1 << (flag - 1))
    both = carries(_PATREF_AND_IMAGE)
    heads["flags"] |= both * np.uint64(1 << (Flag.CALIBRATION_AND_IMAGE - 1))
    heads["flags"] |= (carries(_PATREF) & ~both) * np.uint64(1 << (Flag.CALIBRATION - 1))
    for name, field in (
        ("number_of_samples", "SamplesInScan"),
        ("active_channels", "UsedChannels"),
        ("center_sample", "CenterCol"),
    ):
        heads[name] = stored[field]
    heads["discard_pre"], heads["discard_post"] = stored["CutOff"]["Pre"], stored["CutOff"]["Post"]
    for name, field in _COUNTERS.items():
        heads[name] = stored["Counter"][field]
    heads["sample_time_us"] = protocol.dwell
    for axis, name in enumerate(("Sag", "Cor", "Tra")):
        heads["position"][:, axis] = stored["SliceData"]["SlicePos"][name]
    heads["phase_dir"], heads["read_dir"], heads["slice_dir"] = _directions(stored["SliceData"]["Quaternion"])
    return heads


def _directions(quaternions: NDArray[np.float32]) -> tuple[NDArray[np.float64], ...]:
    """The columns of the rotations of quaternions `(n, 4)`, scalar first: phase, read and slice in patient LPS."""
    w, x, y, z = quaternions.astype(np.float64).T
    phase = 1 - 2 * (y * y + z * z), 2 * (x * y + z * w), 2 * (x * z - y * w)
    read = 2 * (x * y - z * w), 1 - 2 * (x * x + z * z), 2 * (y * z + x * w)
    normal = 2 * (x * z + y * w), 2 * (y * z - x * w), 1 - 2 * (x * x + y * y)
    return tuple(np.stack(column, axis=1) for column in (phase, read, normal))


@dataclass(frozen=True, eq=False)
class _Regridding:
    """Readouts of which samples were taken on the ramps of the gradient, moved to even distances."""

    trajectory: NDArray[np.float64]
    shifts: NDArray[np.float32]
    skipped: NDArray[np.bool_]

    @classmethod
    def of(cls, protocol: Protocol, stored: NDArray[Any]) -> _Regridding | None:
        if len(stored) == 0 or (trajectory := protocol.trajectory(int(stored["SamplesInScan"].max()))) is None:
            return None
        skipped = (stored["EvalInfoMask"] >> np.uint64(_SKIP_REGRIDDING)) & np.uint64(1) == 1
        return cls(trajectory, np.nan_to_num(stored["ReadOutOffcentre"]), skipped)

    def __call__(self, samples: NDArray[np.complex64], place: int) -> NDArray[np.complex64]:
        from twixtools.recon_helpers import perform_regrid

        if self.skipped[place] or samples.shape[1] != len(self.trajectory):
            return samples
        evenly: NDArray[np.complex64] = perform_regrid(samples, self.trajectory, self.shifts[place]).astype(
            np.complex64
        )
        return evenly


@dataclass(frozen=True, eq=False)
class _Blocks:
    """Samples of readouts, each a block of all coils behind its head."""

    path: Path
    same: SameFiles
    heads: Heads
    places: NDArray[np.int64]
    is_vb: bool
    regrid: _Regridding | None

    def __call__(self, places: NDArray[np.intp]) -> Iterator[NDArray[np.complex64]]:
        with reading(self.path, "its readouts", _REMEDY):
            file = self.path.open("rb")
        with file:
            self.same.require(self.path, file.fileno())
            noise = Flag.NOISE.of(self.heads)
            for place in places.tolist():
                with reading(self.path, f"readout {place}", _REMEDY):
                    samples = self._read(file, place)
                yield samples if self.regrid is None or noise[place] else self.regrid(samples, place)
            self.same.require(self.path, file.fileno())

    def _read(self, file: BinaryIO, place: int) -> NDArray[np.complex64]:
        n, m = int(self.heads["number_of_samples"][place]), int(self.heads["active_channels"][place])
        skipped = 128 if self.is_vb else 32
        file.seek(int(self.places[place]) + (0 if self.is_vb else 192))
        block = np.dtype([("head", f"V{skipped}"), ("samples", "<c8", (n,))])
        coils: NDArray[np.complex64] = np.frombuffer(file.read(m * block.itemsize), block, m)["samples"]
        return coils


@dataclass(frozen=True, eq=False)
class _Some:
    """Some of the readouts of a measurement."""

    samples: Any
    chosen: NDArray[np.intp]

    def __call__(self, places: NDArray[np.intp]) -> Iterator[NDArray[np.complex64]]:
        read: Iterator[NDArray[np.complex64]] = self.samples(self.chosen[places])
        return read
