"""Look into a file of sinograms: its geometry, what that covers, what is cut off, dead bins, noise and dose."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from torch import Tensor

from medrecon.calibration.sinogram_noise import scan_noise
from medrecon.coverage import coverage
from medrecon.data.ct.sinogram_files import Sinograms, require_line_integrals
from medrecon.data.ct.sinograms import SinogramSample
from medrecon.data.ct.words import geometry_words, grid_words
from medrecon.errors import InputError
from medrecon.findings import Finding, Severity, require_accepted
from medrecon.geometry import Geometry
from medrecon.scans.ct_bin_checks import DEAD, dead_bins, dead_words
from medrecon.scans.ct_checks import geometry_findings, sinogram_findings
from medrecon.words import counted

__all__ = ["SinogramInspection", "SinogramReport", "dead_bins", "inspect_sinograms", "sinogram_lines"]

MOST_INSPECTED = 16  # sinograms of a file, evenly spaced
NOISELESS = 1e9  # photons: what looks like more is rounding


@dataclass(frozen=True)
class SinogramReport:
    """One sinogram; `problem` says why it cannot be used."""

    index: int
    lowest: float = 0.0
    highest: float = 0.0
    photons: float | None = None
    noise: float = 0.0
    dead_bins: tuple[int, ...] = ()
    findings: tuple[Finding, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class SinogramInspection:
    """What a file of sinograms holds, plain values only: `dataclasses.asdict` gives what `json.dumps` takes.

    Lengths are millimeters, `arc` and `needed_arc` degrees. `noise` is the standard deviation of a line integral, and
    `estimated_photons` those per ray that it speaks of; None where there is no noise to speak of. `reports` are of the sinograms
    looked at, `inspected` of `sinograms`.
    """

    path: str
    sinograms: int
    inspected: int
    shape: tuple[int, int]
    geometry: str
    grid: str
    scan: str
    arc: float
    needed_arc: float
    complete: bool
    coverage: str
    field_radius: float
    lowest: float
    highest: float
    noise: float | None
    photons: float | None
    estimated_photons: float | None
    target: bool
    unit: str
    reports: tuple[SinogramReport, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def inspect_sinograms(file: Sinograms) -> SinogramInspection:
    """Read some sinograms of a file, and report what it holds, the faults of single ones included.

    Raises
    ------
    InputError
        If the file as a whole cannot be read.
    """
    geometry, count = file.scan.geometry, min(len(file), MOST_INSPECTED)
    reports = tuple(_inspect(file, k * len(file) // count) for k in range(count))
    good = [report for report in reports if not report.problem]
    covered = coverage(geometry)
    found = tuple(_findings(reports, geometry))
    dead = sorted({k for report in reports for k in report.dead_bins})
    estimates = [report.photons for report in good if report.photons is not None]
    return SinogramInspection(
        path=str(file.path),
        sinograms=len(file),
        inspected=count,
        shape=geometry.shape,
        geometry=geometry_words(geometry),
        grid=grid_words(file.scan.grid),
        scan=covered.scan.value,
        arc=math.degrees(covered.arc),
        needed_arc=math.degrees(covered.needed),
        complete=covered.complete,
        coverage=covered.words,
        field_radius=covered.radius,
        lowest=min((report.lowest for report in good), default=0.0),
        highest=max((report.highest for report in good), default=0.0),
        noise=median(report.noise for report in good) if estimates else None,
        photons=file.scan.photons,
        estimated_photons=median(estimates) if estimates else None,
        target=file.has_target,
        unit=file.unit.value,
        reports=reports,
        problems=(
            *(report.problem for report in reports if report.problem),
            *(one.text for one in found if one.severity is Severity.PROBLEM),
        ),
        notes=(
            *file.notes,
            *((dead_words(dead),) if dead else ()),
            *require_accepted((one for one in found if one.severity is not Severity.PROBLEM), (), str(file.path)),
        ),
    )


def sinogram_lines(inspection: SinogramInspection) -> list[str]:
    """Say an inspection in words, a fact a line; problems come last, each after "PROBLEM: "."""
    i = inspection
    some = "" if i.inspected == i.sinograms else f"; {i.inspected} of them looked at"
    text = [
        i.path,
        f"CT, {counted(i.sinograms, 'sinogram')} of {i.shape[0]} x {i.shape[1]} (angle, detector){some}",
        i.geometry,
        f"coverage: {i.coverage}",
        f"whole within {i.field_radius:.1f} mm of the center; image of {i.grid}",
        f"line integrals, dimensionless, from {i.lowest:.4g} to {i.highest:.4g}",
    ]
    if i.noise is not None and i.estimated_photons is not None:
        dose = f"as of about {float(f'{i.estimated_photons:.2g}'):.0f} photons per ray"
        text.append(f"noise: standard deviation {i.noise:.3g}, {dose}")
    else:
        text.append("noise: none to speak of")
    if i.photons is not None:
        text.append(f"dose: {i.photons:g} photons per ray, as the file says")
    unit = "LoDoPaB's normalized unit, transposed" if i.unit == "normalized" else i.unit
    text.append(f"target: {'there is one' if i.target else 'none'}; images are given back in {unit}")
    text.extend(f"note: {note}" for note in i.notes if note != i.coverage)
    text.extend(f"PROBLEM: {problem}" for problem in i.problems)
    return text if i.problems or i.notes else [*text, "nothing wrong was found"]


def _inspect(file: Sinograms, index: int) -> SinogramReport:
    try:
        sinogram = file.raw(index)
    except InputError as error:
        return SinogramReport(index, problem=str(error).removeprefix(f"{file.path}: "))
    dead = dead_bins(sinogram)
    try:
        require_line_integrals(sinogram, f"slice {index}", can_repair=True)
    except InputError as error:
        return SinogramReport(index, dead_bins=dead, problem=str(error))
    findings = tuple(sinogram_findings(_sample(file, sinogram, index)))
    variance, per_photon = scan_noise(sinogram)
    photons, noise = None if per_photon * NOISELESS < 1 else 1 / per_photon, math.sqrt(variance)
    low, high = (float(value) for value in sinogram.aminmax())
    if any(finding.severity is Severity.PROBLEM for finding in findings):
        dead = ()  # of what is no sinogram nothing is to be said
    return SinogramReport(index, low, high, photons, noise, dead, findings)


def _sample(file: Sinograms, sinogram: Tensor, index: int) -> SinogramSample:
    scan, name = file.scan, file.path.name
    return SinogramSample(
        sinogram=sinogram,
        geometry=scan.geometry,
        grid=scan.grid,
        target=None,
        unit=file.unit,
        photons=scan.photons,
        name=name,
        index=index,
    )


def _findings(reports: tuple[SinogramReport, ...], geometry: Geometry) -> Iterator[Finding]:
    """Those of the geometry, and each kind once, of the sinogram that shows it first."""
    yield from geometry_findings(geometry)
    kinds: set[str] = {DEAD}  # named of all sinograms together
    for finding in (finding for report in reports for finding in report.findings):
        if finding.name not in kinds:
            yield finding
        kinds.add(finding.name)
