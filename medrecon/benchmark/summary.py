"""What rows amount to: means with intervals, by scenario and method, beside the best of the classical methods."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, median
from typing import Any

from medrecon.benchmark.rows import Row, Score
from medrecon.bootstrap import Estimate, Resampling, resampling
from medrecon.evaluation import PROTOCOL, VolumeScore

__all__ = ["MethodSummary", "ScenarioSummary", "VolumeFigures", "summarize"]


@dataclass(frozen=True)
class VolumeFigures:
    """fastMRI's figures, of whole volumes: means over so many."""

    volumes: int
    psnr: float
    ssim: float
    nmse: float


@dataclass(frozen=True)
class MethodSummary:
    """A method on a scenario, by one protocol.

    `psnr_gain` and `ssim_gain` are paired differences to the best classical method, on the images that both did; None for itself.
    `seconds` is a median over the images, `peak_memory_mb` the largest, the others are means.
    """

    method: str
    learned: bool
    settings: dict[str, Any]
    done: int
    failed: int
    reason: str
    psnr: Estimate | None
    ssim: Estimate | None
    nmse: Estimate | None
    psnr_gain: Estimate | None
    ssim_gain: Estimate | None
    volume: VolumeFigures | None
    residual: float | None
    lesion_contrast: Estimate | None
    seconds: float | None
    peak_memory_mb: float | None
    lpips: Estimate | None = None


