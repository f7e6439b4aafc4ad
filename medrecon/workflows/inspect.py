"""What a file of measurements holds, whatever the scanner, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from medrecon.data.formats import find_format, open_kspace, open_sinograms
from medrecon.errors import InputError
from medrecon.modality import Modality
from medrecon.scans.ct_inspection import inspect_sinograms, sinogram_lines
from medrecon.scans.mri_inspection import inspect_kspace, kspace_lines
from medrecon.scans.series_inspection import holds_dicom, inspect_series, series_lines

__all__ = ["Inspection", "inspect_file"]


@dataclass(frozen=True)
class Inspection:
    """What was found, as plain values for programs and as lines for people."""

    values: dict[str, Any]
    lines: list[str]


def inspect_file(
    path: Path,
    geometry: Path | None = None,
    *,
    allow_external: bool = False,
    select: Mapping[str, str] | None = None,
) -> Inspection:
    """Look through a file, or a folder of DICOM; `geometry` names the file that says how sinograms were measured, if needed.

    With `allow_external` its data sets may lie in other files; `select` names what is taken of a raw file that holds several.

    Raises
    ------
    InputError
        If the file as a whole cannot be read, or a geometry is given for k-space, or a choice for sinograms.
    """
    if geometry is None and holds_dicom(path):
        series = inspect_series(path)
        return Inspection(
            {"series": [asdict(one) for one in series.series], "notes": series.notes}, series_lines(series)
        )
    modality = find_format(path, allow_external=allow_external).modality
    if modality is Modality.CT:
        if select:
            raise InputError(f"--select is an option of MRI, and {path} holds {modality.holds}; leave it out")
        sinograms = inspect_sinograms(open_sinograms(path, geometry, allow_external=allow_external))
        return Inspection({"modality": modality.value, **asdict(sinograms)}, sinogram_lines(sinograms))
    if geometry is not None:
        raise InputError(f"--geometry is an option of CT, and {path} holds {modality.holds}; leave it out")
    kspace = inspect_kspace(open_kspace(path, allow_external=allow_external, select=select))
    return Inspection({"modality": modality.value, **asdict(kspace)}, kspace_lines(kspace))
