"""From a file of measurements to a file of images, whatever the scanner."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from medrecon.config.ct import CTAcquisition
from medrecon.config.reconstruction import ReconstructionSettings
from medrecon.data.outputs.image_format import format_of
from medrecon.data.outputs.output import ImageOutput, OutputForm, write_images
from medrecon.device import require_device
from medrecon.errors import InputError
from medrecon.evaluation import Score
from medrecon.planes import ImagePlanes
from medrecon.progress import Progress, silent
from medrecon.reconstructor import parameters_of
from medrecon.reconstructors import DiffusionSampler
from medrecon.results import Facts, Reconstruction, Report, SliceResult
from medrecon.scans import Posed, Scan, open_scan
from medrecon.weights.learned import LearnedReconstructor, weights_behind
from medrecon.workflows.trust import Settled, settle

__all__ = ["Watch", "reconstruct_file"]

#: Sees one image after the other.
Watch = Callable[[SliceResult], None]


def reconstruct_file(
    source: Path,
    output: Path | None,
    settings: ReconstructionSettings,
    *,
    form: OutputForm | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
    watch: Watch | None = None,
) -> Reconstruction:
    """Reconstruct slices of a file into `output`, which appears whole or not at all; without an output nothing is written.

    The format is that of `form`, else that of the ending of `output`. Where it says where images lie in the patient, as NIfTI and
    DICOM do, those of CT are in Hounsfield units.

    All slices are read once before the first is reconstructed, so that a fault in any of them is found early. `watch` sees each
    image with a map of its residuals. The `seconds` of the report are the method's own, coil maps included: what is read and
    written does not count, nor does the compilation of loops.

    Raises
    ------
    InputError
        If the file, one of its slices, a setting or the output cannot be used.
    """
    device = require_device(settings.device)
    settings = settings if output is None else _as_written(output, form or OutputForm(), settings)
    opened = open_scan(source, settings.acquisition)
    indices = settings.slices.of(len(opened), str(source))
    file = nullcontext() if output is None else write_images(output, form, overwrite=overwrite)
    with torch.no_grad(), file as written:
        if written is not None:
            written.place(opened.modality, _planes(opened, indices), opened.identity)
        scan = opened.checked(indices, progress)
        middle = indices[len(indices) // 2]
        settled = settle(settings, opened, middle, device, scan.photons)
        loop = _Loop(scan, settled, written, watch, middle, score=scan.score(), seconds=settled.seconds)
        for posed in scan.problems(settled.reconstruct, device):
            loop.take(posed)
            progress(f"{source.name}: {settled.kind}", posed.indices[-1] - indices[0] + 1, len(indices))
            del posed  # before the next is read
        report = loop.report(settings, output, indices)
        if written is not None:
            for name in scan.links():
                written.link(name)
            told = written.describe(report.attributes())
            report = replace(report, notes=tuple(dict.fromkeys((*report.notes, *told))))
    return Reconstruction(report, loop.shown, scan.display)


def _planes(opened: Scan, indices: range) -> ImagePlanes:
    """Where the images lie.

    Raises
    ------
    InputError
        If lengths that the file states cannot be.
    """
    try:
        return opened.planes(indices)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{opened.source}: {error}; correct the lengths that it states") from error


def _as_written(output: Path, form: OutputForm, settings: ReconstructionSettings) -> ReconstructionSettings:
    """The settings, by which CT is in Hounsfield units where the format is one of viewers."""
    acquisition = settings.acquisition
    if not (isinstance(acquisition, CTAcquisition) and format_of(output, form.format).is_placed):
        return settings
    return settings.model_copy(update={"acquisition": acquisition.model_copy(update={"hu": True})})


@dataclass(frozen=True)
class _Told:
    """How the middle image was measured."""

    measured: str
    sampling: str
    facts: Facts


@dataclass
class _Loop:
    """One pass over the problems of a scan, and what it has gathered so far; `shown` is the middle image, told of by `told`."""

    scan: Scan
    settled: Settled
    output: ImageOutput | None
    watch: Watch | None
    middle: int
    score: Score | None
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    weights_notes: tuple[str, ...] = ()
    shown: SliceResult = field(init=False)
    told: _Told = field(init=False)

    def take(self, posed: Posed) -> None:
        start = time.perf_counter()
        x, images, drawn = self._images(posed)
        self.seconds += posed.seconds + time.perf_counter() - start
        self.notes += posed.problem.notes
        for result in self.scan.results(posed, x, images, residuals=self.watch is not None):
            if self.output is not None:
                self.output.append(self.scan.written(result.image))
                if drawn is not None:
                    samples = drawn[:, result.index - posed.indices[0]]
                    self.output.append_samples(torch.stack([self.scan.written(sample) for sample in samples]))
            if self.watch is not None:
                self.watch(result)
            if self.score is not None and result.target is not None:
                self.score = self.score.add(result.image, result.target)
            if result.index == self.middle:
                self._tell_of(posed, result)

    def _tell_of(self, posed: Posed, result: SliceResult) -> None:
        """Keep of the middle image what is told of the whole, and nothing large besides."""
        self.shown, self.told = result, _Told(posed.sentence, posed.sampling, posed.facts)
        if isinstance(self.settled.reconstruct, LearnedReconstructor):
            self.weights_notes = tuple(self.scan.unlike_training(self.settled.reconstruct, posed))

    def report(self, settings: ReconstructionSettings, output: Path | None, indices: range) -> Report:
        scan, reconstruct, rows_columns = self.scan, self.settled.reconstruct, self.scan.written(self.shown.image).shape
        score_notes, metrics = ((), ()) if self.score is None else (self.score.notes, self.score.metrics)
        report = Report(
            modality=scan.modality.value,
            input=str(scan.source),
            output="" if output is None else str(output),
            method=self.settled.kind,
            parameters=parameters_of(reconstruct),
            measured=self.told.measured,
            sampling=self.told.sampling,
            facts=self.told.facts,
            slices=len(indices),
            first_slice=indices[0],
            shape=(rows_columns[0], rows_columns[1]),
            pixel=scan.pixel,
            unit=scan.unit,
            device=settings.device.value,
            threads=torch.get_num_threads(),
            seconds=self.seconds,
            metrics=metrics,
            data_range=None if self.score is None else self.score.data_range,
            trust=self.settled.trust,
        )
        if (weights := weights_behind(reconstruct)) is not None:
            report = replace(report, weights=weights.name, execution=str(weights.execution))
        trust = self.settled.trust
        trusted = () if trust is None else trust.notes(self.settled.kind)
        notes = (*trusted, *scan.notes, *self.notes, *score_notes, *self.weights_notes)
        return replace(report, notes=tuple(dict.fromkeys(notes)))

    def _images(self, posed: Posed) -> tuple[Tensor, Tensor, Tensor | None]:
        """What the method gives, the images made of it, and those of samples `(sample, n, y, x)` if it draws several."""
        first, last = posed.indices[0], posed.indices[-1]
        place = f"{self.scan.source}: slice {first}" + (f" to {last}" if last > first else "")
        try:
            method, y, A = self.settled.reconstruct, posed.problem.y, posed.problem.A
            if not isinstance(method, DiffusionSampler) or method.samples == 1:
                x = method(y, A)
                return x, self.scan.images(posed, x), None
            samples = list(method.drawn(y, A))
            x = torch.stack(samples).mean(0)
            return x, self.scan.images(posed, x), torch.stack([self.scan.images(posed, one) for one in samples])
        except ArithmeticError as error:
            raise InputError(f"{place}: {error}; choose another weight or method") from error
        except ValueError as error:
            raise InputError(f"{place}: {error}") from error
