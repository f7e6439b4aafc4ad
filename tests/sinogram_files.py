"""Small CT scans of which the truth is known."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from medrecon.data.ct.geometry_files import CTScan
from medrecon.data.ct.photons import count_photons
from medrecon.data.ct.projections import phantom_image, phantom_sinogram
from medrecon.data.ct.sinogram_files import write_sinograms
from medrecon.data.phantoms.ellipses import Ellipse, Phantom
from medrecon.geometry import Arc, Grid, ParallelBeam

GRID = Grid((40, 48), 2.0)
GEOMETRY = ParallelBeam(Arc.half_turn(60), n_bins=64, spacing=2.0)
SCAN = CTScan(GEOMETRY, GRID)
#: Water, and in it a bright disk above and right of the middle; millimeters.
PHANTOM = Phantom((Ellipse(0.02, (0.0, 0.0), (36.0, 40.0)), Ellipse(0.03, (-16.0, 20.0), (6.0, 6.0))))


def sinograms(scan: CTScan = SCAN, slices: int = 1) -> list[Tensor]:
    """The sinogram of the phantom, ever brighter."""
    return [(1 + k / 4) * phantom_sinogram(PHANTOM, scan.geometry).float() for k in range(slices)]


def write_scan(
    path: Path, scan: CTScan = SCAN, *, slices: int = 1, photons: float | None = None, target: bool = True
) -> Path:
    """Write a scan of the phantom, with the noise of `photons`, which the file then says."""
    generator = torch.Generator().manual_seed(3)
    measured = sinograms(scan, slices)
    if photons is not None:
        measured, scan = [count_photons(one, photons, generator) for one in measured], replace(scan, photons=photons)
    image = phantom_image(PHANTOM, scan.grid)
    targets = [(1 + k / 4) * image for k in range(slices)] if target else None
    write_sinograms(path, measured, scan, targets=targets, overwrite=True)
    return path
