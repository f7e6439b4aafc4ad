"""Settings of a classical method searched on validation images, so that a comparison is with the method at its best."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml

from medrecon._version import __version__
from medrecon.benchmark.cases import Case, Group
from medrecon.benchmark.cluster import Workers
from medrecon.benchmark.methods import build
from medrecon.benchmark.rows import open_journal
from medrecon.benchmark.run import run_open
from medrecon.benchmark.schedule import Schedule, scenario_images, with_settings
from medrecon.benchmark.search import Found, Range, search
from medrecon.config import FilterName
from medrecon.config.benchmark import (
    BenchmarkSettings,
    CTMethodEntry,
    MethodEntry,
    MRIMethodEntry,
    MRIScenario,
    ScenarioSettings,
    TunedEntry,
    TunedSettings,
)
from medrecon.config.files import load_settings
from medrecon.data.writing import atomic_file
from medrecon.errors import InputError
from medrecon.evaluation import LODOPAB_PROTOCOL, PROTOCOL
from medrecon.progress import Progress, silent

__all__ = ["tune_method", "tuning_rows"]

_WHERE = {"weight": Range(), "iterations": Range(low=1, whole=True), "frequency_scaling": Range(high=1.0)}
_FALLBACK = {"frequency_scaling": 0.64}
_ABOUT: dict[str, Any] = {"coarse": 2.0, "steps": 1}  # the grid that looks about a value
_DOUBLINGS, _WORTH = 5, 0.1  # of the iterations at most, and the gain in dB for which one more is tried


@dataclass(frozen=True)
class _Trials:
    """Mean scores of settings of a method on the tuning images of a problem."""

    entry: MethodEntry
    problem: ScenarioSettings
    settings: BenchmarkSettings
    journal: Path
    workers: Workers
    progress: Progress

    def scores(self, name: str, values: Sequence[float], rest: dict[str, Any]) -> list[float]:
        entries = [_with(self.entry, {**rest, name: _number(name, value)}) for value in values]
        items = scenario_images(self.problem, self.settings.images)
        seed, device = self.settings.seed, self.settings.device
        groups: tuple[Group, ...] = tuple(
            tuple(Case(self.problem, entry, item, seed, device) for entry in entries) for item in items
        )
        with open_journal(self.journal) as journal:
            rows, _ = run_open(Schedule(groups), journal, self.workers, progress=self.progress)
        by_value: list[list[float]] = [[] for _ in values]
        for place, row in enumerate(rows):
            if not row.done or row.scores[0].psnr is None:
                raise InputError(
                    f"{row.method} on '{row.problem}', {row.file}, slice {row.slice}: {row.reason or 'no PSNR'}"
                )
            by_value[place % len(values)].append(row.scores[0].psnr)
        return [fmean(found) for found in by_value]

    @property
    def images(self) -> int:
        return len(scenario_images(self.problem, self.settings.images))


def tune_method(
    settings: BenchmarkSettings,
    method: str,
    output: Path,
    workers: Workers,
    *,
    problems: Sequence[str] = (),
    progress: Progress = silent,
) -> list[TunedEntry]:
    """Search the settings of a method on the `tuning` images of its problems, by mean PSNR, and write them to a YAML file.

    The weight is searched where there is one; the iterations are then doubled, and the weight searched anew about its best, while
    that gains .1 dB. Without a weight the iterations are searched, and of filtered backprojection the frequency scaling, for each
    window unless one is given. Entries that `output` holds for other methods and problems stay. Trials stand beside it in a
    journal, `OUTPUT.jsonl`, so that a search that was cut off goes on.

    Raises
    ------
    InputError
        If there is no such method or problem, there is nothing to search, data are missing, or the method fails on an image.
    """
    entry, chosen = _find(settings, method, problems)
    stood = load_settings(TunedSettings, output).tuned if output.is_file() else ()
    found = []
    for problem in chosen:
        assert problem.tuning is not None
        moved = problem.model_copy(update={"data": problem.tuning})
        trials = _Trials(entry, moved, settings, output.with_name(f"{output.name}.jsonl"), workers, progress)
        found.append(_tune(trials))
        fresh = {(one.method, one.problem) for one in found}
        kept = [one for one in stood if (one.method, one.problem) not in fresh]
        _write(output, TunedSettings(tuned=(*kept, *found)))
    return found


def tuning_rows(entries: Sequence[TunedEntry]) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of a table of what was found."""
    rows = []
    for one in entries:
        shown = ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in one.settings.items())
        psnr, edge = f"{one.psnr:.2f}", "; ".join(one.bounded.values())
        rows.append([one.problem, one.method, shown, psnr, one.protocol, str(one.images), str(len(one.searched)), edge])
    return ["problem", "method", "best", "PSNR (dB)", "protocol", "images", "trials", "note"], rows


