"""Which images of a benchmark are worth looking at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from medrecon.benchmark.cases import Case
from medrecon.benchmark.rows import Row
from medrecon.benchmark.sources import spread

__all__ = ["Shown", "choose"]

Place = tuple[str, int]


@dataclass(frozen=True, eq=False)
class Shown:
    """An image, by all methods: the cases with their rows, and why it was chosen."""

    cases: tuple[Case, ...]
    rows: tuple[Row, ...]
    why: str

    @property
    def finished(self) -> tuple[Case, ...]:
        """The cases that gave an image."""
        return tuple(case for case, row in zip(self.cases, self.rows, strict=True) if row.done)


def choose(cases: Sequence[Case], rows: Sequence[Row], images: int) -> list[Shown]:
    """Choose so many images of each scenario: the worst, the median, the first, the best, and then evenly between.

    What is worst and best is told by the PSNR of the best method: that of the highest mean among those that did the most images.
    Images that no method did are left out; those that are chosen stand in their order.

    Parameters
    ----------
    cases, rows
        of a finished benchmark, in the same order.
    images
        at most, of each scenario.
    """
    pairs = list(zip(cases, rows, strict=True))
    shown = []
    for scenario in dict.fromkeys(row.scenario for row in rows):
        groups: dict[Place, list[tuple[Case, Row]]] = {}
        for case, row in pairs:
            if row.scenario == scenario:
                groups.setdefault((row.file, row.slice), []).append((case, row))
        done = {place: group for place, group in groups.items() if any(row.done for _, row in group)}
        best = _best_method([row for group in done.values() for _, row in group])
        psnr = {place: found for place, group in done.items() if (found := _psnr(group, best)) is not None}
        why = _reasons(list(done), psnr, images)
        for place, group in done.items():
            if place in why:
                own, told = zip(*group, strict=True)
                shown.append(Shown(own, told, why[place].format(best)))
    return shown


def _best_method(rows: Sequence[Row]) -> str:
    scores: dict[str, list[float]] = {}
    for row in rows:
        if row.done and row.scores[0].psnr is not None:
            scores.setdefault(row.method, []).append(row.scores[0].psnr)
    return max(scores, key=lambda name: (len(scores[name]), fmean(scores[name])), default="")


def _psnr(group: Sequence[tuple[Case, Row]], method: str) -> float | None:
    return next((row.scores[0].psnr for _, row in group if row.method == method and row.done), None)


def _reasons(places: Sequence[Place], psnr: dict[Place, float], images: int) -> dict[Place, str]:
    """Images and why they are shown, the most telling first."""
    if len(places) == 1:
        return {places[0]: "the only one"}
    ranked = sorted(psnr, key=lambda place: psnr[place])
    wanted: list[tuple[Place, str]] = []
    if ranked:
        wanted = [(ranked[0], "the worst of {0}"), (ranked[len(ranked) // 2], "the median of {0}")]
    wanted += [(place, "the first") for place in places[:1]]
    if ranked:
        wanted += [(ranked[-1], "the best of {0}")]
    wanted += [(ranked[k], "") for k in spread(len(ranked), images)] + [(place, "") for place in places]
    found: dict[Place, list[str]] = {}
    for place, reason in wanted:
        if place in found or len(found) < images:
            found.setdefault(place, []).append(reason)
    return {place: ", ".join(reason for reason in reasons if reason) for place, reasons in found.items()}
