"""CT: from settings to objects, and from files of sinograms to files of images."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from medrecon.config import (
    CTMethodSettings,
    CTReconstructionSettings,
    CTTotalVariationSettings,
    FbpSettings,
    LearnedSettings,
    PoissonTotalVariationSettings,
    SirtSettings,
    TikhonovSettings,
)
from medrecon.coverage import coverage, truncation
from medrecon.data.ct.attenuation import MU_MAX, AttenuationUnit, image_in_unit
from medrecon.data.ct.sinograms import SinogramSample
from medrecon.data.ct.words import geometry_words, truncation_words
from medrecon.data.modality import open_sinograms
from medrecon.device import require_device
from medrecon.errors import InputError
from medrecon.evaluation import MeanScore, image_range
from medrecon.operators import Radon
from medrecon.problem import ct_problem
from medrecon.progress import Progress, silent
from medrecon.reconstructor import Reconstructor
from medrecon.reconstructors.cgls import Tikhonov
from medrecon.reconstructors.filtered_backprojection import FilteredBackprojection
from medrecon.reconstructors.nonnegative_tv import NonnegativeTotalVariation
from medrecon.reconstructors.poisson_tv import PoissonTotalVariation
from medrecon.reconstructors.sirt import Sirt
from medrecon.report.ct_summary import CTMetrics, CTReconstruction, CTReport, CTSliceResult
from medrecon.scans.ct_work import CTWork, plan_sinograms, warm_up
from medrecon.scans.learned_notes import ct_notes
from medrecon.scans.mri import sound_slices
from medrecon.weights.learned import LearnedReconstructor, ct_weights, load_reconstructor
from medrecon.workflows.output import open_output

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
        case TikhonovSettings():
            return replace(Tikhonov(), **settings.chosen())
        case CTTotalVariationSettings():
            return replace(NonnegativeTotalVariation(), **settings.chosen())
        case PoissonTotalVariationSettings():
            return replace(PoissonTotalVariation(photons=photons), **settings.chosen())
        case LearnedSettings():
            return load_reconstructor(ct_weights(settings), device)


def reconstruct_sinograms(
    source: Path,
    output: Path | None,
    settings: CTReconstructionSettings,
    *,
    overwrite: bool = False,
    progress: Progress = silent,
    watch: Callable[[CTSliceResult], None] | None = None,
) -> CTReconstruction:
    """Reconstruct the images of a file of sinograms into `output`, some at a time; it appears whole or not at all.

    Without an output nothing is written. `watch` sees each image with its residuals, `|y - A x|`.

    Images are written in 1/mm, those of LoDoPaB's files as LoDoPaB's, or in Hounsfield units where these are asked for. Each is
    scored against its target, where the file holds any, by LoDoPaB's protocol. All sinograms are read once before the first is
    reconstructed, so that a fault in any of them is found early. The `seconds` of the report are the method's own: what is read and
    written does not count, nor does the compilation of loops, for which a few pixels are reconstructed before.

    Raises
    ------
    InputError
        If the file, one of its sinograms, a setting or the output cannot be used.
    """
    device = require_device(settings.device)
    work = plan_sinograms(open_sinograms(source, settings.geometry), settings)
    indices = settings.slices.of(len(work.file), str(source))
    with torch.no_grad(), open_output(output, overwrite=overwrite) as written:
        for place, _ in enumerate(sound_slices(work.file, indices)):
            progress(f"{source.name}: read", place + 1, len(indices))
        middle = work.read(indices[len(indices) // 2])
        reconstructor = build_ct_reconstructor(settings.method, middle.photons, device)
        warm_up(reconstructor, Radon(middle.grid, middle.geometry), device)
        scores, seconds = _Scores(work.unit), 0.0
        for some in _groups(indices, middle.sinogram.numel()):
            samples = [work.read(index) for index in some]
            start = time.perf_counter()
            images = _reconstruct(samples, reconstructor, device, source)
            seconds += time.perf_counter() - start
            residuals = [None] * len(samples) if watch is None else _residuals(samples, images, device)
            for sample, image, residual in zip(samples, images, residuals, strict=True):
                written.append(image_in_unit(image, work.unit))
                scores = scores.add(image, sample.target)
                result = CTSliceResult(sample.index, image, sample.target, sample.sinogram, residual)
                if watch is not None:
                    watch(result)
                if sample.index == middle.index:
                    shown = result
            progress(f"{source.name}: {settings.method.kind}", some[-1] - indices[0] + 1, len(indices))
        if work.unit is AttenuationUnit.LODOPAB:
            written.link("data")
        notes = (*work.file.notes, *_notes(work, middle), *scores.notes)
        report = _report(work, indices, middle, (source, output), _parameters(reconstructor))
        if isinstance(reconstructor, LearnedReconstructor):
            weights = reconstructor.weights
            report = replace(report, weights=weights.name, execution=str(weights.execution))
            notes += tuple(ct_notes(reconstructor, middle))
        report = replace(report, seconds=seconds, metrics=scores.metrics, notes=notes)
        written.describe(report.attributes())
    return CTReconstruction(report, shown)


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
        images = problem.display_image(reconstructor(problem.y, problem.A)).to(torch.float32).cpu()
    except ArithmeticError as error:
        raise InputError(f"{place}: {error}; choose another weight or method") from error
    except ValueError as error:
        raise InputError(f"{place}: {error}") from error
    if not bool(images.isfinite().all()):
        raise InputError(f"{place}: the image is not finite; choose another weight or method")
    return images


def _residuals(samples: Sequence[SinogramSample], images: Tensor, device: torch.device) -> Sequence[Tensor]:
    """`|y - A x|` of images in 1/mm, each `(angle, detector)`, on the CPU."""
    problem = ct_problem(samples, device=device)
    return (problem.y - problem.A(images.to(device))).abs().cpu().unbind()


@dataclass(frozen=True)
class _Scores:
    """Scores by LoDoPaB's protocol, so far."""

    unit: AttenuationUnit
    own: MeanScore = field(default_factory=MeanScore)
    full: MeanScore = field(default_factory=MeanScore)
    notes: tuple[str, ...] = ()

    def add(self, image: Tensor, target: Tensor | None) -> _Scores:
        if target is None:
            return self
        spread = image_range(target)
        if spread == 0 or min(target.shape) < _LEAST_SCORED:
            fault = "a target has one value everywhere" if spread == 0 else "the images are smaller than 7 x 7"
            return replace(self, notes=(f"{fault}: it is not scored",))
        own = self.own.add(image, target, data_range=spread)
        return replace(self, own=own, full=self.full.add(image / MU_MAX, target / MU_MAX, data_range=1.0))

    @property
    def metrics(self) -> CTMetrics | None:
        if not self.own.images:
            return None
        if self.unit is not AttenuationUnit.LODOPAB:
            return CTMetrics(self.own.psnr, self.own.ssim)
        return CTMetrics(self.own.psnr, self.own.ssim, self.full.psnr, self.full.ssim)


def _notes(work: CTWork, sample: SinogramSample) -> Iterator[str]:
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
    work: CTWork,
    indices: range,
    sample: SinogramSample,
    paths: tuple[Path, Path | None],
    parameters: dict[str, str | int | float],
) -> CTReport:
    rows, columns = sample.grid.shape
    transposed = work.unit is AttenuationUnit.LODOPAB
    settings = work.settings
    return CTReport(
        input=str(paths[0]),
        output="" if paths[1] is None else str(paths[1]),
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
