"""Read a CT series of DICOM files: one file a slice, as a scanner or an archive gives them."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medrecon.data.dicom_file import DicomFile, open_dicom
from medrecon.data.volume import LOWEST, CTVolume, lay_out
from medrecon.errors import InputError
from medrecon.memory import require_memory
from medrecon.words import listed

__all__ = ["read_dicom"]

_SAME = 1e-3  # mm, and of direction cosines
_BYTES = 12  # of a value in memory, while it is laid out


def read_dicom(folder: str | os.PathLike[str], series: str | None = None) -> CTVolume:
    """Read the CT series below a folder: slices sorted by position, in Hounsfield units `slope * stored + intercept`.

    Slices lie in order of ImagePositionPatient along the slices' normal, or, where a file states none, of
    InstanceNumber. Values of PixelPaddingValue, and all below -1024 HU, become -1024 HU. Files that are not DICOM, or
    hold no image, are passed over with a note.

    Parameters
    ----------
    folder
        A folder, searched to its depth; or one file, for a single slice.
    series
        The SeriesInstanceUID to read, where there are several.

    Raises
    ------
    InputError
        If there is no CT series, or more than one, or its slices do not make a volume, or a file is damaged.

    References
    ----------
    DICOM PS3.3, C.7.6.2 Image Plane Module and C.8.2.1 CT Image Module.
    """
    path = Path(folder)
    headers, notes = _headers(path)
    chosen, of_series = _one_series(path, headers, series)
    slices, of_order = _sorted(path, chosen)
    _require_room(path, slices)
    stored = [_pixels(one) for one in slices]
    values, padding = np.stack([hounsfield for hounsfield, _ in stored]), sum(count for _, count in stored)
    steps, of_steps = _steps(path, slices)
    try:
        return lay_out(values, steps, (*notes, *of_series, *of_order, *of_steps), padding)
    except ValueError as error:
        raise InputError(f"{path}: {error}; export the series again") from error


def _headers(path: Path) -> tuple[list[DicomFile], tuple[str, ...]]:
    """Read the headers of all images below `path`; tell of files passed over."""
    if not path.exists():
        raise InputError(f"{path}: does not exist; check its name")
    files = [path] if path.is_file() else sorted(f for f in path.rglob("*") if f.is_file() and f.name[0] != ".")
    images: list[DicomFile] = []
    others = []
    for file in files:
        one = open_dicom(file)
        if one is None:
            others.append(file.name)
        elif "Rows" in one and "SeriesInstanceUID" in one:
            images.append(one)
        elif one.text("Modality") == "CT" or not ("SeriesInstanceUID" in one or file.name == "DICOMDIR"):
            raise InputError(f"{file}: its header ends early, it may be cut short; copy it again, or leave it out")
        else:
            others.append(file.name)
    if not images:
        raise InputError(f"{path}: holds no DICOM image; name the folder of a CT series")
    return images, (f"passed over, as no DICOM images: {listed(others, 3)}",) if others else ()


def _one_series(path: Path, images: Sequence[DicomFile], wanted: str | None) -> tuple[list[DicomFile], tuple[str, ...]]:
    """Choose the series asked for, or the only one of CT."""
    groups: dict[str, list[DicomFile]] = {}
    for one in images:
        groups.setdefault(one.text("SeriesInstanceUID"), []).append(one)
    named = [_series_words(uid, group) for uid, group in sorted(groups.items())]
    if wanted is not None and wanted not in groups:
        raise InputError(f"{path}: holds no series {wanted}; there are: {listed(named)}")
    of_ct = [uid for uid, group in groups.items() if group[0].text("Modality") == "CT"] or list(groups)
    if wanted is None and len(of_ct) > 1:
        raise InputError(
            f"{path}: holds {len(of_ct)} series, name one, or put it in a folder of its own: {'; '.join(named[:8])}"
        )
    chosen = wanted or of_ct[0]
    others = [_series_words(uid, group) for uid, group in sorted(groups.items()) if uid != chosen]
    slices = groups[chosen]
    for one in slices:
        if one.text("Modality") != "CT":
            raise InputError(
                f"{one.path}: its modality is {one.text('Modality') or 'not stated'}; a CT series is needed"
            )
        if (one.whole("NumberOfFrames") or 1) > 1 or (one.whole("SamplesPerPixel") or 1) > 1:
            raise InputError(
                f"{one.path}: holds several frames or colors; convert it to one gray slice a file, or to NIfTI (dcm2niix)"
            )
    return slices, (f"other series here were passed over: {'; '.join(others[:8])}",) if others else ()


def _series_words(uid: str, group: Sequence[DicomFile]) -> str:
    about = " ".join(filter(None, (group[0].text(name) for name in ("Modality", "SeriesDescription"))))
    return f"{uid} ({', '.join(filter(None, (about, f'{len(group)} slices')))})"


def _sorted(path: Path, slices: list[DicomFile]) -> tuple[list[DicomFile], tuple[str, ...]]:
    first = slices[0]
    for name, count in (("Rows", 1), ("Columns", 1), ("PixelSpacing", 2), ("ImageOrientationPatient", 6)):
        of_first = first.numbers(name, count)
        for one in slices[1:]:
            if not _alike(one.numbers(name, count), of_first):
                of_one, of_other = (f.text(name) or None for f in (one, first))
                raise InputError(
                    f"{one.path}: its {name} is {of_one}, and that of {first.path.name} {of_other}: these are no slices of one "
                    "volume; take the stray ones (a localizer?) out of the folder"
                )
    places = [_position(one) for one in slices]
    if all(place is not None for place in places) and all(_orientation(one) is not None for one in slices):
        normal = np.cross(*_directions(first))
        order = np.argsort(np.stack(places) @ normal, kind="stable")  # type: ignore[arg-type]
        return [slices[k] for k in order], ()
    numbers = [one.number("InstanceNumber") for one in slices]
    for one, number in zip(slices, numbers, strict=True):
        if number is None:
            raise InputError(
                f"{one.path}: states neither ImagePositionPatient nor InstanceNumber: its place in {path} is not known"
            )
    note = "no position is stated for every slice: they are in order of InstanceNumber, and may be upside down"
    order = np.argsort(np.array(numbers, dtype=np.float64), kind="stable")
    return [slices[k] for k in order], (note,) if len(slices) > 1 else ()


def _alike(one: NDArray[np.float64] | None, other: NDArray[np.float64] | None) -> bool:
    return one is other if one is None or other is None else bool(np.abs(one - other).max() <= _SAME)


def _steps(path: Path, slices: Sequence[DicomFile]) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Give the steps in millimeters along `(slice, row, column)`, and say where slices are unevenly spaced."""
    spacing = slices[0].numbers("PixelSpacing", 2)
    if spacing is None:
        raise InputError(f"{slices[0].path}: states no PixelSpacing; export the series again with it")
    along_row, along_column = _directions(slices[0])
    normal = np.cross(along_row, along_column)
    thickness, notes = _thickness(path, slices, normal)
    return np.stack([normal * thickness, along_column * spacing[0], along_row * spacing[1]]), notes


