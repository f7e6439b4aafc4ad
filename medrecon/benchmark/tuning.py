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
from medrecon.benchmark.inputs import protocol_of
from medrecon.benchmark.methods import build
from medrecon.benchmark.rows import open_journal
from medrecon.benchmark.run import run_open
from medrecon.benchmark.schedule import Schedule, scenario_images, with_settings
from medrecon.benchmark.search import Found, Range, search
from medrecon.config import FilterName
from medrecon.config.benchmark import (
    BenchmarkSettings,
    MethodEntry,
    ScenarioSettings,
    TunedEntry,
    TunedSettings,
)
from medrecon.config.files import load_settings
from medrecon.data.locks import hold
from medrecon.data.writing import atomic_file
from medrecon.errors import InputError
from medrecon.progress import Progress, silent

__all__ = ["tune_method", "tuning_rows"]

_WHERE = {"weight": Range(), "iterations": Range(low=1, whole=True), "frequency_scaling": Range(high=1.0)}
_FALLBACK = {"frequency_scaling": 0.64}
_ABOUT: dict[str, Any] = {"coarse": 2.0, "steps": 1}  # the grid that looks about a value
_DOUBLINGS, _WORTH = 5, 0.1  # of the iterations at most, and the gain in dB for which one more is tried


@dataclass(frozen=True)
class _Trials:
    """Mean scores of settings of a method on the tuning images of a scenario."""

    entry: MethodEntry
    scenario: ScenarioSettings
    settings: BenchmarkSettings
    journal: Path
    workers: Workers
    progress: Progress

    def scores(self, name: str, values: Sequence[float], rest: dict[str, Any]) -> list[float]:
        entries = [with_settings(self.entry, {**rest, name: _number(name, value)}, "medrecon tune") for value in values]
        images = scenario_images(self.scenario, self.settings.images)
        seed, device = self.settings.seed, self.settings.device
        groups: tuple[Group, ...] = tuple(
            tuple(Case(self.scenario, entry, image, seed, device) for entry in entries) for image in images
        )
        with open_journal(self.journal) as journal:
            rows, _ = run_open(Schedule(groups), journal, self.workers, progress=self.progress)
        by_value: list[list[float]] = [[] for _ in values]
        for place, row in enumerate(rows):
            if not row.done or row.scores[0].psnr is None:
                raise InputError(
                    f"{row.method} on '{row.scenario}', {row.file}, slice {row.slice}: {row.reason or 'no PSNR'}"
                )
            by_value[place % len(values)].append(row.scores[0].psnr)
        return [fmean(found) for found in by_value]

    @property
    def images(self) -> int:
        return len(scenario_images(self.scenario, self.settings.images))


def tune_method(
    settings: BenchmarkSettings,
    method: str,
    output: Path,
    workers: Workers,
    *,
    scenarios: Sequence[str] = (),
    progress: Progress = silent,
) -> list[TunedEntry]:
    """Search the settings of a method on the `tuning` images of its scenarios, by mean PSNR, and write them to a YAML file.

    The weight is searched where there is one; the iterations are then doubled, and the weight searched anew about its best, while
    that gains .1 dB. Without a weight the iterations are searched, and of filtered backprojection the frequency scaling, for each
    window unless one is given. Entries that `output` holds for other methods and scenarios stay. Trials stand beside it in a
    journal, `OUTPUT.jsonl`, so that a search that was cut off goes on.

    Raises
    ------
    InputError
        If there is no such method or scenario, there is nothing to search, data are missing, or the method fails on an image.
    """
    entry, chosen = _find(settings, method, scenarios)
    found: list[TunedEntry] = []
    with hold(output.with_name(f".{output.name}.medrecon.lock"), str(output), "tuning"):
        stood = load_settings(TunedSettings, output).tuned if output.is_file() else ()
        for scenario in chosen:
            assert scenario.tuning is not None
            moved = scenario.model_copy(update={"data": scenario.tuning})
            trials = _Trials(entry, moved, settings, output.with_name(f"{output.name}.jsonl"), workers, progress)
            found.append(_tune(trials))
            fresh = {(one.method, one.scenario) for one in found}
            kept = [one for one in stood if (one.method, one.scenario) not in fresh]
            _write(output, TunedSettings(tuned=(*kept, *found)))
    return found


def tuning_rows(entries: Sequence[TunedEntry]) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of a table of what was found."""
    rows = []
    for one in entries:
        shown = ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in one.settings.items())
        psnr, edge = f"{one.psnr:.2f}", "; ".join(one.bounded.values())
        rows.append(
            [one.scenario, one.method, shown, psnr, one.protocol, str(one.images), str(len(one.searched)), edge]
        )
    return ["scenario", "method", "best", "PSNR (dB)", "protocol", "images", "trials", "note"], rows


def _find(settings: BenchmarkSettings, method: str, names: Sequence[str]) -> tuple[MethodEntry, list[ScenarioSettings]]:
    benchmarks = settings.modalities.values()
    found: list[tuple[MethodEntry, list[ScenarioSettings]]] = [
        (entry, list(one.scenarios)) for one in benchmarks for entry in one.methods if entry.name == method
    ]
    if not found:
        known = ", ".join(entry.name for one in benchmarks for entry in one.methods)
        raise InputError(f"no method of {settings.name} is called '{method}'; there are {known}")
    asked = [(entry, [s for s in scenarios if not names or s.name in names]) for entry, scenarios in found]
    there = {s.name for _, scenarios in asked for s in scenarios}
    if missing := [name for name in names if name not in there]:
        known = ", ".join(s.name for _, scenarios in found for s in scenarios)
        raise InputError(f"--scenario {missing[0]}: '{method}' has no such scenario; there are {known}")
    able = [(entry, tuned) for entry, scenarios in asked if (tuned := [s for s in scenarios if s.tuning is not None])]
    if not able:
        raise InputError(f"'{method}': no scenario says on which images it is to be tuned; give tuning, beside data")
    if len(able) > 1:
        raise InputError(f"'{method}' is a method of mri and of ct; name scenarios of one of them by --scenario")
    return able[0]


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
        scenario=trials.scenario.name,
        kind=str(method.kind),
        settings=best[1],
        protocol=protocol_of(trials.scenario),
        psnr=round(best[0], 4),
        images=trials.images,
        data=trials.scenario.data.model_dump(mode="json", exclude_none=True),
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
            "# Written by `medrecon tune`; read where a benchmark says `tuned`.\n" + text,
            encoding="utf-8",
            errors="backslashreplace",
        )


class _Flow(dict[str, Any]):
    """A mapping that is written on one line."""


class _Dumper(yaml.SafeDumper):
    """Plain YAML, some of it on one line."""


_Dumper.add_representer(
    _Flow, lambda dumper, value: dumper.represent_mapping("tag:yaml.org,2002:map", value.items(), flow_style=True)
)
