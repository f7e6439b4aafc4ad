"""Sizes that a file or an option asks for, refused before anything is made of them where they cannot fit."""

from __future__ import annotations

import math
import os
import shutil
from pathlib import Path

from medrecon.errors import InputError
from medrecon.memory import require_memory
from medrecon.words import sized

__all__ = ["require_disk", "require_image", "require_rays"]

_IMAGE_BYTES = 16  # a pixel, of an image, its sums and what is written
_RAY_BYTES = 12  # a ray, measured, modeled and weighted
_ANGLE_BYTES = 200  # a view or a bin, as a number of Python and in tables of the kernels
_SLICE_BYTES = 4096  # on the disk, beside what a slice holds


def require_image(shape: tuple[int, int], who: str) -> None:
    """Refuse images of more pixels `(y, x)` than memory holds; `who` stands before the size.

    Raises
    ------
    InputError
        saying the size, and the side of a square that would fit.
    """

    def fits(free: int) -> str:
        side = math.isqrt(free // _IMAGE_BYTES)
        return f"{side} x {side} pixels would fit"

    y, x = shape
    require_memory(_IMAGE_BYTES * y * x, f"{who}: an image of {y} x {x} pixels", fits)


def require_rays(n_views: int, n_bins: int, who: str) -> None:
    """Refuse a sinogram of more rays than memory holds; `who` stands before the size.

    Raises
    ------
    InputError
        saying the size, and how many views would fit.
    """
    a_view = _ANGLE_BYTES + _RAY_BYTES * n_bins

    def fits(free: int) -> str:
        if n_views <= n_bins:
            return f"{max(0, free // (_ANGLE_BYTES + _RAY_BYTES * n_views))} bins would fit"
        return f"{max(0, (free - _ANGLE_BYTES * n_bins) // a_view)} views would fit"

    require_memory(
        n_views * a_view + _ANGLE_BYTES * n_bins, f"{who}: a sinogram of {n_views} views of {n_bins} bins", fits
    )


def require_disk(path: str | os.PathLike[str], n_slices: int, each: int) -> None:
    """Refuse an output of more slices, of so many bytes each, than its disk has room for.

    Raises
    ------
    InputError
        saying the size, and how many slices would fit.
    """
    a_slice = each + _SLICE_BYTES
    folder = Path(path).resolve().parent
    if not folder.is_dir():
        return  # whoever writes there says so
    free = shutil.disk_usage(folder).free
    if n_slices * a_slice > free:
        raise InputError(
            f"{path}: {n_slices} slices take {sized(n_slices * a_slice)}, and {sized(free)} are free on the disk; "
            f"{free // a_slice} slices would fit"
        )
