"""Files as they are to be reconstructed: what MRI and CT have in common above their physics is the protocol `Scan`."""

from __future__ import annotations

from pathlib import Path

from medrecon.config.ct import CTAcquisition
from medrecon.config.mri import MRIAcquisition
from medrecon.data.ct.sinogram_files import Sinograms
from medrecon.data.formats import open_kspace, open_sinograms
from medrecon.data.mri.kspace_files import KSpaceFile
from medrecon.scans.ct import SinogramScan
from medrecon.scans.mri import KSpaceScan
from medrecon.scans.protocol import Posed, Scan

__all__ = ["Posed", "Scan", "open_asked_kspace", "open_asked_sinograms", "open_scan"]


def open_scan(source: Path, acquisition: MRIAcquisition | CTAcquisition) -> Scan:
    """Open a file as it is to be taken; nothing large is read.

    Raises
    ------
    InputError
        If it cannot be read, or cannot give what is asked.
    """
    match acquisition:
        case MRIAcquisition():
            return KSpaceScan.of(open_asked_kspace(source, acquisition), acquisition)
        case CTAcquisition():
            return SinogramScan.of(open_asked_sinograms(source, acquisition), acquisition)


def open_asked_kspace(source: Path, asked: MRIAcquisition) -> KSpaceFile:
    """Open a file of k-space as it is asked for.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    return open_kspace(
        source,
        axes=asked.axes,
        calibration=asked.calibration,
        select=asked.select,
        allow_external=asked.allow_external,
    )


def open_asked_sinograms(source: Path, asked: CTAcquisition) -> Sinograms:
    """Open a file of sinograms or projections as it is asked for.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    external = asked.allow_external
    return open_sinograms(
        source, asked.geometry, flat=asked.flat, dark=asked.dark, axes=asked.axes, allow_external=external
    )
