"""How large the page of a reconstruction becomes, known before anything is reconstructed."""

from __future__ import annotations

from pathlib import Path

from medrecon.config import CTReconstructionSettings, ReconstructionSettings
from medrecon.data.modality import open_sinograms
from medrecon.data.mri.fastmri import FastMRIFile
from medrecon.report.cases import pooled_shape
from medrecon.scans.ct_work import plan_sinograms

__all__ = ["page_numbers"]


def page_numbers(
    source: Path, settings: ReconstructionSettings | CTReconstructionSettings, methods: int
) -> tuple[int, int]:
    """How many numbers the images of a file, by so many methods, hold, and how many their residuals, at most.

    Raises
    ------
    InputError
        If the file cannot be opened, or has not the slices or views of the settings.
    """
    if isinstance(settings, CTReconstructionSettings):
        work = plan_sinograms(open_sinograms(source, settings.geometry), settings)
        count = len(settings.slices.of(len(work.file), str(source)))
        (rows, columns), has_target = work.grid.shape, work.file.has_target and work.grid == work.file.scan.grid
        views, bins = work.file.scan.geometry.shape
        height, width = pooled_shape((settings.views or views, bins))
        return count * rows * columns * (methods + has_target), count * methods * height * width
    file = FastMRIFile(source)
    count = len(settings.slices.of(len(file), str(source)))
    stack = count * file.matrix[0] * file.matrix[1]
    has_target = settings.mask is not None or file.target_name is not None
    return stack * (methods + has_target), stack * methods
