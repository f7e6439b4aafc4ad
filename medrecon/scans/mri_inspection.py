"""Look through a fastMRI file, slice by slice, and say what is in it and what is wrong with it."""

import math
from dataclasses import dataclass, replace
from statistics import median

import torch

from medrecon.calibration import noise_level
from medrecon.config.mri import MRIAcquisition
from medrecon.data.mri.fastmri import KSpaceSample
from medrecon.data.mri.kspace_files import KSpaceFile
from medrecon.data.mri.masks import SamplingMask
from medrecon.errors import ChangedError, InputError
from medrecon.findings import Finding, Severity, require_accepted
from medrecon.scans.mri_checks import MendedFile, check_scan
from medrecon.scans.mri_energy import energy_of
from medrecon.scans.mri_grid import image_grid
from medrecon.scans.mri_layout_checks import partition_findings
from medrecon.words import counted, listed

__all__ = ["Inspection", "Sampling", "SliceReport", "inspect_kspace", "kspace_lines"]

_CORNERS = 0.05  # the share of the acquired samples, the outermost, that is taken to hold noise alone
DEAD_COIL = 1e-6  # of the median energy of the coils
OUTLIER_HIGH, OUTLIER_LOW = 30.0, 1e-3  # times the largest, the smallest energy of the neighboring slices
SPIKE_RATIO, SPIKE_NOISE, SPIKE_PEAK = 10.0, 30.0, 1e-4  # to the neighboring lines, the noise, the largest sample
SPIKE_REACH = 4  # rows that count as near in a neighboring line


@dataclass(frozen=True)
class SliceReport:
    """What one slice holds; `energy` is the sum of squared magnitudes, `noise` the standard deviation per component."""

    index: int
    energy: float = 0.0
    peak: float = 0.0
    noise: float | None = None
    dead_coils: tuple[int, ...] = ()
    spikes: int = 0
    problem: str = ""


@dataclass(frozen=True)
class Sampling:
    """What the first good slice acquired; `calibration` counts lines, or the samples (ky, kx) of a square."""

    fully_sampled: bool
    true_acceleration: float
    calibration: int | tuple[int, int]
    spacing: int | None
    lines: int
    points: bool
    varies: bool


