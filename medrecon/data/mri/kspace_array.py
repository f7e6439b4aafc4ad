"""K-space in plain arrays of any format: complex, pairs of numbers, or real and imaginary parts in turn, its axes in any order."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medrecon.axes import KSpaceAxis
from medrecon.data.foreign import require_few_slices
from medrecon.data.mri.fastmri import KSpaceSample
from medrecon.data.mri.fastmri_header import FastMRIHeader
from medrecon.data.mri.kspace_dataset import complex64, is_pair, is_readout_oversampled
from medrecon.data.mri.sampling_pattern import detect_sampling, settle_padding
from medrecon.data.mri.scan_geometry import OVERSAMPLED_SHAPE, scan_geometry
from medrecon.data.mri.sound_kspace import require_sound
from medrecon.data.stored import StoredArray
from medrecon.errors import InputError
from medrecon.memory import require_memory
from medrecon.planes import Prescription
from medrecon.words import shortened

__all__ = ["KSpaceArray", "center_peaks", "kspace_planes"]

Axes = Sequence[KSpaceAxis | None]

_BYTES = 24  # of a number of one slice, while it is looked at
_CALIBRATED = 8  # lines around the center that a frame needs for maps of its own


class KSpaceArray:
    """An array as `KSpaceFile`: `axes` say what each counts, None of length one; frames come in turn, each of all slices.

    Maps of frames that have no calibration lines are those of the mean over frames, of each sample over those that hold it.

    Raises
    ------
    InputError
        If the axes are not those of the array, or one slice does not fit in memory.
    """

    has_header = has_mask = False
    target_name: str | None = None
    calibration_name: str | None = None
    noise_covariance: Tensor | None = None
    prescription: Prescription | None = None  # arrays say nothing of it

    def __init__(self, array: StoredArray, axes: Axes, notes: tuple[str, ...] = ()) -> None:
        self._array, self.path = array, array.path
        self._where = _places(array, axes)
        sizes = {axis: array.shape[place] for axis, place in self._where.items()}
        self.dtype: np.dtype[Any] = array.dtype
        self._turns = array.dtype.kind != "c" and not is_pair(array.dtype) and KSpaceAxis.PAIR not in sizes
        self._frames, slices = sizes.get(KSpaceAxis.FRAME, 1), sizes.get(KSpaceAxis.SLICE, 1)
        self._slices = slices
        coils = sizes.get(KSpaceAxis.COIL, 1) // (2 if self._turns else 1)
        ky, kx = sizes[KSpaceAxis.Y], sizes[KSpaceAxis.X]
        self.shape: tuple[int, int, int, int] = (self._frames * slices, coils, ky, kx)
        who = f"{self.path}: k-space is {array.shape}"
        require_few_slices(who, self.shape[0])
        require_memory(_BYTES * coils * ky * kx, f"{who}, and one slice {self.shape[1:]}")
        is_oversampled = ky > OVERSAMPLED_SHAPE * kx and is_readout_oversampled(self._usable(self.shape[0] // 2))
        geometry = scan_geometry((ky, kx), None, None, is_oversampled=is_oversampled)
        self.header = FastMRIHeader(encoded_matrix=(ky, kx, 1), recon_matrix=(*geometry.matrix, 1))
        self.matrix, self.oversampling, self.padding = geometry.matrix, geometry.oversampling, geometry.padding
        joined = (
            f"{2 * coils} coils of real numbers are taken as {coils} of complex ones, real and imaginary parts in turn"
        )
        self.notes = (*notes, *((joined,) if self._turns and not notes else ()), *geometry.notes)
        self._mean: tuple[int, Tensor] | None = None

    def __repr__(self) -> str:
        slices, coils, ky, kx = self.shape
        return f"KSpaceArray({self.path}: (slice={slices}, coil={coils}, ky={ky}, kx={kx}))"

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[KSpaceSample]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> KSpaceSample:
        index = operator.index(index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self.path} has {len(self)} slices, got index {index}")
        index %= len(self)
        kspace = self.raw(index)
        if self._turns and not bool((torch.view_as_real(kspace) < 0).any()):
            raise InputError(
                f"{self.path}: {self._which(index)} is real and nowhere below zero, as magnitudes are, and k-space is complex; "
                "export it with its phase"
            )
        sampled = detect_sampling(require_sound(kspace, f"{self.path}: {self._which(index)}"))
        return KSpaceSample(
            kspace=kspace,
            sampled=sampled,
            target=None,
            matrix=self.matrix,
            name=self.path.name,
            slice_index=index,
            maximum=None,
            oversampling=self.oversampling,
            padding=settle_padding(sampled, self.padding),
            calibration=None if self._frames == 1 or _is_calibrated(sampled) else self._mean_of_frames(index),
        )

    def raw(self, index: int) -> Tensor:
        """Read k-space of one slice, complex64 `(coil, ky, kx)`, as it is, nothing checked."""
        frame, number = divmod(index, self._slices)
        chosen = {KSpaceAxis.FRAME: frame, KSpaceAxis.SLICE: number}
        where = {self._where[axis]: range(k, k + 1) for axis, k in chosen.items() if axis in self._where}
        return torch.from_numpy(self._ordered(self._array.read(where, self._which(index))))

    def _ordered(self, values: NDArray[Any]) -> NDArray[np.complex64]:
        places = [self._where.get(axis) for axis in (KSpaceAxis.COIL, KSpaceAxis.Y, KSpaceAxis.X, KSpaceAxis.PAIR)]
        order = [place for place in places if place is not None]
        rest = [place for place in range(values.ndim) if place not in order]  # of length one
        moved = values.transpose([*order, *rest]).reshape([values.shape[place] for place in order])
        if places[0] is None:
            moved = moved[None]
        if places[3] is not None:
            return complex64(_joined(moved[..., 0], moved[..., 1]))
        return complex64(_joined(moved[0::2], moved[1::2]) if self._turns else moved)

    def _mean_of_frames(self, index: int) -> Tensor:
        number = index % self._slices
        if self._mean is None or self._mean[0] != number:
            total = torch.zeros(self.shape[1:], dtype=torch.complex64)
            count = torch.zeros(self.shape[2:])
            for frame in range(self._frames):
                one = self.raw(frame * self._slices + number)
                total += one
                count += one.abs().amax(0) > 0
            self._mean = number, total / count.clamp_min(1)
        return self._mean[1]

    def _usable(self, index: int) -> Tensor | None:
        try:
            return self.raw(index)
        except InputError:
            return None

    def _which(self, index: int) -> str:
        return f"slice {index} (of {len(self)}, counted from 0)"


def kspace_planes(array: StoredArray, axes: Axes) -> Tensor:
    """Read all of a small array, complex64 `(slice, coil, ky, kx)`.

    Raises
    ------
    InputError
        As `KSpaceArray`, or if it does not fit in memory.
    """
    file = KSpaceArray(array, axes)
    require_memory(_BYTES * prod(file.shape), f"{array.path}: {file.shape}")
    return torch.stack([file.raw(index) for index in range(len(file))])


def center_peaks(kspace: Tensor) -> bool:
    """Whether the energy of k-space `(coil, ky, kx)` peaks in the middle of both axes, or in a corner."""
    if not bool(kspace.isfinite().all()) or not bool(kspace.any()):
        return False
    energy = (kspace / kspace.abs().max()).abs().square().sum(0)
    peaks = [int(energy.sum(axis).argmax()) for axis in (1, 0)]
    off = [min(abs(peak - n // 2), peak, n - 1 - peak) for peak, n in zip(peaks, energy.shape, strict=True)]
    return max(off) <= 1


def _joined(real: NDArray[Any], imaginary: NDArray[Any]) -> NDArray[np.complex64]:
    both = np.empty(real.shape, np.complex64)
    with np.errstate(over="ignore", invalid="ignore"):
        both.real, both.imag = real, imaginary
    return both


def _is_calibrated(sampled: Tensor) -> bool:
    n = sampled.shape[-1]
    center = sampled[..., max(0, n // 2 - _CALIBRATED // 2) : n // 2 + _CALIBRATED // 2]
    if center.ndim == 2:
        rows = sampled.shape[0]
        center = center[max(0, rows // 2 - _CALIBRATED // 2) : rows // 2 + _CALIBRATED // 2]
    return bool(center.all())


def _places(array: StoredArray, axes: Axes) -> dict[KSpaceAxis, int]:
    """Where each named axis lies.

    Raises
    ------
    InputError
        If there are more or fewer, one without a name is longer than one, or numbers are none of k-space.
    """
    name = f"`{shortened(array.name)}`" if array.name else "the array"
    who = f"{array.path}: {name} is {array.shape} {shortened(str(array.dtype))}"
    where = {axis: place for place, axis in enumerate(axes) if axis is not None}
    names = ",".join("-" if axis is None else axis.value for axis in axes)
    if len(axes) != len(array.shape) or not {KSpaceAxis.Y, KSpaceAxis.X} <= where.keys() or 0 in array.shape:
        raise InputError(f"{who}, and --axes {names} does not fit: name each axis in its order, y and x among them")
    if array.dtype.kind not in "fiuc" and not is_pair(array.dtype):
        raise InputError(f"{who}, and k-space is complex, or pairs of real numbers; export it again")
    is_complex = array.dtype.kind == "c" or is_pair(array.dtype)
    pairs = None if KSpaceAxis.PAIR not in where else array.shape[where[KSpaceAxis.PAIR]]
    if pairs is not None and (is_complex or pairs != 2):
        raise InputError(f"{who}, and an axis `pair` has the length 2, of real numbers; correct --axes {names}")
    if not is_complex and pairs is None and (KSpaceAxis.COIL not in where or array.shape[where[KSpaceAxis.COIL]] % 2):
        raise InputError(
            f"{who}: k-space is complex; name the axis of real and imaginary parts `pair` in --axes, or give an even number of "
            "`coil`, along which they take turns"
        )
    return where
