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
from medrecon.scans.ct_geometry_checks import contradictions
from medrecon.words import listed

__all__ = ["OPAQUE", "geometry_findings", "sinogram_findings"]

OPAQUE = 20.0  # a line integral of which exp(-20), two in a thousand million, would pass
_MOST_VIEWS = 240  # of which values are sorted
_LEVEL = 0.1  # by how much air differs from air, of its transmission
_SHADOW = 0.8  # of the transmission of air: what passes an object is less
_NOTHING = 0.02  # of a sinogram's typical largest values
_FEWEST_VIEWS = 12  # of which bins that read alike are told from sound ones
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


def sinogram_findings(sample: SinogramSample) -> Iterator[Finding]:
    """What is wrong with line integrals, all of them finite; of those that are none, that alone."""
    y = sample.sinogram.double().numpy()
    if found := _no_line_integrals(y) or _swapped_axes(y):
        yield found
        return
    if dead := _dead_views(y):
        text = (
            f"views that hold nothing: {listed(dead)}, counted from 0; the image would be too low: leave "
            "them out, and their angles"
        )
        yield Finding(SinogramFinding.DEAD_VIEWS, Severity.PROBLEM, text)
    if len(y) >= _FEWEST_VIEWS:
        yield from bin_findings(y, sample.geometry)
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


def _dead_views(y: NDArray[np.float64]) -> list[int]:
    """Views of one value throughout, between views that see the object: one that leaves the field does so by and by."""
    still = np.ptp(y, axis=1) == 0
    alive = np.flatnonzero(~still)
    if not still.any() or not alive.size:
        return []
    sums = y[alive].sum(1)
    sees = sums > _SEEN * np.median(sums)
    after = np.searchsorted(alive, np.flatnonzero(still)) % len(alive)
    return [int(view) for view in np.flatnonzero(still)[sees[after] & sees[after - 1]]]


def _no_line_integrals(y: NDArray[np.float64]) -> Finding | None:
    """Counts, transmission, or a logarithm of the other sign."""
    low, high = np.quantile(y[:: max(1, len(y) // _MOST_VIEWS)], [0.01, 0.99])
    if not y.any():
        return Finding(
            SinogramFinding.EMPTY,
            Severity.NOTE,
            "line integrals are all zero: no object was seen, and the image is zero",
        )
    air, is_air = _air(y)
    if is_air and 0.5 < air < 2 and low < _SHADOW * air and high < (1 + 2 * _LEVEL) * air:
        return Finding(
            SinogramFinding.TRANSMISSION,
            Severity.PROBLEM,
            f"no line integrals: in all views values are highest and level beside the object ({air:.3g}) and fall to {low:.3g} "
            "within it, as transmission I / I0 does; the image would be negative; give -log(I / I0)",
        )
    if y.max() > OPAQUE:
        return Finding(
            SinogramFinding.OPAQUE,
            Severity.PROBLEM,
            f"line integrals up to {y.max():.4g}, of which no photon passes: are these counts? they should be -log(I / I0)",
        )
    if high < 0 or low < -max(5 * high, 0.2):
        return Finding(
            SinogramFinding.NEGATIVE,
            Severity.PROBLEM,
            f"line integrals are negative, down to {low:.3g}, and at most {high:.3g}: has log(I / I0) lost its sign? the image "
            "would be negative; give -log(I / I0)",
        )
    return None


def _air(y: NDArray[np.float64]) -> tuple[float, bool]:
    """The value beside the object, as the ends of the detector have it, and whether both have it in nearly all views."""
    bins = max(1, min(4, y.shape[1] // 16))
    ends = np.stack([y[:, :bins].mean(1), y[:, -bins:].mean(1)])
    air = float(np.median(ends))
    return air, bool((abs(ends - air) < _LEVEL * abs(air)).mean() > 0.9)


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
