"""K-space of a calibration that lies beside that of a scan: in another file, or in the same by another name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from medrecon.axes import KSpaceAxis
from medrecon.data.arrays import open_arrays
from medrecon.data.cfl import is_cfl
from medrecon.data.mri.fastmri import KSpaceSample
from medrecon.data.mri.kspace_array import KSpaceArray
from medrecon.data.mri.kspace_files import KSpaceFile
from medrecon.data.mri.kspace_layouts import find_kspace, open_cfl_kspace
from medrecon.errors import InputError

__all__ = ["CalibratedFile", "calibration_in", "open_calibration"]

_S, _C, _Y, _X = KSpaceAxis.SLICE, KSpaceAxis.COIL, KSpaceAxis.Y, KSpaceAxis.X
_USUAL = {4: (_S, _C, _Y, _X), 3: (_C, _Y, _X)}


class CalibratedFile:
    """A file of k-space of which coil maps are estimated from another: see `medrecon.data.mri.kspace_files.KSpaceFile`.

    The calibration is `(slice, coil, ky, kx)` about the center of k-space, of as many slices, or of one for all.

    Raises
    ------
    InputError
        If it is of other coils, or larger than k-space.
    """

    calibration_name: str | None = None

    def __init__(self, file: KSpaceFile, calibration: KSpaceArray) -> None:
        self._file, self._calibration = file, calibration
        self.path, self.shape, self.dtype, self.matrix = file.path, file.shape, file.dtype, file.matrix
        self.oversampling, self.padding, self.header = file.oversampling, file.padding, file.header
        self.has_header, self.has_mask, self.target_name = file.has_header, file.has_mask, file.target_name
        self.noise_covariance, self.prescription = file.noise_covariance, file.prescription
        slices, coils, ky, kx = calibration.shape
        n, n_coils, rows, lines = file.shape
        if coils != n_coils or slices not in (1, n) or ky > rows or kx > lines:
            raise InputError(
                f"{calibration.path}: calibration is (slice, coil, ky, kx) = {calibration.shape}, and k-space of {file.path} is "
                f"{file.shape}: it takes as many coils, as many slices or one, and no larger planes"
            )
        source = "the file's own calibration" if calibration.path == file.path else str(calibration.path)
        self.notes = (*file.notes, f"coil maps are estimated from {source}, {ky} x {kx}")

    def __len__(self) -> int:
        return len(self._file)

    def __iter__(self) -> Iterator[KSpaceSample]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> KSpaceSample:
        sample = self._file[index]
        calibration = self._calibration[sample.slice_index if len(self._calibration) > 1 else 0].kspace
        return replace(sample, calibration=_centered(calibration, sample.kspace.shape[-2:]))


def calibration_in(file: KSpaceFile) -> KSpaceFile:
    """The file with the calibration that it holds itself, if that fits; else as it is."""
    if file.calibration_name is None:
        return file
    arrays = [one for one in open_arrays(file.path) if one.name == file.calibration_name]
    try:
        return CalibratedFile(file, KSpaceArray(arrays[0], _USUAL[len(arrays[0].shape)]))
    except (InputError, KeyError, IndexError):
        return file


def open_calibration(path: Path, file: KSpaceFile) -> CalibratedFile:
    """A file of k-space with the calibration in another: `(slice, coil, ky, kx)`, `(coil, ky, kx)`, or a pair of BART.

    Raises
    ------
    InputError
        If it cannot be read, or does not fit.
    """
    if is_cfl(path):
        return CalibratedFile(file, open_cfl_kspace(path))
    array = find_kspace(path, open_arrays(path))
    axes = _USUAL.get(len(array.shape))
    if axes is None:
        raise InputError(f"{path}: calibration is {array.shape}, and (slice, coil, ky, kx) or (coil, ky, kx) is wanted")
    return CalibratedFile(file, KSpaceArray(array, axes))


def _centered(kspace: Tensor, size: tuple[int, ...]) -> Tensor:
    """Zeros of a size `(ky, kx)` about k-space `(coil, ky, kx)`, its center at `n // 2`."""
    (ky, kx), (rows, lines) = kspace.shape[-2:], size
    placed = kspace.new_zeros((*kspace.shape[:-2], rows, lines))
    top, left = rows // 2 - ky // 2, lines // 2 - kx // 2
    placed[..., top : top + ky, left : left + kx] = kspace
    return placed
