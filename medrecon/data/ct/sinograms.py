"""One CT measurement in the library's units, whatever file it came from."""

import math
from dataclasses import dataclass

from torch import Tensor

from medrecon.data.ct.attenuation import AttenuationUnit
from medrecon.geometry import Geometry, Grid

__all__ = ["SinogramSample", "describe_scan"]


@dataclass(frozen=True, eq=False)
class SinogramSample:
    """One image's line integrals, and how they were measured.

    Parameters
    ----------
    sinogram : Tensor
        float32 `(angle, detector)`, dimensionless: `-log(I / I0)`.
    geometry : ParallelBeam or FanBeam
        The rays.
    grid : Grid
        The pixels of the image asked for.
    target : Tensor or None
        float32 `(y, x)` in 1/mm, the true image on the grid.
    unit : AttenuationUnit
        In which the image is to be given back: that of the file.
    photons : float or None
        Photons per ray before the object, where they are known.
    name, index : str, int
        The name of the file, without its folder, and the place of the image in it.

    Raises
    ------
    ValueError
        If sinogram and geometry, or target and grid, are of different shapes, or there are no photons.
    """

    sinogram: Tensor
    geometry: Geometry
    grid: Grid
    target: Tensor | None
    unit: AttenuationUnit
    photons: float | None
    name: str
    index: int

    def __post_init__(self) -> None:
        if tuple(self.sinogram.shape) != self.geometry.shape or self.sinogram.is_complex():
            raise ValueError(
                f"{self.name}: the geometry has (angle, detector) = {self.geometry.shape}, and the sinogram is "
                f"{tuple(self.sinogram.shape)} {self.sinogram.dtype}; check number of angles and bins, and the order of axes"
            )
        if self.target is not None and tuple(self.target.shape) != self.grid.shape:
            raise ValueError(
                f"{self.name}: the grid has (y, x) = {self.grid.shape}, and the target is {tuple(self.target.shape)}"
            )
        if self.photons is not None and not (math.isfinite(self.photons) and self.photons > 0):
            raise ValueError(f"{self.name}: photons per ray are above zero, got {self.photons}")

    def __repr__(self) -> str:
        views, bins = self.geometry.shape
        scan = describe_scan(self.geometry, self.grid, self.photons, has_target=self.target is not None)
        return f"SinogramSample({self.name}, slice {self.index}: (angle={views}, detector={bins}), {scan})"


def describe_scan(geometry: Geometry, grid: Grid, photons: float | None, *, has_target: bool) -> str:
    """Say in a few words how sinograms were measured, and of what image: `FanBeam, image 256 x 256, no target`."""
    dose = "" if photons is None else f"{photons:.0f} photons per ray, "
    image = f"image {grid.shape[0]} x {grid.shape[1]}"
    return f"{type(geometry).__name__}, {image}, {dose}{'target' if has_target else 'no target'}"
