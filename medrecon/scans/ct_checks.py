"""Checks of sinograms against physics: what no line integrals can be, and what contradicts the geometry that is stated."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from medrecon.coverage import angular_cells, coverage, truncation
from medrecon.data.ct.sinograms import SinogramSample
from medrecon.data.ct.words import few_words, truncation_words
from medrecon.findings import Finding, Severity, SinogramFinding
from medrecon.geometry import Geometry
from medrecon.scans.ct_bin_checks import bin_findings
from medrecon.scans.ct_detector_checks import added_constant, rolled_detector
from medrecon.scans.ct_geometry_checks import contradictions
from medrecon.scans.ct_value_checks import no_line_integrals, saturation
from medrecon.scans.ct_view_checks import view_findings

__all__ = ["geometry_findings", "sinogram_findings"]

_NARROWEST, _WIDEST = 1.0, 3000.0  # mm: fields of view that are no field of a microscope, and less than a room
_DENSE = 2.0  # 1/mm: more than nearly all that X-rays pass through a millimeter of

_NOTHING = 0.02  # of a sinogram's typical largest values
_SEEN = 0.2  # of them: what every view sees of an object


def geometry_findings(geometry: Geometry) -> Iterator[Finding]:
    """What views are missing, or whether there are hardly any."""
    covered = coverage(geometry)
    for words in few_words(geometry):
        yield Finding(SinogramFinding.FEW_VIEWS, Severity.NOTE, words)
    if not covered.complete:
        yield Finding(SinogramFinding.LIMITED_ARC, Severity.NOTE, covered.words)
    elif len(angular_cells(geometry).bridged):
        yield Finding(SinogramFinding.MISSING_VIEWS, Severity.NOTE, covered.words)


def sinogram_findings(sample: SinogramSample, *, repaired: bool = False) -> Iterator[Finding]:
    """What is wrong with line integrals, all of them finite; of those that are none, that alone.

    `repaired` says whether this is what `--repair` left.
    """
    y = sample.sinogram.double().numpy()
    rolled = rolled_detector(y, sample.geometry)
    if found := rolled or no_line_integrals(y) or _swapped_axes(y) or added_constant(y, sample.geometry):
        yield found
        return
    if saturated := saturation(y):
        yield saturated
    yield from view_findings(y, sample.geometry)
    yield from bin_findings(y, sample.geometry, repaired=repaired)
    yield from _strange_lengths(y, sample.geometry)
    cut = truncation(sample.sinogram, sample.geometry)
    against = tuple(contradictions(sample, cut))
    yield from against
    if cut.truncated and all(finding.severity is Severity.NOTE for finding in against):
        yield Finding(
            SinogramFinding.TRUNCATED,
            Severity.NOTE,
            f"{truncation_words(sample.geometry, cut.worst)}; values are too high towards the border of that field, and wrong "
            "beyond it, unless the projections are continued, as all methods but networks have it",
        )


def _strange_lengths(y: NDArray[np.float64], geometry: Geometry) -> Iterator[Finding]:
    """Lengths that seem to be meters, centimeters or micrometers."""
    width = 2 * coverage(geometry).radius
    attenuation = float(np.quantile(y, 0.95)) / width if width > 0 else 0.0
    if width > _WIDEST or (width < _NARROWEST and attenuation > _DENSE):
        yield Finding(
            SinogramFinding.LENGTHS,
            Severity.NOTE,
            f"the scan sees a field of {width:.3g} mm, and an attenuation of about {attenuation:.3g} per mm: are lengths of the "
            "geometry millimeters? with others the image is the same, and its values, and pixels, are of another unit",
        )


def _swapped_axes(y: NDArray[np.float64]) -> Finding | None:
    """The first and last views see nothing, as the ends of a detector do, and the ends of the detector what views see."""
    if y.shape[0] != y.shape[1]:
        return None
    few = max(1, y.shape[0] // 64)
    typical = float(np.quantile(y, 0.95))
    views = [abs(part).max(1).mean() for part in (y[:few], y[-few:])]
    bins = [abs(part).max(0).mean() for part in (y[:, :few], y[:, -few:])]
    if max(views) > _NOTHING * typical or min(bins) < _SEEN * typical:
        return None
    spread, other = (100 * float(np.std(sums) / abs(np.mean(sums))) for sums in (y.sum(1), y.sum(0)))
    return Finding(
        SinogramFinding.AXES_SWAPPED,
        Severity.PROBLEM,
        f"the axes may be swapped: the first and last views see nothing, and sums of the views differ by {spread:.0f} %, those "
        f"along the other axis by {other:.2g} %; a sinogram is (angle, detector): transpose it",
    )
