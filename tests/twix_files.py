"""Raw files of Siemens scanners, as VB and as later software writes them, of which the k-space is known."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from twixtools import mdh_def

MASK = {name: 1 << bit for name, bit in mdh_def.mask_dict.items()}
PROTOCOL = """### ASCCONV BEGIN ###
tProtocolName = ""made""
sKSpace.lBaseResolution = {base}
sKSpace.lPhaseEncodingLines = {lines}
sKSpace.lPartitions = {partitions}
sKSpace.ucDimension = {dimension}
sKSpace.ucTrajectory = {trajectory}
sRXSPEC.alDwellTime[0] = {dwell}
sSliceArray.asSlice[0].dThickness = 5.0
sSliceArray.asSlice[0].dPhaseFOV = 240.0
sSliceArray.asSlice[0].dReadoutFOV = 160.0
### ASCCONV END ###
"""
RAMPS = (
    '<ParamLong."alRegridMode"> { 2 1 }\n<ParamLong."alRegridRampupTime"> { 100 0 }\n<ParamLong."alRegridRampdownTime"> { 100 0 }\n'
    '<ParamLong."alRegridFlattopTime"> { 120 0 }\n<ParamLong."alRegridDelaySamplesTime"> { 10 0 }\n'
    '<ParamDouble."aflRegridADCDuration"> { <Precision> 6  300.0 0.0 }\n'
)


@dataclass(frozen=True)
class Block:
    """One readout `(coil, sample)` and what stands at its head."""

    samples: np.ndarray
    line: int = 0
    flags: tuple[str, ...] = ()
    center: tuple[int, int] = (0, 0)
    counters: Mapping[str, int] = field(default_factory=dict)


def protocol(
    base: int,
    lines: int,
    *,
    partitions: int = 1,
    is_slab: bool = False,
    trajectory: int = 1,
    dwell: int = 4000,
    extra: str = "",
) -> bytes:
    """The header of a measurement, of the parts that are read of it."""
    text = PROTOCOL.format(
        base=base, lines=lines, partitions=partitions, dimension=4 if is_slab else 2, trajectory=trajectory, dwell=dwell
    )
    parts = {"Dicom": '<ParamString."Manufacturer"> { "SIEMENS" }\n', "Meas": extra + " ", "MeasYaps": text}
    made = b"".join(name.encode() + b"\0" + struct.pack("<I", len(one)) + one.encode() for name, one in parts.items())
    length = -(-(8 + len(made)) // 32) * 32
    return (struct.pack("<II", length, len(parts)) + made).ljust(length, b"\0")


def write_later(path: Path, measurements: Iterable[tuple[bytes, Iterable[Block]]], *, ends: bool = True) -> Path:
    """As VD and later software writes measurements, each its header and its readouts."""
    bodies = [
        header + b"".join(_later(block) for block in blocks) + (_end(False) if ends else b"")
        for header, blocks in measurements
    ]
    start, table = 10240, b""
    for body in bodies:
        table += struct.pack("<IIQQ", 1, 1, start, len(body)).ljust(152, b"\0")
        start += -(-len(body) // 512) * 512
    head = (struct.pack("<II", 0, len(bodies)) + table).ljust(10240, b"\0")
    path.write_bytes(head + b"".join(body.ljust(-(-len(body) // 512) * 512, b"\0") for body in bodies))
    return path


def write_vb(path: Path, header: bytes, blocks: Iterable[Block]) -> Path:
    """As VB writes a measurement: a head for each coil."""
    body = b"".join(
        bytes(_filled(mdh_def.VB17_header(), block)) + coil.astype("<c8").tobytes()
        for block in blocks
        for coil in block.samples
    )
    path.write_bytes(header + body + _end(True))
    return path


def _later(block: Block) -> bytes:
    channel = bytes(mdh_def.Channel_header())
    return bytes(_filled(mdh_def.Scan_header(), block)) + b"".join(
        channel + coil.astype("<c8").tobytes() for coil in block.samples
    )


def _filled(head, block: Block):
    coils, samples = block.samples.shape
    head.SamplesInScan, head.UsedChannels, head.CenterCol = samples, coils, samples // 2
    head.CenterLin, head.CenterPar = block.center
    head.Counter.Lin = block.line
    for name, value in block.counters.items():
        setattr(head.Counter, name, value)
    head.EvalInfoMask = sum(MASK[flag] for flag in block.flags)
    head.SliceData.SlicePos.Sag, head.SliceData.SlicePos.Tra = 10.0, -30.0
    # The rotation by 90 degrees about the z axis: phase along y, read along -x.
    head.SliceData.Quaternion[:] = [0.5**0.5, 0.0, 0.0, 0.5**0.5]
    return head


def _end(is_vb: bool) -> bytes:
    head = (mdh_def.VB17_header if is_vb else mdh_def.Scan_header)()
    head.EvalInfoMask = MASK["ACQEND"]
    return bytes(head).ljust(352, b"\0")
