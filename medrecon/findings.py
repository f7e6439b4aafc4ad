"""What a check of data found: with its number, what it does to the image, and how to mend it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from medrecon.errors import InputError

__all__ = [
    "Finding",
    "FindingName",
    "KSpaceFinding",
    "Severity",
    "SinogramFinding",
    "mended_or_left",
    "require_accepted",
]


class Severity(StrEnum):
    """How much a finding matters."""

    PROBLEM = "problem"  # the image would be wrong: refused, unless it is accepted by name
    MENDED = "mended"  # what had to be done was certain, and is done
    NOTE = "note"


class KSpaceFinding(StrEnum):
    """The kinds of findings in k-space, by the names that `--accept` takes of a scan of MRI."""

    ASYMMETRIC_ECHO = "asymmetric-echo"
    AXES_SWAPPED = "axes-swapped"
    CLIPPED = "clipped"
    COILS_AS_SLICES = "coils-as-slices"
    ELLIPTICAL_SCAN = "elliptical-scan"
    GAIN_STEP = "gain-step"
    HEADER_LIMITS = "header-limits"
    LENGTHS = "lengths"
    LINE_ORDER = "line-order"
    NOISY_COIL = "noisy-coil"
    OBJECT_IN_CORNERS = "object-in-corners"
    ODD_EVEN_LINES = "odd-even-lines"
    PARTIAL_FOURIER = "partial-fourier"
    PEAK_OFF_CENTER = "peak-off-center"
    PHASE_LOST = "phase-lost"
    REPEATED_COILS = "repeated-coils"
    REPEATED_LINES = "repeated-lines"
    REVERSED_READOUTS = "reversed-readouts"
    TRANSFORMED_ALREADY = "transformed-already"
    UNTRANSFORMED_PARTITIONS = "untransformed-partitions"


class SinogramFinding(StrEnum):
    """The kinds of findings in sinograms, by the names that `--accept` takes of a scan of CT."""

    AIR_LEVEL = "air-level"
    ANGLES = "angles"
    ANGLE_SIGN = "angle-sign"
    AXES_SWAPPED = "axes-swapped"
    DEAD_BINS = "dead-bins"
    DEAD_VIEWS = "dead-views"
    DETECTOR_DISTANCE = "detector-distance"
    DETECTOR_ROLLED = "detector-rolled"
    EMPTY = "empty"
    FEW_VIEWS = "few-views"
    FLIPPED_DETECTOR = "flipped-detector"
    LENGTHS = "lengths"
    LIMITED_ARC = "limited-arc"
    LOGARITHM_TWICE = "logarithm-twice"
    MISSING_VIEWS = "missing-views"
    NEGATIVE = "negative"
    NO_LOGARITHM = "no-logarithm"
    OFF_AXIS = "off-axis"
    OPAQUE = "opaque"
    RAYS_DISAGREE = "rays-disagree"
    REPEATED_VIEWS = "repeated-views"
    SATURATED = "saturated"
    TRANSMISSION = "transmission"
    TRUNCATED = "truncated"
    UNEVEN_BINS = "uneven-bins"
    VIEW_SUMS = "view-sums"


FindingName = KSpaceFinding | SinogramFinding


@dataclass(frozen=True)
class Finding:
    """One thing that was found in the data of a scan.

    Parameters
    ----------
    name
        of the kind.
    severity
        whether it is refused, was mended, or is only told.
    text
        what was seen, with its number; what it does to the image; how to mend it. One line.
    """

    name: FindingName
    severity: Severity
    text: str


def mended_or_left(name: FindingName, seen: str, done: str, accepted: Collection[FindingName]) -> Finding:
    """Tell what was seen and done about it, or, where that is accepted by its name, that it is left so."""
    if name in accepted:
        return Finding(name, Severity.NOTE, f"{seen}; it is left so, as {name} is accepted")
    return Finding(name, Severity.MENDED, f"{seen}: {done}")


def require_accepted(
    findings: Iterable[Finding], accepted: Collection[FindingName], place: str, option: str = "--accept"
) -> list[str]:
    """Return what is to be told of findings, as notes; `option` is by what a user accepts a problem.

    Raises
    ------
    InputError
        For the first problem that is not accepted by its name.
    """
    notes = []
    for finding in findings:
        if finding.severity is Severity.PROBLEM and finding.name not in accepted:
            raise InputError(f"{place}: {finding.text}; {option} {finding.name} takes it all the same")
        notes.append(f"mended: {finding.text}" if finding.severity is Severity.MENDED else finding.text)
    return notes
