"""Files as they are to be reconstructed: what MRI and CT have in common above their physics is the protocol `Scan`."""

from __future__ import annotations

from pathlib import Path

from medrecon.config.ct import CTAcquisition
from medrecon.config.mri import MRIAcquisition
from medrecon.data.formats import open_kspace, open_sinograms
from medrecon.scans.ct import SinogramScan
from medrecon.scans.mri import KSpaceScan
from medrecon.scans.protocol import Posed, Scan

__all__ = ["Posed", "Scan", "open_scan"]


def open_scan(source: Path, acquisition: MRIAcquisition | CTAcquisition) -> Scan:
    """Open a file as it is to be taken; nothing large is read.

    Raises
    ------
    InputError
        If it cannot be read, or cannot give what is asked.
    """
    match acquisition:
        case MRIAcquisition():
            file = open_kspace(source, allow_external=acquisition.allow_external, select=acquisition.select)
            return KSpaceScan.of(file, acquisition)
        case CTAcquisition():
            sinograms = open_sinograms(source, acquisition.geometry, allow_external=acquisition.allow_external)
            return SinogramScan.of(sinograms, acquisition)
