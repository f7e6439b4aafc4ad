"""Look into a file of sinograms: its geometry, what that covers, what is cut off, dead bins, noise and dose."""

import math
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor

from medrecon.coverage import coverage, truncation
from medrecon.data.ct.sinogram_files import Sinograms, require_line_integrals
from medrecon.errors import InputError
from medrecon.geometry import Geometry, Grid, ParallelBeam

__all__ = [
    "SinogramInspection",
    "SinogramReport",
    "dead_bins",
    "estimate_photons",
    "geometry_words",
    "grid_words",
    "inspect_sinograms",
    "sinogram_lines",
    "truncation_words",
]

MOST_INSPECTED = 16  # sinograms of a file, evenly spaced
NORMAL_MAD = 0.6745  # median absolute deviation of a normal distribution of standard deviation one
NOISELESS = 1e9  # photons: what looks like more is rounding
_CLEAR = 3.0
OPAQUE = 20.0  # a line integral of which exp(-20), two in a thousand million, would pass


@dataclass(frozen=True)
class SinogramReport:
    """One sinogram; `problem` says why it cannot be used."""

    index: int
    lowest: float = 0.0
    highest: float = 0.0
    photons: float | None = None
    noise: float = 0.0
    edge: float = 0.0
    truncated: bool = False
    dead_bins: tuple[int, ...] = ()
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
        problems=_problems(reports, geometry),
        notes=file.notes,
    )


def sinogram_lines(inspection: SinogramInspection) -> list[str]:
    """Say an inspection in words, a fact a line; problems come last, each after "PROBLEM: "."""
    i = inspection
    some = "" if i.inspected == i.sinograms else f"; {i.inspected} of them looked at"
    text = [
        i.path,
        f"CT, {i.sinograms} sinogram{'' if i.sinograms == 1 else 's'} of {i.shape[0]} x {i.shape[1]} (angle, detector){some}",
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
    text.extend(f"note: {note}" for note in i.notes)
    text.extend(f"PROBLEM: {problem}" for problem in i.problems)
    return text if i.problems else [*text, "nothing wrong was found"]


def geometry_words(geometry: Geometry) -> str:
    """Say a geometry in a line."""
    n_angles, n_bins = geometry.shape
    shift = f", offset by {geometry.offset:g} mm" if geometry.offset else ""
    first, last = (math.degrees(list(geometry.angles)[k]) for k in (0, -1))
    views = f"{n_angles} views from {first:.4g} to {last:.4g} degrees"
    bins = f"{n_bins} bins of {geometry.spacing:.4g} mm{shift}"
    if isinstance(geometry, ParallelBeam):
        return f"parallel beam: {views}, {bins}"
    distances = f"source {geometry.source_distance:g} mm and detector {geometry.detector_distance:g} mm from the center"
    return f"fan beam on a {'curved' if geometry.curved else 'flat'} detector: {views}, {bins}, {distances}"


def grid_words(grid: Grid) -> str:
    """Say a grid in a few words."""
    (ny, nx), (dy, dx) = grid.shape, grid.spacing
    pixel = f"{dy:.4g} mm" if math.isclose(dy, dx) else f"{dy:.4g} x {dx:.4g} mm"
    return f"{ny} x {nx} pixels of {pixel}"


def truncation_words(edge: float, geometry: Geometry) -> str:
    """Say what it does to an image that the object reaches beyond the detector, its edge being so high in the sinogram."""
    size = f" of {geometry.field_radius:.0f} mm"
    return (
        f"the projections are truncated: at the detector's edge they reach {100 * edge:.0f} % of the largest line integrals, so "
        f"that the object is wider than the field{size} around the center that is seen whole; values are too high towards the "
        "border of that field, and wrong beyond it"
    )


def dead_bins(sinogram: Tensor) -> tuple[int, ...]:
    """Bins `k` of a sinogram `(angle, detector)` that say nothing: never finite, or one value in all views, within the object.

    Outside the object line integrals are zero in every view, so that constant bins count between live ones alone.
    """
    if sinogram.shape[0] < 2:
        return tuple(torch.nonzero(~sinogram.isfinite().all(dim=0)).flatten().tolist())
    lost = ~sinogram.isfinite().any(dim=0)
    low, high = sinogram.nan_to_num(0.0, 0.0, 0.0).aminmax(dim=0)
    still = (high - low == 0) & ~lost
    live = torch.nonzero(~still & ~lost).flatten()
    if live.numel() == 0:
        return tuple(torch.nonzero(lost).flatten().tolist())
    place = torch.arange(sinogram.shape[1])
    inside = (place > live[0]) & (place < live[-1])
    return tuple(torch.nonzero(lost | (still & (inside | (low != 0)))).flatten().tolist())


def estimate_photons(sinogram: Tensor) -> tuple[float | None, float]:
    """Estimate from the noise of a sinogram the photons a ray before the object, and the noise's standard deviation.

    A line integral y has the variance `exp(y) / N0`. The noise is told from the object, which is smooth, by second differences
    along the detector and first ones between views, scaled by `exp(-y / 2)` of their mean, and by the median of their magnitudes,
    which edges do not move. What texture of the object remains is counted as noise. None where there is no noise.
    """
    y = sinogram.double()
    if min(y.shape) < 3:
        return None, 0.0
    second = y[:, :-2] - 2 * y[:, 1:-1] + y[:, 2:]
    mean = (y[:, :-2] + y[:, 1:-1] + y[:, 2:]) / 3
    rough = (second[1:] - second[:-1]) / math.sqrt(12)
    mean = (mean[1:] + mean[:-1]) / 2
    noise = float(rough.abs().median()) / NORMAL_MAD
    clear = mean < max(_CLEAR, float(mean.median()))  # where few photons arrive they are not normally distributed
    spread = float((rough * torch.exp(-mean / 2))[clear].abs().median()) / NORMAL_MAD
    return (None if spread * spread * NOISELESS < 1 else 1 / spread**2), noise


def _inspect(file: Sinograms, index: int) -> SinogramReport:
    try:
        sinogram = file.raw(index)
    except InputError as error:
        return SinogramReport(index, problem=str(error).removeprefix(f"{file.path}: "))
    dead = dead_bins(sinogram)
    try:
        require_line_integrals(sinogram, f"slice {index}")
    except InputError as error:
        return SinogramReport(index, dead_bins=dead, problem=str(error))
    cut = truncation(sinogram, file.scan.geometry)
    photons, noise = estimate_photons(sinogram)
    low, high = (float(value) for value in sinogram.aminmax())
    return SinogramReport(index, low, high, photons, noise, cut.worst, cut.truncated, dead)


def _problems(reports: tuple[SinogramReport, ...], geometry: Geometry) -> tuple[str, ...]:
    found = [report.problem for report in reports if report.problem]
    dead = sorted({k for report in reports for k in report.dead_bins})
    if dead:
        some = ", ".join(map(str, dead[:8])) + (f" and {len(dead) - 8} more" if len(dead) > 8 else "")
        found.append(f"dead bins: {some}; they draw rings or stripes, fill them from their neighbors first")
    covered = coverage(geometry)
    if not covered.complete:
        found.append(covered.words)
    if cut := [report for report in reports if report.truncated]:
        found.append(truncation_words(max(report.edge for report in cut), geometry))
    highest = max((report.highest for report in reports), default=0.0)
    if highest > OPAQUE:
        found.append(
            f"line integrals up to {highest:.4g}, of which no photon passes: are these counts? they should be -log(I / I0)"
        )
    return tuple(found)
