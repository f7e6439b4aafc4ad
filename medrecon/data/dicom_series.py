"""Folders of DICOM as scanners and hospitals export them: one series of them, its slices in order, and where these lie."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medrecon.data.dicom_file import DicomFile, open_dicom
from medrecon.errors import InputError
from medrecon.words import counted, listed

__all__ = [
    "Series",
    "Steps",
    "all_series",
    "directions_of",
    "find_images",
    "one_series",
    "position_of",
    "require_one_stack",
    "steps_of",
    "tilt_of",
    "volumes_of",
]

_SAME = 1e-3  # mm, and of direction cosines
_EVEN, _JITTER = 0.05, 0.25  # of the distance of slices: what is not told, and what is no other distance
_GRAY = ("", "MONOCHROME1", "MONOCHROME2")
_PERSON = ("PatientID", "PatientBirthDate")


@dataclass(frozen=True, eq=False)
class Series:
    """Images of one SeriesInstanceUID, in no order: files, or frames of one."""

    uid: str
    images: tuple[DicomFile, ...]

    @property
    def modality(self) -> str:
        """As the header says, such as CT."""
        return self.images[0].text("Modality")

    @property
    def is_localizer(self) -> bool:
        """Whether all images are those by which slices were planned."""
        return all(is_localizer(one) for one in self.images)

    @property
    def words(self) -> str:
        """The series in few words."""
        about = " ".join(filter(None, (self.modality, self.images[0].text("SeriesDescription"))))
        return f"{self.uid} ({', '.join(filter(None, (about, f'{len(self.images)} slices')))})"


def is_localizer(one: DicomFile) -> bool:
    """Whether an image is one by which slices were planned."""
    return "LOCALIZER" in one.text("ImageType") or "LOCALIZER" in one.text("FrameType")


def find_images(path: Path) -> tuple[list[DicomFile], tuple[str, ...]]:
    """Read the headers of all images at or below a path, frame by frame, and tell of files passed over.

    Directories of media, a DICOMDIR whatever it is called, are passed over silently: the files are found without them.

    Raises
    ------
    InputError
        If there is none, or a file is cut short.
    """
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
            images += one.frames()
        elif one.text("Modality") == "CT" or not ("SeriesInstanceUID" in one or one.is_directory):
            raise InputError(f"{file}: its header ends early, it may be cut short; copy it again, or leave it out")
        elif not one.is_directory:
            others.append(file.name)
    if not images:
        raise InputError(f"{path}: holds no DICOM image; name the folder of a CT series")
    return images, (f"passed over, as no DICOM images: {listed(others, 3)}",) if others else ()


def all_series(images: Sequence[DicomFile]) -> list[Series]:
    """The series that images are of, by their identifiers."""
    groups: dict[str, list[DicomFile]] = {}
    for one in images:
        groups.setdefault(one.text("SeriesInstanceUID"), []).append(one)
    return [Series(uid, tuple(group)) for uid, group in sorted(groups.items())]


def one_series(
    path: Path, images: Sequence[DicomFile], wanted: str | None, modality: str
) -> tuple[list[DicomFile], tuple[str, ...]]:
    """Choose the series asked for, or the only one of a modality (CT, MR) that is no localizer; leave localizers out of it.

    Raises
    ------
    InputError
        If it is not there, or there are several; if it is of another modality, in color, or of several patients.
    """
    found = all_series(images)
    if wanted is not None and wanted not in [one.uid for one in found]:
        raise InputError(f"{path}: holds no series {wanted}; there are: {listed([one.words for one in found])}")
    fitting = [one for one in found if one.modality == modality and not one.is_localizer] or found
    if wanted is None and len(fitting) > 1:
        named = "; ".join(one.words for one in found[:8])
        raise InputError(
            f"{path}: holds {len(fitting)} series, name one (--series UID), or put it in a folder of its own: {named}"
        )
    chosen = next(one for one in found if one.uid == wanted) if wanted is not None else fitting[0]
    notes = []
    if others := [one.words for one in found if one is not chosen]:
        notes.append(f"other series here were passed over: {'; '.join(others[:8])}")
    slices = list(chosen.images)
    if not chosen.is_localizer and (planned := [one for one in slices if is_localizer(one)]):
        slices = [one for one in slices if not is_localizer(one)]
        notes.append(f"{counted(len(planned), 'localizer')} in the series passed over")
    for one in slices:
        _require_image(one, modality)
    _require_one_person(path, slices)
    return slices, tuple(notes)


def _require_image(one: DicomFile, modality: str) -> None:
    if one.text("Modality") != modality:
        stated = one.text("Modality") or "not stated"
        raise InputError(f"{one.path}: its modality is {stated}; a {modality} series is needed")
    several = one.frame is None and (one.whole("NumberOfFrames") or 1) > 1
    if several or (one.whole("SamplesPerPixel") or 1) > 1 or one.text("PhotometricInterpretation") not in _GRAY:
        raise InputError(
            f"{one.path}: holds several frames or colors; convert it to one gray slice a file, or to NIfTI (dcm2niix)"
        )


def _require_one_person(path: Path, slices: Sequence[DicomFile]) -> None:
    names = _PERSON if any(one.text("PatientID") for one in slices) else (*_PERSON, "PatientName")
    for name in names:
        values = {one.text(name) for one in slices} - {""}
        if len(values) > 1:
            raise InputError(
                f"{path}: the series is of {len(values)} patients, by its {name}; put each into a folder of its own"
            )


def volumes_of(slices: Sequence[DicomFile]) -> dict[str, list[DicomFile]]:
    """The slices of each volume that a series holds: of one kind, echo and time; names say what tells them apart."""
    groups: dict[tuple[str, ...], list[DicomFile]] = {}
    for one in slices:
        kind = (one.text("FrameType") or one.text("ImageType")).strip("[]'").replace("', '", "\\")
        echo = one.text("EffectiveEchoTime") or one.text("EchoTime")
        time = one.text("TemporalPositionIndex") or one.text("TemporalPositionIdentifier")
        groups.setdefault((kind, echo, time), []).append(one)
    differ = [len({key[k] for key in groups}) > 1 for k in range(3)]
    words = ("", "echo time ", "time ")
    return {
        ", ".join(words[k] + key[k] for k in range(3) if differ[k] and key[k]) or "all": group
        for key, group in groups.items()
    }


def require_one_stack(path: Path, slices: Sequence[DicomFile]) -> tuple[list[DicomFile], tuple[str, ...]]:
    """Make sure that slices are of one size, spacing and direction, and sort them by their positions along row x column.

    Where a file states no position, InstanceNumber decides, which is told.

    Raises
    ------
    InputError
        If they are not, or nothing says in which order they are.
    """
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
    places = [position_of(one) for one in slices]
    if all(place is not None for place in places) and all(_orientation(one) is not None for one in slices):
        normal = np.cross(*directions_of(first))
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


@dataclass(frozen=True, eq=False)
class Steps:
    """Steps `(3, 3)` in millimeters along `(slice, row, column)`, and by how much each slice lies beside the first in its plane.

    `sideways` is `(n, 2)`, in pixels along rows and columns; zero of a straight stack.
    """

    steps: NDArray[np.float64]
    sideways: NDArray[np.float64]
    notes: tuple[str, ...] = ()


def steps_of(path: Path, slices: Sequence[DicomFile]) -> Steps:
    """Where slices in order lie, and what there is to be told of their distances.

    Raises
    ------
    InputError
        If no spacing is stated, or two slices lie at the same place.
    """
    spacing = slices[0].numbers("PixelSpacing", 2)
    if spacing is None:
        raise InputError(f"{slices[0].path}: states no PixelSpacing; export the series again with it")
    along_row, along_column = directions_of(slices[0])
    normal = np.cross(along_row, along_column)
    sideways = np.zeros((len(slices), 2))
    places = [position_of(one) for one in slices]
    if len(slices) == 1 or any(place is None for place in places):
        stated = slices[0].number("SpacingBetweenSlices") or slices[0].number("SliceThickness")
        notes = tuple[str, ...]() if stated else ("the distance of the slices is not stated, and taken as 1 mm",)
        distance = abs(stated) if stated else 1.0
    else:
        positions = np.stack([place for place in places if place is not None])
        gaps = np.diff(positions @ normal)
        if gaps.min() < _SAME:
            _complain_of_double(path, slices, int(gaps.argmin()))
        distance, notes = float(np.median(gaps)), _uneven(gaps)
        beside = (positions - positions[0]) @ np.stack([along_column, along_row]).T / spacing
        if np.abs(np.diff(beside, axis=0) * spacing).max() > _EVEN * distance:
            sideways = beside
    return Steps(np.stack([normal * distance, along_column * spacing[0], along_row * spacing[1]]), sideways, notes)


def _complain_of_double(path: Path, slices: Sequence[DicomFile], first: int) -> None:
    one, other = slices[first], slices[first + 1]
    if one.path == other.path:
        raise InputError(
            f"{one.path}: frames {one.frame} and {other.frame} lie at the same place; it holds several volumes"
        )
    raise InputError(
        f"{path}: {one.path.name} and {other.path.name} lie at the same place; keep one of each pair, or split the two scans"
    )


def _uneven(gaps: NDArray[np.float64]) -> tuple[str, ...]:
    """What is told of distances that differ: slices that are missing, a scan in slabs of several distances, or unsteady ones."""
    middle, low, high = float(np.median(gaps)), float(gaps.min()), float(gaps.max())
    if high - low <= _EVEN * middle:
        return ()
    taken = f"{middle:g} mm is taken"
    if high - low <= 2 * _JITTER * middle:
        return (f"the slices lie {low:g} to {high:g} mm apart; {taken}",)
    is_wide = gaps > middle * (1 + _JITTER)
    is_alone = is_wide & ~np.concatenate([[False], is_wide[:-1]]) & ~np.concatenate([is_wide[1:], [False]])
    whole = np.abs(gaps / middle - np.rint(gaps / middle)) <= _JITTER
    if is_wide.any() and bool((is_alone | ~is_wide).all()) and bool((whole | ~is_wide).all()):
        return (f"the slices lie {low:g} to {high:g} mm apart: some are missing; {taken}",)
    return (f"the distance of the slices changes, from {gaps[0]:g} to {_changed(gaps):g} mm; {taken}",)


def _changed(gaps: NDArray[np.float64]) -> float:
    """The first distance that is another than that of the first slices."""
    other = np.abs(gaps - gaps[0]) > _JITTER * gaps[0]
    return float(gaps[int(other.argmax())])


def tilt_of(steps: Steps) -> float:
    """The angle in degrees between the normal of the slices and the line on which their first pixels lie."""
    last = steps.sideways[-1] * np.linalg.norm(steps.steps[1:], axis=1)
    depth = (len(steps.sideways) - 1) * np.linalg.norm(steps.steps[0])
    return math.degrees(math.atan2(float(np.linalg.norm(last)), float(depth)))


def directions_of(one: DicomFile) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the directions in which columns and rows grow: along a row, and down a column."""
    stated = _orientation(one)
    cosines = np.array([1.0, 0, 0, 0, 1, 0]) if stated is None else stated
    return cosines[:3], cosines[3:]


def _orientation(one: DicomFile) -> NDArray[np.float64] | None:
    return one.numbers("ImageOrientationPatient", 6)


def position_of(one: DicomFile) -> NDArray[np.float64] | None:
    """The middle of the first pixel in millimeters (LPS), where that is stated."""
    return one.numbers("ImagePositionPatient", 3)
