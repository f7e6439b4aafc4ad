"""From settings to objects, and from files to files: what the commands call."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import overload

from medrecon.config import CTReconstructionSettings, CTSimulationSettings, ReconstructionSettings, SimulationSettings
from medrecon.progress import Progress, silent
from medrecon.report.ct_summary import CTReconstruction, CTSliceResult
from medrecon.report.summary import Reconstruction, SliceResult
from medrecon.weights.learned import LearnedReconstructor
from medrecon.workflows.ct import build_ct_reconstructor, reconstruct_sinograms
from medrecon.workflows.ct_simulation import simulate_sinograms
from medrecon.workflows.mri import build_mask, build_reconstructor, pose_problem, reconstruct_kspace
from medrecon.workflows.mri_simulation import simulate_kspace
from medrecon.workflows.pages import page_numbers

__all__ = [
    "LearnedReconstructor",
    "build_ct_reconstructor",
    "build_mask",
    "build_reconstructor",
    "page_numbers",
    "pose_problem",
    "reconstruct_file",
    "simulate_file",
]


@overload
def reconstruct_file(
    source: Path,
    output: Path | None,
    settings: ReconstructionSettings,
    *,
    overwrite: bool = False,
    progress: Progress = silent,
    watch: Callable[[SliceResult | CTSliceResult], None] | None = None,
) -> Reconstruction: ...


@overload
def reconstruct_file(
    source: Path,
    output: Path | None,
    settings: CTReconstructionSettings,
    *,
    overwrite: bool = False,
    progress: Progress = silent,
    watch: Callable[[SliceResult | CTSliceResult], None] | None = None,
) -> CTReconstruction: ...


def reconstruct_file(
    source: Path,
    output: Path | None,
    settings: ReconstructionSettings | CTReconstructionSettings,
    *,
    overwrite: bool = False,
    progress: Progress = silent,
    watch: Callable[[SliceResult | CTSliceResult], None] | None = None,
) -> Reconstruction | CTReconstruction:
    """Reconstruct slices of a file into `output`, which appears whole or not at all; the settings say of which modality it is.

    Without an output nothing is written. `watch` sees one slice after the other, with its residuals.
    See `medrecon.workflows.mri.reconstruct_kspace` and `medrecon.workflows.ct.reconstruct_sinograms`.

    Raises
    ------
    InputError
        If the file, one of its slices, or the output cannot be used.
    """
    if isinstance(settings, CTReconstructionSettings):
        return reconstruct_sinograms(source, output, settings, overwrite=overwrite, progress=progress, watch=watch)
    return reconstruct_kspace(source, output, settings, overwrite=overwrite, progress=progress, watch=watch)


def simulate_file(
    output: Path,
    settings: SimulationSettings | CTSimulationSettings,
    *,
    overwrite: bool = False,
    progress: Progress = silent,
) -> None:
    """Write a simulated scan with its target; the settings say of which modality.

    See `medrecon.workflows.mri_simulation.simulate_kspace` and `medrecon.workflows.ct_simulation.simulate_sinograms`.

    Raises
    ------
    InputError
        If the file cannot be written, or what it is made of cannot be read.
    """
    if isinstance(settings, CTSimulationSettings):
        simulate_sinograms(output, settings, overwrite=overwrite, progress=progress)
    else:
        simulate_kspace(output, settings, overwrite=overwrite, progress=progress)
