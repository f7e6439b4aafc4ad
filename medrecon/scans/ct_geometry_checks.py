"""Checks of a sinogram against the geometry that is stated for it: its axis, the direction of its detector, its distances."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from medrecon.calibration.ray_comparison import Comparison, compared, stretched, stretched_by_rays
from medrecon.calibration.rotation_axis import (
    first_moments,
    offset_by_rays,
    ray_disagreement,
    smoothed_bins,
    view_change,
)
from medrecon.calibration.sinogram_noise import scan_noise
from medrecon.coverage import Truncation, truncation
from medrecon.data.ct.sinograms import SinogramSample
from medrecon.errors import InputError
from medrecon.findings import Finding, Severity, SinogramFinding
from medrecon.geometry import FanBeam, Geometry, ParallelBeam
from medrecon.scans.ct_bin_checks import axis_bin
from medrecon.scans.ct_repair import repair

__all__ = ["FLIPPED", "contradictions", "measured_offset", "offset_words"]

#: The finding that is mended by reversing the bins.
FLIPPED = SinogramFinding.FLIPPED_DETECTOR

_OFF_AXIS = 0.3  # bins
_SIGNIFICANT = 3.0  # standard deviations
_WHOLE = 0.05  # of a view's sum: views of a whole object agree better
_DISAGREE = 0.03  # of their root mean square: rays measured twice are the same
_CLEARLY = 0.1
_BETTER = 0.5  # of a disagreement remains where its cause is found
_OFF_SINUSOID = 0.3  # bins
_MUCH = 0.9  # of that of a fault of its own name: less, where the distance is another
_NEARBY = (-5.0, -0.7, 0.7, 5.0)  # bins: offsets of which one agrees better than a wrong one
_APART = 1.07  # ratio of distances, alike
_WORTH_A_LOOK = 0.05  # of the squared differences of rays: by as much such a try is better
_GAIN, _BEYOND_NOISE = 0.1, 3.0  # of them, and standard deviations: what a better geometry takes away
_BEYOND_CHANCE = 3.5  # standard deviations: the best of many offsets
_FAR = 0.05  # logarithm of a ratio of distances that is told
_CERTAIN = 2.0  # bins, by which an offset that is measured is off at most
_UNSURE = 0.5  # bins
_ASTRAY = 5.0  # standard deviations that noise moves first moments by


def contradictions(sample: SinogramSample, cut: Truncation) -> Iterator[Finding]:
    """What of the geometry the line integrals contradict; `cut` says whether the views see the whole object."""
    y, geometry = sample.sinogram.double().numpy(), sample.geometry
    if min(y.shape) < 4:
        return
    smooth = smoothed_bins(y)
    disagreement, change = ray_disagreement(smooth, geometry), view_change(y)
    found: tuple[Finding, ...] = ()
    if disagreement > max(_DISAGREE, change):
        found = tuple(_disagreeing(smooth, geometry, disagreement, change))
    if not found and isinstance(geometry, ParallelBeam) and max(cut.first, cut.last) < _WHOLE:
        found = tuple(_moving(y, geometry, rays_agree=disagreement <= _CLEARLY))
    if not found and any(_agreeing_better(smooth, geometry)):  # rings may feign it
        repaired = repair(sample.sinogram, axis_bin(geometry)).sinogram.double().numpy()
        found = tuple(_agreeing_better(smoothed_bins(repaired), geometry))
    yield from found


def measured_offset(sample: SinogramSample) -> float:
    """The offset of the detector, mm, with which the data agree best.

    Raises
    ------
    InputError
        If they do not say: views of less than a turn that do not see the whole object, or too few rays that are measured twice.
    """
    y, geometry = sample.sinogram.double().numpy(), sample.geometry
    if min(y.shape) >= 4:
        smooth = smoothed_bins(y)
        found = offset_by_rays(smooth, geometry)
        if found is not None and _is_certain(smooth, replace(geometry, offset=found[0])):
            return found[0]
        cut = truncation(sample.sinogram, geometry)
        if isinstance(geometry, ParallelBeam) and max(cut.first, cut.last) < _WHOLE:
            moments = first_moments(y, geometry)
            if moments is not None and moments.error < _UNSURE * geometry.spacing:
                return geometry.offset - moments.axis
    raise InputError(
        f"{sample.name}: --offset auto takes a full turn, or parallel views over half a turn that see the whole object, and these "
        f"views do not tell it within {_CERTAIN:g} bins; give its value in mm"
    )


def _is_certain(y: NDArray[np.float64], geometry: Geometry) -> bool:
    """Whether rays that are measured twice clearly disagree with other offsets, not far away."""
    others = (replace(geometry, offset=geometry.offset + sign * _CERTAIN * geometry.spacing) for sign in (-1, 1))
    return all(_is_clear(compared(y, other, geometry)) for other in others)


def offset_words(offset: float, geometry: Geometry) -> str:
    """Say an offset that was measured, beside that of the geometry."""
    shift = (offset - geometry.offset) / geometry.spacing
    return (
        f"the axis of rotation lies {shift:.2f} bins from where the offset of {geometry.offset:g} mm puts it, the "
        f"detector's offset is {_rounded(offset, geometry)} mm"
    )


def _rounded(offset: float, geometry: Geometry) -> str:
    """Say an offset to about a thousandth of a bin: no more is measured."""
    return f"{round(offset, 3 - math.floor(math.log10(geometry.spacing))) + 0.0:g}"


def _off_axis(offset: float, geometry: Geometry, seen: str) -> Finding:
    return Finding(
        SinogramFinding.OFF_AXIS,
        Severity.PROBLEM,
        f"{offset_words(offset, geometry)} ({seen}): edges would be doubled; write `offset: {_rounded(offset, geometry)}` into the "
        "geometry, or give --offset auto",
    )


def _disagreeing(y: NDArray[np.float64], geometry: Geometry, disagreement: float, change: float) -> Iterator[Finding]:
    """Of rays that are measured twice and differ: the change of the geometry with which they agree."""
    seen = f"rays measured twice differ by {100 * disagreement:.0f} % as it stands, by {{:.1f}} % then"
    found = offset_by_rays(y, geometry)
    offset, least = (geometry.offset, math.inf) if found is None else found
    others = {name: ray_disagreement(one, stated) for name, one, stated in _changed(y, geometry)}
    name = min(others, key=lambda one: others[one] if others[one] > 0 else math.inf, default=None)
    farther = _farther(y, geometry)
    enough = min(_BETTER * disagreement, least, *(_MUCH * one for one in others.values()))
    if isinstance(geometry, FanBeam) and farther and farther.comparison.disagreement < enough:
        yield _distances(geometry, farther)
    elif name and others[name] < min(_BETTER * disagreement, least):
        severity = Severity.MENDED if name == FLIPPED else Severity.PROBLEM
        yield Finding(name, severity, f"{_WORDS[name]} ({seen.format(100 * others[name])})")
    elif least < _BETTER * disagreement and abs(offset - geometry.offset) > _OFF_AXIS * geometry.spacing:
        yield _off_axis(offset, geometry, seen.format(100 * least))
    elif disagreement > max(_CLEARLY, _SIGNIFICANT * change):
        yield Finding(
            SinogramFinding.RAYS_DISAGREE,
            Severity.PROBLEM,
            f"rays measured twice differ by {100 * disagreement:.0f} %, and no other offset or direction of the detector mends "
            "that: the image would be blurred; check distances, angles and their order, and whether the object moved",
        )


def _agreeing_better(y: NDArray[np.float64], geometry: Geometry) -> Iterator[Finding]:
    """Of rays that are measured twice and hardly differ: the change of the geometry with which they clearly agree better."""
    changes = (replace(geometry, offset=geometry.offset + shift * geometry.spacing) for shift in _NEARBY)
    if any(_is_worth_a_look(compared(y, geometry, one)) for one in changes) and (found := offset_by_rays(y, geometry)):
        better = compared(y, geometry, replace(geometry, offset=found[0]))
        if _is_clear(better) and abs(found[0] - geometry.offset) > _OFF_AXIS * geometry.spacing:
            yield _off_axis(found[0], geometry, _seen(better))
            return
    if isinstance(geometry, FanBeam) and (farther := _farther(y, geometry)) and _is_clear(farther.comparison):
        yield _distances(geometry, farther)


def _is_worth_a_look(near: Comparison) -> bool:
    return near.gain > _WORTH_A_LOOK + near.chance


def _is_clear(better: Comparison) -> bool:
    return better.gain > max(_GAIN, _BEYOND_CHANCE * better.chance) and better.significance > _BEYOND_NOISE


def _seen(better: Comparison) -> str:
    now = better.disagreement / math.sqrt(max(1 - better.gain, 1e-12))
    return f"rays measured twice differ by {100 * now:.2g} % as it stands, by {100 * better.disagreement:.2g} % then"


@dataclass(frozen=True)
class _Farther:
    """A detector so many times as far from the source, compared with that which is stated."""

    ratio: float
    comparison: Comparison


def _farther(y: NDArray[np.float64], geometry: Geometry) -> _Farther | None:
    """The distance between source and detector with which rays agree best, where it is not that of the geometry."""
    if not isinstance(geometry, FanBeam):
        return None
    nearby = (compared(y, geometry, stretched(geometry, ratio)) for ratio in (_APART, 1 / _APART))
    ratio = stretched_by_rays(y, geometry) if any(map(_is_worth_a_look, nearby)) else None
    if ratio is None or abs(math.log(ratio)) < _FAR:
        return None
    return _Farther(ratio, compared(y, geometry, stretched(geometry, ratio)))


def _distances(geometry: FanBeam, farther: _Farther) -> Finding:
    """A detector that lies elsewhere than the geometry says."""
    stated, apart = geometry.source_to_detector, farther.ratio * geometry.source_to_detector
    if abs(math.log(geometry.detector_distance / apart)) < _FAR:
        return Finding(
            SinogramFinding.DETECTOR_DISTANCE,
            Severity.PROBLEM,
            f"{_WORDS[SinogramFinding.DETECTOR_DISTANCE]} ({_seen(farther.comparison)})",
        )
    ways = {
        "detector_distance": apart - geometry.source_distance,
        "source_distance": apart - geometry.detector_distance,
    }
    others = {"source_distance": "detector_distance", "detector_distance": "source_distance"}
    remedies = [f"`{name}: {size:.3g}` if `{others[name]}` is right" for name, size in ways.items() if size > 0]
    return Finding(
        SinogramFinding.DETECTOR_DISTANCE,
        Severity.PROBLEM,
        f"the detector lies about {apart:.3g} mm from the source, and {stated:.3g} mm in the geometry "
        f"({_seen(farther.comparison)}): the image would be blurred; give {', or '.join(remedies)}, or bins of "
        f"{geometry.spacing / farther.ratio:.3g} mm",
    )


_WORDS = {
    FLIPPED: "the detector's bins count the other way round, or the angles have the other sign: bins are reversed; if it is the "
    "angles, the image is mirrored: change their sign in the geometry instead",
    SinogramFinding.ANGLE_SIGN: "the angles have the other sign: the image would be blurred; change it in the geometry",
    SinogramFinding.DETECTOR_DISTANCE: "`detector_distance` is that from the source: the image would be blurred; give that "
    "from the center of rotation, less by `source_distance`",
}


def _changed(
    y: NDArray[np.float64], geometry: Geometry
) -> Iterator[tuple[SinogramFinding, NDArray[np.float64], Geometry]]:
    """Other ways to read a sinogram that differ from its own, by the name of the fault."""
    flipped = np.ascontiguousarray(y[:, ::-1])
    if isinstance(geometry, FanBeam) or geometry.offset:
        yield FLIPPED, flipped, geometry
    if geometry.offset:
        yield SinogramFinding.ANGLE_SIGN, flipped, replace(geometry, offset=-geometry.offset)
    if isinstance(geometry, FanBeam) and geometry.detector_distance > geometry.source_distance:
        shorter = geometry.detector_distance - geometry.source_distance
        yield SinogramFinding.DETECTOR_DISTANCE, y, replace(geometry, detector_distance=shorter)


def _moving(y: NDArray[np.float64], geometry: ParallelBeam, *, rays_agree: bool) -> Iterator[Finding]:
    """Of parallel views that see the whole object: their sums and first moments.

    Where rays that are measured twice agree, angles are right, and moments that are far off are those of an uneven background.
    """
    found = first_moments(y, geometry)
    if found is None:
        return
    if found.spread > max(_WHOLE, _SIGNIFICANT * _noise_of_sums(y)):
        yield Finding(
            SinogramFinding.VIEW_SUMS,
            Severity.NOTE,
            f"sums of the views differ by {100 * found.spread:.0f} %, and parallel views of one object agree: check that beams are "
            "parallel and the blank scan is that of each view",
        )
    elif (
        found.unexplained > 0.5 or (found.error > _OFF_AXIS * geometry.spacing and not rays_agree)
    ) and found.residual > max(_OFF_SINUSOID * geometry.spacing, _ASTRAY * _noise_of_moments(y, geometry)):
        yield Finding(
            SinogramFinding.ANGLES,
            Severity.PROBLEM,
            f"centers of mass of the views lie {found.residual / geometry.spacing:.1f} bins off a sinusoid: the image would be "
            "smeared; check the angles and their order",
        )
    elif abs(found.axis) > max(_OFF_AXIS * geometry.spacing, _SIGNIFICANT * found.error):
        yield _off_axis(
            geometry.offset - found.axis, geometry, f"first moments, within {found.error / geometry.spacing:.2f} bins"
        )


def _noise_of_sums(y: NDArray[np.float64]) -> float:
    """The standard deviation of the sum of a view, of the mean sum, that the noise of the line integrals makes."""
    variance, _ = scan_noise(torch.from_numpy(y))
    return math.sqrt(variance * y.shape[1]) / float(y.sum(1).mean())


def _noise_of_moments(y: NDArray[np.float64], geometry: ParallelBeam) -> float:
    """The standard deviation of a first moment, mm, that the noise of the line integrals makes."""
    variance, _ = scan_noise(torch.from_numpy(y))
    return math.sqrt(variance * float(np.square(geometry.positions()).sum())) / float(y.sum(1).mean())
