"""Weights that measurements held back choose, beside the defaults, the best ones, and those of a known noise.

    python performance/held_out_weights.py FOLDER [--modality mri ct] [--part test] [--results FILE] [--keep]

FOLDER holds images of many people (see `held_out_scans.py`, which poses unlike scans of them); `brain-axt2` and `lodopab-small`
must be fetched. What is measured is kept in a file, so that a run that was stopped goes on. Choices were made on the people of
`--part validation`; the table is of the others. `best` is the best PSNR over weights in steps of four about the default, and of two
about the best of them; discrepancy and SURE choose among the same, by the noise that was added.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from held_out_measures import BASELINES, METHODS, Kept, Measured, Values
from held_out_scans import PARTS, cases
from tables import publish

from medrecon.modality import Modality
from medrecon.reconstructors.predicted import choose_weight

FACTORS = (1 / 4, 1.0, 4.0)  # of the default weight
BY_NOISE = {
    "tv": ("usual", "noisy", "low dose")
}  # where the noise chooses too: SURE takes a reconstruction more a weight
COLUMNS = ["scans", "method", "without", "default", "auto", "best", "least default - without", "auto - default", "left"]
Figures = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Row:
    """PSNR and SSIM of a method on a scan, by the choice of its weight; None where the noise is not known."""

    group: str
    method: str
    without: Figures
    default: Figures
    auto: Figures
    best: Figures
    is_left: bool
    cost: float  # of the automatic weight, in reconstructions
    discrepancy: Figures | None = None
    sure: Figures | None = None


def row_of(scan: Measured, method: str) -> Row:
    start = METHODS[scan.case.modality][method].weight
    weight, curve = choose_weight(lambda weight: float(scan.held_out(method, weight)["error"]), start)
    default = scan.scores(method, start)
    trials = sum(float(scan.held_out(method, each)["seconds"]) for each, _ in curve)
    tried = [start * factor for factor in FACTORS]
    middle = max(tried, key=lambda each: float(scan.scores(method, each)["psnr"]))
    tried = sorted({*tried, middle / 2, middle * 2})
    found = {each: scan.scores(method, each) for each in tried}
    known = scan.case.group in BY_NOISE.get(method, ()) and "misfit" in default
    return Row(
        group=scan.case.group,
        method=method,
        without=_figures(scan.baseline()),
        default=_figures(default),
        auto=_figures(scan.scores(method, weight)),
        best=_figures(max(found.values(), key=lambda values: float(values["psnr"]))),
        is_left=weight != start,
        cost=1 + trials / float(default["seconds"]),
        discrepancy=_figures(_nearest(found, lambda values: abs(math.log(values["misfit"])))) if known else None,
        sure=_figures(found[min(tried, key=lambda each: scan.risk(method, each))]) if known else None,
    )


def _nearest(found: dict[float, Values], distance: Callable[[Values], float]) -> Values:
    return min(found.values(), key=distance)


def _figures(values: Values) -> Figures:
    return float(values["psnr"]), float(values["ssim"])


def table(rows: Sequence[Row]) -> list[list[str]]:
    """Of each group of scans and method a line: means, and the extremes that matter."""
    lines = []
    for group in dict.fromkeys(row.group for row in rows):
        for method in dict.fromkeys(row.method for row in rows):
            mine = [row for row in rows if (row.group, row.method) == (group, method)]
            means = [_mean([getattr(row, name) for row in mine]) for name in ("without", "default", "auto", "best")]
            least = (
                min(row.default[0] - row.without[0] for row in mine),
                min(row.default[1] - row.without[1] for row in mine),
            )
            gains = sorted(row.auto[0] - row.default[0] for row in mine)
            moved = f"{gains[0]:+.2f} to {gains[-1]:+.2f}"
            left = f"{sum(row.is_left for row in mine)} of {len(mine)}"
            lines.append([group, method, *means, f"{least[0]:+.2f} / {least[1]:+.3f}", moved, left])
    return lines


def notes(rows: Sequence[Row], modality: Modality) -> list[str]:
    """What the table does not show."""
    baseline = BASELINES[modality][0]
    told = [
        f"Means of PSNR in dB / SSIM; without: {baseline}, which has no weight. Targets: "
        + ("the full scan's root sum of squares, noise included." if modality is Modality.MRI else "the true image."),
        "Best: over weights in steps of four, and of two about the best, against the target. Left: scans whose default weight "
        "predicts more than 1.3 times as badly what was held back as another does.",
    ]
    for method in METHODS[modality]:
        mine = [row for row in rows if row.method == method]
        gains = [row.auto[0] - row.default[0] for row in mine]
        short = [row.best[0] - row.default[0] for row in mine]
        below = sum(row.default[0] < row.without[0] for row in mine)
        told.append(
            f"{method}: auto less default {statistics.fmean(gains):+.2f} dB in the mean, {min(gains):+.2f} at worst; best less "
            f"default {statistics.fmean(short):+.2f}; below {baseline} by PSNR on {below} of {len(mine)} scans; auto takes "
            f"{statistics.median(row.cost for row in mine):.1f} times as long as the default for a single slice (median)."
        )
        known = [row for row in mine if row.discrepancy is not None and row.sure is not None]
        if known:
            by = ("default", "auto", "discrepancy", "sure", "best")
            figures = ", ".join(f"{name} {_mean([getattr(row, name) for row in known])}" for name in by)
            told.append(f"{method}, where the noise is known ({len(known)} scans): {figures}.")
    return told


def _mean(figures: Sequence[Figures]) -> str:
    return f"{statistics.fmean(psnr for psnr, _ in figures):.2f} / {statistics.fmean(ssim for _, ssim in figures):.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="with the images of many people")
    parser.add_argument("--modality", nargs="+", type=Modality, default=list(Modality), help="mri, ct")
    parser.add_argument("--part", choices=PARTS, default="test", help="whose scans")
    parser.add_argument("--every", type=int, default=1, help="2 takes every other scan, for a quick look")
    parser.add_argument("--groups", nargs="+", help="of scans, such as wrapped; all unless given")
    parser.add_argument(
        "--results", type=Path, default=Path("results/held_out_weights.jsonl"), help="goes on from there"
    )
    parser.add_argument("--keep", action="store_true", help="write the tables for docs/benchmarks.md")
    options = parser.parse_args()
    kept = Kept(options.results)
    for modality in options.modality:
        rows = []
        for number, case in cases(options.part, modality):
            if number % options.every or (options.groups and case.group not in options.groups):
                continue
            scan = Measured(kept, case, options.folder, options.part, number)
            for method in METHODS[modality]:
                row = row_of(scan, method)
                rows.append(row)
                print(f"{case}, {method}: {row}", flush=True)
        every = f" --every {options.every}" * (options.every > 1)
        command = f"python performance/held_out_weights.py FOLDER{every} --keep"
        title = f"{modality.upper()}: the default weights, and those that held-out measurements choose"
        name = f"held_out_weights_{modality}"
        publish(name, title, command, COLUMNS, table(rows), notes(rows, modality), keep=options.keep)


if __name__ == "__main__":
    torch.set_grad_enabled(mode=False)
    main()