@dataclass(frozen=True)
class ScenarioSummary:
    """All methods on a scenario, by one protocol; `unit` says what was resampled, `best_classical` what gains are over."""

    scenario: str
    modality: str
    protocol: str
    sampling: str
    images: int
    files: int
    unit: str
    best_classical: str | None
    methods: tuple[MethodSummary, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def summarize(rows: Sequence[Row], *, resamples: int, seed: int) -> list[ScenarioSummary]:
    """Sum rows up, by scenario, protocol and method, in the order in which they come.

    The same images are drawn for all methods of a scenario, so that differences are paired.
    """
    found: list[ScenarioSummary] = []
    for scenario in dict.fromkeys(row.scenario for row in rows):
        own = [row for row in rows if row.scenario == scenario]
        protocols = dict.fromkeys(score.protocol for row in own for score in row.scores)
        found += [_summarize(own, protocol, resamples, seed) for protocol in protocols or ("",)]
    return found


Place = tuple[str, int]


@dataclass(frozen=True, eq=False)
class _Table:
    """The rows of a scenario by method and image, and the images that are drawn."""

    rows: dict[str, dict[Place, Row]]
    images: list[Place]
    protocol: str
    draws: Resampling

    def estimate(self, method: str, value: Callable[[Row], float | None]) -> Estimate | None:
        rows = self.rows[method]
        return self.draws.estimate([value(rows[i]) if i in rows else None for i in self.images])

    def gain(self, method: str, other: str, value: Callable[[Row], float | None]) -> Estimate | None:
        differences: list[float | None] = []
        for image in self.images:
            pair = [value(self.rows[name][image]) if image in self.rows[name] else None for name in (method, other)]
            differences.append(None if pair[0] is None or pair[1] is None else pair[0] - pair[1])
        return self.draws.estimate(differences)

    def score(self, row: Row) -> Score | None:
        return next((score for score in row.scores if score.protocol == self.protocol), None)

    def psnr(self, row: Row) -> float | None:
        return None if (score := self.score(row)) is None else score.psnr

    def ssim(self, row: Row) -> float | None:
        return None if (score := self.score(row)) is None else score.ssim


def _summarize(rows: Sequence[Row], protocol: str, resamples: int, seed: int) -> ScenarioSummary:
    first = rows[0]
    images = list(dict.fromkeys((row.file, row.slice) for row in rows))
    by_method: dict[str, dict[Place, Row]] = {row.method: {} for row in rows}
    for row in rows:
        if row.done:
            by_method[row.method][row.file, row.slice] = row
    whole = any(
        score.protocol == PROTOCOL for row in rows for score in row.scores
    )  # slices of a volume belong together
    volumes = [file for file, _ in images] if whole else images
    draws = resampling(volumes, resamples, seed ^ zlib.crc32(first.scenario.encode()))
    table = _Table(by_method, images, protocol, draws)
    best = _best_classical(table, rows)
    methods = tuple(_method(table, [row for row in rows if row.method == name], best) for name in by_method)
    return ScenarioSummary(
        scenario=first.scenario,
        modality=first.modality,
        protocol=protocol,
        sampling=", ".join(dict.fromkeys(row.sampling for row in rows if row.sampling)),
        images=len(images),
        files=len({file for file, _ in images}),
        unit=draws.unit,
        best_classical=best,
        methods=methods,
    )


def _best_classical(table: _Table, rows: Sequence[Row]) -> str | None:
    """The method without weights of the highest mean PSNR, among those that did the most images."""
    classical = {row.method for row in rows if not row.learned and table.rows[row.method]}
    most = max((len(table.rows[name]) for name in classical), default=0)
    means = {
        name: fmean(values)
        for name in table.rows
        if name in classical and len(table.rows[name]) == most
        if (values := [psnr for row in table.rows[name].values() if (psnr := table.psnr(row)) is not None])
    }
    return max(means, key=lambda name: means[name], default=None)


def _method(table: _Table, rows: Sequence[Row], best: str | None) -> MethodSummary:
    name = rows[0].method
    done = list(table.rows[name].values())
    failed = [row for row in rows if not row.done]
    residuals = [row.residual for row in done if row.residual is not None]
    seconds = [row.seconds for row in done if row.seconds is not None]
    memory = [row.peak_memory_mb for row in done if row.peak_memory_mb is not None]
    compared = best is not None and name != best
    return MethodSummary(
        method=name,
        learned=rows[0].learned,
        settings=_common([row.settings for row in done or rows]),
        done=len(done),
        failed=len(failed),
        reason=failed[0].reason if failed else "",
        psnr=table.estimate(name, table.psnr),
        ssim=table.estimate(name, table.ssim),
        nmse=table.estimate(name, lambda row: row.nmse),
        psnr_gain=table.gain(name, best, table.psnr) if compared and best else None,
        ssim_gain=table.gain(name, best, table.ssim) if compared and best else None,
        volume=_volumes(done) if table.protocol == PROTOCOL and not failed else None,
        residual=fmean(residuals) if residuals else None,
        lesion_contrast=table.estimate(name, lambda row: row.lesion_contrast),
        seconds=median(seconds) if seconds else None,
        peak_memory_mb=max(memory) if memory else None,
        lpips=table.estimate(name, lambda row: row.lpips),
    )


def _common(settings: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Those that are the same in all rows."""
    return {name: value for name, value in settings[0].items() if all(one.get(name) == value for one in settings)}


def _volumes(rows: Sequence[Row]) -> VolumeFigures | None:
    """The means over volumes of what `VolumeScore` gives for the slices that were run."""
    volumes: dict[str, list[Row]] = {}
    for row in rows:
        volumes.setdefault(row.file, []).append(row)
    scores = [_volume(slices) for slices in volumes.values()]
    finite = [score for score in scores if math.isfinite(score.psnr)]
    if not finite:
        return None
    return VolumeFigures(
        volumes=len(scores),
        psnr=fmean(score.psnr for score in finite),
        ssim=fmean(score.ssim for score in scores),
        nmse=fmean(score.nmse for score in scores),
    )


def _volume(rows: Sequence[Row]) -> VolumeScore:
    data_range = rows[0].data_range
    assert data_range is not None
    return VolumeScore(
        data_range=data_range,
        slices=len(rows),
        pixels=sum(row.pixels for row in rows),
        squared_error=sum(row.squared_error for row in rows),
        energy=sum(row.energy for row in rows),
        ssim_sum=sum(score.ssim for row in rows for score in row.scores[:1]),
    )
