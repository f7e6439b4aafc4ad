"""What a call of `medrecon reconstruct` does to each file: the settings for it, and those of the methods beside it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from medrecon.commands.choices import AnyMethodName, CommandOptions
from medrecon.commands.console import expected, one_line
from medrecon.commands.jobs import Job
from medrecon.config import CTReconstructionSettings, LearnedSettings, ReconstructionSettings
from medrecon.errors import InputError

__all__ = ["Compared", "Plan", "fault_of", "make_plan"]

Settings = ReconstructionSettings | CTReconstructionSettings


@dataclass(frozen=True)
class Compared:
    """A method to show beside the one that is written, by the weights named where it takes any; `text` is as it was given."""

    text: str
    method: AnyMethodName
    weights: str | None

    @classmethod
    def parse(cls, text: str) -> Compared:
        """Read `METHOD` or `METHOD=WEIGHTS`.

        Raises
        ------
        InputError
            If there is no such method.
        """
        name, _, weights = text.partition("=")
        if name not in set(AnyMethodName):
            raise InputError(f"--compare {text}: takes METHOD or METHOD=WEIGHTS, of {', '.join(AnyMethodName)}")
        return cls(text, AnyMethodName(name), weights or None)


@dataclass(frozen=True)
class Plan:
    """A job with its settings, None for one that cannot be done; `others` are settings of methods to compare, by name."""

    job: Job
    settings: Settings | None = None
    others: Mapping[str, Settings] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of the method whose images are written, with its weights where they were chosen."""
        return "" if self.settings is None else _label(self.settings)


def make_plan(job: Job, choices: CommandOptions, compared: Sequence[Compared]) -> Plan:
    """Look what the file holds, and make the settings for it; a file that cannot be opened is a job with a fault.

    Methods to compare have their own default weight and iterations.

    Raises
    ------
    InputError
        If options do not belong to the modality of the file, or are out of range.
    """
    from medrecon.data.modality import Format, find_format

    try:
        found = None if job.fault else find_format(job.source)
    except InputError as error:
        job, found = replace(job, fault=str(error)), None
    if found is None:
        return Plan(job)
    settings = choices.mri(str(job.source)) if found is Format.FASTMRI else choices.ct(str(job.source))
    others: dict[str, Settings] = {}
    for one in compared:
        other = _compared_settings(one, choices, settings, str(job.source))
        if (name := _label(other)) in (_label(settings), *others):
            raise InputError(
                f"--compare {one.text}: {name} is in the report of {job.source} already; name another method"
            )
        others[name] = other
    return Plan(job, settings, others)


def _compared_settings(one: Compared, choices: CommandOptions, settings: Settings, name: str) -> Settings:
    """The settings of a file, but for the method, whose own defaults hold."""
    own = replace(choices, method=one.method, weights=one.weights, weight=None, iterations=None)
    own = replace(own, window=None, frequency_scaling=None)
    try:
        return own.mri(name) if isinstance(settings, ReconstructionSettings) else own.ct(name)
    except InputError as error:
        reason = str(error)
        for start in (f"--method {one.method}: ", f"--weights {one.weights}: ", "--weights: ", f"{one.weights}: "):
            reason = reason.removeprefix(start)
        remedy = reason.replace("--weights ", f"--compare {one.method}=")
        raise InputError(f"--compare {one.text}: {remedy}") from error


def fault_of(error: Exception) -> str:
    """Say why a file failed; what nobody foresaw is raised on request."""
    reason = expected(error)
    if reason is None and os.environ.get("MEDRECON_DEBUG"):
        raise error
    return one_line(reason or f"unexpected {type(error).__name__}: {error}")


def _label(settings: Settings) -> str:
    method = settings.method
    chosen = method.weights if isinstance(method, LearnedSettings) else None
    return method.kind.value if chosen is None else f"{method.kind.value} ({chosen})"
