"""Read raw k-space in the format of the fastMRI data set, one slice at a time.

Zbontar et al., fastMRI: An Open Dataset and Benchmarks for Accelerated MRI, arXiv:1811.08839.
"""

import math
import operator
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medrecon.data.hdf5 import HDF5Content, HDF5Source, is_text
from medrecon.data.mri.fastmri_header import FastMRIHeader, parse_header
from medrecon.data.mri.kspace_dataset import complex64, is_readout_oversampled, middle_slice, require_kspace
from medrecon.data.mri.placement import is_partial, placement_of
from medrecon.data.mri.sampling_pattern import detect_sampling, is_ellipse, lines_if_whole, settle_padding
from medrecon.data.mri.scan_geometry import OVERSAMPLED_SHAPE, scan_geometry
from medrecon.data.mri.sound_kspace import require_sound
from medrecon.errors import InputError
from medrecon.memory import require_memory
from medrecon.planes import Prescription
from medrecon.words import shortened

__all__ = ["FastMRIFile", "KSpaceSample", "detect_sampling", "find_fastmri_files"]

_WANTED = "a file in the format of fastMRI (.h5)"
TARGETS = {3: ("reconstruction_esc", "reconstruction_rss"), 4: ("reconstruction_rss", "reconstruction_esc")}
CALIBRATIONS = ("calibration_data", "calibration")
_LARGEST = float(np.finfo(np.float32).max)
_BYTES = 8  # of a pixel of a target beside itself
_LONGEST_HEADER = 2**24  # bytes
_MOST_PADDED, _USUAL = 16, 4096  # times the samples that are there, where that is more than a usual matrix


@dataclass(frozen=True, eq=False)
class KSpaceSample:
    """One slice as it was measured.

    Parameters
    ----------
    kspace : Tensor
        complex64 `(coil, ky, kx)`, zero where not sampled; the readout runs along ky.
    sampled : Tensor
        bool, `(kx,)` for whole phase-encoding lines, else `(ky, kx)`: the samples that were acquired.
    target : Tensor or None
        float32 `(y, x)`, the reconstruction that the file holds.
    matrix : tuple
        (y, x) to crop images to.
    name, slice_index : str, int
        The name of the file, without its folder, and the place of the slice in it.
    maximum : float or None
        The largest value of the volume's target, as the file says.
    oversampling : float
        That of the readout, along ky.
    padding : tuple
        (left, right): lines outside left <= kx < right were never acquired by the scanner, but filled with zeros.
    calibration : Tensor or None
        complex64 `(coil, ky, kx)`, zero where not measured: lines measured for coil maps alone, which are no part of the image.
    reachable : Tensor or None
        bool `(ky, kx)`: what was acquired of a scan within an ellipse that is undersampled in retrospect.
    """

    kspace: torch.Tensor
    sampled: torch.Tensor
    target: torch.Tensor | None
    matrix: tuple[int, int]
    name: str
    slice_index: int
    maximum: float | None
    oversampling: float
    padding: tuple[int, int]
    calibration: torch.Tensor | None = None
    reachable: torch.Tensor | None = None

    @property
    def true_acceleration(self) -> float:
        """Samples the scanner could have acquired, padding left aside, over those it did; 1 for a full scan."""
        if self.reachable is not None:
            return int(self.reachable.sum()) / int(self.sampled.sum())
        if self.fully_sampled and self.sampled.ndim == 2 and is_ellipse(self.sampled):
            return 1.0
        reachable = self.sampled[..., self.padding[0] : self.padding[1]]
        return reachable.numel() / int(reachable.sum())

    @property
    def fully_sampled(self) -> bool:
        """Whether nothing but padding, the end of an asymmetric readout, or the corners beyond an ellipse are missing."""
        if self.sampled.ndim == 2 and self.reachable is None and is_ellipse(self.sampled):
            return True
        lines = self.sampled[..., self.padding[0] : self.padding[1]]
        return bool(lines.all() if lines.ndim == 1 else lines[lines.any(dim=1)].all())

    @classmethod
    def full(
        cls, kspace: torch.Tensor, target: torch.Tensor | None, matrix: tuple[int, int], name: str, index: int = 0
    ) -> "KSpaceSample":
        """A fully sampled slice, its readout oversampled as far as k-space exceeds the matrix."""
        ky, kx = kspace.shape[-2:]
        return cls(
            kspace=kspace,
            sampled=torch.ones(kx, dtype=torch.bool),
            target=target,
            matrix=matrix,
            name=name,
            slice_index=index,
            maximum=None,
            oversampling=ky / matrix[0],
            padding=(0, kx),
        )

    def __repr__(self) -> str:
        coils, ky, kx = self.kspace.shape
        return (
            f"KSpaceSample({self.name}, slice {self.slice_index}: (coil={coils}, ky={ky}, kx={kx}), "
            f"image {self.matrix[0]} x {self.matrix[1]}, acceleration {self.true_acceleration:.2f}, "
            f"{'no target' if self.target is None else 'target'})"
        )


