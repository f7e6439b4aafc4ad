"""What a check of data found: with its number, what it does to the image, and how to mend it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from medrecon.errors import InputError

__all__ = ["Finding", "Severity", "require_accepted"]


class Severity(StrEnum):
    """How much a finding matters."""

    PROBLEM = "problem"  # the image would be wrong: refused, unless it is accepted by name
    MENDED = "mended"  # what had to be done was certain, and is done
    NOTE = "note"


@dataclass(frozen=True)
class Finding:
    """One thing that was found in the data of a scan.

    Parameters
    ----------
    name
        of the kind, in lower case with hyphens, such as `peak-off-center`: what `--accept` takes.
    severity
        whether it is refused, was mended, or is only told.
    text
        what was seen, with its number; what it does to the image; how to mend it. One line.
    """

    name: str
    severity: Severity
    text: str


def require_accepted(findings: Iterable[Finding], accepted: Collection[str], place: str) -> list[str]:
    """Return what is to be told of findings, as notes.

    Raises
    ------
    InputError
        For the first problem that is not accepted by its name.
    """
    notes = []
    for finding in findings:
        if finding.severity is Severity.PROBLEM and finding.name not in accepted:
            raise InputError(f"{place}: {finding.text}; --accept {finding.name} reconstructs it all the same")
        notes.append(f"mended: {finding.text}" if finding.severity is Severity.MENDED else finding.text)
    return notes
