"""The scores that are held in numbers.yaml: read, written anew, and compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from medrecon.data.writing import atomic_file
from tests.regression.cases import PROBLEMS, Case, Score

__all__ = ["FILE", "Numbers", "compare", "read_numbers", "renewed", "write_numbers"]

FILE = Path(__file__).with_name("numbers.yaml")
_HEAD = """\
# Scores of every method, with its own defaults, on small phantoms: PSNR in decibels, and SSIM, by the protocol named.
# `make regression` writes this file anew and prints what moved; the tolerances alone are written by hand.
# They are some times what threads, processors and rounding move a score by, and less than a change of a method does.
"""
_DIGITS = Score(3, 5)


@dataclass(frozen=True)
class Numbers:
    """What is held: a score of each case, and by how much one may differ."""

    tolerance: Score
    scores: Mapping[Case, Score]

    def holds(self, case: Case, found: Score) -> bool:
        """Whether a score is the one that is held, within the tolerance."""
        held = self.scores[case]
        return abs(found.psnr - held.psnr) <= self.tolerance.psnr and abs(found.ssim - held.ssim) <= self.tolerance.ssim


def read_numbers(path: Path = FILE) -> Numbers:
    """Read the file.

    Raises
    ------
    ValueError
        If a problem is held by another protocol than it is scored by.
    """
    values: dict[str, Any] = yaml.safe_load(path.read_text())
    scores: dict[Case, Score] = {}
    for name, held in values["problems"].items():
        if name in PROBLEMS and held["protocol"] != PROBLEMS[name].protocol:
            raise ValueError(f"{path.name}: {name} is held by {held['protocol']}, scored by {PROBLEMS[name].protocol}")
        scores |= {Case(name, method): Score(**score) for method, score in held["scores"].items()}
    return Numbers(Score(**values["tolerance"]), scores)


def write_numbers(numbers: Numbers, path: Path = FILE) -> None:
    """Write the file, whole or not at all."""
    problems = {}
    for name, problem in PROBLEMS.items():
        scores = {
            case.method: asdict(_rounded(score)) for case, score in numbers.scores.items() if case.problem == name
        }
        problems[name] = {"scan": problem.words, "protocol": problem.protocol, "scores": scores}
    values = {"tolerance": asdict(numbers.tolerance), "problems": problems}
    text = yaml.safe_dump(values, sort_keys=False, default_flow_style=None, width=120)
    with atomic_file(path, overwrite=True) as temporary:
        temporary.write_text(_HEAD + text)


def renewed(old: Numbers, cases: tuple[Case, ...], measure: Callable[[Case], Score | None]) -> Numbers:
    """Measure all cases anew; one that cannot be measured, `None`, keeps what is held of it."""
    scores = {}
    for case in cases:
        found = measure(case) or old.scores.get(case)
        if found is not None:
            scores[case] = found
    return replace(old, scores=scores)


def compare(old: Numbers, new: Numbers) -> list[str]:
    """A line for each score that moved by a digit that is written, that is new or that is gone; `!` beyond the tolerance."""
    lines = []
    for case in dict.fromkeys((*old.scores, *new.scores)):
        before, after = old.scores.get(case), new.scores.get(case)
        if before is None:
            assert after is not None
            lines.append(f"+ {case!s:28} PSNR {after.psnr:7.3f} dB           SSIM {after.ssim:.5f}  (new)")
        elif after is None:
            lines.append(f"- {case!s:28} PSNR {before.psnr:7.3f} dB           SSIM {before.ssim:.5f}  (gone)")
        elif _rounded(before) != _rounded(after):
            sign = " " if old.holds(case, after) else "!"
            psnr, ssim = after.psnr - before.psnr, after.ssim - before.ssim
            lines.append(
                f"{sign} {case!s:28} PSNR {before.psnr:7.3f} -> {after.psnr:7.3f} dB ({psnr:+.3f})   "
                f"SSIM {before.ssim:.5f} -> {after.ssim:.5f} ({ssim:+.5f})"
            )
    return lines


def _rounded(score: Score) -> Score:
    return Score(round(score.psnr, int(_DIGITS.psnr)), round(score.ssim, int(_DIGITS.ssim)))
