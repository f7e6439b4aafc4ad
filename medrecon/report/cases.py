"""From what came of reconstructions to cases of a page: images of all methods, scores, and what was done to the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from medrecon.data.ct.attenuation import MU_MAX, AttenuationUnit, attenuation_from_hounsfield, image_in_unit
from medrecon.evaluation import LODOPAB_FR_PROTOCOL, LODOPAB_PROTOCOL, PROTOCOL
from medrecon.report.ct_summary import CTReconstruction, CTReport, CTSliceResult
from medrecon.report.summary import Reconstruction, Report, SliceResult
from medrecon.report.viewer_report import (
    HOUNSFIELD_WINDOWS,
    Column,
    Facts,
    MethodImages,
    Scores,
    Table,
    ViewerCase,
    Window,
    quantile,
)

__all__ = ["Stacks", "case_of", "pooled_shape", "table_of_cases"]

_FINEST = 512  # rows and columns of a map of residuals of a sinogram
_DARKEST, _BRIGHTEST = 0.01, 0.99  # quantiles of CT images that are black and white
_NAMES = {
    AttenuationUnit.PER_MM: "1/mm",
    AttenuationUnit.HOUNSFIELD: "HU",
    AttenuationUnit.LODOPAB: "normalized attenuation",
}


@dataclass(eq=False)
class Stacks:
    """The images of one method, which `add` takes in slice after slice, as they come, and what else is asked for."""

    with_targets: bool
    with_residuals: bool
    _images: list[Tensor] = field(default_factory=list)
    _targets: list[Tensor | None] = field(default_factory=list)
    _maps: list[Tensor | None] = field(default_factory=list)

    def add(self, result: SliceResult | CTSliceResult) -> None:
        """Take the next slice in; of a sinogram's residuals the means over neighboring rays."""
        self._images.append(result.image)
        if self.with_targets:
            self._targets.append(result.target)
        if self.with_residuals:
            residual = result.residual
            if residual is not None and isinstance(result, CTSliceResult):
                residual = _pooled(residual)
            self._maps.append(residual)

    @property
    def images(self) -> Tensor:
        """All images, `(slice, y, x)`."""
        return torch.stack(self._images)

    @property
    def targets(self) -> Tensor | None:
        """What they should be, or None where that is not known."""
        return _stacked(self._targets)

    @property
    def maps(self) -> Tensor | None:
        """The maps of residuals, or None where there are none."""
        return _stacked(self._maps)


#: What came of methods, by their names, and their images.
Results = Mapping[str, tuple[Reconstruction | CTReconstruction, Stacks]]


def case_of(results: Results, notes: Sequence[str]) -> ViewerCase:
    """Make the case of one file, reconstructed by methods of these names, the first of them that which was written.

    Images of CT are in the unit of the file that was written, and upright.

    Parameters
    ----------
    results
        of which the first has the targets.
    notes
        what a reader should know beside what the reports say.
    """
    done, stacks = next(iter(results.values()))
    if isinstance(done, Reconstruction):
        return _mri_case(results, done, stacks.targets, tuple(notes))
    return _ct_case(results, done.report, stacks.targets, tuple(notes))


