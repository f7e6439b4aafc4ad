"""Images of heads to learn from, scanned anew in each epoch by another simulated scanner."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

import torch

from medrecon.data.batches import derived_seed
from medrecon.data.mri.fastmri import KSpaceSample
from medrecon.data.mri.receivers import draw_receiver, simulate_scan
from medrecon.data.sets.head_images import HeadImages
from medrecon.errors import InputError
from medrecon.training.augmentation import Augmentation, ContrastAugmentation

__all__ = ["HeadScans"]

_LEAST_COILS, _MOST_COILS = 8, 16


@dataclass(frozen=True, eq=False)
class HeadScans:
    """The images of `brain-small` as slices; see `medrecon.data.mri.receivers` for what is drawn.

    How many coils scan an image is made of (seed, index) and stays, so that images scanned alike may form a batch.

    Parameters
    ----------
    images
        those of the data set.
    augmentation, contrast
        made before the simulation, in training alone.
    seed
        of it all.
    repeats
        how often the images of a contrast are seen in an epoch, each time by another scanner; once unless named.

    Raises
    ------
    InputError
        If `repeats` names a contrast that the images lack.
    """

    images: HeadImages
    augmentation: Augmentation
    contrast: ContrastAugmentation
    seed: int
    repeats: Mapping[str, int] = field(default_factory=dict)
    _order: tuple[int, ...] = field(init=False, default=())

    def __post_init__(self) -> None:
        contrasts = self.images.contrasts
        unknown = sorted(set(self.repeats) - set(contrasts))
        if unknown:
            names = ", ".join(sorted(set(contrasts)))
            raise InputError(f"{self.images.path}: holds no {unknown[0]} to repeat; its contrasts are {names}")
        order = [i for i, contrast in enumerate(contrasts) for _ in range(self.repeats.get(contrast, 1))]
        object.__setattr__(self, "_order", tuple(order))

    def __len__(self) -> int:
        return len(self._order)

    def bucket(self, index: int) -> Hashable:
        return self._n_coils(index)

    def sample(self, index: int, epoch: int | None) -> KSpaceSample:
        head = self.images[self._order[index]]
        keys = (self.seed, index) if epoch is None else (self.seed, index, epoch + 1)
        generator = torch.Generator().manual_seed(derived_seed(*keys))
        image = head.image
        if epoch is not None:
            image = self.contrast(self.augmentation(image, generator), generator)
        receiver = draw_receiver(generator, self._n_coils(index))
        kspace, target = simulate_scan(image, receiver, generator, head.height, oversampling=1)
        shape = (target.shape[0], target.shape[1])
        return KSpaceSample.full(kspace, target, shape, f"{head.subject} {head.contrast}", index)

    def _n_coils(self, index: int) -> int:
        return _LEAST_COILS + derived_seed(self.seed, index, 2) % (_MOST_COILS - _LEAST_COILS + 1)
