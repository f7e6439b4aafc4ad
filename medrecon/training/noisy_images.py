"""Images with white noise of every level, for denoisers to learn from."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import pad

from medrecon.data.batches import derived_seed
from medrecon.data.ct.attenuation import attenuation_from_hounsfield
from medrecon.data.mri.fastmri import KSpaceSample
from medrecon.data.mri.receivers import draw_receiver
from medrecon.data.sets.ct_open import CTImages
from medrecon.data.sets.head_images import HeadImages
from medrecon.errors import InputError
from medrecon.operators import Diagonal
from medrecon.problem import Problem, full_reconstruction
from medrecon.reconstructors.scaling import intensity
from medrecon.spaces import Space, image_space, root_sum_of_squares
from medrecon.training.augmentation import Augmentation, ContrastAugmentation
from medrecon.training.ct import Sinograms
from medrecon.training.samples import Sample

__all__ = [
    "CTSlices",
    "HeadTargets",
    "Heads",
    "ImageSource",
    "NoisyImages",
    "SinogramTargets",
    "Some",
    "found_in",
    "noisy_sample",
]

_TRIES = 8  # crops that are drawn for one that shows something
_SHOWN = 0.1  # of the intensity: the mean of a crop that shows something
_COILS = 2  # of the receiver whose phase and shading a head has


class ImageSource(Protocol):
    """Images `(y, x)`, real and nowhere below zero; those of MRI get a phase."""

    @property
    def is_complex(self) -> bool: ...
    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Tensor: ...


@dataclass(frozen=True, eq=False)
class Heads:
    """The images of a set of heads."""

    images: HeadImages
    is_complex: bool = True

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return self.images[index].image


class _Slices(Protocol):
    def __len__(self) -> int: ...
    def sample(self, index: int, epoch: int | None, /) -> KSpaceSample: ...


@dataclass(frozen=True, eq=False)
class HeadTargets:
    """The targets of fully sampled scans, or their full reconstructions."""

    slices: _Slices
    is_complex: bool = True

    def __len__(self) -> int:
        return len(self.slices)

    def __getitem__(self, index: int) -> Tensor:
        sample = self.slices.sample(index, None)
        return full_reconstruction(sample) if sample.target is None else sample.target


@dataclass(frozen=True, eq=False)
class CTSlices:
    """The slices of a set of CT, in 1/mm."""

    images: CTImages
    is_complex: bool = False

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return attenuation_from_hounsfield(self.images[index].hounsfield).clamp_min(0)


@dataclass(frozen=True, eq=False)
class SinogramTargets:
    """The targets of sinograms."""

    sinograms: Sinograms
    is_complex: bool = False

    def __len__(self) -> int:
        return len(self.sinograms)

    def __getitem__(self, index: int) -> Tensor:
        sample = self.sinograms[index]
        if sample.target is None:
            raise InputError(f"{sample.name}: has no images to learn from; take a set that has")
        return sample.target


@dataclass(frozen=True, eq=False)
class Some:
    """At most `count` images of a source, evenly chosen."""

    source: ImageSource
    count: int

    @property
    def is_complex(self) -> bool:
        return self.source.is_complex

    def __len__(self) -> int:
        return min(self.count, len(self.source))

    def __getitem__(self, index: int) -> Tensor:
        return self.source[range(len(self))[index] * len(self.source) // len(self)]


def found_in(sources: Sequence[ImageSource], index: int) -> tuple[ImageSource, int]:
    """The source that holds the image of this number, counted over one source after the other, and its number there.

    Raises
    ------
    IndexError
        if there are not so many.
    """
    for source in sources:
        if index < len(source):
            return source, index
        index -= len(source)
    raise IndexError(index)


@dataclass(frozen=True, eq=False)
class NoisyImages:
    """Crops of images `y = x / sigma + n`, `n` of unit variance in each real or imaginary part; a training set.

    Levels are drawn by their logarithm, as parts of the intensity of the whole image (`medrecon.reconstructors.scaling`).
    Images are scaled by one over the root of the level, for which the mean squared errors of all levels weigh alike in what is
    learned. Heads get the phase and the shading of a simulated receiver.

    Parameters
    ----------
    sources
        of images, one after the other.
    size
        rows and columns of a crop; smaller images are continued by zeros.
    levels
        the least and the largest.
    augmentation, contrast
        made before the crop, in training alone; the latter of heads.
    seed
        of it all; None for validation, the same in every epoch.
    """

    sources: Sequence[ImageSource]
    size: int
    levels: tuple[float, float]
    augmentation: Augmentation
    contrast: ContrastAugmentation
    seed: int | None

    def __len__(self) -> int:
        return sum(len(source) for source in self.sources)

    def bucket(self, index: int) -> Hashable:
        return found_in(self.sources, index)[0].is_complex

    def read(self, index: int, epoch: int) -> Sample:
        keys = (index,) if self.seed is None else (self.seed, epoch, index)
        generator = torch.Generator().manual_seed(derived_seed(*keys))
        low, high = self.levels
        level = low * (high / low) ** float(torch.rand((), generator=generator))
        x = self.crop(index, generator) / math.sqrt(level)
        return noisy_sample(x, math.sqrt(level), generator, f"image {index}")

    def crop(self, index: int, generator: torch.Generator) -> Tensor:
        """Draw a crop `(size, size)` of an image, in units of the image's intensity; complex for MRI."""
        source, place = found_in(self.sources, index)
        image = source[place]
        if self.seed is not None:
            image = self.augmentation(image, generator)
            image = self.contrast(image, generator) if source.is_complex else image
        image = _seen(image, generator) if source.is_complex else image
        if not bool(image.any()):
            raise InputError(f"image {index}: nothing of it is left; lower data.augmentation.shift")
        return _crop(image / intensity(image, Diagonal(torch.ones(()), _space(image))), self.size, generator)


def _seen(image: Tensor, generator: torch.Generator) -> Tensor:
    """The image with the phase of a scanner's first coil, and the shading of all."""
    receiver = draw_receiver(generator, _COILS)
    shape = (image.shape[-2], image.shape[-1])
    maps = receiver.maps(shape)
    shading = root_sum_of_squares(maps, -3)
    return torch.polar(image * shading, receiver.phases(shape) + maps[0].angle())


def _crop(image: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Draw a place that shows something; of the tries that show nothing the last is taken."""
    ny, nx = image.shape
    image = pad(image, (0, max(0, size - nx), 0, max(0, size - ny)))
    for _ in range(_TRIES):
        down, right = torch.rand(2, generator=generator).tolist()
        top, left = round(down * (image.shape[0] - size)), round(right * (image.shape[1] - size))
        crop = image[top : top + size, left : left + size]
        if float(crop.abs().mean()) > _SHOWN:
            break
    return crop


def noisy_sample(x: Tensor, sigma: float, generator: torch.Generator, name: str) -> Sample:
    """An image with noise of this standard deviation in each real or imaginary part, divided by it, as a sample."""
    A = Diagonal(torch.tensor(1 / sigma), _space(x))
    noise = torch.randn(*x.shape, 2 if x.is_complex() else 1, generator=generator)
    y = x / sigma + (torch.view_as_complex(noise) if x.is_complex() else noise[..., 0])
    return Sample(Problem(y, A, (x.shape[0], x.shape[1]), x), x.abs().max(), (name,))


def _space(image: Tensor) -> Space:
    return replace(image_space((image.shape[-2], image.shape[-1])), is_complex=image.is_complex())
