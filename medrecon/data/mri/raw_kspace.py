"""Raw acquisitions of a scanner as k-space, slice by slice: what all formats of raw files have in common."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from medrecon.data.foreign import require_few_slices
from medrecon.data.mri.acquisitions import VECTORS, Acquisitions, Flag
from medrecon.data.mri.epi_correction import GhostCorrection
from medrecon.data.mri.fastmri import KSpaceSample
from medrecon.data.mri.raw_assembly import Slab, assemble, partitions_transformed, read_lines
from medrecon.data.mri.raw_lines import lines_on
from medrecon.data.mri.raw_noise import noise_of
from medrecon.data.mri.raw_plan import RawPlan
from medrecon.data.mri.sampling_pattern import lines_if_whole, settle_padding
from medrecon.data.mri.scan_geometry import scan_geometry
from medrecon.data.mri.sound_kspace import require_sound
from medrecon.planes import Prescription, SlicePose
from medrecon.words import counted

__all__ = ["RawKSpaceFile"]


class RawKSpaceFile:
    """K-space of raw acquisitions; see `medrecon.data.mri.kspace_files.KSpaceFile`.

    Heads are kept; samples are read for each slice, and for all partitions of a slab at once, which is kept until another is read.

    Parameters
    ----------
    acquisitions
        of one measurement.
    select
        what is reconstructed of several: numbers of encoding, contrast, phase, repetition and set; else the first.

    Raises
    ------
    InputError
        If there are no lines of an image, or they are no lines of a grid, or contradict each other or the header.
    """

    dtype: np.dtype[np.generic] = np.dtype(np.complex64)
    has_header, has_mask = True, False
    calibration_name = target_name = None

    def __init__(self, acquisitions: Acquisitions, select: Mapping[str, int] | None = None) -> None:
        self.path: Path = acquisitions.path
        self.acquisitions = acquisitions
        self._plan = plan = RawPlan.of(acquisitions, select or {})
        nz, ky, kx = plan.grid.shape
        self.shape: tuple[int, int, int, int] = (len(plan.slices) * plan.kept, plan.n_coils, ky, kx)
        require_few_slices(f"{self.path}: has {self.shape[0]} slices", self.shape[0])
        header = acquisitions.header.slice_header(plan.taken["encoding"], (ky, kx, nz))
        if header.encoded_fov is not None:
            readout, *others = header.encoded_fov
            header = replace(header, encoded_fov=(readout * plan.grid.field_scale, others[0], others[1]))
        self.header = header
        geometry = scan_geometry((ky, kx), header, None)
        self.matrix, self.oversampling, self.padding = geometry.matrix, geometry.oversampling, geometry.padding
        self.noise_covariance, told = noise_of(acquisitions, plan.kinds.noise, acquisitions.heads[plan.image])
        self.notes = (*acquisitions.notes, *plan.notes, *geometry.notes, *told)
        self._slab: tuple[int, Slab, Slab | None] | None = None

    def __repr__(self) -> str:
        slices, coils, ky, kx = self.shape
        return (
            f"RawKSpaceFile({self.path}: (slice={slices}, coil={coils}, ky={ky}, kx={kx}), "
            f"image {self.matrix[0]} x {self.matrix[1]}, {counted(len(self._plan.image), 'line')})"
        )

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[KSpaceSample]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> KSpaceSample:
        index = operator.index(index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self.path} has {len(self)} slices, got index {index}")
        index %= len(self)
        kspace, acquired, calibration = self._plane(index)
        place = f"{self.path}: slice {index} (of {len(self)}, counted from 0)"
        require_sound(kspace, place)
        if calibration is not None:
            require_sound(calibration, f"{place}, its calibration")
        sampled = lines_if_whole(acquired)
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
            calibration=calibration,
        )

    @cached_property
    def prescription(self) -> Prescription | None:
        """Where the slices lie; of a slab, whose center is told, each at its distance along the direction of slices."""
        poses = tuple(self._pose(index) for index in range(len(self)))
        if not all(any(pose.read) and any(pose.phase) and any(pose.normal) for pose in poses):
            return None
        fov, header = self.header.encoded_fov, self.acquisitions.header
        partitions = self._plan.grid.shape[0]
        thickness = None if fov is None or not fov[2] > 0 else fov[2] / partitions
        return Prescription(poses, thickness, header.vendor, header.patient_position)

    def _pose(self, index: int) -> SlicePose:
        plan, heads = self._plan, self.acquisitions.heads
        slab, plane = divmod(index, plan.kept)
        head = heads[plan.image[heads["slice"][plan.image] == plan.slices[slab]][0]]
        center, read, phase, normal = (np.nan_to_num(head[name].astype(float)) for name in VECTORS)
        fov = self.header.encoded_fov
        if plan.grid.shape[0] > 1 and fov is not None:
            step = (-1 if self.acquisitions.header.is_mirrored else 1) * fov[2] / plan.grid.shape[0]
            center = center + (plane - plan.kept // 2) * step * normal
        return SlicePose(_triple(center), _triple(read), _triple(phase), _triple(normal))

    def _plane(self, index: int) -> tuple[Tensor, Tensor, Tensor | None]:
        """K-space `(coil, ky, kx)` of a slice, which of it was acquired, `(ky, kx)`, and that of its calibration."""
        slab, plane = divmod(index, self._plan.kept)
        if self._slab is None or self._slab[0] != slab:
            self._slab = None  # before the next is read
            self._slab = (slab, *self._read(self._plan.slices[slab]))
        _, image, calibration = self._slab
        if self._plan.kept == 1:
            self._slab = None
        return *image.plane(plane), None if calibration is None else calibration.plane(plane)[0]

    def _read(self, number: int) -> tuple[Slab, Slab | None]:
        """All partitions of the slab, or slice, of this number, and of its calibration."""
        plan, heads = self._plan, self.acquisitions.heads
        image = self._assembled(plan.of_slice(heads, plan.image, number))
        calibration = plan.of_slice(heads, plan.calibration, number)
        return image, self._assembled(calibration) if len(calibration) else None

    def _assembled(self, places: NDArray[np.intp]) -> Slab:
        plan, heads = self._plan, self.acquisitions.heads
        lines = lines_on(plan.grid, heads, places, self.path, self._centers(places))
        correction = self._correction(places) if lines.reverse.any() else None
        made = assemble(self.acquisitions, lines, plan.grid, plan.n_coils, correction)
        return made if plan.grid.shape[0] == 1 else partitions_transformed(made, plan.kept)

    def _centers(self, places: NDArray[np.intp]) -> tuple[int, int] | None:
        """The counters of the center of k-space for lines of another encoding than that of the image."""
        number = int(self.acquisitions.heads["encoding_space_ref"][places[0]])
        if number == self._plan.taken["encoding"]:
            return None
        other = self.acquisitions.header.encodings[number]
        limits = zip((other.line_limits, other.partition_limits), other.encoded_matrix[1:], strict=True)
        line, partition = (n // 2 if limit is None else limit.center for limit, n in limits)
        return line, partition

    def _correction(self, places: NDArray[np.intp]) -> GhostCorrection | None:
        """That of the reference lines of the same slice, and of the same kind: of the image, or of a calibration."""
        plan, heads = self._plan, self.acquisitions.heads
        candidates = plan.of_slice(heads, plan.kinds.correction, int(heads["slice"][places[0]]))
        alike = Flag.CALIBRATION.of(heads[candidates]) == bool(Flag.CALIBRATION.of(heads[places[:1]])[0])
        candidates = candidates[alike] if alike.any() else candidates
        if len(candidates) == 0 or (heads["active_channels"][candidates] != plan.n_coils).any():
            return None
        references = lines_on(plan.grid, heads, candidates, self.path)
        read = read_lines(self.acquisitions, references, plan.n_coils, plan.grid.shape[1])
        return GhostCorrection.of(read, references.reverse)


def _triple(vector: NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = vector.tolist()
    return x, y, z
