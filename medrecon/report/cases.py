"""From what came of reconstructions to cases of a page: images of all methods, scores, and what was done to the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from medrecon.report.viewer_report import (
    Column,
    Facts,
    MethodImages,
    Scores,
    Table,
    ViewerCase,
    first_window,
    shared_notes,
)
from medrecon.results import Display, Reconstruction, Report, SliceResult

__all__ = ["Stacks", "case_of", "pooled_shape", "table_of_cases"]

_FINEST = 512  # rows and columns of a map of residuals that does not lie on the image


@dataclass(eq=False)
class Stacks:
    """The images of one method, which `add` takes in slice after slice, as they come, and what else is asked for."""

    with_targets: bool
    with_residuals: bool
    _images: list[Tensor] = field(default_factory=list)
    _targets: list[Tensor | None] = field(default_factory=list)
    _maps: list[Tensor | None] = field(default_factory=list)

    def add(self, result: SliceResult) -> None:
        """Take the next slice in; of residuals that do not lie on the image the means over neighbors."""
        self._images.append(result.image)
        if self.with_targets:
            self._targets.append(result.target)
        if self.with_residuals:
            residual = result.residual
            self._maps.append(
                residual if residual is None or residual.shape == result.image.shape else _pooled(residual)
            )

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
Results = Mapping[str, tuple[Reconstruction, Stacks]]


def case_of(results: Results, notes: Sequence[str]) -> ViewerCase:
    """Make the case of one file, reconstructed by methods of these names, the first of them that which was written.

    Images are in the unit of the file that was written, and upright.

    Parameters
    ----------
    results
        of which the first has the targets.
    notes
        what a reader should know beside what the reports say.
    """
    done, stacks = next(iter(results.values()))
    report, display = done.report, done.display
    methods = tuple(_method(name, one.report, own, display) for name, (one, own) in results.items())
    target = None if stacks.targets is None else display.values(stacks.targets)
    return ViewerCase(
        name=Path(report.input).name,
        methods=methods,
        unit=display.unit,
        target=target,
        window=first_window(methods[0].images if target is None else target, display, "of these images"),
        presets=display.presets,
        pixel=report.pixel,
        mask=_mask(done),
        facts=_scan_facts(report),
        notes=(*notes, *shared_notes({name: one.report.notes for name, (one, _) in results.items()})),
        first_slice=report.first_slice,
        residual_unit=display.residual,
    )


def pooled_shape(shape: Sequence[int]) -> tuple[int, int]:
    """The size of the map that is shown of residuals of this size: no side is above 512."""
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


def _method(name: str, report: Report, stacks: Stacks, display: Display) -> MethodImages:
    images = display.values(stacks.images)
    return MethodImages(name, images, residual=stacks.maps, scores=_scores(report), facts=_method_facts(report))


def _mask(done: Reconstruction) -> Tensor | None:
    """The sampling mask of k-space, where it leaves anything out."""
    measured = done.shown.measured
    return measured if measured.dtype == torch.bool and not bool(measured.all()) else None


def _scores(report: Report) -> Scores:
    if not report.metrics:
        return Scores(seconds=report.seconds)
    first = report.metrics[0]
    return Scores(first.protocol, first.psnr, first.ssim, first.nmse, seconds=report.seconds)


def _method_facts(report: Report) -> Facts:
    values: dict[str, str | int | float | None] = {k.replace("_", " "): v for k, v in report.parameters.items()}
    for other in report.metrics[1:]:
        values[f"PSNR, {other.protocol}"] = f"{other.psnr:.2f} dB"
        values[f"SSIM, {other.protocol}"] = f"{other.ssim:.4f}"
    values |= {
        "held back": None if report.trust is None else report.trust.words(report.method),
        "written to": Path(report.output).name or None,
        "computed on": f"{report.device}, {report.threads} {'thread' if report.threads == 1 else 'threads'}",
        "time": f"{report.seconds:.2f} s",
        "version": report.version,
    }
    return {name: value for name, value in values.items() if value is not None}


def _scan_facts(report: Report) -> Facts:
    facts: dict[str, str | int | float | None] = {}
    for name, value in report.facts.items():
        words = name.replace("_", " ")
        if isinstance(value, Mapping):
            facts |= {f"{words}: {key.replace('_', ' ')}": _short(inner) for key, inner in value.items()}
        else:
            facts[words] = _short(value)
    facts["images"] = f"{report.slices}, of {report.shape[0]} x {report.shape[1]} pixels"
    if report.pixel is not None:
        facts["pixel"] = " x ".join(dict.fromkeys(f"{side:.4g}" for side in report.pixel)) + " mm"
    facts["made"] = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    return {name: value for name, value in facts.items() if value is not None}


def _short(value: str | int | float | None) -> str | int | float | None:
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _factor(n: int) -> int:
    return -(-n // _FINEST)


def _pooled(residual: Tensor) -> Tensor:
    factors = _factor(residual.shape[-2]), _factor(residual.shape[-1])
    return avg_pool2d(residual[None], factors, ceil_mode=True)[0]


def _stacked(slices: Sequence[Tensor | None]) -> Tensor | None:
    known = [one for one in slices if one is not None]
    return torch.stack(known) if known and len(known) == len(slices) else None
