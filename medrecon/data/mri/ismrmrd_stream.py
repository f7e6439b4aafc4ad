"""Read a stream of MRD version 1 from a file: messages, each a number of its kind, and a body.

Inati et al., ISMRM Raw Data format, Magnetic Resonance in Medicine 77, 2017; the kinds of messages are those of its servers.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from medrecon.data.foreign import reading
from medrecon.data.identity import SameFiles
from medrecon.data.mri.acquisitions import Acquisitions, Heads
from medrecon.data.mri.ismrmrd_file import heads_of
from medrecon.data.mri.raw_header import parse_raw_header
from medrecon.errors import InputError
from medrecon.words import counted

__all__ = ["is_stream", "is_stream_of_version_2", "read_stream"]

_CONFIG_FILE, _CONFIG, _HEADER, _CLOSE, _TEXT, _READOUT, _WAVEFORM = 1, 2, 3, 4, 5, 1008, 1026
_CONFIG_BYTES, _WAVEFORM_BYTES = 1024, 40
_LONGEST_TEXT, _MOST = 2**24, 2**24
_REMEDY = "record it again"

_COUNTERS = [
    *((name, "<u2") for name in ("kspace_encode_step_1", "kspace_encode_step_2", "average", "slice", "contrast")),
    *((name, "<u2") for name in ("phase", "repetition", "set", "segment")),
    ("user", "<u2", (8,)),
]
#: The head of a readout as it is sent, 340 bytes without gaps.
_HEAD = np.dtype(
    [
        *(("version", "<u2"), ("flags", "<u8"), ("measurement_uid", "<u4"), ("scan_counter", "<u4")),
        *(("acquisition_time_stamp", "<u4"), ("physiology_time_stamp", "<u4", (3,)), ("number_of_samples", "<u2")),
        *(("available_channels", "<u2"), ("active_channels", "<u2"), ("channel_mask", "<u8", (16,))),
        *((name, "<u2") for name in ("discard_pre", "discard_post", "center_sample", "encoding_space_ref")),
        *(("trajectory_dimensions", "<u2"), ("sample_time_us", "<f4"), ("position", "<f4", (3,))),
        *((name, "<f4", (3,)) for name in ("read_dir", "phase_dir", "slice_dir", "patient_table_position")),
        *(("idx", np.dtype(_COUNTERS)), ("user_int", "<i4", (8,)), ("user_float", "<f4", (8,))),
    ]
)


def is_stream_of_version_2(start: bytes) -> bool:
    """Whether a file that starts so is a stream of MRD version 2, which is another model."""
    return start.startswith(b"yardl")


def is_stream(start: bytes) -> bool:
    """Whether a file that starts so is a stream: its first message a configuration, or the header in XML."""
    if len(start) < 16:
        return False
    kind, length = struct.unpack_from("<HI", start)
    if kind == _CONFIG_FILE:
        name, rest = start[2 : 2 + _CONFIG_BYTES].rstrip(b"\0"), start[2 + _CONFIG_BYTES :]
        return 0 < len(name) < _CONFIG_BYTES and name.isascii() and is_stream(rest)
    if not 0 < length <= _LONGEST_TEXT:
        return False
    if kind in (_CONFIG, _TEXT):
        return b"\0" not in start[6 : 6 + length] and (len(start) <= 6 + length + 16 or is_stream(start[6 + length :]))
    return kind == _HEADER and start[6:].lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"<")


@dataclass
class _Walked:
    """What was found in the messages: where readouts lie, their heads, and the header."""

    xml: bytes = b""
    heads: list[bytes] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    is_closed: bool = False


def read_stream(path: str | os.PathLike[str]) -> Acquisitions:
    """Read the heads of all readouts of a stream.

    Raises
    ------
    InputError
        If it is cut short, holds messages of a kind not known here, or no header.
    """
    path, same = Path(path), SameFiles()
    with reading(path, "it", _REMEDY), path.open("rb") as file:
        walked = _walk(file, same.require(path, file.fileno()), path)
    if not walked.xml or not walked.heads:
        what = "no header" if walked.heads else "no readout"
        raise InputError(f"{path}: is a stream of MRD, and holds {what}; {_REMEDY}")
    try:
        header = parse_raw_header(walked.xml)
    except ValueError as error:
        raise InputError(f"{path}: the header of the stream cannot be read: {error}; {_REMEDY}") from error
    stored = np.frombuffer(b"".join(walked.heads), _HEAD)
    heads = heads_of(stored)
    skipped = 4 * stored["trajectory_dimensions"].astype(np.int64) * stored["number_of_samples"]
    samples = _Messages(path, same, heads, np.array(walked.places, np.int64) + skipped)
    notes = () if walked.is_closed else ("the stream is not closed, as if more was to come",)
    return Acquisitions(path, header, heads, samples, notes=notes)


def _walk(file: BinaryIO, size: int, path: Path) -> _Walked:
    walked = _Walked()
    place = 0
    while place < size and not walked.is_closed and len(walked.heads) < _MOST:
        file.seek(place)
        message = file.read(2 + _HEAD.itemsize)
        kind, body = int.from_bytes(message[:2], "little"), message[2:]
        length = _length(kind, body, place, path)
        if length is None or place + 2 + length > size:
            count = counted(len(walked.heads), "readout")
            raise InputError(f"{path}: the stream is cut short after {count}, in a message of kind {kind}; {_REMEDY}")
        if kind == _HEADER:
            file.seek(place + 6)
            walked.xml = file.read(length - 4)
        elif kind == _READOUT:
            walked.heads.append(body)
            walked.places.append(place + 2 + _HEAD.itemsize)
        walked.is_closed = kind == _CLOSE
        place += 2 + length
    return walked


def _length(kind: int, body: bytes, place: int, path: Path) -> int | None:
    """Bytes of the body of a message, of which the first are here; None where those are too few to tell."""
    if kind in (_CONFIG_FILE, _CLOSE):
        return _CONFIG_BYTES if kind == _CONFIG_FILE else 0
    if kind in (_CONFIG, _HEADER, _TEXT):
        return 4 + int.from_bytes(body[:4], "little") if len(body) >= 4 else None
    if kind == _READOUT:
        if len(body) < _HEAD.itemsize:
            return None
        head = np.frombuffer(body, _HEAD)[0]
        samples = int(head["number_of_samples"])
        return _HEAD.itemsize + 4 * samples * (int(head["trajectory_dimensions"]) + 2 * int(head["active_channels"]))
    if kind == _WAVEFORM:
        if len(body) < _WAVEFORM_BYTES:
            return None
        samples, channels = struct.unpack_from("<HH", body, 28)
        return _WAVEFORM_BYTES + 4 * int(samples) * int(channels)
    raise InputError(
        f"{path}: holds a message of kind {kind} at {place} bytes, and a stream of raw MRD has readouts, waveforms and texts; "
        f"{_REMEDY}"
    )


@dataclass(frozen=True, eq=False)
class _Messages:
    """Samples of readouts at their places in the file."""

    path: Path
    same: SameFiles
    heads: Heads
    places: NDArray[np.int64]

    def __call__(self, places: NDArray[np.intp]) -> Iterator[NDArray[np.complex64]]:
        with reading(self.path, "its readouts", _REMEDY):
            file = self.path.open("rb")
        with file:
            self.same.require(self.path, file.fileno())
            for place in places.tolist():
                head = self.heads[place]
                shape = int(head["active_channels"]), int(head["number_of_samples"])
                with reading(self.path, f"readout {place}", _REMEDY):
                    file.seek(int(self.places[place]))
                    samples = np.frombuffer(file.read(8 * shape[0] * shape[1]), "<c8").reshape(shape)
                yield samples
            self.same.require(self.path, file.fileno())
