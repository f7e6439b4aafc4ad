"""Small sets of images, as `medrecon data fetch` lays them out."""

from __future__ import annotations

from pathlib import Path

from torch.nn.functional import pad

from medrecon.data.sets.head_images import HeadSlice, write_head_images
from medrecon.data.sets.image_stack import write_stack
from medrecon.training.mri import PhantomImages

__all__ = ["write_ct", "write_heads"]

PARTS = ("train", "validation")


def write_heads(folder: Path, shape: tuple[int, int] = (40, 36), parts: tuple[str, ...] = PARTS) -> None:
    """Three heads a part, as `heads-open` has them."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, part in enumerate(parts):
        images = (PhantomImages(3, shape, seed=number)[k] for k in range(3))
        write_head_images(folder, part, [HeadSlice(x, f"person{k}", "T1", 0.1 * k) for k, x in enumerate(images)])


def write_ct(folder: Path, size: int = 40) -> None:
    """Two slices a part, as `ct-open` has them."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, part in enumerate(PARTS):
        images = (pad(PhantomImages(2, (40, 40), seed=number)[k], (0, size - 40, 0, size - 40)) for k in range(2))
        slices = ((1500 * x - 1000, (f"person{k}", "0.7")) for k, x in enumerate(images))
        write_stack(folder, part, "slices_000.h5", "hounsfield", ("subject", "pixel"), slices)
