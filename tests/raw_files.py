"""Raw files of scanners, written by the package `ismrmrd`, of which the k-space is known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import ismrmrd
import numpy as np
import torch

from medrecon.data.mri.birdcage import birdcage_maps, normalize_maps

READ, PHASE, SLICE = (0.0, 0.8, 0.6), (1.0, 0.0, 0.0), (0.0, -0.6, 0.8)
NOISE, CALIBRATION, CALIBRATION_AND_IMAGE = (
    ismrmrd.ACQ_IS_NOISE_MEASUREMENT,
    ismrmrd.ACQ_IS_PARALLEL_CALIBRATION,
    ismrmrd.ACQ_IS_PARALLEL_CALIBRATION_AND_IMAGING,
)
REVERSE, NAVIGATION, PHASE_CORRECTION, FEEDBACK = (
    ismrmrd.ACQ_IS_REVERSE,
    ismrmrd.ACQ_IS_NAVIGATION_DATA,
    ismrmrd.ACQ_IS_PHASECORR_DATA,
    ismrmrd.ACQ_IS_RTFEEDBACK_DATA,
)


@dataclass(frozen=True)
class Readout:
    """One readout `(coil, sample)`, and what stands at its head; `center` is the middle sample unless given."""

    samples: np.ndarray
    line: int = 0
    partition: int = 0
    flags: tuple[int, ...] = ()
    center: int | None = None
    counters: Mapping[str, int] = field(default_factory=dict)
    encoding: int = 0
    discard: tuple[int, int] = (0, 0)
    dwell: float = 5.0
    position: tuple[float, float, float] = (10.0, -20.0, 30.0)


def header(
    matrix: Sequence[int],
    *,
    recon: Sequence[int] | None = None,
    limits: Sequence[tuple[int, int, int] | None] | None = None,
    trajectory: str = "cartesian",
    vendor: str = "",
    bandwidth: float | None = None,
    field_of_view: Sequence[float] | None = None,
    recon_field: Sequence[float] | None = None,
    encodings: str = "",
) -> str:
    """XML of one encoding of `matrix` (readout, line, partition), of pixels of a millimeter, and of further `encodings`."""
    recon = recon or matrix
    if limits is None:
        limits = [(0, n - 1, n // 2) if n > 1 else None for n in matrix[1:]]
    steps = "".join(
        f"<kspace_encoding_step_{step}><minimum>{one[0]}</minimum><maximum>{one[1]}</maximum><center>{one[2]}</center>"
        f"</kspace_encoding_step_{step}>"
        for step, one in enumerate(limits, 1)
        if one is not None
    )

    def space(name: str, sizes: Sequence[int], field: Sequence[float]) -> str:
        shown = "".join(f"<{axis}>{n}</{axis}>" for axis, n in zip("xyz", sizes, strict=True))
        lengths = "".join(f"<{axis}>{n:g}</{axis}>" for axis, n in zip("xyz", field, strict=True))
        return f"<{name}><matrixSize>{shown}</matrixSize><fieldOfView_mm>{lengths}</fieldOfView_mm></{name}>"

    system = f"<systemVendor>{vendor}</systemVendor>" if vendor else ""
    if bandwidth is not None:
        system += f"<relativeReceiverNoiseBandwidth>{bandwidth}</relativeReceiverNoiseBandwidth>"
    return (
        '<?xml version="1.0"?><ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">'
        f"<acquisitionSystemInformation>{system}</acquisitionSystemInformation>"
        "<experimentalConditions><H1resonanceFrequency_Hz>63500000</H1resonanceFrequency_Hz></experimentalConditions>"
        f"<encoding>{space('encodedSpace', matrix, field_of_view or [float(n) for n in matrix])}"
        f"{space('reconSpace', recon, recon_field or [float(n) for n in recon])}"
        f"<encodingLimits>{steps}</encodingLimits><trajectory>{trajectory}</trajectory></encoding>{encodings}</ismrmrdHeader>"
    )


def acquisition(readout: Readout, number: int = 0) -> ismrmrd.Acquisition:
    made = ismrmrd.Acquisition.from_array(np.ascontiguousarray(readout.samples, np.complex64))
    for flag in readout.flags:
        made.setFlag(flag)
    n = readout.samples.shape[1]
    made.center_sample = n // 2 if readout.center is None else readout.center
    made.scan_counter, made.encoding_space_ref, made.sample_time_us = number, readout.encoding, readout.dwell
    made.discard_pre, made.discard_post = readout.discard
    for name, vector in (
        ("position", readout.position),
        ("read_dir", READ),
        ("phase_dir", PHASE),
        ("slice_dir", SLICE),
    ):
        getattr(made, name)[:] = vector
    made.idx.kspace_encode_step_1, made.idx.kspace_encode_step_2 = readout.line, readout.partition
    for name, value in readout.counters.items():
        setattr(made.idx, name, value)
    return made


def write_raw(path: Path, xml: str, readouts: Iterable[Readout], group: str = "dataset") -> Path:
    data = ismrmrd.Dataset(str(path), group, True)
    data.write_xml_header(xml.encode())
    for number, readout in enumerate(readouts):
        data.append_acquisition(acquisition(readout, number))
    data.close()
    return path


def lines(kspace: torch.Tensor, wanted: Iterable[int] | None = None, **facts: object) -> list[Readout]:
    """Readouts of `(coil, ky, kx)`, a line each, the readout along ky."""
    values = kspace.numpy()
    return [
        replace(Readout(values[:, :, line], line), **facts)
        for line in (range(values.shape[2]) if wanted is None else wanted)
    ]


def letter(shape: tuple[int, int], at: int = 0) -> torch.Tensor:
    """An image of the letter F, which looks otherwise from each side, on a bright body; `at` moves its foot."""
    image = torch.zeros(shape)
    ny, nx = shape
    image[ny // 8 : -(ny // 8), nx // 6 : -(nx // 6)] = 0.4
    image[ny // 4 : -(ny // 4), nx // 3 : nx // 3 + 3] = 1.0
    image[ny // 4 : ny // 4 + 3, nx // 3 : nx // 3 + nx // 3] = 1.0
    image[ny // 2 : ny // 2 + 3, nx // 3 : nx // 3 + nx // 5 + at] = 1.0
    return image


def scan(shape: tuple[int, int] = (32, 24), coils: int = 4, seed: int = 0, noise: float = 0.0) -> torch.Tensor:
    """K-space complex64 `(coil, ky, kx)` of the letter F."""
    maps = normalize_maps(birdcage_maps(coils, shape))
    kspace = fourier(maps * letter(shape, seed), (-2, -1))
    generator = torch.Generator().manual_seed(seed)
    return kspace + noise * torch.randn(kspace.shape, generator=generator, dtype=torch.complex64)


def fourier(images: torch.Tensor, axes: tuple[int, ...]) -> torch.Tensor:
    shifted = torch.fft.fftn(torch.fft.ifftshift(images, dim=axes), dim=axes, norm="ortho")
    return torch.fft.fftshift(shifted, dim=axes).to(torch.complex64)


def inverse(kspace: torch.Tensor, axes: tuple[int, ...]) -> torch.Tensor:
    shifted = torch.fft.ifftn(torch.fft.ifftshift(kspace, dim=axes), dim=axes, norm="ortho")
    return torch.fft.fftshift(shifted, dim=axes).to(torch.complex64)
