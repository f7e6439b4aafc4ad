"""CT to learn from: sinograms with their images, as they are, or with fewer views and photons."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor

from medrecon.data.batches import derived_seed
from medrecon.data.ct.attenuation import MU_WATER, AttenuationUnit
from medrecon.data.ct.projections import phantom_image, phantom_sinogram
from medrecon.data.ct.sinograms import SinogramSample
from medrecon.data.phantoms.ellipses import Ellipse, Phantom
from medrecon.data.phantoms.random_phantoms import random_phantom
from medrecon.data.sets.lodopab_small import Projector, simulate
from medrecon.errors import InputError
from medrecon.evaluation import image_range
from medrecon.geometry import Arc, Geometry, Grid, ParallelBeam
from medrecon.networks.data_normalization import DataNormalization
from medrecon.problem import Problem, add_dose_noise, radon, subsample_views
from medrecon.training.augmentation import Augmentation, Blur
from medrecon.training.curriculum import Curriculum
from medrecon.training.samples import Sample, make_sample

__all__ = ["Dose", "PhantomSinograms", "Remeasurement", "SinogramTrainingSet", "Sinograms"]

_SAME_ANGLE = 1e-6  # radians


class Sinograms(Protocol):
    """Sinograms of one geometry and grid with their targets, such as `medrecon.data.ct.lodopab.LoDoPaB`."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> SinogramSample: ...


@dataclass(frozen=True)
class Dose:
    """How many views are kept, and the photons a ray of the noise that is added; None leaves what there is."""

    views: int | None = None
    photons: float | None = None


@dataclass(frozen=True, eq=False)
class Remeasurement:
    """Images of LoDoPaB-CT seen otherwise and measured anew, as LoDoPaB-CT measures its own; their sinograms are left aside.

    Parameters
    ----------
    augmentation, blur
        of the image, before it is measured.
    project
        from images on `medrecon.data.sets.lodopab_small.simulation_grid()` to LoDoPaB's rays.
    """

    augmentation: Augmentation
    blur: Blur
    project: Projector

    def __call__(self, sample: SinogramSample, generator: torch.Generator) -> SinogramSample:
        """Another scan of the sample's image, with 4096 photons a ray.

        Raises
        ------
        InputError
            If the sample has no image.
        """
        if sample.target is None:
            raise InputError(f"{sample.name}: has no images to measure anew; leave data.remeasure out")
        image = self.blur(self.augmentation(sample.target, generator), generator)
        return replace(sample, sinogram=simulate(image, self.project, generator), target=image)


@dataclass(frozen=True)
class PhantomSinograms:
    """`count` random phantoms `size` pixels of 1 mm wide, measured in closed form by `n_views` parallel views."""

    count: int
    size: int
    n_views: int
    seed: int = 0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> SinogramSample:
        if not 0 <= index < self.count:
            raise IndexError(index)
        return _measured(self.size, self.n_views, derived_seed(self.seed, index), index)


@lru_cache(maxsize=1024)
def _measured(size: int, n_views: int, seed: int, index: int) -> SinogramSample:
    grid = Grid((size, size), 1.0)
    geometry = ParallelBeam(Arc.half_turn(n_views), n_bins=round(1.5 * size), spacing=1.0)
    phantom = random_phantom(torch.Generator().manual_seed(seed))
    shapes = (shape for shape in phantom.shapes if isinstance(shape, Ellipse))
    scaled = tuple(Ellipse(2 * MU_WATER * e.intensity, e.center, e.semi_axes, e.angle) for e in shapes)
    unit, attenuating = size / 2, Phantom(scaled)
    return SinogramSample(
        sinogram=phantom_sinogram(attenuating, geometry, unit).float(),
        geometry=geometry,
        grid=grid,
        target=phantom_image(attenuating, grid, unit),
        unit=AttenuationUnit.PER_MM,
        photons=None,
        name="phantom",
        index=index,
    )


@dataclass(frozen=True, eq=False)
class SinogramTrainingSet:
    """Sinograms as problems in 1/mm, scaled by the normalization; the range of the metrics is that of LoDoPaB-CT's protocol.

    Parameters
    ----------
    sinograms
        where they come from.
    dose
        views and photons, by epoch.
    normalization
        of measurements and target.
    seed
        of the photons and flips; None for those of validation, the same in every epoch.
    flips
        whether images may be mirrored along either axis in training, with their sinograms.
    remeasure
        how images are measured anew in each epoch of training; None leaves the sinograms as they are.

    Raises
    ------
    InputError
        when read with flips, if a mirrored image has its sinogram along other rays than the scan's.
    """

    sinograms: Sinograms
    dose: Curriculum[Dose]
    normalization: DataNormalization
    seed: int | None
    flips: bool = False
    remeasure: Remeasurement | None = None

    def __len__(self) -> int:
        return len(self.sinograms)

    def bucket(self, index: int) -> Hashable:  # noqa: ARG002
        return None

    def read(self, index: int, epoch: int) -> Sample:
        sample = self.sinograms[index]
        if self.remeasure is not None and self.seed is not None:
            generator = torch.Generator().manual_seed(derived_seed(self.seed, epoch, index, 2))
            sample = self.remeasure(sample, generator)
        dose = self.dose.last if self.seed is None else self.dose.at(epoch)
        if dose.views is not None:
            sample = subsample_views(sample, dose.views)
        if dose.photons is not None:
            keys = (index,) if self.seed is None else (self.seed, epoch, index)
            sample = add_dose_noise(sample, dose.photons, torch.Generator().manual_seed(derived_seed(*keys)))
        if self.flips and self.seed is not None:
            sample = _mirrored(sample, derived_seed(self.seed, epoch, index, 1))
        target: Tensor | None = sample.target
        A = radon(sample.grid, sample.geometry)
        problem = Problem(sample.sinogram, A, sample.grid.shape, target)
        data_range = 0.0 if target is None else image_range(target)
        return make_sample(problem, self.normalization, data_range, f"{sample.name}, sample {sample.index}")


def _mirrored(sample: SinogramSample, drawn: int) -> SinogramSample:
    """Mirror a sample along `x`, `y`, both or neither, as the lowest two bits of `drawn` say."""
    views, swapped = _mirror(sample.grid, sample.geometry, sample.name)
    sinogram, target = sample.sinogram, sample.target
    if drawn & 1:
        sinogram = sinogram[views]
        sinogram[swapped] = sinogram[swapped].flip(-1)
        target = None if target is None else target.flip(-1)
    if drawn & 2:
        sinogram = sinogram.flip(-1)
        target = None if target is None else target.flip(-2, -1)
    return replace(sample, sinogram=sinogram, target=target)


@lru_cache(maxsize=16)
def _mirror(grid: Grid, geometry: Geometry, name: str) -> tuple[Tensor, Tensor]:
    """Give the view that holds what `f(-x, y)` has in each view, and whether its bins are to be reversed.

    `f(-x, y)` has at the angle theta what `f` has at `pi - theta`, and views half a turn apart differ by the order of their bins.
    """
    if isinstance(geometry, ParallelBeam) and geometry.offset == 0 and not any(grid.center):
        angles = torch.tensor(list(geometry.angles), dtype=torch.float64)
        turns = (math.pi - angles[:, None] - angles) / math.pi
        away, views = (turns - turns.round()).abs().min(dim=1)
        if float(away.max()) * math.pi < _SAME_ANGLE:
            return views, turns.gather(1, views[:, None])[:, 0].round().remainder(2) == 1
    raise InputError(
        f"{name}: data.flips takes parallel views that lie alike on both sides of an axis, around the middle of the image; "
        "leave data.flips out"
    )
