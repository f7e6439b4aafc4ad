"""MRI to learn from: fully sampled slices, undersampled anew in each epoch."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from medrecon.data.batches import derived_seed
from medrecon.data.mri.birdcage import background_phase, birdcage_maps, normalize_maps
from medrecon.data.mri.fastmri import FastMRIFile, KSpaceSample, find_fastmri_files
from medrecon.data.mri.masks import SamplingMask
from medrecon.data.mri.noise import add_noise
from medrecon.data.phantoms.random_phantoms import random_phantom
from medrecon.errors import InputError
from medrecon.findings import FindingName
from medrecon.networks.data_normalization import DataNormalization
from medrecon.operators import CoilMaps, Fourier
from medrecon.problem import Problem, crop_readout, full_reconstruction, remove_oversampling, undersample
from medrecon.scans.mended import MendedKSpace
from medrecon.training.augmentation import Augmentation
from medrecon.training.curriculum import Curriculum
from medrecon.training.samples import Sample, make_sample

__all__ = ["CoilSimulation", "FastMRISlices", "ImageSlices", "KSpaceTrainingSet", "PhantomImages", "Slices"]

#: Draws the mask for k-space of shape `(ky, kx)` of a file of that name; without a seed the name is the seed.
DrawMask = Callable[[tuple[int, int], str, int | None], SamplingMask]


class Slices(Protocol):
    """Fully sampled slices; an image that is simulated may be another one in each epoch."""

    def __len__(self) -> int: ...
    def bucket(self, index: int, /) -> Hashable: ...
    def sample(self, index: int, epoch: int | None, /) -> KSpaceSample: ...


class FastMRISlices:
    """The slices of all fastMRI files of a folder, checked and mended as `medrecon reconstruct` does.

    `accept` names problems of the data that are not to stop it; `allow_external` lets the files lead to others.

    Raises
    ------
    InputError
        If the folder holds none, or a file cannot be read; when a slice is read, if what its file holds is no k-space of its shape.
    """

    def __init__(self, folder: Path, accept: Collection[FindingName] = (), *, allow_external: bool = False) -> None:
        files = (FastMRIFile(path, allow_external=allow_external) for path in find_fastmri_files([folder]))
        self.files = tuple(MendedKSpace(file, tuple(accept)) for file in files)
        self._ends = list(itertools.accumulate(len(file) for file in self.files))

    def __len__(self) -> int:
        return self._ends[-1]

    def bucket(self, index: int) -> Hashable:
        file = self._file(index)[0].file
        return file.shape[1:], file.matrix

    def sample(self, index: int, epoch: int | None) -> KSpaceSample:  # noqa: ARG002
        file, place = self._file(index)
        sample = file[place]
        if not sample.fully_sampled:
            raise InputError(
                f"{file.file.path}: slice {place} is undersampled already ({sample.true_acceleration:.2f} times); "
                "training takes fully sampled scans, so leave this file out"
            )
        return sample

    def _file(self, index: int) -> tuple[MendedKSpace, int]:
        number = bisect.bisect_right(self._ends, index)
        return self.files[number], index - (self._ends[number - 1] if number else 0)


@dataclass(frozen=True)
class PhantomImages:
    """`count` random phantoms, real `(y, x)`; each made of (seed, index)."""

    count: int
    size: tuple[int, int]
    seed: int = 0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Tensor:
        if not 0 <= index < self.count:
            raise IndexError(index)
        return _drawn(derived_seed(self.seed, index), self.size)


@lru_cache(maxsize=1024)
def _drawn(seed: int, size: tuple[int, int]) -> Tensor:
    return random_phantom(torch.Generator().manual_seed(seed)).image(size)


@dataclass(frozen=True)
class CoilSimulation:
    """How an image `(y, x)` is measured: a birdcage of coils, a smooth phase, noise of a stated SNR (None for none)."""

    n_coils: int = 8
    snr: float | None = 40.0

    def __call__(self, image: Tensor, generator: torch.Generator, name: str) -> KSpaceSample:
        """Fully sampled multi-coil k-space of the image, which is its target."""
        shape = (image.shape[-2], image.shape[-1])
        phase = background_phase(shape, generator)
        maps = CoilMaps(normalize_maps(birdcage_maps(self.n_coils, shape)))
        kspace = Fourier(maps.range)(maps(image * phase)).to(torch.complex64)
        if self.snr is not None:
            kspace = add_noise(kspace, self.snr, generator)
        return KSpaceSample.full(kspace, image, shape, name)


@dataclass(frozen=True, eq=False)
class ImageSlices:
    """Images that are measured as they are read; in training each epoch has another phase, noise and view of them.

    Parameters
    ----------
    images
        real `(y, x)` each, read by their index.
    simulate
        from an image to fully sampled k-space with its target, such as `CoilSimulation`.
    augmentation
        made before the simulation, in training alone.
    seed
        of it all.
    name
        of the set, for messages and seeds.

    Raises
    ------
    InputError
        when read, if an image is black, or its augmentation has moved it out of sight.
    """

    images: Sequence[Tensor] | PhantomImages
    simulate: Callable[[Tensor, torch.Generator, str], KSpaceSample]
    augmentation: Augmentation
    seed: int
    name: str = "image"

    def __len__(self) -> int:
        return len(self.images)

    def bucket(self, index: int) -> Hashable:
        if isinstance(self.images, PhantomImages):
            return self.images.size
        return tuple(self.images[index].shape)

    def sample(self, index: int, epoch: int | None) -> KSpaceSample:
        image = self.images[index]
        keys = (self.seed, index) if epoch is None else (self.seed, index, epoch + 1)
        generator = torch.Generator().manual_seed(derived_seed(*keys))
        if epoch is not None:
            image = self.augmentation(image, generator)
        if not bool(image.any()):
            raise InputError(f"{self.name} {index}: nothing of it is left to scan; lower data.augmentation.shift")
        return self.simulate(image, generator, f"{self.name} {index}")


def _whole_slices() -> Curriculum[int | None]:
    return Curriculum(None)


@dataclass(frozen=True, eq=False)
class KSpaceTrainingSet:
    """Slices as problems: one of several masks is drawn for each, anew in each epoch of training.

    In validation each slice is measured by every mask, one after the other. They are drawn with the file's name as seed, as fastMRI
    does, and are the same in every epoch and for all slices of a file. The target is that of the file, or else the full
    reconstruction; its maximum over the volume, where the file states it, is the range of the metrics.

    Parameters
    ----------
    slices
        where they come from.
    masks
        draws from which one is chosen at random, by epoch.
    pose
        from an undersampled slice to its problem: `coil_problem` or `sense_problem`.
    normalization
        of measurements and target.
    seed
        of the masks; None for those of validation.
    bands
        rows of the band, drawn anew in each epoch of training, to which slices are cut, by epoch; None for whole slices. A step
        costs so much less, and a band is a scan as good as a slice; but networks that normalize by the image should end on whole
        slices.
    """

    slices: Slices
    masks: Curriculum[tuple[DrawMask, ...]]
    pose: Callable[[KSpaceSample], Problem]
    normalization: DataNormalization
    seed: int | None
    bands: Curriculum[int | None] = field(default_factory=_whole_slices)

    def __len__(self) -> int:
        return len(self.slices) * (len(self.masks.last) if self.seed is None else 1)

    def bucket(self, index: int) -> Hashable:
        return self.slices.bucket(index // len(self.masks.last) if self.seed is None else index)

    def read(self, index: int, epoch: int) -> Sample:
        choice = 0
        if self.seed is None:
            index, choice = divmod(index, len(self.masks.last))
        full = remove_oversampling(self.slices.sample(index, None if self.seed is None else epoch))
        full = self._band(full, index, epoch)
        ky, kx = full.kspace.shape[-2:]
        if self.seed is None:
            draws, seed = self.masks.last, None
        else:
            draws, seed = self.masks.at(epoch), derived_seed(self.seed, epoch, index) % 2**32
            choice = derived_seed(self.seed, epoch, index, 1)
        mask = draws[choice % len(draws)]((ky, kx), full.name, seed)
        target = full_reconstruction(full) if full.target is None else full.target
        data_range = float(target.max()) if full.maximum is None else full.maximum
        problem = replace(self.pose(undersample(full, mask)), target=target)
        return make_sample(problem, self.normalization, data_range, f"{full.name}, slice {full.slice_index}")

    def _band(self, full: KSpaceSample, index: int, epoch: int) -> KSpaceSample:
        rows = None if self.seed is None else self.bands.at(epoch)
        if rows is None or rows >= full.kspace.shape[-2]:
            return full
        left = full.kspace.shape[-2] - rows + 1
        return crop_readout(full, derived_seed(self.seed or 0, epoch, index, 2) % left, rows)
