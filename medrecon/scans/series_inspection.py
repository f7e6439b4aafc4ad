"""What a folder of DICOM holds, series by series, and what keeps one from being a volume."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from medrecon.data.dicom_file import open_dicom
from medrecon.data.dicom_series import (
    Series,
    all_series,
    find_images,
    one_series,
    require_one_stack,
    steps_of,
    tilt_of,
    volumes_of,
)
from medrecon.errors import InputError
from medrecon.words import counted

__all__ = ["SeriesFacts", "SeriesInspection", "holds_dicom", "inspect_series", "series_lines"]


_MOST = 8  # volumes that are named


@dataclass(frozen=True)
class SeriesFacts:
    """One series: `spacing` is (distance of slices, rows, columns) in millimeters, `problem` what keeps it from being a volume."""

    uid: str
    modality: str
    description: str
    images: int
    shape: tuple[int, int]
    is_localizer: bool
    spacing: tuple[float, float, float] | None = None
    notes: tuple[str, ...] = ()
    problem: str | None = None


@dataclass(frozen=True)
class SeriesInspection:
    """All series at or below a path, and files that were passed over."""

    path: Path
    series: tuple[SeriesFacts, ...]
    notes: tuple[str, ...]


def holds_dicom(path: Path) -> bool:
    """Whether a file, or the first file that can be read below a folder, is DICOM."""
    if path.is_file():
        return open_dicom(path) is not None
    return path.is_dir() and any(_are_dicom(path))


def _are_dicom(folder: Path) -> Iterator[bool]:
    for file in sorted(folder.rglob("*")):
        if file.is_file() and not file.name.startswith("."):
            yield open_dicom(file) is not None


def inspect_series(path: Path) -> SeriesInspection:
    """Look through the headers of a folder or a file; no pixel is read.

    Raises
    ------
    InputError
        If it holds no image, or a file is cut short.
    """
    images, notes = find_images(path)
    return SeriesInspection(path, tuple(_facts(path, one) for one in all_series(images)), notes)


def _facts(path: Path, series: Series) -> SeriesFacts:
    first = series.images[0]
    facts = SeriesFacts(
        uid=series.uid,
        modality=series.modality,
        description=first.text("SeriesDescription"),
        images=len(series.images),
        shape=(first.whole("Rows") or 0, first.whole("Columns") or 0),
        is_localizer=series.is_localizer,
    )
    if series.is_localizer:
        return facts
    try:
        slices, of_series = one_series(path, series.images, series.uid, series.modality)
        if series.modality == "MR" and len(volumes := volumes_of(slices)) > 1:
            slices = next(iter(volumes.values()))
            held = "; ".join(f"{name}, {counted(len(one), 'slice')}" for name, one in list(volumes.items())[:_MOST])
            of_series += (f"{len(volumes)} volumes: {held}",)
        ordered, of_order = require_one_stack(path, slices)
        placed = steps_of(path, ordered)
    except InputError as error:
        return replace(facts, problem=str(error))
    dz, dy, dx = (float(step) for step in np.linalg.norm(placed.steps, axis=1))
    tilt = (f"tilted by {tilt_of(placed):.1f} degrees",) if placed.sideways.any() else ()
    return replace(facts, spacing=(dz, dy, dx), notes=(*of_series, *of_order, *placed.notes, *tilt))


def series_lines(inspection: SeriesInspection) -> list[str]:
    """Say it, a series a line, with what there is to be told of it below."""
    lines = [f"{inspection.path}: DICOM, {counted(len(inspection.series), 'series', 'series')}"]
    for one in inspection.series:
        what = "localizer" if one.is_localizer else counted(one.images, "slice")
        spacing = "" if one.spacing is None else ", {:.4g} mm apart, pixels of {:.4g} x {:.4g} mm".format(*one.spacing)
        about = " ".join(filter(None, (one.modality, one.description)))
        lines.append(f"{one.uid}: {about}, {what} of {one.shape[0]} x {one.shape[1]}{spacing}")
        lines += [f"  note: {note}" for note in one.notes]
        lines += [] if one.problem is None else [f"  problem: {one.problem}"]
    return lines + [f"note: {note}" for note in inspection.notes]
