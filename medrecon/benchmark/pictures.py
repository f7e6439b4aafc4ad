"""The images of a few cases, kept beside the tables so that a page of them is made without running them again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from medrecon.benchmark.cases import Group, Picture
from medrecon.benchmark.cluster import Workers
from medrecon.data.writing import atomic_file
from medrecon.progress import Progress, silent

__all__ = ["kept_pictures"]

_KEPT = re.compile(r"[0-9a-f]{24}\.npy")


def kept_pictures(
    folder: Path,
    groups: Sequence[Group],
    workers: Workers,
    *,
    overwrite: bool = False,
    progress: Progress = silent,
) -> dict[str, Picture]:
    """The images of cases by their keys: those that lie in the folder, `KEY.npy`, and the others, which are run and put there.

    Each stands there as soon as it is known, so that a call that was cut off goes on. Images of other cases, or all if
    they are to be overwritten, are removed first: the folder never holds more than one float32 image a case. A case that fails now
    has none, and a reason.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {case.key for group in groups for case in group}
    for path in folder.iterdir():
        if _KEPT.fullmatch(path.name) and (overwrite or path.stem not in wanted):
            path.unlink()
    found = {key: Picture(key, image) for key in wanted if (image := _read(folder / f"{key}.npy")) is not None}
    missing = [some for group in groups if (some := tuple(case for case in group if case.key not in found))]
    progress("images for the report", len(found), len(wanted))
    for picture in workers.run_pictures(missing) if missing else ():
        found[picture.key] = picture
        if picture.image is not None:
            with atomic_file(folder / f"{picture.key}.npy", overwrite=True) as temporary, temporary.open("wb") as file:
                np.save(file, picture.image.numpy())
        progress("images for the report", len(found), len(wanted))
    return found


def _read(path: Path) -> Tensor | None:
    """The image of a file; None where there is none, or something else."""
    try:
        image = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return torch.from_numpy(image) if image.ndim == 2 and image.dtype == np.float32 else None
