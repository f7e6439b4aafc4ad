"""CT: simulated scans of phantoms, and of volumes that others reconstructed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import tee
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from medrecon.config import CTPhantomName, CTSimulationSettings
from medrecon.data.ct.attenuation import attenuation_from_hounsfield
from medrecon.data.ct.dicom import read_dicom
from medrecon.data.ct.geometry_files import CTScan, read_geometry
from medrecon.data.ct.phantoms import ABDOMEN_FIELD, HEAD_FIELD, abdomen_volume, head_volume
from medrecon.data.ct.photons import count_photons
from medrecon.data.ct.simulation import CTSimulation, simulate_sections
from medrecon.data.ct.sinogram_files import write_sinograms
from medrecon.data.ct.words import geometry_words, grid_words
from medrecon.data.nifti import read_nifti
from medrecon.data.nrrd import read_nrrd
from medrecon.data.sizes import require_disk, require_rays
from medrecon.data.volume import CTVolume
from medrecon.errors import InputError
from medrecon.geometry import Arc, Grid, ParallelBeam
from medrecon.operators import Radon
from medrecon.progress import Progress, silent
from medrecon.words import counted

__all__ = ["read_volume", "simulate_sinograms"]

_SIZE, _VIEWS = 256, 360
_FINE_RAYS = 8  # times the rays, in closed form and in float64
_FINER = 2  # times are the pixels from which a volume is projected, so that it is no inverse crime

Pair = tuple[Tensor, Tensor]


def simulate_sinograms(
    output: Path, settings: CTSimulationSettings, *, overwrite: bool = False, progress: Progress = silent
) -> list[str]:
    """Write the sinograms of a phantom, in closed form, or of a volume, projected, with true images; say in lines what is there.

    Raises
    ------
    InputError
        If the file cannot be written, or the volume or the geometry not be read.
    """
    if settings.volume is None:
        scan, count, pairs = _phantom(settings)
        require_disk(output, count, 4 * math.prod(scan.geometry.shape) + 4 * math.prod(scan.grid.shape))
        origin = f"simulated {settings.phantom}"
        notes: tuple[str, ...] = ()
    else:
        volume = read_volume(settings.volume, settings.series)
        scan, count, pairs = _volume(settings, volume)
        origin, notes = f"projected {settings.volume.name}", volume.notes
    sinograms, targets = tee(_told(pairs, progress, output.name, count))
    attributes: dict[str, str | int | float] = {"origin": origin, "seed": settings.seed}
    if notes:
        attributes["notes"] = "; ".join(notes)
    write_sinograms(
        output,
        (sinogram for sinogram, _ in sinograms),
        scan,
        targets=(target for _, target in targets),
        attributes=attributes,
        overwrite=overwrite,
    )
    what = f"the {settings.phantom} phantom" if settings.volume is None else str(settings.volume)
    dose = "no noise" if scan.photons is None else f"{scan.photons:g} photons per ray"
    held = f"{counted(count, 'sinogram')} of {what}, {grid_words(scan.grid)}, {dose}"
    return [f"{output}: {held}", geometry_words(scan.geometry), *(f"note: {note}" for note in notes)]


def read_volume(path: Path, series: str | None = None) -> CTVolume:
    """Read a CT volume: a folder of DICOM files, or one of them, of which `series` is read, NIfTI or NRRD.

    Raises
    ------
    InputError
        If it cannot be read, or has no series.
    """
    name = path.name.lower()
    if series is not None and name.endswith((".nii", ".nii.gz", ".nrrd", ".nhdr")):
        raise InputError(f"{path}: has no series, which DICOM has; leave --series out")
    if name.endswith((".nii", ".nii.gz")):
        return read_nifti(path)
    return read_nrrd(path) if name.endswith((".nrrd", ".nhdr")) else read_dicom(path, series)


def _phantom(settings: CTSimulationSettings) -> tuple[CTScan, int, Iterator[Pair]]:
    abdomen = settings.phantom is CTPhantomName.ABDOMEN
    phantom, field = (abdomen_volume(), ABDOMEN_FIELD) if abdomen else (head_volume(), HEAD_FIELD)
    size = settings.size or (_SIZE, _SIZE)
    grid = Grid(size, settings.pixel or field / max(size))
    chosen = settings.size is not None or settings.pixel is not None
    scan = _scan(settings, grid, chosen=chosen)
    count = settings.slices or 1
    return scan, count, simulate_sections(CTSimulation(phantom, field / 2, scan, count, settings.seed))


def _volume(settings: CTSimulationSettings, volume: CTVolume) -> tuple[CTScan, int, Iterator[Pair]]:
    if settings.size is not None or settings.pixel is not None:
        raise InputError("--size and --pixel are those of the volume with --from; leave them out")
    if (settings.slices or 1) > len(volume):
        raise InputError(f"{settings.volume}: has {len(volume)} slices, and --slices asks for {settings.slices}")
    grid = Grid((volume.hounsfield.shape[1], volume.hounsfield.shape[2]), volume.spacing[1:])
    scan = _scan(settings, grid, chosen=True)
    count = settings.slices or len(volume)
    indices = [len(volume) // 2] if count == 1 else [k * len(volume) // count for k in range(count)]
    return scan, count, _projected(volume, indices, scan, settings.seed)


def _projected(volume: CTVolume, indices: list[int], scan: CTScan, seed: int) -> Iterator[Pair]:
    """Slices of a volume, drawn on finer pixels, projected and counted."""
    fine = Grid([_FINER * n for n in scan.grid.shape], [step / _FINER for step in scan.grid.spacing], scan.grid.center)
    A, generator = Radon(fine, scan.geometry), torch.Generator().manual_seed(seed)
    for index in indices:
        image = attenuation_from_hounsfield(volume.hounsfield[index]).clamp_min(0)
        drawn = interpolate(image[None, None], fine.shape, mode="bilinear", align_corners=False)[0, 0]
        sinogram = A(drawn)
        yield sinogram if scan.photons is None else count_photons(sinogram, scan.photons, generator), image


def _scan(settings: CTSimulationSettings, grid: Grid, *, chosen: bool) -> CTScan:
    """The scan of a geometry file, else parallel rays all around the grid; a grid that was chosen stands above the file's."""
    if settings.geometry is None:
        bins = settings.bins or math.ceil(math.hypot(*grid.shape))
        require_rays(_FINE_RAYS * (settings.views or _VIEWS), bins, "--views, --bins")
        geometry = ParallelBeam(Arc.half_turn(settings.views or _VIEWS), bins, 2 * grid.radius / bins)
        return CTScan(geometry, grid, settings.photons)
    if settings.views is not None or settings.bins is not None:
        raise InputError(f"--views and --bins are those of {settings.geometry} with --geometry; leave them out")
    scan = read_geometry(settings.geometry)
    try:
        return replace(scan, grid=grid if chosen else scan.grid, photons=settings.photons or scan.photons)
    except ValueError as error:
        raise InputError(f"{settings.geometry}: {error}") from error


def _told(pairs: Iterator[Pair], progress: Progress, name: str, count: int) -> Iterator[Pair]:
    for done, pair in enumerate(pairs, start=1):
        yield pair
        progress(name, done, count)
