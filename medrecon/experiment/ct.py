"""CT: from settings to objects, and from files of sinograms to files of images."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from medrecon.config import (
    CglsSettings,
    CTMethodSettings,
    CTReconstructionSettings,
    CTTotalVariationSettings,
    FbpSettings,
    LearnedSettings,
    PoissonTotalVariationSettings,
    SirtSettings,
)
from medrecon.coverage import coverage, truncation
from medrecon.data.attenuation import MU_MAX, AttenuationUnit, image_in_unit
from medrecon.data.download import Progress, silent
from medrecon.data.modality import open_sinograms
from medrecon.data.sinogram_files import Sinograms
from medrecon.data.sinogram_inspection import geometry_words, truncation_words
from medrecon.data.sinograms import SinogramSample
from medrecon.data.writing import write_reconstruction
from medrecon.errors import InputError
from medrecon.evaluation import MeanScore, image_range
from medrecon.experiment.device import require_device
from medrecon.experiment.learned import LearnedReconstructor, ct_remarks, ct_weights, load_reconstructor
from medrecon.geometry import Grid, require_outside
from medrecon.problem import ct_problem, keep_views, lower_dose
from medrecon.reconstructors import Reconstructor
from medrecon.reconstructors.cgls import Cgls
from medrecon.reconstructors.filtered_backprojection import FilteredBackprojection
from medrecon.reconstructors.nonnegative_tv import NonnegativeTotalVariation
from medrecon.reconstructors.poisson_tv import PoissonTotalVariation
from medrecon.reconstructors.sirt import Sirt
from medrecon.report.ct_summary import CTMetrics, CTReconstruction, CTReport, CTSliceResult
from medrecon.scan import sound_slices

__all__ = ["build_ct_reconstructor", "reconstruct_sinograms"]

_TOGETHER = 8  # images, which projectors take faster than one after the other
_LARGEST = 2**24  # numbers in the sinograms of as many
_LEAST_SCORED = 7  # pixels along an axis: SSIM's window


def build_ct_reconstructor(
    settings: CTMethodSettings, photons: float | None = None, device: torch.device | str = "cpu"
) -> Reconstructor:
    """Make the reconstructor; fields that were not chosen keep its defaults.

    Parameters
    ----------
    settings
        the method.
    photons
        per ray before the object, where they are known, for methods that count them.
    device
        where a network is to lie.

    Raises
    ------
    InputError
        If the method takes trained weights that are not there, or do not fit.
    """
    match settings:
        case FbpSettings():
            return replace(FilteredBackprojection(), **settings.chosen())
        case SirtSettings():
            return replace(Sirt(), **settings.chosen())
        case CglsSettings():
            return replace(Cgls(), **settings.chosen())
        case CTTotalVariationSettings():
            return replace(NonnegativeTotalVariation(), **settings.chosen())
        case PoissonTotalVariationSettings():
            return replace(PoissonTotalVariation(photons=photons), **settings.chosen())
        case LearnedSettings():
            return load_reconstructor(ct_weights(settings), device)


@dataclass(frozen=True, eq=False)
class _Work:
    """A file and how it is to be reconstructed: `read` gives a sample, thinned and of lower dose as the settings say."""

    file: Sinograms
    settings: CTReconstructionSettings
    grid: Grid
    unit: AttenuationUnit

    @property
    def seed(self) -> str | int:
        return self.file.path.name if self.settings.seed is None else self.settings.seed

    def read(self, index: int) -> SinogramSample:
        sample = self.file[index]
        if sample.grid != self.grid:
            sample = replace(sample, grid=self.grid, target=None)
        if self.settings.photons is not None:
            sample = lower_dose(sample, self.settings.photons, _generator(self.seed, index))
        return sample if self.settings.views is None else keep_views(sample, self.settings.views)


def reconstruct_sinograms(
    source: Path,
    output: Path,
    settings: CTReconstructionSettings,
    *,
    overwrite: bool = False,
    progress: Progress = silent,
) -> CTReconstruction:
    """Reconstruct the images of a file of sinograms into `output`, some at a time; it appears whole or not at all.

    Images are written in 1/mm, those of LoDoPaB's files as LoDoPaB's, or in Hounsfield units where these are asked for. Each is
    scored against its target, where the file holds any, by LoDoPaB's protocol. All sinograms are read once before the first is
    reconstructed, so that a fault in any of them is found early.

    Raises
    ------
    InputError
        If the file, one of its sinograms, a setting or the output cannot be used.
    """
    device = require_device(settings.device)
    work = _plan(open_sinograms(source, settings.geometry), settings)
    indices = settings.slices.of(len(work.file), str(source))
    with torch.no_grad(), write_reconstruction(output, overwrite=overwrite) as written:
        for place, _ in enumerate(sound_slices(work.file, indices)):
            progress(f"{source.name}: read", place + 1, len(indices))
        middle = work.read(indices[len(indices) // 2])
        reconstructor = build_ct_reconstructor(settings.method, middle.photons, device)
        scores, seconds = _Scores(work.unit), 0.0
        for some in _groups(indices, middle.sinogram.numel()):
            samples = [work.read(index) for index in some]
            start = time.perf_counter()
            images = _reconstruct(samples, reconstructor, device, source)
            seconds += time.perf_counter() - start
            for sample, image in zip(samples, images, strict=True):
                written.append(image_in_unit(image, work.unit))
                scores = scores.add(image, sample.target)
                if sample.index == middle.index:
                    shown = CTSliceResult(sample.index, image, sample.target, sample.sinogram)
            progress(f"{source.name}: {settings.method.kind}", some[-1] - indices[0] + 1, len(indices))
        if work.unit is AttenuationUnit.LODOPAB:
            written.link("data")
        remarks = (*work.file.notes, *_remarks(work, middle), *scores.remarks)
        report = _report(work, indices, middle, (source, output), _parameters(reconstructor))
        if isinstance(reconstructor, LearnedReconstructor):
            report = replace(report, weights=reconstructor.weights.name)
            remarks += tuple(ct_remarks(reconstructor.weights, middle))
        report = replace(report, seconds=seconds, metrics=scores.metrics, remarks=remarks)
        written.describe(report.attributes())
    return CTReconstruction(report, shown)


def _plan(file: Sinograms, settings: CTReconstructionSettings) -> _Work:
    """Settle grid and unit, and refuse what the file cannot give."""
    grid = file.scan.grid
    if settings.size is not None or settings.pixel is not None:
        grid = _grid(grid, settings.size, settings.pixel)
        try:
            require_outside(file.scan.geometry, grid)
        except ValueError as error:
            raise InputError(f"{file.path}: {error} (--size, --pixel)") from error
    n_views = file.scan.geometry.shape[0]
    if settings.views is not None and settings.views > n_views:
        raise InputError(f"{file.path}: has {n_views} views; --views takes 1 to {n_views}, got {settings.views}")
    if settings.seed is not None and settings.photons is None:
        raise InputError("--seed belongs to the noise that --photons adds; give both, or neither")
    return _Work(file, settings, grid, AttenuationUnit.HOUNSFIELD if settings.hu else file.unit)


def _grid(own: Grid, size: tuple[int, int] | None, pixel: float | None) -> Grid:
    """The grid of the size, of pixels of the width, or, where one of them is open, over what the file's own covers."""
    if size is None:
        assert pixel is not None
        return Grid([max(1, round(side / pixel)) for side in own.extent], pixel)
    return Grid(size, max(side / n for side, n in zip(own.extent, size, strict=True)) if pixel is None else pixel)


