"""A whole benchmark, from its configuration to its tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from medrecon._version import __version__
from medrecon.benchmark.cases import Case, Group
from medrecon.benchmark.cluster import Workers
from medrecon.benchmark.rows import Journal, Row, open_journal, rows_csv
from medrecon.benchmark.schedule import Schedule, make_schedule
from medrecon.benchmark.summary import ScenarioSummary, summarize
from medrecon.benchmark.tables import summary_csv, summary_markdown
from medrecon.config.benchmark import BenchmarkSettings
from medrecon.data.locks import hold_folder
from medrecon.data.writing import atomic_file
from medrecon.progress import Progress, silent

__all__ = ["Finished", "run_benchmark", "run_held", "run_open"]

_JOURNAL = "journal.jsonl"


@dataclass(frozen=True)
class Finished:
    """The benchmark `name`, whose tables lie in `folder`.

    Its cases and their rows, in the order of the configuration, their summary, and how many rows were there already.
    """

    name: str
    folder: Path
    schedule: Schedule
    rows: tuple[Row, ...]
    summaries: tuple[ScenarioSummary, ...]
    kept: int

    @property
    def failed(self) -> tuple[Row, ...]:
        """The rows without an image."""
        return tuple(row for row in self.rows if not row.done)


def run_benchmark(
    settings: BenchmarkSettings,
    folder: Path,
    workers: Workers,
    *,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Finished:
    """Run what is missing of a benchmark in its folder, and write its tables there.

    Each finished case stands in `journal.jsonl` at once: a run that was cut off goes on where it was. A case counts as the same
    while its scenario, method, settings, weights, seed and the version of medrecon are; failed ones are tried again. In the end
    `rows.csv`, `rows.json`, `summary.csv`, `summary.json` and `summary.md` are written, each whole or not at all.

    Raises
    ------
    InputError
        If something is missing, which is found out before anything runs, or the folder cannot be used.
    """
    with hold_folder(folder, "running a benchmark"):
        return run_held(settings, folder, workers, overwrite=overwrite, progress=progress)


def run_held(
    settings: BenchmarkSettings, folder: Path, workers: Workers, *, overwrite: bool, progress: Progress
) -> Finished:
    """Run a benchmark in a folder that this process holds; see `run_benchmark`."""
    schedule = make_schedule(settings)
    with open_journal(folder / _JOURNAL, overwrite=overwrite) as journal:
        rows, kept = run_open(schedule, journal, workers, progress=progress)
    summaries = summarize(rows, resamples=settings.resamples, seed=settings.seed)
    _write_tables(settings, folder, rows, summaries)
    return Finished(settings.name, folder, schedule, tuple(rows), tuple(summaries), kept)


def _write_tables(
    settings: BenchmarkSettings, folder: Path, rows: Sequence[Row], summaries: Sequence[ScenarioSummary]
) -> None:
    about = {
        "name": settings.name,
        "version": __version__,
        "torch": torch.__version__,
        "settings": settings.model_dump(mode="json", exclude_none=True),
    }
    summary = {**about, "scenarios": [one.to_json() for one in summaries]}
    _write(folder / "rows.csv", rows_csv(rows))
    _write(folder / "rows.json", _json({**about, "rows": [row.to_json() for row in rows]}))
    _write(folder / "summary.csv", summary_csv(summaries))
    _write(folder / "summary.json", _json(summary))
    _write(folder / "summary.md", summary_markdown(settings.name, summaries, [f"medrecon {__version__}."]))


def run_open(
    schedule: Schedule, journal: Journal, workers: Workers, *, progress: Progress = silent
) -> tuple[list[Row], int]:
    """Run the cases that are not in an open journal yet; the rows of all, in order, and how many were there.

    Raises
    ------
    InputError
        If there are no workers.
    """
    done = {key: row for key, row in journal.rows.items() if row.done}
    cases = schedule.cases
    kept = sum(case.key in done for case in cases)
    count = kept
    progress("cases", count, len(cases))
    missing = [group for group in (_without(group, done) for group in schedule.groups) if group]
    for row in workers.run(missing) if missing else ():
        journal.append(row)
        done[row.key] = row
        count += 1
        progress(f"{row.scenario}: {row.method}", count, len(cases))
    return [done[case.key] for case in cases], kept


def _without(group: Group, done: dict[str, Row]) -> tuple[Case, ...]:
    return tuple(case for case in group if case.key not in done)


def _write(path: Path, text: str) -> None:
    with atomic_file(path, overwrite=True) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def _json(values: object) -> str:
    return json.dumps(values, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
