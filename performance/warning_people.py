"""Scans of many people for `held_out_warning.py`, made of a folder of images as those of `brain-small` and `lodopab-small` are.

People are of validation or of test, never of both: every other one of a source, as in `held_out_scans.py`.
"""

from __future__ import annotations

import csv
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from medrecon.data.ct.lodopab import write_lodopab
from medrecon.data.mri.fastmri_header import make_header
from medrecon.data.mri.mr_volume import draw_plane, read_mr
from medrecon.data.mri.receivers import draw_receiver, simulate_scan
from medrecon.data.mri.writing import write_fastmri
from medrecon.data.sets.lodopab_small import ground_truth, simulate, simulation_grid
from medrecon.geometry import lodopab
from medrecon.operators import Radon

__all__ = ["BAND", "FEW_LINES", "PARTS", "write_people"]

PARTS = ("validation", "test")
#: Pixels of a side, their size in mm, and the rows that are kept: a band, as most of training saw, and a scan of few lines.
BAND, FEW_LINES = (320, 0.8, 128), (128, 2.0, 128)
_STRIPPED, _CHESTS = 4, 12  # people of a part, of many
_WIDTH = 250.0  # mm, of the images at 3 T, whose pixels are not stated


@dataclass(frozen=True, eq=False)
class _Head:
    """One image `(y, x)` of a person, its pixels in millimeters."""

    person: str
    contrast: str
    image: Tensor
    spacing: tuple[float, float]


def write_people(images: Path, target: Path) -> None:
    """Write what is not there yet: ``PART/320``, ``PART/128`` in fastMRI's format, and ``observation_PART_000`` in LoDoPaB's."""
    for part in PARTS:
        for head in _heads(images, part):
            for size, pixel, rows in (BAND, FEW_LINES):
                path = target / part / str(size) / f"{head.person}_{head.contrast}.h5"
                if not path.exists():
                    path.parent.mkdir(parents=True, exist_ok=True)
                    _write_head(head, (size, pixel, rows), path)
        if not (target / f"observation_{part}_000.hdf5").exists():
            write_lodopab(target, part, _chests(images, part))


def _write_head(head: _Head, kind: tuple[int, float, int], path: Path) -> None:
    size, pixel, rows = kind
    generator = torch.Generator().manual_seed(zlib.crc32(path.stem.encode()))
    center = (head.image.shape[0] / 2, head.image.shape[1] / 2)
    drawn = draw_plane(head.image, head.spacing, center, size, pixel).clamp(min=0)
    drawn = drawn / drawn[drawn > 0.1 * torch.quantile(drawn[drawn > 0], 0.99)].mean()
    kspace, target = simulate_scan(drawn, draw_receiver(generator), generator)
    first = (size - rows) // 2
    header = make_header((2 * size, size), (rows, size), pixel=pixel, patient_id=head.person)
    write_fastmri(path, [kspace], header=header, targets=[target[first : first + rows]])


def _heads(images: Path, part: str) -> Iterator[_Head]:
    """One middle slice of each person of the part."""
    files = sorted((images / "mr_open_ms").glob("*.nii.gz"))
    for number, person in enumerate(_of(part, [file.name[:9] for file in files])):
        mine = [file for file in files if file.name.startswith(person)]
        file = mine[number % len(mine)]
        volume = read_mr(file)
        plane = volume.magnitude[len(volume.magnitude) // 2]
        yield _Head(person, file.name.split(".")[0].split("_")[-1], plane, volume.spacing[1:])
    for folder, spacing in (("mr_ds000011", (1.0, 1.33)), ("mr_ds002748_stripped", (0.868, 0.868))):
        with np.load(images / folder / "t1_axial.npz") as stored:
            for person in _of(part, stored.files)[: _STRIPPED if "stripped" in folder else None]:
                stack = stored[person]
                yield _Head(f"{folder[3:11]}{person}", "T1", _image(stack), spacing)
    with np.load(images / "mr_ulf_bispmri" / "images_3t.npz") as stored:
        for number, person in enumerate(_of(part, [name[:3] for name in stored.files])):
            contrast = ("T2w", "FLAIR", "T1w")[number % 3]
            image = _image(stored[f"{person}_3T_{contrast}"])
            pixel = _WIDTH / max(image.shape)
            yield _Head(f"3t-{person}", contrast, image, (pixel, pixel))


def _chests(images: Path, part: str) -> Iterator[tuple[Tensor, Tensor]]:
    """One slice of each person of the part, with its sinogram."""
    rounding, photons = (torch.Generator().manual_seed(20 + 2 * PARTS.index(part) + which) for which in (0, 1))
    project = Radon(simulation_grid(), lodopab())
    for folder in ("ct_tcga_lung", "ct_covid_ny_sbu"):
        with (images / folder / "index.csv").open() as lines:
            rows = list(csv.DictReader(lines))
        with np.load(images / folder / "hu.npz") as stored:
            for person in _of(part, [row["patient"] for row in rows])[:_CHESTS]:
                row = next(row for row in rows if row["patient"] == person)
                hounsfield = torch.from_numpy(stored["hu"][int(row["i"])].astype(np.float32)).clamp_min(-1024)
                image = ground_truth(hounsfield, rounding)
                yield simulate(image, project, photons), image


def _image(stack: np.ndarray) -> Tensor:
    return torch.from_numpy(stack[len(stack) // 2].astype(np.float32))


def _of(part: str, people: list[str]) -> list[str]:
    return sorted(set(people))[PARTS.index(part) :: 2]