def _generator(seed: str | int, index: int) -> torch.Generator:
    """Randomness of one sinogram, whichever others are reconstructed with it."""
    digest = hashlib.sha256(f"{seed}/{index}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def _groups(indices: range, size: int) -> Iterator[range]:
    together = max(1, min(_TOGETHER, _LARGEST // size))
    return (indices[first : first + together] for first in range(0, len(indices), together))


def _reconstruct(
    samples: Sequence[SinogramSample], reconstructor: Reconstructor, device: torch.device, source: Path
) -> Tensor:
    """Images in 1/mm, `(batch, y, x)`, on the CPU."""
    problem = ct_problem(samples, device=device)
    place = f"{source}: slice {samples[0].index}" + (f" to {samples[-1].index}" if len(samples) > 1 else "")
    try:
        images = problem.picture(reconstructor(problem.y, problem.A)).to(torch.float32).cpu()
    except ArithmeticError as error:
        raise InputError(f"{place}: {error}; choose another weight or method") from error
    except ValueError as error:
        raise InputError(f"{place}: {error}") from error
    if not bool(images.isfinite().all()):
        raise InputError(f"{place}: the image is not finite; choose another weight or method")
    return images


@dataclass(frozen=True)
class _Scores:
    """Scores by LoDoPaB's protocol, so far."""

    unit: AttenuationUnit
    own: MeanScore = field(default_factory=MeanScore)
    full: MeanScore = field(default_factory=MeanScore)
    remarks: tuple[str, ...] = ()

    def add(self, image: Tensor, target: Tensor | None) -> _Scores:
        if target is None:
            return self
        spread = image_range(target)
        if spread == 0 or min(target.shape) < _LEAST_SCORED:
            fault = "a target has one value everywhere" if spread == 0 else "the images are smaller than 7 x 7"
            return replace(self, remarks=(f"{fault}: it is not scored",))
        own = self.own.add(image, target, data_range=spread)
        return replace(self, own=own, full=self.full.add(image / MU_MAX, target / MU_MAX, data_range=1.0))

    @property
    def metrics(self) -> CTMetrics | None:
        if not self.own.images:
            return None
        if self.unit is not AttenuationUnit.LODOPAB:
            return CTMetrics(self.own.psnr, self.own.ssim)
        return CTMetrics(self.own.psnr, self.own.ssim, self.full.psnr, self.full.ssim)


def _remarks(work: _Work, sample: SinogramSample) -> Iterator[str]:
    """What a user should know of the scan."""
    covered = coverage(sample.geometry)
    if not covered.complete:
        yield covered.words
    cut = truncation(sample.sinogram, sample.geometry)
    if cut.truncated:
        yield truncation_words(cut.worst, sample.geometry)
    own, added = work.file.scan.photons, work.settings.photons
    if added is not None and own is not None:
        yield (
            f"the file holds the noise of {own:.0f} photons per ray already; with that of {added:.0f} on top it is as of "
            f"{sample.photons:.0f}"
        )
    if work.file.has_target and work.grid != work.file.scan.grid:
        yield "the target of the file lies on another grid than --size and --pixel make: nothing is scored"


def _report(
    work: _Work,
    indices: range,
    sample: SinogramSample,
    paths: tuple[Path, Path],
    parameters: dict[str, str | int | float],
) -> CTReport:
    rows, columns = sample.grid.shape
    transposed = work.unit is AttenuationUnit.LODOPAB
    settings = work.settings
    return CTReport(
        input=str(paths[0]),
        output=str(paths[1]),
        method=settings.method.kind.value,
        parameters=parameters,
        geometry=geometry_words(sample.geometry),
        views=sample.geometry.shape[0],
        measured_views=work.file.scan.geometry.shape[0],
        unit=work.unit.value,
        slices=len(indices),
        first_slice=indices[0],
        shape=(columns, rows) if transposed else (rows, columns),
        pixel=sample.grid.spacing,
        device=settings.device.value,
        threads=torch.get_num_threads(),
        photons=sample.photons,
        added_photons=settings.photons,
        seed=None if settings.photons is None else work.seed,
    )


def _parameters(reconstructor: object) -> dict[str, str | int | float]:
    """The fields of a reconstructor that are plain, finite values, such as its weight and iterations."""
    if not is_dataclass(reconstructor):
        return {}
    values = {one.name: getattr(reconstructor, one.name) for one in fields(reconstructor)}
    plain = {name: value for name, value in values.items() if isinstance(value, str | int | float)}
    return {
        name: str(value) if isinstance(value, str) else value
        for name, value in plain.items()
        if isinstance(value, str) or math.isfinite(value)
    }