def pooled_shape(shape: Sequence[int]) -> tuple[int, int]:
    """The size of the map that is shown of a sinogram's residuals, `(angle, detector)`: no side is above 512."""
    height, width = (-(-n // _factor(n)) for n in shape)
    return height, width


def table_of_cases(cases: Sequence[ViewerCase], failed: Mapping[str, str]) -> Table:
    """A row for each method of each case, and one with the reason for each file that failed."""
    rows: list[tuple[str | float | None, ...]] = []
    for case in cases:
        for method in case.methods:
            s = method.scores
            rows.append((case.name, method.name, s.protocol or None, s.psnr, s.ssim, s.nmse, s.seconds, "done"))
    rows += [(name, *[None] * 6, f"failed: {reason}") for name, reason in failed.items()]
    names = (("file", 0), ("method", 0), ("protocol", 0), ("PSNR (dB)", 2), ("SSIM", 4), ("NMSE", 5), ("seconds", 2))
    return Table("All files", (*(Column(*name) for name in names), Column("outcome")), tuple(rows))


def _mri_case(
    results: Results,
    done: Reconstruction,
    target: Tensor | None,
    notes: tuple[str, ...],
) -> ViewerCase:
    report = done.report
    return ViewerCase(
        name=Path(report.input).name,
        methods=_methods(results, None),
        unit="intensity as stored",
        target=target,
        pixel=report.pixel,
        mask=None if bool(done.shown.sampled.all()) else done.shown.sampled,
        facts=_mri_facts(report),
        notes=(*notes, *_notes({name: one.report.notes for name, (one, _) in results.items()})),
        first_slice=report.first_slice,
        residual_unit="|A*(y - A x)|, intensity as stored",
    )


def _ct_case(
    results: Results,
    report: CTReport,
    target: Tensor | None,
    notes: tuple[str, ...],
) -> ViewerCase:
    unit = AttenuationUnit(report.unit)
    methods = _methods(results, unit)
    target = None if target is None else _upright(target, unit)
    return ViewerCase(
        name=Path(report.input).name,
        methods=methods,
        unit=_NAMES[unit],
        target=target,
        window=_gray_window(methods[0].images if target is None else target),
        presets=tuple(_preset(window, unit) for window in HOUNSFIELD_WINDOWS),
        pixel=report.pixel,
        facts=_ct_facts(report),
        notes=(*notes, *_notes({name: one.report.notes for name, (one, _) in results.items()})),
        first_slice=report.first_slice,
        residual_unit="|y - A x|, line integrals: views down, bins right",
    )


def _methods(results: Results, unit: AttenuationUnit | None) -> tuple[MethodImages, ...]:
    return tuple(
        MethodImages(
            name,
            stacks.images if unit is None else _upright(stacks.images, unit),
            residual=stacks.maps,
            scores=_scores(done.report),
            facts=_method_facts(done.report),
        )
        for name, (done, stacks) in results.items()
    )


def _scores(report: Report | CTReport) -> Scores:
    if isinstance(report, CTReport):
        if (of_ct := report.metrics) is None:
            return Scores(seconds=report.seconds)
        return Scores(LODOPAB_PROTOCOL, of_ct.psnr, of_ct.ssim, seconds=report.seconds)
    if (m := report.metrics) is None:
        return Scores(seconds=report.seconds)
    return Scores(PROTOCOL, m.psnr, m.ssim, m.nmse, seconds=report.seconds)


def _method_facts(report: Report | CTReport) -> Facts:
    if isinstance(report, CTReport):
        values: dict[str, str | int | float | None] = {k.replace("_", " "): v for k, v in report.parameters.items()}
        if (m := report.metrics) is not None and m.psnr_fr is not None and m.ssim_fr is not None:
            values[f"PSNR, {LODOPAB_FR_PROTOCOL}"] = f"{m.psnr_fr:.2f} dB"
            values[f"SSIM, {LODOPAB_FR_PROTOCOL}"] = f"{m.ssim_fr:.4f}"
    else:
        values = {"weight": report.weight, "iterations, at most": report.iterations, "coil maps": report.coil_maps}
    values |= {
        "weights": report.weights,
        "written to": Path(report.output).name or None,
        "computed on": f"{report.device}, {report.threads} {'thread' if report.threads == 1 else 'threads'}",
        "time": f"{report.seconds:.2f} s",
        "version": report.version,
    }
    return {name: value for name, value in values.items() if value is not None}


def _mri_facts(report: Report) -> Facts:
    facts: dict[str, str | int | float] = {
        "sampling": report.sampling,
        "true acceleration": f"{report.true_acceleration:.2f}",
    }
    for name, value in (report.mask or {}).items():
        if name != "kind":  # which the sampling says
            facts[f"mask: {name.replace('_', ' ')}"] = value
    return {**facts, **_common_facts(report)}


def _ct_facts(report: CTReport) -> Facts:
    views = f"{report.views}" if report.views == report.measured_views else f"{report.views} of {report.measured_views}"
    facts: dict[str, str | int | float | None] = {
        "geometry": report.geometry,
        "views": views,
        "photons per ray": None if report.photons is None else round(report.photons),
        "noise added": None if report.added_photons is None else f"that of {report.added_photons:g} photons per ray",
        "seed": report.seed,
        **_common_facts(report),
    }
    return {name: value for name, value in facts.items() if value is not None}


def _common_facts(report: Report | CTReport) -> dict[str, str | int | float]:
    facts: dict[str, str | int | float] = {
        "images": f"{report.slices}, of {report.shape[0]} x {report.shape[1]} pixels"
    }
    if report.pixel is not None:
        facts["pixel"] = " x ".join(dict.fromkeys(f"{side:.4g}" for side in report.pixel)) + " mm"
    return {**facts, "made": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")}


def _notes(said: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """What all methods note, and, with its name, what one of several does."""
    every = dict.fromkeys(note for notes in said.values() for note in notes)
    told = []
    for note in every:
        of = [name for name, notes in said.items() if note in notes]
        told.append(note if len(of) == len(said) else f"{', '.join(of)}: {note}")
    return tuple(told)


def _upright(images: Tensor, unit: AttenuationUnit) -> Tensor:
    """Images of 1/mm in the unit, but not in the orientation of a file."""
    return images / MU_MAX if unit is AttenuationUnit.LODOPAB else image_in_unit(images, unit)


def _preset(window: Window, unit: AttenuationUnit) -> Window:
    """A window of Hounsfield units for images in another unit."""
    if unit is AttenuationUnit.HOUNSFIELD:
        return window
    top = MU_MAX if unit is AttenuationUnit.LODOPAB else 1.0
    low, high = (attenuation_from_hounsfield(value) / top for value in (window.low, window.high))
    return Window(low, high, window.name)


def _gray_window(images: Tensor) -> Window:
    low, high = (quantile(images, share) for share in (_DARKEST, _BRIGHTEST))
    return Window(low, high if high > low else low + 1.0, "of these images")


def _factor(n: int) -> int:
    return -(-n // _FINEST)


def _pooled(residual: Tensor) -> Tensor:
    factors = _factor(residual.shape[-2]), _factor(residual.shape[-1])
    return avg_pool2d(residual[None], factors, ceil_mode=True)[0]


def _stacked(slices: Sequence[Tensor | None]) -> Tensor | None:
    known = [one for one in slices if one is not None]
    return torch.stack(known) if known and len(known) == len(slices) else None
