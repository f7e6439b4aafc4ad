"""The data set `kspace` of an HDF5 file: what it must be, and what its numbers say of how the readout was sampled."""

from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray

from medrecon.data.hdf5 import HDF5Content
from medrecon.errors import ChangedError, InputError
from medrecon.words import shortened

__all__ = [
    "complex64",
    "is_pair",
    "is_readout_oversampled",
    "middle_slice",
    "require_kspace",
]

COMPLEX_FIELDS = (("r", "i"), ("re", "im"), ("real", "imag"))
OUTER_SIGNAL = 0.02  # of the mean energy in the middle of the readout: an outer half with less is empty
_BYTES = 16  # beside itself: a number in single precision, and what is looked at of it
_RANKS = (3, 4)  # (slice, ky, kx) of a single coil, (slice, coil, ky, kx)


def require_kspace(file: HDF5Content) -> h5py.Dataset:
    """Return the data set, complex `(slice, coil, ky, kx)` or `(slice, ky, kx)`.

    Raises
    ------
    InputError
        If there is none, or it is of another kind or shape, or empty, or of slices that do not fit in memory.
    """
    path, kspace = file.path, file.dataset("kspace")
    if kspace is None:
        hint = "; raw ISMRMRD data are of another format, convert them first" if "dataset" in file else ""
        raise InputError(
            f"{path}: no data set `kspace`, it holds {file.names}{hint or '; give a file in the format of fastMRI'}"
        )
    shape, dtype = kspace.shape, kspace.dtype
    if dtype.kind != "c" and not is_pair(dtype):
        hint = _real_hint(shape)
        raise InputError(f"{path}: `kspace` is {shape} {shortened(str(dtype))}, k-space is complex; {hint}")
    if len(shape) not in _RANKS:
        raise InputError(
            f"{path}: `kspace` is {shape}, it takes (slice, coil, ky, kx), or (slice, ky, kx) of a single coil"
        )
    if 0 in shape:
        raise InputError(f"{path}: `kspace` is {shape}, there is nothing in it; fetch or export it again")
    file.require_slices("kspace", kspace, len(shape) - 1, _BYTES)
    return kspace


def is_pair(dtype: np.dtype[Any]) -> bool:
    """Whether values are pairs of real numbers, under names of real and imaginary parts."""
    return dtype.names in COMPLEX_FIELDS and all(dtype[name].kind in "fiu" for name in dtype.names)


def _real_hint(shape: tuple[int, ...] | None) -> str:
    if not shape or len(shape) < 3 or shape[-1] % 2:
        return "give raw data, not images"
    if shape[-1] == 2:
        return "join its last axis to complex numbers"
    if len(shape) == 4 and shape[-1] < min(shape[1:3]):
        return (
            f"the last axis, {shape[-1]}, may be real and imaginary parts in turn of {shape[-1] // 2} coils: join them, "
            "kspace[..., ::2] + 1j * kspace[..., 1::2], and move coils second by numpy.moveaxis(kspace, -1, 1)"
        )
    return "give raw data, not images"


def complex64(values: NDArray[Any]) -> NDArray[np.complex64]:
    """Complex numbers, or pairs of real ones under two names, in single precision."""
    with np.errstate(over="ignore", invalid="ignore"):  # what does not fit becomes infinite, and is refused as such
        if values.dtype.names is None:
            return np.ascontiguousarray(values, dtype=np.complex64)
        both = np.empty(values.shape, np.complex64)
        both.real, both.imag = (values[name] for name in values.dtype.names)
        return both


def middle_slice(file: HDF5Content, count: int) -> torch.Tensor | None:
    """The middle slice of `count` as it is, or None where it cannot be read."""
    try:
        return torch.from_numpy(complex64(file.read("kspace", count // 2)))
    except ChangedError:
        raise
    except InputError:
        return None


def is_readout_oversampled(kspace: torch.Tensor | None) -> bool:
    """Whether the outer quarters of the readout's field, along ky of `(..., ky, kx)`, hold nothing but noise.

    The readout alone is transformed, which needs no other line to be there; where its center lies does not matter.
    """
    if kspace is None or not bool(kspace.isfinite().all()) or not bool(kspace.any()):
        return False
    kspace = kspace / kspace.abs().max()
    rows = torch.fft.ifft(torch.fft.ifftshift(kspace, dim=-2), dim=-2, norm="ortho")
    energy = torch.fft.fftshift(rows, dim=-2).abs().double().square()
    n = energy.shape[-2]
    profile = energy.movedim(-2, 0).reshape(n, -1).sum(dim=1)
    outer = torch.cat([profile[: n // 4], profile[-(n // 4) :]])
    floor = outer.sort().values[: max(1, n // 8)].mean()
    middle = profile[n // 4 : n - n // 4].mean()
    is_even = outer.mean() <= floor * (1 + 3 / (energy.numel() / n) ** 0.5) and middle > 1.5 * outer.mean()
    return bool(is_even or outer.mean() - floor <= OUTER_SIGNAL * (middle - floor))
