"""Checks of line integrals by their values: what no -log(I / I0) can be, and where it stops at a ceiling."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medrecon.findings import Finding, Severity, SinogramFinding

__all__ = ["OPAQUE", "no_line_integrals", "saturation"]

Floats = NDArray[np.float64]

OPAQUE = 20.0  # a line integral of which exp(-20), two in a thousand million, would pass
_MOST_VIEWS = 240  # that are looked at
_LEVEL = 0.1  # by how much air differs from air, of its transmission
_FLAT = 0.03  # of what lies between air and object: how much air changes over some bins
_SURE = 4.0  # standard deviations
_SHADOW = 0.8  # of the transmission of air: what passes an object is less
_TWICE = 3.0  # a logarithm of line integrals is so much higher beside the object: there they are a twentieth or less
_RUN = 3  # bins side by side at the ceiling
_FEWEST_RUNS, _SOME_VIEWS = 3, 0.03  # views that have such
_JUST_BELOW = 0.01  # of the ceiling
_PILED = 4.0  # times what lies just below
_MET = 0.05  # of the ceiling: rays that met the object
_WRONG = 0.01  # of them: more at the ceiling make an image wrong


def no_line_integrals(y: Floats) -> Finding | None:
    """Counts, transmission or its inverse, a logarithm of the other sign or of what is one already, of `(angle, detector)`."""
    if not y.any():
        return Finding(
            SinogramFinding.EMPTY,
            Severity.NOTE,
            "line integrals are all zero: no object was seen, and the image is zero",
        )
    some = y[:: max(1, len(y) // _MOST_VIEWS)]
    low, high = (float(value) for value in np.quantile(some, [0.01, 0.99]))
    return _of_air(some, low, high) or _of_range(y, low, high)


def _of_range(y: Floats, low: float, high: float) -> Finding | None:
    """What is too high, or below zero."""
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


def _of_air(y: Floats, low: float, high: float) -> Finding | None:
    """What is not zero beside the object, where it is level, or where it is far higher than within."""
    air = _air(y, low, high)
    if (
        max(air.value, high) < OPAQUE
        and air.least - air.object > _TWICE
        and (air.object < 0 or air.constant or not air.level)
    ):
        return Finding(
            SinogramFinding.LOGARITHM_TWICE,
            Severity.PROBLEM,
            f"no line integrals: beside the object values are at least {air.least:.3g} and fall to {air.object:.2g} within it, as "
            "the logarithm of what are line integrals already does; the image would be negative; give -log(I / I0), once",
        )
    if air.level and 0 < air.value < OPAQUE and low < _SHADOW * air.value and high < (1 + 2 * _LEVEL) * air.value:
        return Finding(
            SinogramFinding.TRANSMISSION,
            Severity.PROBLEM,
            f"no line integrals: in all views values are highest and level beside the object ({air.value:.3g}) and fall to "
            f"{low:.3g} within it, as transmission I / I0 does; the image would be negative; give -log(I / I0)",
        )
    if air.level and abs(air.value - 1) < _LEVEL and low > 1 - 2 * _LEVEL and high > 1 + 2 * _LEVEL:
        return Finding(
            SinogramFinding.NO_LOGARITHM,
            Severity.PROBLEM,
            f"no line integrals: in all views values are lowest and level beside the object, and {air.value:.3g} there instead of "
            "0, as I0 / I is without its logarithm; dense parts would be far too bright; give log(I0 / I)",
        )
    return None


@dataclass(frozen=True)
class _Air:
    """Values beside the object: what they are, whether level, or just one, in nearly all views, the least, and those within."""

    value: float
    level: bool
    constant: bool
    least: float
    object: float


def _air(y: Floats, low: float, high: float) -> _Air:
    """What the ends of the detector see."""
    bins = max(1, min(4, y.shape[1] // 16))
    first, last = y[:, :bins], y[:, -bins:]
    ends = np.stack([first.mean(1), last.mean(1)])
    value = float(np.median(ends))
    alike = float((abs(ends - value) < _LEVEL * abs(value)).mean()) > 0.9
    noise = float(max(np.std(end, axis=0).max() for end in (first, last))) / math.sqrt(len(y))
    slope = max(abs(float(np.median(end[:, 0] - end[:, -1]))) for end in (first, last))
    flat = slope < max(_FLAT * (high - low) / 4, _SURE * noise)
    middle = float(np.median(y.min(1)))
    constant = float((ends == value).mean()) > 0.9
    return _Air(value, alike and flat, constant, float(np.quantile(ends, 0.1)), middle)


def saturation(y: Floats) -> Finding | None:
    """Line integrals that stop at a ceiling: in some views runs of bins read the highest value, and few read less by little.

    The noise of few photons repeats values as well, but each of them about as often as the next.
    """
    some = y[:: max(1, len(y) // _MOST_VIEWS)]
    ceiling = float(some.max())
    at = some == ceiling
    if ceiling <= 0 or at.sum() < _RUN * _FEWEST_RUNS or y.shape[1] < _RUN:
        return None
    runs = np.lib.stride_tricks.sliding_window_view(at, _RUN, axis=1).min(-1).max(1)
    below = some[~at]
    next_ = float(below.max(initial=-math.inf))
    near = (below >= min((1 - _JUST_BELOW) * ceiling, ceiling - 1.5 * (ceiling - next_))).sum()
    if runs.sum() < max(_FEWEST_RUNS, _SOME_VIEWS * len(some)) or at.sum() <= _PILED * near:
        return None
    share = float(at.sum() / (some > _MET * ceiling).sum())
    percent = float(f"{100 * share:.2g}")
    return Finding(
        SinogramFinding.SATURATED,
        Severity.PROBLEM if share > _WRONG else Severity.NOTE,
        f"line integrals stop at {ceiling:.4g}, which {percent:g} % of the rays through the object read exactly: too few photons "
        "passed, or the detector or the logarithm was cut off there; the image is too low and streaked where such rays cross; "
        "measure with more photons, or take the logarithm of all that was counted",
    )
