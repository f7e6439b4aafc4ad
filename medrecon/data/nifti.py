"""CT volumes in Hounsfield units as NIfTI files."""

import gzip
import math
import os
from pathlib import Path

import nibabel
import numpy as np
from nibabel.arrayproxy import ArrayProxy
from nibabel.volumeutils import apply_read_scaling
from numpy.typing import NDArray

from medrecon.data.foreign import reading, require_held
from medrecon.data.identity import SameFiles
from medrecon.data.volume import CTVolume, lay_out
from medrecon.data.writing import atomic_file
from medrecon.errors import InputError
from medrecon.memory import require_memory
from medrecon.words import shortened

__all__ = ["read_nifti", "write_nifti"]

_BLOCK = 2**18  # values read at once
_BYTES = 16  # of a value in memory beside itself, while it is scaled and laid out
_MILLIMETERS = {1: 1000.0, 3: 0.001}  # NIfTI's codes of meter and micrometer; else millimeters


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
    same = SameFiles()
    n_bytes = same.require(path)
    with reading(path, "its NIfTI volume", "copy it again"):
        image = nibabel.load(path, mmap=False)
        if not isinstance(image, nibabel.Nifti1Pair):
            raise InputError(f"{path}: is {type(image).__name__}, not NIfTI; convert it")
        _require_size(path, image, n_bytes)
        with np.errstate(all="ignore"):
            values = _values(path, image)
        unit = _MILLIMETERS.get(int(image.header["xyzt_units"]) & 7, 1.0)
        placed = int(image.header["qform_code"]) > 0 or int(image.header["sform_code"]) > 0
        affine = np.asarray(image.affine, dtype=np.float64) * unit
    same.require(path)
    while values.ndim > 3 and values.shape[-1] == 1:
        values = values[..., 0]
    notes = (
        () if placed else ("the file states no orientation: it is taken to run from right to left, and back to front",)
    )
    return values, affine, notes


def _values(path: Path, image: nibabel.Nifti1Pair) -> NDArray[np.float32]:
    """Read all values, as nibabel does; ordinary files are not mapped, as one that is cut meanwhile would end the program."""
    stored = image.dataobj
    if path.suffix != ".nii" or not isinstance(stored, ArrayProxy):
        return np.asarray(stored, dtype=np.float32)
    values = np.empty(math.prod(stored.shape), np.float32)
    slope, intercept = np.asanyarray(stored.slope), np.asanyarray(stored.inter)
    with path.open("rb") as file:
        file.seek(stored.offset)
        for start in range(0, len(values), _BLOCK):
            part = values[start : start + _BLOCK]
            part[:] = apply_read_scaling(np.fromfile(file, stored.dtype, len(part)), slope, intercept)
    return values.reshape(stored.shape, order="F")


def _require_size(path: Path, image: nibabel.Nifti1Pair, n_bytes: int) -> None:
    """Refuse what the file cannot hold, or memory not, before it is unpacked."""
    stored = image.get_data_dtype()  # type: ignore[no-untyped-call]
    if stored.kind not in "iuf":
        raise InputError(f"{path}: its values are {shortened(str(stored))}, and Hounsfield units are real numbers")
    shape = tuple(map(int, image.shape))
    if any(n < 0 for n in shape):
        raise InputError(f"{path}: has the shape {shape}, and sizes are above zero; convert it again")
    numbers = math.prod(shape)
    require_held(f"{path}: has the shape {shape}", numbers * stored.itemsize, n_bytes)
    require_memory(
        numbers * (stored.itemsize + _BYTES),
        f"{path}: has the shape {shape}, and to read it",
        lambda free: f"{free // (stored.itemsize + _BYTES)} values fit",
    )


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
