"""MR volumes of image files, and their planes drawn on a scan's grid of pixels."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medrecon.data.dicom_file import DicomFile, open_dicom
from medrecon.data.nifti import read_nifti
from medrecon.data.nrrd import read_nrrd
from medrecon.errors import InputError
from medrecon.memory import require_memory

__all__ = ["MRVolume", "draw_plane", "read_mr"]


@dataclass(frozen=True, eq=False)
class MRVolume:
    """Magnitudes `(z, y, x)`, float32, slices from the feet up, and the millimeters from one to the next on each axis."""

    magnitude: Tensor
    spacing: tuple[float, float, float]


def read_mr(path: Path) -> MRVolume:
    """Read a NIfTI or NRRD file, or a folder of one DICOM series of axial slices.

    NIfTI and NRRD pass through the readers of CT, which lay the axes out alike and alter no value of a magnitude image;
    negative values, which interpolation left, become zero.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    if path.is_dir():
        return _read_series(path)
    volume = read_nrrd(path) if path.suffix == ".nrrd" else read_nifti(path)
    return MRVolume(volume.hounsfield.clamp(min=0), volume.spacing)


def draw_plane(
    plane: Tensor, spacing: tuple[float, float], center: tuple[float, float], size: int, pixel: float
) -> Tensor:
    """Draw a plane `(y, x)` on `size` x `size` pixels by its Fourier series, `sum_k c_k exp(2 pi i k p / n)`.

    Of a finer plane the frequencies that the new pixels cannot hold are left out. Outside of the plane there is zero.

    Parameters
    ----------
    plane : Tensor
        `(y, x)`, real.
    spacing : tuple of float
        Its pixels in millimeters.
    center : tuple of float
        The place in it, in its pixels, that comes to lie at index `size // 2`.
    size, pixel : int, float
        The new grid; `pixel` in millimeters.
    """
    rows, columns = (
        _sinc(n, place, size, pixel / step) for n, step, place in zip(plane.shape, spacing, center, strict=True)
    )
    return (rows @ plane.double() @ columns.T).to(plane.dtype)


def _sinc(n: int, center: float, size: int, step: float) -> Tensor:
    """Weights `(size, n)` of the Fourier series of `n` samples at the places `center + step (i - size // 2)`."""
    places = center + step * (torch.arange(size, dtype=torch.float64) - size // 2)
    distance = places[:, None] - torch.arange(n, dtype=torch.float64)
    terms = 2 * math.floor((n - 1) / 2 * min(1.0, 1 / step)) + 1
    below = n * torch.sin(math.pi * distance / n)
    whole = below.abs() < 1e-9
    weights = torch.where(whole, terms / n, torch.sin(math.pi * terms * distance / n) / torch.where(whole, 1.0, below))
    inside = (places > -0.5) & (places < n - 0.5)
    return weights * inside[:, None]


def _read_series(folder: Path) -> MRVolume:
    """Read the DICOM files of a folder: one series, its planes parallel, not farther than 45 degrees from axial."""
    slices = [_opened(file) for file in sorted(folder.glob("*.dcm"))]
    if len({one.text("SeriesInstanceUID") for one in slices}) != 1 or len(slices) < 2:
        raise InputError(f"{folder}: takes the files *.dcm of one series, got {len(slices)} files of none or several")
    along = _stated(slices[0], "ImageOrientationPatient", 6).reshape(2, 3)
    normal = np.cross(*along)
    places = np.array([np.dot(normal, _stated(one, "ImagePositionPatient", 3)) for one in slices])
    dy, dx = map(float, _stated(slices[0], "PixelSpacing", 2))
    require_memory(8 * sum(one.require_size() for one in slices), f"{folder}: to read {len(slices)} slices")
    read = [one.pixels().astype(np.float32) for one in slices]
    if len({one.shape for one in read}) != 1 or read[0].ndim != 2:
        raise InputError(f"{folder}: its slices are of several sizes, or in color; choose another series")
    pixels = np.stack(read)
    order = np.argsort(places * math.copysign(1.0, normal[2]))
    thickness = float(np.median(np.diff(np.sort(places))))
    if abs(normal[2]) < math.sqrt(0.5) or thickness <= 0:
        raise InputError(f"{folder}: takes axial slices, each at its own place; choose another series")
    return MRVolume(torch.from_numpy(pixels[order]), (thickness, dy, dx))


def _opened(path: Path) -> DicomFile:
    if (opened := open_dicom(path)) is None:
        raise InputError(f"{path}: is no DICOM file; take it out of the folder")
    return opened


def _stated(one: DicomFile, name: str, count: int) -> NDArray[np.float64]:
    if (numbers := one.numbers(name, count)) is None:
        raise InputError(f"{one.path}: states no {name}; export the series again")
    return numbers
