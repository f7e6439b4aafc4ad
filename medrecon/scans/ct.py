"""CT: a file of sinograms as it is to be reconstructed."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor

from medrecon.config.ct import CTAcquisition
from medrecon.data.ct.attenuation import (
    MU_MAX,
    AttenuationUnit,
    image_in_unit,
)
from medrecon.data.ct.sinogram_files import Sinograms
from medrecon.data.ct.sinograms import SinogramSample
from medrecon.data.ct.words import geometry_words
from medrecon.data.sizes import require_image
from medrecon.errors import InputError
from medrecon.evaluation import LODOPAB_PROTOCOL, LoDoPaBScore, image_range
from medrecon.findings import Severity, SinogramFinding, require_accepted
from medrecon.geometry import Geometry, Grid, require_outside
from medrecon.held_out import HeldOut, hold_out
from medrecon.modality import Modality
from medrecon.operators import Radon
from medrecon.planes import ImagePlanes, assumed_planes
from medrecon.problem import add_dose_noise, ct_problem, subsample_views
from medrecon.progress import Progress
from medrecon.reconstructor import Reconstructor
from medrecon.reconstructors import Sirt
from medrecon.results import Display, SliceResult
from medrecon.scans.ct_checks import geometry_findings, sinogram_findings
from medrecon.scans.ct_display import display_in
from medrecon.scans.ct_extent import is_cut, measured_bins, problem_of, search_grid, warm_up_extrapolation
from medrecon.scans.ct_geometry_checks import FLIPPED, measured_offset, offset_words
from medrecon.scans.ct_repair import Readings, RepairedSinograms, Repairs
from medrecon.scans.learned_notes import ct_notes
from medrecon.scans.protocol import Posed, sound_slices
from medrecon.weights.learned import LearnedReconstructor

__all__ = ["SinogramScan", "warm_up"]

_TOGETHER = 8  # images, which projectors take faster than one after the other
_LARGEST = 2**24  # numbers in the sinograms of as many
_FEW = 32  # pixels along an axis
_MOST = 1e12  # more than any memory holds
_WATER = 0.02  # 1/mm


@dataclass(frozen=True, eq=False)
class SinogramScan:
    """A file of sinograms, thinned and of lower dose where that is asked for; see `medrecon.scans.protocol.Scan`.

    Images are written in 1/mm, those of LoDoPaB's files as LoDoPaB's, or in Hounsfield units where these are asked for. Each is
    scored against its target, where the file holds any, by LoDoPaB's protocol.

    Parameters
    ----------
    file, acquisition
        what is reconstructed, and how it is taken.
    grid
        of the images.
    indices, middle, notes
        of the sinograms that `checked` looked through: that in the middle, and what a user should know.
    offset, is_flipped
        what it mended: the detector's offset in place of the file's, mm, and whether its bins are reversed.
    is_sound
        whether it found no problem: what is none of these is taken as it is.
    repairs
        what was done to all of them.
    """

    file: Sinograms
    acquisition: CTAcquisition
    grid: Grid
    indices: range = range(0)
    middle: SinogramSample | None = None
    notes: tuple[str, ...] = ()
    offset: float | None = None
    is_flipped: bool = False
    is_sound: bool = True
    repairs: Repairs = field(default_factory=Repairs)

    modality = Modality.CT

    @classmethod
    def of(cls, file: Sinograms, acquisition: CTAcquisition) -> SinogramScan:
        """Settle the grid, and refuse what the file cannot give.

        Raises
        ------
        InputError
            If it has not so many views, the source would lie in the image, or the detector would not see the axis.
        """
        grid, n_views = file.scan.grid, file.scan.geometry.shape[0]
        if acquisition.size is not None or acquisition.pixel is not None:
            try:
                grid = _grid(grid, acquisition.size, acquisition.pixel)
                require_outside(file.scan.geometry, grid)
            except ValueError as error:
                raise InputError(f"{file.path}: {error} (--size, --pixel)") from error
            require_image(grid.shape, f"{file.path} with --size and --pixel")
        _require_axis(acquisition.offset, file.scan.geometry)
        if acquisition.views is not None and acquisition.views > n_views:
            raise InputError(f"{file.path}: has {n_views} views; --views takes 1 to {n_views}, got {acquisition.views}")
        if acquisition.seed is not None and acquisition.photons is None:
            raise InputError("--seed belongs to the noise that --photons adds; give both, or neither")
        return cls(RepairedSinograms(file) if acquisition.repair else file, acquisition, grid)

    @property
    def source(self) -> Path:
        return self.file.path

    @property
    def attenuation_unit(self) -> AttenuationUnit:
        """Of the images that are written."""
        return AttenuationUnit.HOUNSFIELD if self.acquisition.hu else self.file.unit

    @property
    def unit(self) -> str:
        return self.attenuation_unit.value

    @property
    def display(self) -> Display:
        return display_in(self.attenuation_unit)

    @property
    def pixel(self) -> tuple[float, float]:
        return self.grid.spacing

    @property
    def photons(self) -> float | None:
        return None if self.middle is None else self.middle.photons

    @property
    def sizes(self) -> tuple[tuple[int, int], tuple[int, int]]:
        views, bins = self.file.scan.geometry.shape
        return self.grid.shape, (self.acquisition.views or views, bins)

    @property
    def has_target(self) -> bool:
        return self.file.has_target and self.grid == self.file.scan.grid

    @property
    def identity(self) -> dict[str, str]:
        return {}

    def __len__(self) -> int:
        return len(self.file)

    def planes(self, indices: range) -> ImagePlanes:
        y, x = (
            float(places[0]) / step for places, step in zip(self.grid.coordinates(), self.grid.spacing, strict=True)
        )
        return assumed_planes(indices, len(self), first=(y, x), pixel=self.pixel, distance=None)

    def checked(self, indices: range, progress: Progress) -> SinogramScan:
        repairs = Repairs()
        for place, read in enumerate(sound_slices(Readings(self.file), indices)):
            repairs = repairs.joined(read)
            progress(f"{self.source.name}: read", place + 1, len(indices))
        return replace(self, repairs=repairs)._mended(indices)._looked_through(indices)

    def _mended(self, indices: range) -> SinogramScan:
        """Take the offset that is asked for."""
        asked, stated = self.acquisition.offset, self.file.scan.geometry
        if asked != "auto":
            return self if asked is None else replace(self, offset=asked)
        offset = measured_offset(self.file[_middle(indices)])
        note = f"mended: {offset_words(offset, stated)}, which is taken"
        return replace(self, offset=offset, notes=(note,))

    def _looked_through(self, indices: range) -> SinogramScan:
        read = self.file[_middle(indices)]
        sample = self._as_mended(read)
        of_values = sinogram_findings(sample, repaired=self.acquisition.repair)
        findings = (*geometry_findings(self._taken(sample).geometry), *of_values)
        named = (
            one for one in findings if one.name not in (SinogramFinding.TRUNCATED, SinogramFinding.FEW_VIEWS)
        )  # of which `problem_of` tells what is done
        told = require_accepted(named, self.acquisition.accept, str(self.source))
        is_flipped = any(finding.name == FLIPPED for finding in findings)
        is_sound = all(finding.severity is not Severity.PROBLEM for finding in findings)
        mended = replace(self, indices=indices, is_flipped=is_flipped, is_sound=is_sound)
        middle = mended._prepared(read)
        return replace(
            mended,
            middle=middle,
            notes=(*self.file.notes, *self.notes, *filter(None, [self.repairs.words]), *told, *self._notes(middle)),
        )

    def problems(self, reconstruct: Reconstructor, device: torch.device) -> Iterator[Posed]:
        assert self.middle is not None
        warm_up(reconstruct, Radon(self.middle.grid, self.middle.geometry), device)
        if self.is_sound and is_cut(self.middle):
            warm_up_extrapolation(self.middle)
        return (self._posed(samples, cut, reconstruct, device) for samples, cut in self._together(reconstruct))

    def held_out(self, methods: Sequence[Reconstructor], device: torch.device) -> list[HeldOut | None]:
        """The measured bins of views, predicted by an image that holds the object: what is continued is no measurement.

        Classical methods find such an image, filtered backprojection, too. That of a network lies in its middle.
        """
        sample = self.middle
        assert sample is not None
        split = hold_out(sample.sinogram[None], Radon(sample.grid, sample.geometry))
        if split is None:
            return [None] * len(methods)
        kept = replace(sample, sinogram=split.y[0], geometry=cast(Radon, split.A).geometry)
        cut = self.is_sound and is_cut(sample)
        whole = self._posed([kept], cut, Sirt(), device).problem
        held_A = Radon(cast(Radon, whole.A).grid, cast(Radon, split.held_A).geometry)
        found: list[HeldOut | None] = []
        for method in methods:
            is_learned = isinstance(method, LearnedReconstructor)
            problem = self._posed([kept], cut, method, device).problem if is_learned else whole
            found.append(HeldOut(problem.y, problem.A, split.held_y.to(device), held_A))
        return found

    def _together(self, reconstruct: Reconstructor) -> Iterator[tuple[list[SinogramSample], bool]]:
        """The samples in batches of one grid, and whether the detector cuts them off: such come alone."""
        assert self.middle is not None
        most = max(1, min(_TOGETHER, _LARGEST // self.middle.sinogram.numel()))
        batch: list[SinogramSample] = []
        grid = self.grid
        for index in self.indices:
            sample = self._read(index)
            cut = self.is_sound and is_cut(sample)
            taken = search_grid(sample, reconstruct) if self.is_sound and not cut else sample.grid
            if batch and (cut or taken != grid or len(batch) == most):
                yield batch, False
                batch = []
            grid = taken
            if cut:
                yield [sample], True
            else:
                batch.append(sample)
        if batch:
            yield batch, False

    def _posed(
        self, samples: Sequence[SinogramSample], cut: bool, reconstruct: Reconstructor, device: torch.device
    ) -> Posed:
        geometry, photons = geometry_words(samples[0].geometry), samples[0].photons
        views, measured = samples[0].geometry.shape[0], self.file.scan.geometry.shape[0]
        thinned = "" if views == measured else f"; {views} views of {measured}"
        dose = "" if photons is None else f"{photons:.0f} photons per ray"
        start = time.perf_counter()
        problem = (
            problem_of(samples, reconstruct, device, cut=cut) if self.is_sound else ct_problem(samples, device=device)
        )
        seconds = time.perf_counter() - start
        return Posed(
            indices=range(samples[0].index, samples[-1].index + 1),
            problem=problem,
            samples=samples,
            targets=[sample.target for sample in samples],
            sentence=f"{geometry}{thinned}{dose and '; '}{dose}",
            sampling=f"{views} views{dose and ', '}{dose}",
            facts={
                "geometry": geometry,
                "views": views,
                "measured_views": measured,
                "photons": photons,
                "added_photons": self.acquisition.photons,
                "seed": None if self.acquisition.photons is None else self._seed,
                "repaired_bins": self.repairs.n_bins,
            },
            seconds=seconds,
        )

    def images(self, posed: Posed, x: Tensor) -> Tensor:
        images = posed.problem.display_image(x).to(torch.float32).cpu()
        if not bool(images.isfinite().all()):
            raise ArithmeticError("the image is not finite")
        return images

    def results(self, posed: Posed, x: Tensor, images: Tensor, *, residuals: bool) -> Iterator[SliceResult]:
        problem = posed.problem
        maps: Sequence[Tensor | None] = [None] * len(images)
        if residuals:
            A = cast(Radon, problem.A)
            measured = measured_bins(posed.samples[0], A)
            whole = images.to(problem.y.device) if A.domain.shape == problem.shape else x
            maps = (problem.y - A(whole))[..., measured].abs().cpu().unbind()
        for index, image, sample, residual in zip(posed.indices, images, posed.samples, maps, strict=True):
            spread = 0.0 if sample.target is None else image_range(sample.target)
            yield SliceResult(
                index=index,
                image=image,
                target=sample.target,
                measured=sample.sinogram,
                sampling=posed.sampling,
                residual=residual,
                data_range=spread or None,
                protocol=LODOPAB_PROTOCOL,
            )

    def written(self, image: Tensor) -> Tensor:
        return image_in_unit(image, self.attenuation_unit)

    def links(self) -> tuple[str, ...]:
        return ("data",) if self.attenuation_unit is AttenuationUnit.LODOPAB else ()

    def score(self) -> LoDoPaBScore:
        return LoDoPaBScore(full_range=MU_MAX if self.attenuation_unit is AttenuationUnit.LODOPAB else None)

    def unlike_training(self, reconstruct: LearnedReconstructor, posed: Posed) -> Iterator[str]:
        del posed
        assert self.middle is not None
        return ct_notes(reconstruct, self.middle)

    @property
    def _seed(self) -> str | int:
        return self.source.name if self.acquisition.seed is None else self.acquisition.seed

    def _read(self, index: int) -> SinogramSample:
        return self._prepared(self.file[index])

    def _prepared(self, read: SinogramSample) -> SinogramSample:
        sample, taken = self._as_mended(read), self.acquisition
        if sample.grid != self.grid:
            sample = replace(sample, grid=self.grid, target=None)
        if taken.photons is not None:
            sample = add_dose_noise(sample, taken.photons, _generator(self._seed, read.index))
        return self._taken(sample)

    def _as_mended(self, sample: SinogramSample) -> SinogramSample:
        if self.offset is not None:
            sample = replace(sample, geometry=replace(sample.geometry, offset=self.offset))
        return replace(sample, sinogram=sample.sinogram.flip(-1)) if self.is_flipped else sample

    def _taken(self, sample: SinogramSample) -> SinogramSample:
        views = self.acquisition.views
        return sample if views is None else subsample_views(sample, views)

    def _notes(self, sample: SinogramSample) -> Iterator[str]:
        own, added = self.file.scan.photons, self.acquisition.photons
        if added is not None and own is not None:
            yield (
                f"the file holds the noise of {own:.0f} photons per ray already; with that of {added:.0f} on top it is as of "
                f"{sample.photons:.0f}"
            )
        if self.file.has_target and self.grid != self.file.scan.grid:
            yield "the target of the file lies on another grid than --size and --pixel make: nothing is scored"


def _require_axis(offset: float | Literal["auto"] | None, geometry: Geometry) -> None:
    """Refuse an offset that is asked for and puts the whole detector on one side of the axis of rotation."""
    half = geometry.n_bins * geometry.spacing / 2
    if isinstance(offset, float) and abs(offset) > half:
        raise InputError(
            f"--offset takes at most {half:g} mm either way, half of the detector, which would not see the axis of rotation else; "
            f"got {offset:g}"
        )


def warm_up(reconstruct: Reconstructor, A: Radon, device: torch.device) -> None:
    """Reconstruct a few pixels by the rays of `A`, once for a method and scan: all loops that it takes are compiled thereafter.

    What is timed after it is the method alone, also of the first in a process. What goes wrong here is left for the image itself
    to tell.
    """
    method: Any = reconstruct  # a key
    _warm_up(method, Grid([min(_FEW, n) for n in A.grid.shape], A.grid.spacing, A.grid.center), A.geometry, device)


@lru_cache(maxsize=16)
def _warm_up(reconstruct: Reconstructor, grid: Grid, geometry: Geometry, device: torch.device) -> None:
    few = Radon(grid, geometry)
    with torch.no_grad(), suppress(Exception):
        y = few(torch.full((1, *grid.shape), _WATER, device=device))
        float(few.H(y).sum())
        float(reconstruct(y, few).sum())  # waits for the device


def _grid(own: Grid, size: tuple[int, int] | None, pixel: float | None) -> Grid:
    """The grid of the size, of pixels of the width, or, where one of them is open, over what the file's own covers."""
    if size is None:
        assert pixel is not None
        return Grid([max(1, round(min(side / pixel, _MOST))) for side in own.extent], pixel, own.center)
    width = max(side / n for side, n in zip(own.extent, size, strict=True)) if pixel is None else pixel
    return Grid(size, width, own.center)


def _middle(indices: range) -> int:
    return indices[len(indices) // 2]


def _generator(seed: str | int, index: int) -> torch.Generator:
    """Randomness of one sinogram, whichever others are reconstructed with it."""
    digest = hashlib.sha256(f"{seed}/{index}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
