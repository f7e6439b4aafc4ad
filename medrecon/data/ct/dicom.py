"""Read a CT series of DICOM files: one file a slice, as a scanner or an archive gives them."""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.errors import InvalidDicomError

from medrecon.data.volume import LOWEST, CTVolume, lay_out
from medrecon.errors import InputError

__all__ = ["read_dicom"]

_SAME = 1e-3  # mm, and of direction cosines
_Slice = tuple[Path, pydicom.Dataset]


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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of every oddity of a header
        headers, notes = _headers(path)
        chosen, of_series = _one_series(path, headers, series)
        slices, of_order = _sorted(path, chosen)
        stored = [_pixels(file, header) for file, header in slices]
    values, padding = np.stack([hounsfield for hounsfield, _ in stored]), sum(count for _, count in stored)
    steps, of_steps = _steps(path, slices)
    try:
        return lay_out(values, steps, (*notes, *of_series, *of_order, *of_steps), padding)
    except ValueError as error:
        raise InputError(f"{path}: {error}; export the series again") from error


def _headers(path: Path) -> tuple[list[_Slice], tuple[str, ...]]:
    """Read the headers of all images below `path`; tell of files passed over."""
    if not path.exists():
        raise InputError(f"{path}: does not exist; check its name")
    files = [path] if path.is_file() else sorted(f for f in path.rglob("*") if f.is_file() and f.name[0] != ".")
    images: list[_Slice] = []
    others = []
    for file in files:
        try:
            header = pydicom.dcmread(file, stop_before_pixels=True)
            if "Rows" in header and "SeriesInstanceUID" in header:
                images.append((file, header))
            elif header.get("Modality") == "CT" or not ("SeriesInstanceUID" in header or file.name == "DICOMDIR"):
                raise InputError(f"{file}: its header ends early, it may be cut short; copy it again, or leave it out")
            else:
                others.append(file.name)
        except InputError:
            raise
        except InvalidDicomError:
            others.append(file.name)
        except Exception as error:  # pydicom lets through whatever a damaged header leads to
            raise InputError(
                f"{file}: cannot be read as DICOM ({_words(error)}); copy it again, or leave it out"
            ) from error
    if not images:
        raise InputError(f"{path}: holds no DICOM image; name the folder of a CT series")
    said = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
    return images, (f"passed over, as no DICOM images: {said}",) if others else ()


def _one_series(path: Path, images: Sequence[_Slice], wanted: str | None) -> tuple[list[_Slice], tuple[str, ...]]:
    """Choose the series asked for, or the only one of CT."""
    groups: dict[str, list[_Slice]] = {}
    for file, header in images:
        groups.setdefault(str(header.SeriesInstanceUID), []).append((file, header))
    names = "; ".join(_series_words(uid, group) for uid, group in sorted(groups.items()))
    if wanted is not None and wanted not in groups:
        raise InputError(f"{path}: holds no series {wanted}; there are: {names}")
    of_ct = [uid for uid, group in groups.items() if group[0][1].get("Modality") == "CT"] or list(groups)
    if wanted is None and len(of_ct) > 1:
        raise InputError(f"{path}: holds {len(of_ct)} series, name one, or put it in a folder of its own: {names}")
    chosen = wanted or of_ct[0]
    others = [_series_words(uid, group) for uid, group in sorted(groups.items()) if uid != chosen]
    slices = groups[chosen]
    for file, header in slices:
        if header.get("Modality") != "CT":
            raise InputError(f"{file}: its modality is {header.get('Modality') or 'not stated'}; a CT series is needed")
        if int(header.get("NumberOfFrames") or 1) > 1 or int(header.get("SamplesPerPixel", 1)) > 1:
            raise InputError(
                f"{file}: holds several frames or colors; convert it to one gray slice a file, or to NIfTI (dcm2niix)"
            )
    return slices, (f"other series here were passed over: {'; '.join(others)}",) if others else ()


def _series_words(uid: str, group: Sequence[_Slice]) -> str:
    header = group[0][1]
    about = " ".join(str(header.get(name) or "") for name in ("Modality", "SeriesDescription")).strip()
    return f"{uid} ({', '.join(filter(None, (about, f'{len(group)} slices')))})"


