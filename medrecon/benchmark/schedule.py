"""From a configuration to its cases: everything that could be missing is looked for before the first of them runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from medrecon.benchmark.cases import Case, Group
from medrecon.benchmark.methods import build, fingerprint
from medrecon.benchmark.perceptual import require_lpips
from medrecon.benchmark.sources import ImageReference, source_images, spread
from medrecon.config.benchmark import (
    BenchmarkSettings,
    CustomMethodSettings,
    MethodEntry,
    ScenarioSettings,
    TunedSettings,
)
from medrecon.config.files import load_settings, settings_of
from medrecon.errors import InputError

__all__ = ["Schedule", "load_benchmark", "make_schedule", "scenario_images", "with_settings"]


@dataclass(frozen=True)
class Schedule:
    """The cases of a benchmark: those of one image stand together."""

    groups: tuple[Group, ...]

    @property
    def cases(self) -> tuple[Case, ...]:
        """All of them, in the order of scenarios, images and methods."""
        return tuple(case for group in self.groups for case in group)


def load_benchmark(path: Path, changes: Sequence[str] = ()) -> BenchmarkSettings:
    """Read a configuration; files of tuned settings are looked for beside it.

    Raises
    ------
    InputError
        As `medrecon.config.files.load_settings`.
    """
    settings = load_settings(BenchmarkSettings, path, changes)
    update = {
        name: benchmark.model_copy(update={"methods": tuple(_beside(entry, path) for entry in benchmark.methods)})
        for name, benchmark in settings.modalities.items()
    }
    return settings.model_copy(update=update)


def make_schedule(settings: BenchmarkSettings) -> Schedule:
    """List the cases.

    Raises
    ------
    InputError
        If data, weights, tuned settings, the user's own code, LPIPS or the device are missing; the text says what gets them.
    """
    if settings.lpips:
        require_lpips()
    groups: list[Group] = []
    for benchmark in settings.modalities.values():
        for scenario in benchmark.scenarios:
            entries = [
                _tuned(entry, scenario)
                for entry in benchmark.methods
                if entry.scenarios is None or scenario.name in entry.scenarios
            ]
            weights = [_known(entry, settings) for entry in entries]
            groups += [
                tuple(
                    Case(scenario, entry, image, settings.seed, settings.device, w, settings.lpips)
                    for entry, w in zip(entries, weights, strict=True)
                )
                for image in scenario_images(scenario, settings.images)
                if entries
            ]
    return Schedule(tuple(groups))


def scenario_images(scenario: ScenarioSettings, images: int | None) -> list[ImageReference]:
    """The images of a scenario, at most so many.

    Raises
    ------
    InputError
        If data are missing; the text names the scenario and the command that gets them.
    """
    try:
        found = source_images(scenario.data)
    except InputError as error:
        raise InputError(f"scenario '{scenario.name}': {error}") from error
    return [found[index] for index in spread(len(found), images)]


def with_settings(entry: MethodEntry, values: Mapping[str, object], origin: str) -> MethodEntry:
    """The method with values for its settings; they complete those it has.

    Raises
    ------
    InputError
        If one is given already, unknown, or out of its range.
    """
    given = entry.method.model_dump(exclude_none=True, by_alias=True)
    twice = sorted(set(given) & set(values))
    if twice:
        raise InputError(
            f"{origin}: gives {twice[0]} of '{entry.name}', and the configuration does too; leave it out of one"
        )
    method = settings_of(type(entry.method), {**given, **values}, f"{origin}: {entry.name}")
    return entry.model_copy(update={"method": method})


def _beside(entry: MethodEntry, path: Path) -> MethodEntry:
    return entry if entry.tuned is None else entry.model_copy(update={"tuned": path.parent / entry.tuned})


def _known(entry: MethodEntry, settings: BenchmarkSettings) -> str | None:
    """The fingerprint of a method, which is built once, so that what is wrong with it is found early."""
    try:
        return fingerprint(build(entry, settings.device))
    except InputError as error:
        if isinstance(entry.method, CustomMethodSettings):
            raise InputError(f"method '{entry.name}': {error}") from error
        raise


def _tuned(entry: MethodEntry, scenario: ScenarioSettings) -> MethodEntry:
    if entry.tuned is None:
        return entry
    wanted = scenario.tuned_as or scenario.name
    command = f"`medrecon tune '{entry.name}' CONFIG --scenario '{wanted}' --output {entry.tuned}` makes it"
    if not entry.tuned.is_file():
        raise InputError(f"{entry.tuned}: there is no such file of tuned settings of '{entry.name}'; {command}")
    found = load_settings(TunedSettings, entry.tuned).tuned
    match = next((one for one in found if (one.method, one.scenario) == (entry.name, wanted)), None)
    if match is None:
        raise InputError(f"{entry.tuned}: holds nothing for '{entry.name}' on '{wanted}'; {command}")
    if match.kind != entry.method.kind:
        raise InputError(
            f"{entry.tuned}: '{entry.name}' was tuned as {match.kind}, and is {entry.method.kind} here; {command}"
        )
    return with_settings(entry, match.settings, str(entry.tuned))