def _thickness(path: Path, slices: Sequence[DicomFile], normal: NDArray[np.float64]) -> tuple[float, tuple[str, ...]]:
    places = [_position(one) for one in slices]
    if len(slices) == 1 or any(place is None for place in places):
        stated = slices[0].number("SpacingBetweenSlices") or slices[0].number("SliceThickness")
        if stated:
            return abs(stated), ()
        return 1.0, ("the distance of the slices is not stated, and taken as 1 mm",)
    positions = np.stack([place for place in places if place is not None])
    gaps = np.diff(positions @ normal)
    if gaps.min() < _SAME:
        double = int(gaps.argmin())
        names = " and ".join(slices[k].path.name for k in (double, double + 1))
        raise InputError(f"{path}: {names} lie at the same place; keep one of each pair, or split the two scans")
    middle = float(np.median(gaps))
    notes = []
    if gaps.max() - gaps.min() > 0.05 * middle:
        notes.append(
            f"the slices lie {gaps.min():g} to {gaps.max():g} mm apart: some are missing; {middle:g} mm is taken"
        )
    sideways = np.diff(positions, axis=0) - gaps[:, None] * normal
    if np.linalg.norm(sideways, axis=1).max() > 0.05 * middle:
        notes.append("the slices are shifted against each other, as by a tilted gantry; they are stacked as they are")
    return middle, tuple(notes)


def _directions(one: DicomFile) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the directions in which columns and rows grow: along a row, and down a column."""
    stated = _orientation(one)
    cosines = np.array([1.0, 0, 0, 0, 1, 0]) if stated is None else stated
    return cosines[:3], cosines[3:]


def _orientation(one: DicomFile) -> NDArray[np.float64] | None:
    return one.numbers("ImageOrientationPatient", 6)


def _position(one: DicomFile) -> NDArray[np.float64] | None:
    return one.numbers("ImagePositionPatient", 3)


def _require_room(path: Path, slices: Sequence[DicomFile]) -> None:
    for one in slices:
        one.require_size()
    rows, columns = (slices[0].whole(name) or 0 for name in ("Rows", "Columns"))
    require_memory(
        _BYTES * len(slices) * rows * columns,
        f"{path}: to read {len(slices)} slices of {rows} x {columns}",
        lambda free: f"{free // (_BYTES * rows * columns)} such slices fit",
    )


def _pixels(one: DicomFile) -> tuple[NDArray[np.float32], int]:
    """Read one slice in Hounsfield units, and count the values that the header says are padding."""
    slope, intercept = one.number("RescaleSlope"), one.number("RescaleIntercept")
    if slope is None or intercept is None:
        raise InputError(
            f"{one.path}: states no RescaleSlope and RescaleIntercept, so its Hounsfield units are not known"
        )
    stored = one.pixels()
    if stored.shape != (one.whole("Rows"), one.whole("Columns")):
        raise InputError(
            f"{one.path}: its pixels are {stored.shape}, and a gray slice is wanted; export the series again"
        )
    values = stored.astype(np.float32) * np.float32(slope) + np.float32(intercept)
    padding = one.number("PixelPaddingValue")
    if padding is None:
        return values, 0
    mask = (stored == int(padding)) & (values > LOWEST)  # what lies lower is clipped, and counted, anyway
    values[mask] = LOWEST
    return values, int(mask.sum())