def _find(settings: BenchmarkSettings, method: str, names: Sequence[str]) -> tuple[MethodEntry, list[ScenarioSettings]]:
    sides = [side for side in (settings.mri, settings.ct) if side is not None]
    found: list[tuple[MethodEntry, list[ScenarioSettings]]] = [
        (entry, list(side.problems)) for side in sides for entry in side.methods if entry.name == method
    ]
    if not found:
        known = ", ".join(entry.name for side in sides for entry in side.methods)
        raise InputError(f"no method of {settings.name} is called '{method}'; there are {known}")
    asked = [(entry, [p for p in problems if not names or p.name in names]) for entry, problems in found]
    there = {p.name for _, problems in asked for p in problems}
    if missing := [name for name in names if name not in there]:
        known = ", ".join(p.name for _, problems in found for p in problems)
        raise InputError(f"--problem {missing[0]}: '{method}' has no such problem; there are {known}")
    able = [(entry, [p for p in problems if p.tuning is not None]) for entry, problems in asked]
    entry, problems = next(((e, ps) for e, ps in able if ps), (found[0][0], []))
    if not problems:
        raise InputError(f"'{method}': no problem says on which images it is to be tuned; give tuning, beside data")
    if sum(bool(ps) for _, ps in able) > 1:
        raise InputError(f"'{method}' is a method of mri and of ct; name problems of one of them by --problem")
    return entry, problems


def _tune(trials: _Trials) -> TunedEntry:
    entry, method = trials.entry, trials.entry.method
    searched: list[dict[str, str | int | float]] = []
    bounded: dict[str, str] = {}
    fields, given = type(method).model_fields, method.model_dump(exclude_none=True)
    name = next((name for name in _WHERE if name in fields and name not in given), None)
    if name is None:
        raise InputError(f"'{entry.name}' ({method.kind}) has no weight, window or iterations left to search")
    best: tuple[float, dict[str, str | int | float]] | None = None
    for rest, found in _rounds(trials, name):
        tried = [{**rest, name: _number(name, value), "psnr": round(score, 4)} for value, score in found.tried]
        searched += [trial for trial in tried if trial not in searched]
        if best is None or found.score > best[0]:
            best = found.score, {**rest, name: _number(name, float(f"{found.value:.4g}"))}
            bounded = {name: found.edge} if found.edge else {}
    assert best is not None
    return TunedEntry(
        method=entry.name,
        problem=trials.problem.name,
        kind=str(method.kind),
        settings=best[1],
        protocol=PROTOCOL if isinstance(trials.problem, MRIScenario) else LODOPAB_PROTOCOL,
        psnr=round(best[0], 4),
        images=trials.images,
        data=trials.problem.data.model_dump(mode="json", exclude_none=True),
        bounded=bounded,
        searched=tuple(searched),
        version=__version__,
    )


def _rounds(trials: _Trials, name: str) -> Iterator[tuple[dict[str, Any], Found]]:
    """Searches of one setting, and the others at which each is made."""
    method = trials.entry.method
    fields, given = type(method).model_fields, method.model_dump(exclude_none=True)
    built: Any = build(trials.entry, trials.settings.device)
    start = _FALLBACK.get(name, float(getattr(built, name)) or 1.0)
    if "window" in fields and "window" not in given:
        for window in FilterName:
            rest = {"window": window.value}
            yield rest, _search(trials, name, rest, start)
    elif name == "weight" and "iterations" in fields and "iterations" not in given:
        rest = {"iterations": built.iterations}
        yield rest, (best := _search(trials, name, rest, start))
        for _ in range(_DOUBLINGS):
            more = {"iterations": 2 * rest["iterations"]}
            yield more, (found := _search(trials, name, more, best.value, **_ABOUT, fine=1.5))
            if found.score < best.score + _WORTH:
                break
            best, rest = found, more
        if rest["iterations"] > built.iterations:
            yield rest, _search(trials, name, rest, best.value, **_ABOUT)
    else:
        yield {}, _search(trials, name, {}, start)


def _search(trials: _Trials, name: str, rest: dict[str, Any], start: float, **grid: Any) -> Found:
    return search(lambda values: trials.scores(name, values, rest), start, _WHERE[name], **grid)


def _with(entry: MethodEntry, values: dict[str, Any]) -> MethodEntry:
    if isinstance(entry, MRIMethodEntry):
        return with_settings(entry, values, "medrecon tune")
    assert isinstance(entry, CTMethodEntry)
    return with_settings(entry, values, "medrecon tune")


def _number(name: str, value: float) -> int | float:
    return int(value) if _WHERE[name].whole else value


def _write(path: Path, tuned: TunedSettings) -> None:
    """Write the file; each trial on a line of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    entries = [one.model_dump(mode="json") for one in tuned.tuned]
    for one in entries:
        one["searched"] = [_Flow(trial) for trial in one["searched"]]
        one["data"] = _Flow(one["data"])
        one["settings"] = _Flow(one["settings"])
    text = yaml.dump({"tuned": entries}, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)
    with atomic_file(path, overwrite=True) as temporary:
        temporary.write_text(
            "# Written by `medrecon tune`; read where a benchmark says `tuned`.\n" + text, encoding="utf-8"
        )


class _Flow(dict[str, Any]):
    """A mapping that is written on one line."""


class _Dumper(yaml.SafeDumper):
    """Plain YAML, some of it on one line."""


_Dumper.add_representer(
    _Flow, lambda dumper, value: dumper.represent_mapping("tag:yaml.org,2002:map", value.items(), flow_style=True)
)
