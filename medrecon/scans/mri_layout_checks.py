"""Whether the axes of k-space are what they are taken for, and none of them is transformed already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from medrecon.data.mri.fastmri import KSpaceSample
from medrecon.data.mri.kspace_files import KSpaceFile
from medrecon.findings import Finding, KSpaceFinding, Severity
from medrecon.scans.mri_energy import LEAST_SIZE, Energy, spread
from medrecon.scans.mri_order_checks import interleaved_lines

__all__ = ["exchanged_axes", "layout_findings", "may_be_slab", "partition_findings", "strange_lengths"]

SPREAD = 0.2  # of the lines of an axis that hold the energy: more is an image's profile, not k-space's
SPREAD_LINES = 8.0  # and so many at least
CLEARER = 3.0  # times as many lines hold the energy as after a further transform
FLAT = 0.35  # of the entries of an axis that hold the energy: more is an axis of coils
FEWEST_SLICES = 4
LENGTHS = 1.0, 3000.0  # mm: fields of view of a microscope, and of a room
KZ_ALONE = 1.5  # slices that hold the energy, where no header says that they are partitions
KZ_PEAK = 0.25  # of the slices that hold the energy: less is an axis of k-space


def layout_findings(sample: KSpaceSample, energy: Energy) -> tuple[Finding, ...]:
    """Tell that a slice is not k-space `(coil, ky, kx)`, which leaves nothing else to be said."""
    return tuple(_swapped(energy)) or tuple(_transformed(sample, energy)) or tuple(interleaved_lines(sample, energy))


def exchanged_axes(file: KSpaceFile) -> Iterator[Finding]:
    """Tell whether the header's encoded matrix, of readout and phase encoding, is that of k-space with ky and kx exchanged."""
    ky, kx = file.shape[-2:]
    if file.has_header and ky != kx and file.header.encoded_matrix[:2] == (kx, ky):
        yield Finding(
            KSpaceFinding.AXES_SWAPPED,
            Severity.PROBLEM,
            f"k-space is (ky, kx) = ({ky}, {kx}), and the header's encoded matrix, readout first, {kx} x {ky}: the wrong axis "
            "would be cropped; the readout runs along ky: write numpy.swapaxes(kspace, -1, -2), or mend the header",
        )


def strange_lengths(file: KSpaceFile) -> Iterator[Finding]:
    """Tell of a header whose fields of view seem to be meters, or micrometers."""
    fields = (file.header.encoded_fov, file.header.recon_fov)
    sizes = [size for field in fields if field for size in field[:2] if not LENGTHS[0] <= size <= LENGTHS[1]]
    if sizes:
        yield Finding(
            KSpaceFinding.LENGTHS,
            Severity.NOTE,
            f"the header says a field of view of {sizes[0]:.3g} mm: are its lengths millimeters? the image is the same, and its "
            "pixels are of another size",
        )


def may_be_slab(file: KSpaceFile) -> bool:
    """Whether the header counts as many partitions as there are slices, four at least."""
    n = len(file)
    return n >= FEWEST_SLICES and n in (file.header.encoded_matrix[2], file.header.recon_matrix[2])


def partition_findings(energies: Sequence[float], file: KSpaceFile) -> Iterator[Finding]:
    """Tell whether the slices of a slab, all of them with their energies, are planes of kz."""
    n = len(energies)
    values = torch.tensor(energies, dtype=torch.float64)
    if n < FEWEST_SLICES or not bool(values.any()) or abs(int(values.argmax()) - n // 2) > 1:
        return
    seen = f"slice {int(values.argmax())} of {n} holds {100 * float(values.max() / values.sum()):.0f} % of the energy"
    cure = "transform k-space along its first axis by a centered inverse FFT, and write it again"
    if may_be_slab(file) and spread(values) <= max(KZ_PEAK * n, 1.5):
        yield Finding(
            KSpaceFinding.UNTRANSFORMED_PARTITIONS,
            Severity.PROBLEM,
            f"the header says {n} partitions of a slab, and {seen}: the slices are planes of kz, each an image of no slice; {cure}",
        )
    elif spread(values) <= KZ_ALONE:
        yield Finding(
            KSpaceFinding.UNTRANSFORMED_PARTITIONS,
            Severity.NOTE,
            f"{seen}, as the middle plane of kz does: if these are partitions of a slab, each is an image of no slice; {cure}",
        )


def _swapped(energy: Energy) -> Iterator[Finding]:
    """Coils peak nowhere, and k-space does: an axis of coils with a peak in its middle, beside one without."""
    coils, (ky, kx) = len(energy.by_coil), energy.total.shape
    if coils < LEAST_SIZE or spread(energy.by_coil) > KZ_PEAK * coils or not _in_middle(energy.by_coil):
        return
    for axis, size, order in ((-1, kx, "(slice, ky, kx, coil)"), (-2, ky, "(slice, ky, coil, kx)")):
        profile = energy.total.sum(-2 if axis == -1 else -1)
        if spread(profile) > FLAT * size:
            yield Finding(
                KSpaceFinding.AXES_SWAPPED,
                Severity.PROBLEM,
                f"k-space says {coils} coils of {ky} x {kx}, but its energy peaks in the middle of the coils, not along the axis "
                f"of {size}: it seems to be {order}, and (slice, coil, ky, kx) is wanted; "
                f"write numpy.moveaxis(kspace, {axis}, 1)",
            )
            return


def _in_middle(profile: Tensor) -> bool:
    """Whether the largest entry is the middle one, or the first, where an uncentered transform has its center."""
    n, peak = len(profile), int(profile.argmax())
    return abs(peak - n // 2) <= max(1, n // 16) or min(peak, n - peak) <= 1


def _transformed(sample: KSpaceSample, energy: Energy) -> Iterator[Finding]:
    """Along an axis of k-space a few lines hold the energy, and a transform spreads it; along one of an image the other way."""
    lines = sample.sampled if sample.sampled.ndim == 1 else sample.sampled.any(dim=0)
    rows = (
        torch.ones(energy.total.shape[-2], dtype=torch.bool) if sample.sampled.ndim == 1 else sample.sampled.any(dim=1)
    )
    for axis, name, whole in ((-2, "readout (ky)", bool(rows.all())), (-1, "phase encoding (kx)", bool(lines.all()))):
        n, other = energy.total.shape[axis], -1 if axis == -2 else -2
        if min(energy.total.shape) < LEAST_SIZE or not whole:
            continue
        here = spread(energy.total.sum(other))
        if here <= max(SPREAD * n, SPREAD_LINES):
            continue
        further = torch.fft.fft(sample.kspace, dim=axis, norm="ortho").abs().double()
        profile = (further / further.max()).square().sum((0, other))
        peak = int(profile.argmax())
        if here > CLEARER * spread(profile) and min(peak, n - peak) <= 2:
            yield Finding(
                KSpaceFinding.TRANSFORMED_ALREADY,
                Severity.PROBLEM,
                f"k-space has no peak along its {name}: {here:.0f} of {n} lines hold the energy, as rows of an image do, and a "
                f"transform gathers it in {spread(profile):.0f}; the image would be wrong along this axis: transform it back by a "
                "centered FFT, and write it again",
            )
