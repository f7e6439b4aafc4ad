"""MR images of DICOM, as a scanner or an archive gives them: the volumes of one series, and where they lie in the patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medrecon.affine import Affine, Vector
from medrecon.data.dicom_file import DicomFile
from medrecon.data.dicom_series import (
    directions_of,
    find_images,
    one_series,
    position_of,
    require_one_stack,
    steps_of,
    volumes_of,
)
from medrecon.errors import InputError
from medrecon.memory import require_memory
from medrecon.planes import ImagePlanes

__all__ = ["MRSeriesVolume", "read_mr_series"]

_BYTES = 8  # of a value in memory, while it is read


@dataclass(frozen=True, eq=False)
class MRSeriesVolume:
    """One volume of a series: values float32 `(z, y, x)`, rescaled, z along row x column, and where each slice lies.

    `name` says what tells it from the others of its series; `spacing` is `(dz, dy, dx)` in millimeters.
    """

    name: str
    values: Tensor
    planes: ImagePlanes
    spacing: tuple[float, float, float]
    notes: tuple[str, ...] = ()


def read_mr_series(path: Path, series: str | None = None) -> list[MRSeriesVolume]:
    """Read all volumes of the MR series at or below a path, or of the one that is named: files or frames, each rescaled by its own.

    Raises
    ------
    InputError
        If there is no MR series, or more than one, its slices do not make volumes, state no place, or a file is damaged.

    References
    ----------
    DICOM PS3.3, C.7.6.2 Image Plane Module, C.8.13.1 Enhanced MR Image Module.
    """
    images, notes = find_images(path)
    chosen, of_series = one_series(path, images, series, "MR")
    return [_volume(path, name, group, (*notes, *of_series)) for name, group in volumes_of(chosen).items()]


def _volume(path: Path, name: str, group: Sequence[DicomFile], notes: tuple[str, ...]) -> MRSeriesVolume:
    slices, of_order = require_one_stack(path, group)
    placed = steps_of(path, slices)
    rows, columns = (slices[0].whole(size) or 0 for size in ("Rows", "Columns"))
    for one in slices:
        one.require_size()
    require_memory(_BYTES * len(slices) * rows * columns, f"{path}: to read {len(slices)} slices of {rows} x {columns}")
    values = np.empty((len(slices), rows, columns), np.float32)
    for k, one in enumerate(slices):
        values[k] = _rescaled(one, (rows, columns))
    dz, dy, dx = (float(step) for step in np.linalg.norm(placed.steps, axis=1))
    thickness = slices[0].number("SliceThickness")
    planes = ImagePlanes(
        tuple(_affine(one, (dy, dx), thickness or dz) for one in slices), thickness, slices[0].text("PatientPosition")
    )
    return MRSeriesVolume(name, torch.from_numpy(values), planes, (dz, dy, dx), (*notes, *of_order, *placed.notes))


def _rescaled(one: DicomFile, shape: tuple[int, int]) -> NDArray[np.float32]:
    """The values of a slice: `slope * stored + intercept`, where that is stated."""
    stored, slope, intercept = one.pixels(), one.number("RescaleSlope"), one.number("RescaleIntercept")
    if stored.shape != shape:
        raise InputError(
            f"{one.path}: its pixels are {stored.shape}, and a gray slice is wanted; export the series again"
        )
    if slope == 0:
        raise InputError(f"{one.path}: its RescaleSlope is 0, so that all its pixels are alike; export it again")
    scaled = stored.astype(np.float64) * (1.0 if slope is None else slope) + (intercept or 0.0)
    return scaled.astype(np.float32)


def _affine(one: DicomFile, pixel: tuple[float, float], thickness: float) -> Affine:
    position = position_of(one)
    if position is None:
        raise InputError(f"{one.path}: states no ImagePositionPatient; export the series again")
    along_row, along_column = directions_of(one)
    normal = np.cross(along_row, along_column)
    x, y, z = (
        cast(Vector, tuple((length * direction).tolist()))
        for length, direction in ((pixel[1], along_row), (pixel[0], along_column), (thickness, normal))
    )
    try:
        return Affine(x, y, z, cast(Vector, tuple(position.tolist())))
    except ValueError as error:
        raise InputError(f"{one.path}: its directions do not span a plane; export the series again") from error
