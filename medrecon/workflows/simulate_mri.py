"""MRI: simulated scans of phantoms."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import tee
from pathlib import Path

from torch import Tensor

from medrecon.config import MRIPhantomName, MRISimulationSettings
from medrecon.data.mri.fastmri import KSpaceSample
from medrecon.data.mri.fastmri_header import make_header
from medrecon.data.mri.simulation import Simulation, simulate_volume
from medrecon.data.mri.writing import write_fastmri
from medrecon.data.phantoms.mri_phantoms import brain_volume, shepp_logan_volume
from medrecon.data.sizes import require_disk
from medrecon.memory import require_memory
from medrecon.problem import full_reconstruction
from medrecon.progress import Progress, silent
from medrecon.words import counted

__all__ = ["simulate_kspace"]

_PIXEL_BYTES = 200  # of a coil, on grids finer and twice as long


def simulate_kspace(
    output: Path, settings: MRISimulationSettings, *, overwrite: bool = False, progress: Progress = silent
) -> list[str]:
    """Write the scan of a phantom as a fully sampled file in the format of fastMRI, with its target; say in lines what it holds.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    (ny, nx), coils = settings.size, settings.coils
    require_memory(coils * ny * nx * _PIXEL_BYTES, f"--size, --coils: {counted(coils, 'coil')} of {ny} x {nx} pixels")
    require_disk(output, settings.slices, 16 * coils * ny * nx + 4 * ny * nx)
    phantom = brain_volume() if settings.phantom is MRIPhantomName.BRAIN else shepp_logan_volume()
    scan = Simulation(phantom, (ny, nx), settings.slices, settings.coils, settings.snr, settings.seed)
    header = make_header((2 * ny, nx), (ny, nx), acquisition=f"simulated {settings.phantom}", patient_id="phantom")
    slices, copies = tee(_told(simulate_volume(scan), progress, output.name, settings.slices))
    targets = (_full_image(kspace, (ny, nx)) for kspace in copies)
    write_fastmri(output, slices, header=header, targets=targets, overwrite=overwrite)
    held = f"{counted(settings.slices, 'slice')} of {ny} x {nx} pixels, {counted(settings.coils, 'coil')}"
    return [f"{output}: {held}, the {settings.phantom} phantom"]


def _told(slices: Iterable[Tensor], progress: Progress, name: str, count: int) -> Iterator[Tensor]:
    for done, kspace in enumerate(slices, start=1):
        yield kspace
        progress(name, done, count)


def _full_image(kspace: Tensor, matrix: tuple[int, int]) -> Tensor:
    return full_reconstruction(KSpaceSample.full(kspace, None, matrix, ""))
