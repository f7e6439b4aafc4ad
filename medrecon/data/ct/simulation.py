"""Sinograms of phantoms in closed form, so that no image on the grid of a reconstruction is their origin."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from medrecon.data.ct.geometry_files import CTScan
from medrecon.data.ct.photons import count_photons
from medrecon.data.ct.projections import phantom_image, phantom_sinogram
from medrecon.data.phantoms.ellipses import Ellipse, Phantom
from medrecon.geometry import Geometry

__all__ = ["CTSimulation", "measured_sinogram", "simulate_sections"]

_RAYS = 4  # over the width of a bin


@dataclass(frozen=True)
class CTSimulation:
    """A scan of a phantom, slice by slice.

    Parameters
    ----------
    phantom : Phantom
        Of ellipsoids, intensities in 1/mm.
    unit : float
        Millimeters of its unit of length.
    scan : CTScan
        The rays, the grid of the target, and the photons per ray; None for no noise.
    n_slices : int
        They lie within half a unit of height 0, the one of index `n_slices // 2` at 0.
    seed : int
        Of the photons.

    Raises
    ------
    ValueError
        When the phantom is flat, or there is no slice.
    """

    phantom: Phantom
    unit: float
    scan: CTScan
    n_slices: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.phantom.ndim != 3:
            raise ValueError("CTSimulation takes a phantom of ellipsoids, got one of ellipses")
        if self.n_slices < 1:
            raise ValueError(f"CTSimulation takes at least one slice, got {self.n_slices}")


def simulate_sections(simulation: CTSimulation) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield sinogram `(angle, detector)`, dimensionless, and image `(y, x)` in 1/mm, float32, of each slice."""
    generator = torch.Generator().manual_seed(simulation.seed)
    scan = simulation.scan
    for index in range(simulation.n_slices):
        height = (index - simulation.n_slices // 2) / simulation.n_slices
        section = simulation.phantom.section(height) or Phantom((Ellipse(0.0, (0.0, 0.0), (1.0, 1.0)),))
        sinogram = measured_sinogram(section, scan.geometry, simulation.unit)
        if scan.photons is not None:
            sinogram = count_photons(sinogram, scan.photons, generator)
        yield sinogram.float(), phantom_image(section, scan.grid, simulation.unit)


def measured_sinogram(phantom: Phantom, geometry: Geometry, unit: float = 1.0) -> Tensor:
    """What bins as wide as their spacing measure of a phantom of ellipses: `-log(mean I / I0)`, float64 `(angle, detector)`.

    The mean is over four rays of each bin, whose line integrals are in closed form (see `phantom_sinogram`).
    """
    fine = replace(geometry, n_bins=_RAYS * geometry.n_bins, spacing=geometry.spacing / _RAYS)
    rays = phantom_sinogram(phantom, fine, unit).reshape(*geometry.shape, _RAYS)
    return (math.log(_RAYS) - torch.logsumexp(-rays, dim=-1)).clamp_min(0.0)
