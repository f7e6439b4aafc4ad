"""What a file of measurements holds, whatever the scanner, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from medrecon.config import settings_from
from medrecon.config.ct import CTAcquisition
from medrecon.config.mri import MRIAcquisition
from medrecon.data.formats import find_format
from medrecon.errors import InputError
from medrecon.modality import Modality
from medrecon.scans import open_asked_kspace, open_asked_sinograms
from medrecon.scans.ct_inspection import inspect_sinograms, sinogram_lines
from medrecon.scans.mri_inspection import inspect_kspace, kspace_lines

__all__ = ["Inspection", "inspect_file"]


@dataclass(frozen=True)
class Inspection:
    """What was found, as plain values for programs and as lines for people."""

    values: dict[str, Any]
    lines: list[str]


def inspect_file(path: Path, said: Mapping[str, object] | None = None) -> Inspection:
    """Look through a file; `said` are settings of `CTAcquisition` or `MRIAcquisition` that say what the file does not.

    Raises
    ------
    InputError
        If the file as a whole cannot be read, or what is said belongs to another scanner.
    """
    given = dict(said or {})
    axes = given.get("axes")
    words = axes if isinstance(axes, str) else None
    modality = find_format(path, axes=words, allow_external=bool(given.get("allow_external"))).modality
    kind = CTAcquisition if modality is Modality.CT else MRIAcquisition
    if foreign := next((name for name in given if name not in kind.model_fields), None):
        other = next(one for one in Modality if one is not modality)
        raise InputError(
            f"--{foreign} is an option of {other.upper()}, and {path} holds {modality.holds}; leave it out"
        )
    if modality is Modality.CT:
        sinograms = inspect_sinograms(open_asked_sinograms(path, settings_from(CTAcquisition, given)))
        return Inspection({"modality": modality.value, **asdict(sinograms)}, sinogram_lines(sinograms))
    kspace = inspect_kspace(open_asked_kspace(path, settings_from(MRIAcquisition, given)))
    return Inspection({"modality": modality.value, **asdict(kspace)}, kspace_lines(kspace))
