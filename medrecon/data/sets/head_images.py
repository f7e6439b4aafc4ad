"""Images of heads: volumes drawn on one grid, a head in the middle, and the files that hold them.

Every image has 320 x 320 pixels of 0.8 mm, and a mean of one over the head.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from medrecon.data.mri.mr_volume import MRVolume, draw_plane
from medrecon.data.sets.image_stack import ImageStack, write_stack

__all__ = ["HEAD_PIXEL", "HEAD_SIZE", "HeadImages", "HeadSlice", "head_slices", "write_head_images"]

HEAD_SIZE, HEAD_PIXEL = 320, 0.8  # pixels, millimeters
_HALF_FIELD = HEAD_SIZE * HEAD_PIXEL / 2
_THICKNESS, _STEP, _DEPTH = 4.0, 3.0, 125.0  # millimeters
_OBJECT = 0.1  # of the 99th percentile: what is brighter is head
_LEAST_HEAD = 7000.0  # square millimeters of it that a slice must show
_IMAGES = "images_000.h5"
_COLUMNS = ("subject", "contrast", "height")


@dataclass(frozen=True, eq=False)
class HeadSlice:
    """One image `(y, x)`, its head's mean being one, and its height in units of half the field of view."""

    image: Tensor
    subject: str
    contrast: str
    height: float


class HeadImages:
    """The images of one part of a set: `len(images)`, `images[i]` reads one `HeadSlice`.

    No handle is held between reads, so that it may be pickled, and shared with forked workers.

    Parameters
    ----------
    folder : path
        The folder of the set, as `medrecon data path brain-small` prints it.
    part : str
        The part, such as train.

    Raises
    ------
    InputError
        If the images, or the list of them, are not there or do not fit together.
    """

    def __init__(self, folder: Path, part: str = "train") -> None:
        remedy = "get the set with `medrecon data fetch brain-small`, or heads-open"
        self._stack = ImageStack(folder, part, _IMAGES, "image", _COLUMNS, remedy)
        self.path, self.shape = self._stack.path, self._stack.shape

    def __len__(self) -> int:
        return len(self._stack)

    @property
    def subjects(self) -> tuple[str, ...]:
        """Whose head each image shows."""
        return tuple(subject for (subject, _), _ in self._stack.rows)

    @property
    def contrasts(self) -> tuple[str, ...]:
        """The contrast of each image, such as T1."""
        return tuple(contrast for (_, contrast), _ in self._stack.rows)

    def __iter__(self) -> Iterator[HeadSlice]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> HeadSlice:
        (subject, contrast), height = self._stack.rows[index]
        return HeadSlice(self._stack.image(index), subject, contrast, height)


def write_head_images(folder: Path, part: str, heads: Iterable[HeadSlice]) -> None:
    """Write images as `HeadImages` reads them: `PART/images_000.h5` and `slices_PART.csv` in the folder of a set."""
    samples = ((head.image, (head.subject, head.contrast, f"{head.height:.4f}")) for head in heads)
    write_stack(folder, part, _IMAGES, "image", _COLUMNS, samples)


def head_slices(volume: MRVolume, subject: str, contrast: str, step: int = 1) -> list[HeadSlice]:
    """Draw the slices of a volume that show the head's upper 125 mm, the head in the middle; from the feet up.

    Thin slices are averaged to about 4 mm, every 3 mm; of thick ones every `step`-th is taken.

    Raises
    ------
    ValueError
        If no slice shows a head.
    """
    dz, dy, dx = volume.spacing
    thick = 1
    if dz < _THICKNESS / 2:
        thick, step = round(_THICKNESS / dz), max(1, round(_STEP / dz))
    threshold = _OBJECT * float(torch.quantile(volume.magnitude[:, ::4, ::4], 0.99))
    head = volume.magnitude > threshold
    areas = head.sum(dim=(1, 2)) * dy * dx
    shown = (areas >= _LEAST_HEAD).nonzero()[:, 0]
    if len(shown) == 0:
        raise ValueError(f"head_slices takes a volume that shows a head, got {subject} {contrast}")
    top = int(shown[-1]) - (thick - 1)
    taken = [first for first in range(top, -1, -step) if (top - first) * dz <= _DEPTH and areas[first] >= _LEAST_HEAD]
    taken.reverse()
    middle = (taken[0] + taken[-1]) / 2
    upper = head[taken[0] : taken[-1] + 1].double().sum(dim=0)
    center = (_middle(upper.sum(dim=1)), _middle(upper.sum(dim=0)))
    planes = (volume.magnitude[first : first + thick].mean(dim=0) for first in taken)
    images = torch.stack([draw_plane(plane, (dy, dx), center, HEAD_SIZE, HEAD_PIXEL).clamp(min=0) for plane in planes])
    images /= images[images > threshold].mean()
    return [
        HeadSlice(image, subject, contrast, (first - middle) * dz / _HALF_FIELD)
        for first, image in zip(taken, images, strict=True)
    ]


def _middle(profile: Tensor) -> float:
    """Give the place half way between the ends of what a profile holds, but for a hundredth at either end."""
    share = profile.cumsum(dim=0) / profile.sum()
    return (float((share < 0.01).sum()) + float((share < 0.99).sum())) / 2