def _sorted(path: Path, slices: list[_Slice]) -> tuple[list[_Slice], tuple[str, ...]]:
    first_file, first = slices[0]
    for file, header in slices[1:]:
        for name in ("Rows", "Columns", "PixelSpacing", "ImageOrientationPatient"):
            if not _alike(header.get(name), first.get(name)):
                raise InputError(
                    f"{file}: its {name} is {header.get(name)}, and that of {first_file.name} {first.get(name)}: these are no "
                    "slices of one volume; take the stray ones (a localizer?) out of the folder"
                )
    if all(header.get("ImagePositionPatient") and header.get("ImageOrientationPatient") for _, header in slices):
        normal = np.cross(*_directions(slices[0]))
        return sorted(slices, key=lambda one: float(normal @ _position(one))), ()
    if all(str(header.get("InstanceNumber") or "") for _, header in slices):
        note = "no position is stated for every slice: they are in order of InstanceNumber, and may be upside down"
        return sorted(slices, key=lambda one: int(one[1].InstanceNumber)), (note,) if len(slices) > 1 else ()
    file = next(file for file, header in slices if not str(header.get("InstanceNumber") or ""))
    raise InputError(
        f"{file}: states neither ImagePositionPatient nor InstanceNumber: its place in {path} is not known"
    )


def _alike(one: object, other: object) -> bool:
    if not one or not other or isinstance(one, int):
        return one == other
    first, second = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
    return first.shape == second.shape and np.allclose(first, second, atol=_SAME)


def _steps(path: Path, slices: Sequence[_Slice]) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Give the steps in millimeters along `(slice, row, column)`, and say where slices are unevenly spaced."""
    file, header = slices[0]
    if len(header.get("PixelSpacing") or ()) != 2:
        raise InputError(f"{file}: states no PixelSpacing; export the series again with it")
    along_row, along_column = _directions(slices[0])
    between_rows, between_columns = (float(value) for value in header.PixelSpacing)
    normal = np.cross(along_row, along_column)
    thickness, notes = _thickness(path, slices, normal)
    return np.stack([normal * thickness, along_column * between_rows, along_row * between_columns]), notes


def _thickness(path: Path, slices: Sequence[_Slice], normal: NDArray[np.float64]) -> tuple[float, tuple[str, ...]]:
    header = slices[0][1]
    if len(slices) == 1 or not all(one[1].get("ImagePositionPatient") for one in slices):
        stated = header.get("SpacingBetweenSlices") or header.get("SliceThickness")
        if stated:
            return abs(float(stated)), ()
        return 1.0, ("the distance of the slices is not stated, and taken as 1 mm",)
    positions = np.stack([_position(one) for one in slices])
    gaps = np.diff(positions @ normal)
    if gaps.min() < _SAME:
        double = int(gaps.argmin())
        names = " and ".join(slices[k][0].name for k in (double, double + 1))
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


def _directions(one: _Slice) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the directions in which columns and rows grow: along a row, and down a column."""
    file, header = one
    cosines = np.asarray(header.get("ImageOrientationPatient") or (1, 0, 0, 0, 1, 0), dtype=np.float64)
    if cosines.shape != (6,):
        raise InputError(
            f"{file}: its ImageOrientationPatient has {cosines.size} numbers, not 6; export the series again"
        )
    return cosines[:3], cosines[3:]


def _position(one: _Slice) -> NDArray[np.float64]:
    file, header = one
    position = np.asarray(header.ImagePositionPatient or (), dtype=np.float64)
    if position.shape != (3,):
        raise InputError(
            f"{file}: its ImagePositionPatient has {position.size} numbers, not 3; export the series again"
        )
    return position


def _pixels(file: Path, header: pydicom.Dataset) -> tuple[NDArray[np.float32], int]:
    """Read one slice in Hounsfield units, and count the values that the header says are padding."""
    slope, intercept = header.get("RescaleSlope"), header.get("RescaleIntercept")
    if slope in (None, "") or intercept in (None, ""):
        raise InputError(f"{file}: states no RescaleSlope and RescaleIntercept, so its Hounsfield units are not known")
    try:
        full = pydicom.dcmread(file)
        if "PixelData" not in full:
            raise InputError(f"{file}: holds no pixel data; export the series again with its images")
        stored = full.pixel_array
    except InputError:
        raise
    except Exception as error:  # the decoders raise whatever they like
        syntax = getattr(getattr(header, "file_meta", None), "TransferSyntaxUID", None)
        if syntax is not None and syntax.is_compressed:
            raise InputError(
                f"{file}: its pixels are compressed ({syntax.name}) and cannot be decoded here; install pylibjpeg[all], or "
                "decompress the series (gdcmconv --raw)"
            ) from error
        raise InputError(
            f"{file}: its pixels cannot be read, it may be cut short ({_words(error)}); copy it again"
        ) from error
    values = stored.astype(np.float32) * float(slope) + float(intercept)
    padding = header.get("PixelPaddingValue")
    if padding is None:
        return values, 0
    mask = (stored == int(padding)) & (values > LOWEST)  # what lies lower is clipped, and counted, anyway
    values[mask] = LOWEST
    return values, int(mask.sum())


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__
