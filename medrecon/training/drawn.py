"""Images that are measured anew in each epoch by protocols that are drawn: networks for any scan learn from these."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from medrecon.config.protocols import CTProtocols, MRIProtocols
from medrecon.data.batches import derived_seed
from medrecon.drawn_scans import draw_ct, draw_mri
from medrecon.errors import InputError
from medrecon.evaluation import image_range
from medrecon.networks.data_normalization import DataNormalization
from medrecon.problem import Problem, sense_problem
from medrecon.training.augmentation import Augmentation, ContrastAugmentation
from medrecon.training.noisy_images import ImageSource, found_in
from medrecon.training.samples import Sample, make_sample

__all__ = ["DrawnScans"]

_HEAD = 0.1  # of the brightest pixel: what is brighter is head


@dataclass(frozen=True, eq=False)
class DrawnScans:
    """Images of `sources`, one after the other, each as a scan by a protocol that is drawn; a training set.

    Scans differ in size, so that each is a batch of its own.

    Parameters
    ----------
    sources
        of images that fill the field of view; those of CT in 1/mm.
    protocols
        of which each sample draws: they say the scanner, too.
    normalization
        of measurements and target.
    augmentation, contrast
        made before the scan, in training alone; the latter of heads.
    seed
        of it all; None for validation, the same in every epoch.
    """

    sources: Sequence[ImageSource]
    protocols: MRIProtocols | CTProtocols
    normalization: DataNormalization
    augmentation: Augmentation
    contrast: ContrastAugmentation
    seed: int | None

    def __len__(self) -> int:
        return sum(len(source) for source in self.sources)

    def bucket(self, index: int) -> Hashable:
        return index

    def read(self, index: int, epoch: int) -> Sample:
        keys = (index,) if self.seed is None else (self.seed, epoch, index)
        generator = torch.Generator().manual_seed(derived_seed(*keys))
        source, place = found_in(self.sources, index)
        image = _square(source[place])
        if self.seed is not None:
            image = self.augmentation(image, generator)
        if not bool(image.any()):
            raise InputError(f"image {index}: nothing of it is left to scan; lower data.augmentation.shift")
        problem = self._problem(image, generator, f"image {index}")
        assert problem.target is not None
        is_mri = isinstance(self.protocols, MRIProtocols)
        data_range = float(problem.target.max()) if is_mri else image_range(problem.target)
        return make_sample(problem, self.normalization, data_range, f"image {index}")

    def _problem(self, image: Tensor, generator: torch.Generator, name: str) -> Problem:
        if isinstance(self.protocols, CTProtocols):
            return draw_ct(image, self.protocols, generator)
        if self.seed is not None:
            image = self.contrast(image, generator)
        sample = draw_mri(image / image[image > _HEAD * image.max()].mean(), self.protocols, generator, name)
        return replace(sense_problem(sample), target=sample.target)


def _square(image: Tensor) -> Tensor:
    """The image with zeros around it, or as it is."""
    ny, nx = image.shape
    n = max(ny, nx)
    top, left = n // 2 - ny // 2, n // 2 - nx // 2
    return torch.nn.functional.pad(image, (left, n - nx - left, top, n - ny - top))