class FastMRIFile:
    """A fastMRI file: its header and what is known of all slices; `file[i]` reads one slice, `len(file)` counts them.

    No handle is held between reads, so that a file may be pickled, and shared with forked workers.

    Parameters
    ----------
    path : path-like
        The file. The data set `kspace`, `(slice, coil, ky, kx)` or `(slice, ky, kx)`, is required; `ismrmrd_header`,
        `mask`, `reconstruction_rss` or `reconstruction_esc` and the attributes of fastMRI are used where they exist.
    allow_external : bool
        Whether these may lie in other files, by links or as virtual data sets.

    Raises
    ------
    InputError
        If the file cannot be read, is of another kind, or contradicts itself. What is wrong with one slice alone (NaN,
        infinite values, no signal, damage) is raised when that slice is read.
    ChangedError
        When a slice is read, if the file is no longer what it was.
    """

    prescription: Prescription | None = None  # the header has no directions
    noise_covariance: torch.Tensor | None = None  # the format has no scans of noise

    def __init__(self, path: str | os.PathLike[str], *, allow_external: bool = False) -> None:
        self.path = Path(path)
        self._source = HDF5Source(self.path, _WANTED, allow_external=allow_external)
        with self._source.open() as file:
            kspace = require_kspace(file)
            self.rank, self.dtype = len(kspace.shape), kspace.dtype
            slices, coils, *stored = kspace.shape if self.rank == 4 else (kspace.shape[0], 1, *kspace.shape[1:])
            self.stored: tuple[int, int] = (stored[0], stored[1])
            self.has_header = "ismrmrd_header" in file
            header = self._read_header(file) if self.has_header else None
            middle = middle_slice(file, slices) if is_partial(self.stored, header) else None
            self.placement, notes = placement_of(self.stored, header, middle)
            ky, kx = self.placement.shape
            self.shape: tuple[int, int, int, int] = (slices, coils, ky, kx)
            self.target_name = next((name for name in TARGETS[self.rank] if name in file), None)
            target = None if self.target_name is None else self._require_target(file)
            self.calibration_name = next((name for name in CALIBRATIONS if name in file), None)
            self.mask_shape = self._require_mask(file)
            self.maximum, self.norm = (_number(file.attribute(name)) for name in ("max", "norm"))
            acquisition, patient = file.attribute("acquisition"), file.attribute("patient_id")
            is_oversampled = False
            if header is None and target is None and ky > OVERSAMPLED_SHAPE * kx:
                is_oversampled = is_readout_oversampled(middle_slice(file, slices))
        geometry = scan_geometry((ky, kx), header, target, is_oversampled=is_oversampled)
        header = header or FastMRIHeader(encoded_matrix=(ky, kx, 1), recon_matrix=(*geometry.matrix, 1))
        self.header = replace(
            header,
            acquisition=_words(header.acquisition if acquisition is None else acquisition),
            patient_id=_words(header.patient_id if patient is None else patient),
        )
        self.matrix, self.oversampling, self.padding = geometry.matrix, geometry.oversampling, geometry.padding
        if kx != self.stored[1]:
            self.padding = self.placement.first[1], self.placement.first[1] + self.stored[1]
        self.notes = notes + geometry.notes
        self._require_sizes()

    def __repr__(self) -> str:
        slices, coils, ky, kx = self.shape
        return (
            f"FastMRIFile({self.path}: (slice={slices}, coil={coils}, ky={ky}, kx={kx}), "
            f"image {self.matrix[0]} x {self.matrix[1]}, {self.target_name or 'no target'})"
        )

    @property
    def has_mask(self) -> bool:
        """Whether the file states which samples were acquired."""
        return self.mask_shape is not None

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[KSpaceSample]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> KSpaceSample:
        index = self._require_index(index)
        kspace, mask, target = self._read(index)
        peak = require_sound(kspace, self._place(index))
        sampled = detect_sampling(peak)
        if mask is not None:
            sampled = lines_if_whole(mask & (sampled if sampled.ndim == mask.ndim else sampled.expand(peak.shape)))
            if not sampled.any():
                raise InputError(f"{self._place(index)}: k-space is zero wherever `mask` says it was sampled")
            if peak[~sampled.expand(peak.shape)].any():
                kspace = kspace * sampled
        if target is not None and not target.isfinite().all():
            raise InputError(f"{self._place(index)}: `{self.target_name}` holds NaN or infinite values; fetch it again")
        return KSpaceSample(
            kspace=kspace,
            sampled=sampled,
            target=target,
            matrix=self.matrix,
            name=self.path.name,
            slice_index=index,
            maximum=self.maximum,
            oversampling=self.oversampling,
            padding=settle_padding(sampled, self.padding),
        )

    def raw(self, index: int) -> torch.Tensor:
        """Read k-space of one slice, complex64 `(coil, ky, kx)`, as it is: no mask applied, nothing checked."""
        return self._read(self._require_index(index))[0]

    def _read(self, index: int) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        mask = target = None
        with self._source.open() as file:
            kspace = complex64(file.read("kspace", index, self._which(index)))
            if self.mask_shape is not None:
                per_slice = self.mask_shape[0] == -1
                values = file.read("mask", index if per_slice else None, self._which(index))
                mask = torch.from_numpy(values.reshape(self.mask_shape[per_slice:]) != 0)
            if self.target_name is not None:
                target = _float32(file.read(self.target_name, index, self._which(index)))
        if target is not None and target.shape != self.matrix:
            top, start = ((n - m) // 2 for n, m in zip(target.shape, self.matrix, strict=True))
            target = target[top : top + self.matrix[0], start : start + self.matrix[1]].contiguous()
        coils = torch.from_numpy(kspace.reshape(self.shape[1], *self.stored))
        return self.placement(coils), None if mask is None else self._placed_mask(mask), target

    def _placed_mask(self, mask: torch.Tensor) -> torch.Tensor:
        return self.placement(mask) if mask.ndim == 2 else self.placement(mask.expand(self.stored))[self.shape[2] // 2]

    def _require_index(self, index: int) -> int:
        index = operator.index(index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self.path} has {len(self)} slices, got index {index}")
        return index % len(self)

    def _place(self, index: int) -> str:
        return f"{self.path}: {self._which(index)}"

    def _which(self, index: int) -> str:
        return f"slice {index} (of {len(self)}, counted from 0)"

    def _require_sizes(self) -> None:
        """Refuse a header that makes far more of k-space, or of the image, than there is."""
        for what, asked in (("k-space of", self.placement.shape), ("images of", self.matrix)):
            if any(n > max(_MOST_PADDED * own, _USUAL) for n, own in zip(asked, self.stored, strict=True)):
                raise InputError(
                    f"{self.path}: `ismrmrd_header` asks for {what} {asked}, and `kspace` has {self.stored}; mend it, or remove it "
                    "to let the sizes be guessed"
                )
        n_bytes = 24 * self.shape[1] * math.prod(self.placement.shape)
        require_memory(n_bytes, f"{self.path}: one slice, {self.shape[1:]} as `ismrmrd_header` says,")

    def _require_target(self, file: HDF5Content) -> tuple[int, int]:
        assert self.target_name is not None
        slices, target = self.shape[0], file.dataset(self.target_name)
        assert target is not None
        shape, dtype = target.shape, target.dtype
        if len(shape) != 3 or shape[0] != slices or 0 in shape or dtype.kind not in "fiu":
            got = f"{shape} {shortened(str(dtype))}"
            raise InputError(
                f"{self.path}: `{self.target_name}` is {got}, a target is ({slices}, y, x) real; remove or mend it"
            )
        file.require_slices(self.target_name, target, 2, _BYTES)
        return shape[1], shape[2]

    def _require_mask(self, file: HDF5Content) -> tuple[int, ...] | None:
        """Return the shape to read a mask in: (kx,) or (ky, kx), after a -1 where each slice has its own; None without a mask."""
        if (mask := file.dataset("mask")) is None:
            return None
        slices, (ky, kx) = self.shape[0], self.stored

        def are(wanted: tuple[int, ...]) -> bool:
            return [n for n in mask.shape if n != 1] == [n for n in wanted if n != 1]

        if mask.dtype.kind in "bfiu":
            for wanted in ((kx,), (ky, kx)):
                if are(wanted):
                    return wanted
            for wanted in ((kx,), (ky, kx)):
                if are((slices, *wanted)) and mask.shape[0] == slices:
                    return (-1, *wanted)
        takes = f"({kx},), a value for each line, or ({ky}, {kx}), one for each sample"
        raise InputError(
            f"{self.path}: `mask` is {mask.shape} {shortened(str(mask.dtype))}, k-space takes {takes}; remove or mend it"
        )

    def _read_header(self, file: HDF5Content) -> FastMRIHeader:
        remedy = "mend it, or remove it to let the sizes be guessed"
        stored = file.dataset("ismrmrd_header")
        if stored is None or stored.size != 1 or not is_text(stored.dtype) or stored.dtype.itemsize > _LONGEST_HEADER:
            raise InputError(f"{self.path}: `ismrmrd_header` is no text; {remedy}")
        text = file.read("ismrmrd_header").reshape(-1)[0]
        try:
            return parse_header(text if isinstance(text, bytes) else str(text), self.stored)
        except ValueError as error:
            raise InputError(f"{self.path}: `ismrmrd_header` cannot be read: {error}; {remedy}") from error


def find_fastmri_files(inputs: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """Return the files among inputs, and the sorted `*.h5` and `*.hdf5` of folders, or of their subfolders if none.

    Raises
    ------
    InputError
        If an input does not exist, a folder holds no such file, or there is no input.
    """
    found: list[Path] = []
    for path in map(Path, inputs):
        try:
            path.stat()
        except OSError as error:
            raise InputError(f"{path}: {(error.strerror or 'cannot be read').lower()}; check its name") from None
        if not path.is_dir():
            found.append(path)
            continue
        inside = _hdf5_files(path.iterdir()) or _hdf5_files(path.rglob("*"))
        if not inside:
            raise InputError(f"{path}: holds no *.h5 or *.hdf5 file; name a file, or another folder")
        found.extend(inside)
    if not found:
        raise InputError("no input: name a file or a folder of *.h5 files")
    return list(dict.fromkeys(found))


def _hdf5_files(paths: Iterator[Path]) -> list[Path]:
    return sorted(p for p in paths if p.suffix in (".h5", ".hdf5") and not p.name.startswith(".") and p.is_file())


def _float32(values: NDArray[Any]) -> torch.Tensor:
    with np.errstate(over="ignore", invalid="ignore"):  # what does not fit becomes infinite, and is refused as such
        return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))


def _words(value: object) -> str:
    """An attribute as a short text for people."""
    return shortened(value[0] if isinstance(value, list) and len(value) == 1 else value, 200)


def _number(value: object) -> float | None:
    while isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _LARGEST:
        return None
    return float(value)
