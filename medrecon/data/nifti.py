"""CT volumes in Hounsfield units as NIfTI files."""

import gzip
import os
import zlib
from pathlib import Path

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from medrecon.data.volume import CTVolume, lay_out
from medrecon.data.writing import atomic_file
from medrecon.errors import InputError

__all__ = ["read_nifti", "write_nifti"]

_MILLIMETERS = {1: 1000.0, 3: 0.001}  # NIfTI's codes of meter and micrometre; else millimeters


def read_nifti(path: str | os.PathLike[str]) -> CTVolume:
    """Read a volume in Hounsfield units, turned to `(z, y, x)` by the file's affine, whatever its order of axes.

    NIfTI counts millimeters to the right, front and head, DICOM to the left, back and head; the volume is laid out the
    latter way. Values below -1024 HU are clipped. An oblique volume is not resampled.

    Parameters
    ----------
    path
        A file `.nii` or `.nii.gz` with three axes.

    Raises
    ------
    InputError
        If the file cannot be read, has not three axes, or holds NaN or infinite values.
    """
    path = Path(path)
    values, affine, notes = _load(path)
    if values.ndim != 3 or 0 in values.shape:
        raise InputError(
            f"{path}: has the shape {values.shape}, and a CT volume has three axes; cut one volume out of it"
        )
    wrong = values.size - int(np.isfinite(values).sum())
    if wrong:
        raise InputError(f"{path}: {wrong} values are NaN or infinite; fill them with -1024 HU first")
    steps = affine[:3, :3].T * np.array([-1.0, -1.0, 1.0])  # from right, front, head to left, back, head
    try:
        return lay_out(values, steps, notes)
    except ValueError as error:
        raise InputError(f"{path}: {error}; correct the affine of its header") from error


def _load(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float64], tuple[str, ...]]:
    if not path.is_file():
        raise InputError(f"{path}: is no file; check its name")
    try:
        image = nibabel.load(path)
        if not isinstance(image, nibabel.Nifti1Pair):
            raise InputError(f"{path}: is {type(image).__name__}, not NIfTI; convert it")
        stored = image.get_data_dtype()  # type: ignore[no-untyped-call]
        if stored.kind not in "iuf":
            raise InputError(f"{path}: its values are {stored}, and Hounsfield units are real numbers")
        with np.errstate(all="ignore"):
            values = np.asarray(image.dataobj, dtype=np.float32)
        unit = _MILLIMETERS.get(int(image.header["xyzt_units"]) & 7, 1.0)
    except InputError:
        raise
    except (OSError, EOFError, ValueError, KeyError, zlib.error, ImageFileError, HeaderDataError) as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"{path}: cannot be read as NIfTI, and may be cut short ({reason}); copy it again") from error
    while values.ndim > 3 and values.shape[-1] == 1:
        values = values[..., 0]
    placed = int(image.header["qform_code"]) > 0 or int(image.header["sform_code"]) > 0
    notes = (
        () if placed else ("the file states no orientation: it is taken to run from right to left, and back to front",)
    )
    return values, np.asarray(image.affine, dtype=np.float64) * unit, notes


def write_nifti(path: str | os.PathLike[str], volume: CTVolume, *, overwrite: bool = False) -> None:
    """Write a volume in Hounsfield units as float32, its center at the origin; `.nii.gz` is compressed.

    Raises
    ------
    InputError
        If the name ends in neither `.nii` nor `.nii.gz`, or the file cannot be written (see `atomic_file`).
    """
    name = Path(path).name
    if not name.endswith((".nii", ".nii.gz")):
        raise InputError(f"{path}: a NIfTI file is called .nii or .nii.gz; give it such a name")
    dz, dy, dx = volume.spacing
    nz, ny, nx = volume.hounsfield.shape
    affine = np.diag([-dx, -dy, dz, 1.0])
    affine[:3, 3] = dx * (nx - 1) / 2, dy * (ny - 1) / 2, -dz * (nz - 1) / 2
    values = volume.hounsfield.cpu().numpy().astype(np.float32).T
    image = nibabel.Nifti1Image(values, affine)  # type: ignore[no-untyped-call]
    image.header["xyzt_units"] = 2  # millimeters
    content: bytes = image.to_bytes()
    with atomic_file(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(gzip.compress(content, 6, mtime=0) if name.endswith(".gz") else content)
