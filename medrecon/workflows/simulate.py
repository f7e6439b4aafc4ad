"""From settings to a file of simulated measurements with their true images, whatever the scanner."""

from __future__ import annotations

from pathlib import Path

from medrecon.config.ct import CTSimulationSettings
from medrecon.config.mri import MRISimulationSettings
from medrecon.progress import Progress, silent
from medrecon.workflows.simulate_ct import simulate_sinograms
from medrecon.workflows.simulate_mri import simulate_kspace

__all__ = ["simulate_file"]


def simulate_file(
    output: Path,
    settings: MRISimulationSettings | CTSimulationSettings,
    *,
    overwrite: bool = False,
    progress: Progress = silent,
) -> list[str]:
    """Write a simulated scan with its target, and say in lines what it holds; the settings say of which modality.

    Raises
    ------
    InputError
        If the file cannot be written, or what it is made of cannot be read.
    """
    match settings:
        case MRISimulationSettings():
            return simulate_kspace(output, settings, overwrite=overwrite, progress=progress)
        case CTSimulationSettings():
            return simulate_sinograms(output, settings, overwrite=overwrite, progress=progress)
