"""CT: a file of sinograms and what is to be done with it, settled before anything is computed."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch

from medrecon.config import CTReconstructionSettings
from medrecon.data.ct.attenuation import AttenuationUnit
from medrecon.data.ct.sinogram_files import Sinograms
from medrecon.data.ct.sinograms import SinogramSample
from medrecon.errors import InputError
from medrecon.geometry import Geometry, Grid, require_outside
from medrecon.operators import Radon
from medrecon.problem import add_dose_noise, subsample_views
from medrecon.reconstructor import Reconstructor

__all__ = ["CTWork", "plan_sinograms", "warm_up"]

_FEW = 32  # pixels along an axis
_WATER = 0.02  # 1/mm


@dataclass(frozen=True, eq=False)
class CTWork:
    """A file and how it is to be reconstructed: `read` gives a sample, thinned and of lower dose as the settings say."""

    file: Sinograms
    settings: CTReconstructionSettings
    grid: Grid
    unit: AttenuationUnit

    @property
    def seed(self) -> str | int:
        return self.file.path.name if self.settings.seed is None else self.settings.seed

    def read(self, index: int) -> SinogramSample:
        sample = self.file[index]
        if sample.grid != self.grid:
            sample = replace(sample, grid=self.grid, target=None)
        if self.settings.photons is not None:
            sample = add_dose_noise(sample, self.settings.photons, _generator(self.seed, index))
        return sample if self.settings.views is None else subsample_views(sample, self.settings.views)


def plan_sinograms(file: Sinograms, settings: CTReconstructionSettings) -> CTWork:
    """Settle grid and unit, and refuse what the file cannot give."""
    grid = file.scan.grid
    if settings.size is not None or settings.pixel is not None:
        grid = _grid(grid, settings.size, settings.pixel)
        try:
            require_outside(file.scan.geometry, grid)
        except ValueError as error:
            raise InputError(f"{file.path}: {error} (--size, --pixel)") from error
    n_views = file.scan.geometry.shape[0]
    if settings.views is not None and settings.views > n_views:
        raise InputError(f"{file.path}: has {n_views} views; --views takes 1 to {n_views}, got {settings.views}")
    if settings.seed is not None and settings.photons is None:
        raise InputError("--seed belongs to the noise that --photons adds; give both, or neither")
    return CTWork(file, settings, grid, AttenuationUnit.HOUNSFIELD if settings.hu else file.unit)


def warm_up(reconstructor: Reconstructor, A: Radon, device: torch.device) -> None:
    """Reconstruct a few pixels by the rays of `A`, once for a method and scan: all loops that it takes are compiled thereafter.

    What is timed after it is the method alone, also of the first in a process. What goes wrong here is left for the image itself
    to tell.
    """
    method: Any = reconstructor  # a key
    _warm_up(method, Grid([min(_FEW, n) for n in A.grid.shape], A.grid.spacing), A.geometry, device)


@lru_cache(maxsize=16)
def _warm_up(reconstructor: Reconstructor, grid: Grid, geometry: Geometry, device: torch.device) -> None:
    few = Radon(grid, geometry)
    with torch.no_grad(), suppress(Exception):
        y = few(torch.full((1, *grid.shape), _WATER, device=device))
        float(few.H(y).sum())
        float(reconstructor(y, few).sum())  # waits for the device


def _grid(own: Grid, size: tuple[int, int] | None, pixel: float | None) -> Grid:
    """The grid of the size, of pixels of the width, or, where one of them is open, over what the file's own covers."""
    if size is None:
        assert pixel is not None
        return Grid([max(1, round(side / pixel)) for side in own.extent], pixel)
    return Grid(size, max(side / n for side, n in zip(own.extent, size, strict=True)) if pixel is None else pixel)


def _generator(seed: str | int, index: int) -> torch.Generator:
    """Randomness of one sinogram, whichever others are reconstructed with it."""
    digest = hashlib.sha256(f"{seed}/{index}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
