"""Images of heads to learn from, scanned anew in each epoch by another simulated scanner."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import torch

from medrecon.data.batches import derived_seed
from medrecon.data.brain_small import HeadImages
from medrecon.data.fastmri import KSpaceSample
from medrecon.data.receivers import draw_receiver, simulate_scan
from medrecon.training.augmentation import Augmentation

__all__ = ["HeadScans"]

_LEAST_COILS, _MOST_COILS = 8, 16


@dataclass(frozen=True, eq=False)
class HeadScans:
    """The images of `brain-small` as slices; see `medrecon.data.receivers` for what is drawn.

    How many coils scan an image is made of (seed, index) and stays, so that images scanned alike may form a batch.

    Parameters
    ----------
    images
        those of the data set.
    augmentation
        made before the simulation.
    seed
        of it all.
    """

    images: HeadImages
    augmentation: Augmentation
    seed: int

    def __len__(self) -> int:
        return len(self.images)

    def bucket(self, index: int) -> Hashable:
        return self._n_coils(index)

    def sample(self, index: int, epoch: int | None) -> KSpaceSample:
        head = self.images[index]
        keys = (self.seed, index) if epoch is None else (self.seed, index, epoch + 1)
        generator = torch.Generator().manual_seed(derived_seed(*keys))
        image = head.image if epoch is None else self.augmentation(head.image, generator)
        receiver = draw_receiver(generator, self._n_coils(index))
        kspace, target = simulate_scan(image, receiver, generator, head.height)
        ny, nx = target.shape
        lines = torch.ones(nx, dtype=torch.bool)
        name = f"{head.subject} {head.contrast}"
        return KSpaceSample(kspace, lines, target, (ny, nx), name, index, None, 2.0, (0, nx))

    def _n_coils(self, index: int) -> int:
        return _LEAST_COILS + derived_seed(self.seed, index, 2) % (_MOST_COILS - _LEAST_COILS + 1)