@dataclass(frozen=True)
class Inspection:
    """What a file holds, plain values only: `dataclasses.asdict` gives what `json.dumps` takes.

    Pairs are (y, x), lengths millimeters, `noise` the standard deviation of the real or imaginary part of one sample; `matrix` is
    the crop of k-space's own grid, and `image` the size that is written, in steps of `pixel`;
    `problems` says what is wrong and what to do, `notes` what was assumed, both with the `findings` of the data.
    """

    path: str
    slices: int
    coils: int
    kspace: tuple[int, int]
    dtype: str
    matrix: tuple[int, int]
    oversampling: float
    field_of_view: tuple[float, float] | None
    encoded_field_of_view: tuple[float, float] | None
    image: tuple[int, int]
    pixel: tuple[float, float] | None
    acquisition: str
    has_header: bool
    has_mask: bool
    target: str | None
    padding: tuple[int, int]
    sampling: Sampling | None
    noise: float | None
    peak: float
    reports: tuple[SliceReport, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    findings: tuple[Finding, ...]


def inspect_kspace(file: KSpaceFile) -> Inspection:
    """Read a file of raw k-space slice by slice and report what it holds, the faults of single slices included."""
    slices, coils, ky, kx = file.shape
    checked = check_scan(file, range(slices))
    mended = MendedFile(file, checked)
    reports, patterns, first = [], set(), None
    for index in range(slices):
        try:
            sample = mended[index]
        except ChangedError:
            raise
        except InputError as error:
            reports.append(SliceReport(index, problem=str(error).removeprefix(f"{file.path}: ")))
            continue
        reports.append(_inspect_slice(sample))
        patterns.add(sample.sampled.numpy().tobytes())
        first = first or (_sampling(sample), sample.padding)
        del sample
    sampling, padding = first or (None, file.padding or (0, kx))
    if sampling is not None and len(patterns) > 1:
        sampling = replace(sampling, varies=True)
    noises = [report.noise for report in reports if report.noise is not None]
    grid = image_grid(file, MRIAcquisition())
    energies = [report.energy for report in reports if not report.problem]
    findings = (*checked.findings, *(partition_findings(energies, file) if len(energies) == slices else ()))
    wrong = tuple(finding.text for finding in findings if finding.severity is Severity.PROBLEM)
    told = require_accepted(
        (finding for finding in findings if finding.severity is not Severity.PROBLEM), (), file.path.name
    )
    return Inspection(
        path=str(file.path),
        slices=slices,
        coils=coils,
        kspace=(ky, kx),
        dtype=str(file.dtype),
        matrix=file.matrix,
        oversampling=file.oversampling,
        field_of_view=_pair(file.header.recon_fov),
        encoded_field_of_view=_pair(file.header.encoded_fov),
        image=grid.shape,
        pixel=grid.pixel,
        acquisition=file.header.acquisition,
        has_header=file.has_header,
        has_mask=file.has_mask,
        target=file.target_name,
        padding=padding,
        sampling=sampling,
        noise=median(noises) if noises else None,
        peak=max(report.peak for report in reports),
        reports=tuple(reports),
        problems=(*wrong, *_problems(reports, coils)),
        notes=(*file.notes, *grid.notes, *told),
        findings=findings,
    )


def kspace_lines(inspection: Inspection) -> list[str]:
    """Say an inspection in words, a fact a line; problems come last, each after "PROBLEM: "."""
    i = inspection
    (ky, kx), (left, right) = i.kspace, i.padding
    text = [
        i.path,
        f"{counted(i.slices, 'slice')}, {counted(i.coils, 'coil')}, k-space {ky} x {kx} (ky, kx), {i.dtype}",
        f"image {i.image[0]} x {i.image[1]} (y, x) after the {'crop' if i.image == i.matrix else 'zero-filling'}; "
        f"readout oversampled {i.oversampling:g}x",
    ]
    if i.field_of_view is not None:
        encoded, pixel = i.encoded_field_of_view, i.pixel
        of_encoded = "" if encoded is None else f" of {encoded[0]:g} x {encoded[1]:g} mm encoded"
        of_pixels = "" if pixel is None else f", pixels of {pixel[0]:.4g} x {pixel[1]:.4g} mm"
        text.append(f"field of view {i.field_of_view[0]:g} x {i.field_of_view[1]:g} mm{of_encoded}{of_pixels}")
    if i.acquisition:
        text.append(f"acquisition {i.acquisition}")
    edges = [f"{first} to {stop - 1}" for first, stop in ((0, left), (right, kx)) if first < stop]
    if edges:
        text.append(f"padding: lines {' and '.join(edges)} are zero-filled, the scanner never acquired them")
    if i.sampling is not None:
        text.append(_sampling_words(i.sampling, right - left) + (", as its mask says" if i.has_mask else ""))
    if i.noise is not None:
        ratio = f"; the largest sample is {i.peak / i.noise:.3g} times as large" if i.noise > 0 else ""
        text.append(
            f"noise: standard deviation {i.noise:.3g} per real or imaginary part, from the edge of k-space{ratio}"
        )
    text.append(f"target: {i.target}" if i.target else "target: none")
    text.extend(f"note: {note}" for note in i.notes)
    text.extend(f"PROBLEM: {problem}" for problem in i.problems)
    return text if i.problems else [*text, "nothing wrong was found"]


def _pair(field: tuple[float, float, float] | None) -> tuple[float, float] | None:
    return field and (field[0], field[1])


def _inspect_slice(sample: KSpaceSample) -> SliceReport:
    kspace = sample.kspace
    # In double precision, and of values near one: squares of float32 leave its range.
    peak = float(torch.view_as_real(kspace).abs().max())
    energies = torch.stack([(coil.abs().double() / peak).square().sum() for coil in kspace])
    dead = (energies <= DEAD_COIL * energies.median()).nonzero().flatten()
    noise = _noise(kspace / peak, sample.sampled) * peak
    return SliceReport(
        index=sample.slice_index,
        energy=energy_of(sample),
        peak=float(kspace.abs().max()),
        noise=noise,
        dead_coils=tuple(dead.tolist()),
        spikes=_spikes(sample, noise),
    )


def _noise(kspace: torch.Tensor, sampled: torch.Tensor) -> float:
    """Estimate the noise of the median coil; silent ones do not count.

    It is read from the corners of k-space: the edges of the readout's field of view hold less noise than its middle, for the
    receiver's filter, so that an image's empty margin is no better place. What signal reaches the corners counts as noise.
    """
    levels = noise_level(kspace[:, None], sampled, outermost=_CORNERS) / math.sqrt(2)
    alive = levels[levels > 0]
    return float(alive.median()) if alive.numel() else 0.0


def _spikes(sample: KSpaceSample, noise: float) -> int:
    """Count samples outside the center of k-space that tower above the lines on either side, as sparks leave them.

    What an object leaves is as bright in the next line, within a few rows. Where that line was not acquired, nothing
    is said.
    """
    magnitude = sample.kspace.abs().amax(dim=0)
    ky, kx = magnitude.shape
    whole = sample.sampled.expand(ky, kx)
    near = torch.nn.functional.max_pool2d(magnitude[None], (2 * SPIKE_REACH + 1, 1), 1, (SPIKE_REACH, 0))[0]
    beside = torch.maximum(near[:, :-2], near[:, 2:])
    known = whole[:, :-2] & whole[:, 2:]
    y, x = torch.arange(ky)[:, None] - ky // 2, torch.arange(kx) - kx // 2
    away = (2 * y / ky) ** 2 + (2 * x / kx) ** 2 > 0.25**2
    least = max(SPIKE_NOISE * noise, SPIKE_PEAK * float(magnitude.max()))
    tall = magnitude[:, 1:-1] > (SPIKE_RATIO * beside).clamp_min(least)
    return int((tall & known & away[:, 1:-1]).sum())


def _sampling(sample: KSpaceSample) -> Sampling:
    mask = SamplingMask(sample.sampled, "detected")
    return Sampling(
        fully_sampled=sample.fully_sampled,
        true_acceleration=sample.true_acceleration,
        calibration=mask.calibration,
        spacing=1 if sample.fully_sampled else mask.spacing,
        lines=int((sample.sampled if sample.sampled.ndim == 1 else sample.sampled.any(dim=0)).sum()),
        points=sample.sampled.ndim == 2,
        varies=False,
    )


def _problems(reports: list[SliceReport], coils: int) -> tuple[str, ...]:
    bad = [report.problem for report in reports if report.problem]
    good = [report for report in reports if not report.problem]
    found = bad if good else [*bad[:1], f"no slice of {len(reports)} can be used; fetch or export the file again"]
    for coil in range(coils):
        dead = [report.index for report in good if coil in report.dead_coils]
        if dead:
            where = "every slice" if len(dead) == len(good) else _some("slice", dead)
            found.append(f"coil {coil} is silent in {where}; it adds nothing, leave it out")
    for place, report in enumerate(good):
        beside = [other.energy for other in good[max(0, place - 2) : place] + good[place + 1 : place + 3]]
        if beside and not OUTLIER_LOW * min(beside) <= report.energy <= OUTLIER_HIGH * max(beside):
            times = report.energy / median(beside)
            found.append(f"slice {report.index} has {times:.3g} times the energy of its neighbors; look at its image")
    if spiky := [report.index for report in good if report.spikes]:
        total = sum(report.spikes for report in good)
        found.append(f"{counted(total, 'spike')} in k-space, in {_some('slice', spiky)}: expect stripes in the image")
    return tuple(found)


def _sampling_words(sampling: Sampling, reachable: int) -> str:
    if sampling.fully_sampled:
        return f"fully sampled: {sampling.lines} of {reachable} lines"
    unit = f"{sampling.lines} of {reachable} lines" + (", each in part" if sampling.points else "")
    square = sampling.calibration
    center = (
        counted(square, "calibration line") if isinstance(square, int) else f"calibration {square[0]} x {square[1]}"
    )
    spacing = "irregular spacing" if sampling.spacing is None else f"one line in {sampling.spacing} outside them"
    words = f"undersampled: {unit}, true acceleration {sampling.true_acceleration:.2f}, {center}"
    words += "" if sampling.points else f", {spacing}"
    return words + (" (first slice; others differ)" if sampling.varies else "")


def _some(noun: str, numbers: list[int]) -> str:
    return f"{noun}{'' if len(numbers) == 1 else 's'} {listed(numbers)}"
