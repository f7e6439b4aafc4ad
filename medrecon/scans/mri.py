"""MRI: a file of k-space as it is to be reconstructed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from medrecon.config.mri import MRIAcquisition, PartialFourierName
from medrecon.data.mri.fastmri import KSpaceSample
from medrecon.data.mri.kspace_files import KSpaceFile
from medrecon.data.mri.masks import SamplingMask
from medrecon.errors import InputError
from medrecon.evaluation import LEAST_SCORED, PROTOCOL, VolumeScore
from medrecon.findings import require_accepted
from medrecon.held_out import HeldOut, hold_out
from medrecon.modality import Modality
from medrecon.planes import ImagePlanes, assumed_planes
from medrecon.problem import (
    Problem,
    coil_problem,
    remove_oversampling,
    undersample,
)
from medrecon.progress import Progress
from medrecon.reconstructor import Reconstructor
from medrecon.reconstructors import Grappa, RootSumOfSquares
from medrecon.results import Display, SliceResult
from medrecon.scans.learned_notes import mri_notes
from medrecon.scans.masks import build_mask, mask_facts
from medrecon.scans.mri_checks import NOTHING, MendedFile, Mending, check_scan
from medrecon.scans.mri_coils import coil_facts, coil_notes, require_coils, virtual_coils
from medrecon.scans.mri_energy import energy_of
from medrecon.scans.mri_grid import ImageGrid, image_grid
from medrecon.scans.mri_layout_checks import partition_findings
from medrecon.scans.mri_partial_fourier import completed, completed_note
from medrecon.scans.mri_posing import pose, scaled, takes_coil_images
from medrecon.scans.protocol import Posed, sound_slices
from medrecon.weights.learned import LearnedReconstructor

__all__ = ["DISPLAY", "KSpaceScan"]

_NO_FIELD = "the raw data state directions and no field of view: pixels 1 mm apart are taken"

#: How images of MRI are shown.
DISPLAY = Display(
    unit="intensity as stored",
    measured="sampling (ky down, kx right)",
    measured_unit="",
    residual="|A*(y - A x)|, intensity as stored",
    values=lambda images: images,
    is_magnitude=True,
)


@dataclass(frozen=True, eq=False)
class KSpaceScan:
    """A file of k-space, undersampled in retrospect where that is asked for; see `medrecon.scans.protocol.Scan`.

    With a mask the scan must be fully sampled: its full reconstruction is then the target, else what the file holds.

    Parameters
    ----------
    file, acquisition
        what is reconstructed, and how it is taken.
    grid
        of the images.
    indices, mask, peak, notes, mending, noise_covariance
        of the slices that `checked` looked through: the mask that was drawn, the maximum of their target (None where nothing can be
        scored), what a user should know, what is done to each before all else, and the noise by which coils are weighted, if any.
    """

    file: KSpaceFile
    acquisition: MRIAcquisition
    grid: ImageGrid
    indices: range = range(0)
    mask: SamplingMask | None = None
    peak: float | None = None
    notes: tuple[str, ...] = ()
    mending: Mending = NOTHING
    noise_covariance: Tensor | None = None

    modality = Modality.MRI
    display = DISPLAY
    unit = DISPLAY.unit
    photons = None

    @classmethod
    def of(cls, file: KSpaceFile, acquisition: MRIAcquisition) -> KSpaceScan:
        """Settle the grid of the images.

        Raises
        ------
        InputError
            If the file does not cover what is asked.
        """
        require_coils(file, acquisition)
        return cls(file, acquisition, image_grid(file, acquisition))

    @property
    def source(self) -> Path:
        return self.file.path

    @property
    def pixel(self) -> tuple[float, float] | None:
        return self.grid.pixel

    @property
    def sizes(self) -> tuple[tuple[int, int], tuple[int, int]]:
        return self.grid.shape, self.grid.shape

    @property
    def has_target(self) -> bool:
        return self.acquisition.mask is not None or self._takes_target

    @property
    def identity(self) -> dict[str, str]:
        return {"PatientID": self.file.header.patient_id} if self.file.header.patient_id else {}

    def __len__(self) -> int:
        return len(self.file)

    def planes(self, indices: range) -> ImagePlanes:
        stated = self.file.prescription
        if stated is None:
            return self._assumed_planes(indices)
        try:
            planes = stated.planes(indices, shape=self.grid.shape, pixel=self.pixel or (1.0, 1.0))
        except ValueError as error:
            told = f"the raw data state where slices lie by numbers that cannot be, and they are left out: {error}"
            assumed = self._assumed_planes(indices)
            return replace(assumed, notes=(told, *assumed.notes))
        return planes if self.pixel is not None else replace(planes, notes=(*planes.notes, _NO_FIELD))

    def _assumed_planes(self, indices: range) -> ImagePlanes:
        header, shape = self.file.header, self.grid.shape
        slab = header.recon_fov[2] if header.recon_fov else 0.0
        return assumed_planes(
            indices,
            len(self),
            first=(-(shape[0] // 2), -(shape[1] // 2)),
            pixel=self.pixel,
            distance=slab / max(1, header.recon_matrix[2]) if slab > 0 else None,
        )

    def checked(self, indices: range, progress: Progress) -> KSpaceScan:
        found = check_scan(self.file, indices, self.acquisition.accept)
        told = require_accepted(found.findings, self.acquisition.accept, str(self.source))
        is_whole = len(indices) == len(self)
        mask, peak, varies, last, energies = None, None, False, None, []
        for place, sample in enumerate(sound_slices(MendedFile(self.file, found), indices)):
            if is_whole:
                energies.append(energy_of(sample))
            sample = self._taken(sample)
            target = sample.target if self._takes_target else None
            if self.acquisition.mask is not None:
                _require_full(sample, self.file)
                sample = remove_oversampling(sample)
                target = self._full_image(sample)
                ky, kx = sample.kspace.shape[-2:]
                mask = mask or build_mask(self.acquisition.mask, (ky, kx), self.source.name)
            if target is not None:
                peak = max(peak or 0.0, float(target.max()))
            pattern = sample.sampled.numpy().tobytes()
            varies, last = varies or last not in (None, pattern), pattern
            progress(f"{self.source.name}: read", place + 1, len(indices))
        if is_whole:
            slab = partition_findings(energies, self.file)
            told += require_accepted(slab, self.acquisition.accept, str(self.source))
        if varies:
            told.append("the sampling differs between slices; that of the middle one is told")
        fault = self._not_scored(peak)
        return replace(
            self,
            indices=indices,
            mask=mask,
            peak=None if fault else peak,
            notes=(*self.file.notes, *self.grid.notes, *told, *fault),
            mending=found.mending,
            noise_covariance=found.noise_covariance
            if self.file.noise_covariance is None
            else self.file.noise_covariance,
        )

    def _not_scored(self, peak: float | None) -> tuple[str, ...]:
        """Why nothing is scored, where there is a target."""
        if peak == 0:
            return ("the target is zero everywhere: nothing is scored",)
        if peak is not None and min(self.grid.shape) < LEAST_SCORED:
            return (f"the image has less than {LEAST_SCORED} pixels a side: nothing is scored",)
        if self.file.target_name is not None and not self.has_target:
            return (
                "the target of the file lies on another grid than --size and --field-of-view make: nothing is scored",
            )
        return ()

    def problems(self, reconstruct: Reconstructor, device: torch.device) -> Iterator[Posed]:
        return (self._posed(index, reconstruct, device) for index in self.indices)

    def held_out(self, methods: Sequence[Reconstructor], device: torch.device) -> list[HeldOut | None]:
        """Lines, or points, of k-space: methods that take coil maps share one problem, a network's if there is one among them."""
        zeros = {"partial_fourier": PartialFourierName.ZERO}
        as_acquired = replace(self, acquisition=self.acquisition.model_copy(update=zeros))
        index = self.indices[len(self.indices) // 2]
        with_maps = [method for method in methods if not takes_coil_images(method)]
        shared = sorted(with_maps, key=lambda method: not isinstance(method, LearnedReconstructor))[:1]
        posed: dict[int, HeldOut | None] = {}
        for method in (*shared, *filter(takes_coil_images, methods)):
            problem = as_acquired._posed(index, method, device).problem
            posed[id(method)] = hold_out(problem.y, problem.A)
        return [posed[id(method if takes_coil_images(method) else shared[0])] for method in methods]

    def _posed(self, index: int, reconstruct: Reconstructor, device: torch.device) -> Posed:
        sample, target = self._read(index, reconstruct)
        start = time.perf_counter()
        less, scale = scaled(sample)
        how = self.acquisition.partial_fourier
        problem = self._pose(completed(less, how), reconstruct, device)
        problem = replace(problem, notes=(*completed_note(less, how), *problem.notes))
        is_of_coils = isinstance(reconstruct, RootSumOfSquares | Grappa)
        problem = self.grid.shown_coils(problem) if is_of_coils else self.grid.shown(problem)
        problem = replace(problem, target=None if target is None else target / scale)
        seconds = time.perf_counter() - start
        asked = self.acquisition.mask
        words = sampling_words(sample, "as acquired" if self.mask is None else self.mask.kind)
        return Posed(
            indices=range(index, index + 1),
            problem=problem,
            samples=(sample,),
            targets=(target,),
            sentence=f"sampling {words}",
            sampling=f"{sample.true_acceleration:.2f}x",
            facts={
                "sampling": words,
                "mask": None if asked is None else mask_facts(asked, self.source.name),
                "true_acceleration": sample.true_acceleration,
                "coil_maps": problem.maps_origin,
                **coil_facts(problem),
            },
            scale=scale,
            seconds=seconds,
        )

    def images(self, posed: Posed, x: Tensor) -> Tensor:
        images = posed.problem.display_image(x).to(torch.float32).cpu()[None] * posed.scale
        if not bool(images.isfinite().all()):
            raise ValueError("the image is too bright for float32; scale k-space down")
        return images

    def results(self, posed: Posed, x: Tensor, images: Tensor, *, residuals: bool) -> Iterator[SliceResult]:
        yield SliceResult(
            index=posed.indices[0],
            image=images[0],
            target=posed.targets[0],
            measured=posed.samples[0].sampled,
            sampling=posed.sampling,
            residual=_residual(posed, x) if residuals else None,
            data_range=self.peak,
            protocol=f"{PROTOCOL}, slice",
        )

    def written(self, image: Tensor) -> Tensor:
        return image

    def links(self) -> tuple[str, ...]:
        return ()

    def score(self) -> VolumeScore | None:
        return None if self.peak is None else VolumeScore(self.peak)

    def unlike_training(self, reconstruct: LearnedReconstructor, posed: Posed) -> Iterator[str]:
        return mri_notes(reconstruct, posed.samples[0].true_acceleration)

    def _pose(self, sample: KSpaceSample, reconstruct: Reconstructor, device: torch.device) -> Problem:
        try:
            problem = pose(
                sample, reconstruct, device, self.noise_covariance, virtual_coils(self.acquisition, reconstruct)
            )
            return replace(problem, notes=(*coil_notes(problem, self.acquisition, reconstruct), *problem.notes))
        except InputError as error:
            name, n = self.file.calibration_name, len(self.file)
            beside = "" if name is None else f"; the file holds `{name}`, which does not fit"
            frames = ", or, if slices are frames of a series, --axes frame,coil,y,x" if n > 1 else ""
            raise InputError(f"{error}{beside}; give the file of a calibration by --calibration{frames}") from error

    @property
    def _takes_target(self) -> bool:
        """Whether the file holds a target that lies on the grid of the images."""
        return self.file.target_name is not None and self.grid.is_of(self.file.matrix)

    def _taken(self, sample: KSpaceSample) -> KSpaceSample:
        return replace(sample, matrix=self.grid.matrix)

    def _full_image(self, sample: KSpaceSample) -> Tensor:
        """The root-sum-of-squares image of all that was measured, on the grid of the images."""
        less, scale = scaled(sample)
        problem = self.grid.shown_coils(coil_problem(less))
        return problem.display_image(RootSumOfSquares()(problem.y, problem.A)) * scale

    def _read(self, index: int, reconstruct: Reconstructor) -> tuple[KSpaceSample, Tensor | None]:
        """A slice and its target; its oversampled readout is kept for weights that were trained so, but for masks of points."""
        whole = self._taken(self.mending(self.file[index]))
        sample = remove_oversampling(whole)
        target = sample.target
        if self.mask is not None:
            target = self._full_image(sample) if self.peak is not None else None
            sample = undersample(sample, self.mask)
        oversampled = isinstance(reconstruct, LearnedReconstructor) and reconstruct.weights.inference.keep_oversampling
        if oversampled and sample.sampled.ndim == 1:
            sample = whole if self.mask is None else undersample(whole, self.mask)
        return sample, None if self.peak is None else target


def sampling_words(sample: KSpaceSample, kind: str) -> str:
    """Say which samples were acquired, or kept by a mask of this kind."""
    if sample.fully_sampled:
        return f"{kind}: fully sampled"
    left, right = sample.padding
    reachable = sample.sampled[..., left:right]
    unit = "lines" if reachable.ndim == 1 else "samples"
    total = reachable.numel() if sample.reachable is None else int(sample.reachable.sum())
    count = f"{int(reachable.sum())} of {total} {unit}"
    return f"{kind}: {count}, true acceleration {sample.true_acceleration:.2f}"


def _residual(posed: Posed, x: Tensor) -> Tensor | None:
    """`|A.H(y - A x)|`, `(y, x)`, as far as `x` is the complex image of the problem, and not made of one."""
    problem, A = posed.problem, posed.problem.A
    if not x.is_complex() or tuple(x.shape) != A.domain.shape or "coil" in A.domain.axes:
        return None
    return problem.display_image(A.H(problem.y - A(x))).to(torch.float32).cpu() * posed.scale


def _require_full(sample: KSpaceSample, file: KSpaceFile) -> None:
    if not sample.fully_sampled:
        raise InputError(
            f"{file.path}: slice {sample.slice_index} is undersampled already ({sample.true_acceleration:.2f} times), and --mask "
            "takes fully sampled scans; leave --mask out to reconstruct the data as they are"
        )
