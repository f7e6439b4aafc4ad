"""Commands are begun, killed after a random time, begun again, and what they leave is compared with an undisturbed one's."""

from __future__ import annotations

import io
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from medrecon.cli import main
from medrecon.data.sets import manifest
from tests.kills.scenarios import Scenario, Values, emptied, hidden

EARLY = 0.05  # seconds, in which a process does not listen to signals yet
PATIENCE = 120.0  # seconds, until which all must have ended
COUNTED = ("kills", "partial outputs", "leftovers", "differences", "wrong ends")


@dataclass(frozen=True)
class Begun:
    """A process that runs the program: forked from this one, where all is imported, or a new one."""

    pid: int
    log: Path
    forked: bool
    since: float

    def wait(self, seconds: float) -> int | None:
        """Its exit status, negative for a signal; None where it still runs after so many seconds."""
        deadline = time.monotonic() + seconds
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > deadline:
                return None
            time.sleep(0.002)


@dataclass(eq=False)
class Campaign:
    """Kills of scenarios, and the faults found, by scenario."""

    root: Path
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def run(self, scenarios: Sequence[Scenario], kills: int, seed: str, tell: Callable[[str], None]) -> None:
        """Kill them in turn, so many times in all; tell how it stands after every hundred."""
        references = {one.name: self._reference(one) for one in scenarios}
        self.counts = {one.name: Counter() for one in scenarios}
        number, done = 0, 0
        while done < kills:
            scenario = scenarios[number % len(scenarios)]
            generator = random.Random(f"{seed} {number}")
            values, seconds = references[scenario.name]
            before = done
            done += self._chain(scenario, values, seconds, generator, f"{seed} {number}", kills - done)
            number += 1
            if before // 100 < done // 100:
                tell(f"{done} kills, {len(self.faults)} faults {self.faults[-1:]}")

    def table(self) -> str:
        """A line a scenario, and one for all."""
        total: Counter[str] = sum(self.counts.values(), Counter())
        rows = [*self.counts.items(), ("all", total)]
        lines = [f"{name:12}" + "".join(f"{count[what]:>{len(what) + 3}}" for what in COUNTED) for name, count in rows]
        ends = ", ".join(f"{what} {n}" for what, n in sorted(total.items()) if what not in COUNTED)
        return "\n".join([f"{'':12}" + "".join(f"   {what}" for what in COUNTED), *lines, f"ends: {ends}"])

    def _reference(self, scenario: Scenario) -> tuple[Values, float]:
        _warm_up(scenario, emptied(self.root / "first" / scenario.name))
        folder = emptied(self.root / "whole" / scenario.name)
        status, seconds, log = self._whole(scenario, folder)
        assert status == 0, f"{scenario.name}: {log}"
        return scenario.values(folder), seconds

    def _whole(self, scenario: Scenario, folder: Path) -> tuple[int | None, float, str]:
        begun = begin(scenario, folder, self.root / "log", forked=True)
        status = begun.wait(PATIENCE)
        return status, time.monotonic() - begun.since, begun.log.read_text()

    def _chain(
        self, scenario: Scenario, wanted: Values, seconds: float, generator: random.Random, name: str, most: int
    ) -> int:
        """Kill a command up to four times in one folder, let it come to its end, and compare."""
        folder = emptied(self.root / "killed" / scenario.name)
        kills = min(most, generator.randint(1, 4))
        for _ in range(kills):
            forked = scenario.manifests is not None or generator.random() < 0.95
            number = generator.choice((signal.SIGTERM, signal.SIGKILL))
            after = generator.uniform(0, seconds) if forked else generator.uniform(0, 3 + seconds)
            self._kill(scenario, folder, number, after, forked, name)
        status, _, log = self._whole(scenario, folder)
        if status != 0:
            self._fault(scenario, "differences", f"{name}: the last run ended with {status}: {log}")
            return kills
        if left := [str(path.relative_to(folder)) for path in folder.rglob("*") if hidden(path, folder)]:
            self._fault(scenario, "leftovers", f"{name}: {left}")
        found = scenario.values(folder)
        if found != wanted:
            unlike = sorted(key for key in {*found, *wanted} if found.get(key) != wanted.get(key))
            self._fault(scenario, "differences", f"{name}: {unlike}")
        return kills

    def _kill(self, scenario: Scenario, folder: Path, number: int, after: float, forked: bool, name: str) -> None:
        begun = begin(scenario, folder, self.root / "log", forked=forked)
        status = begun.wait(after)
        if status is None:
            os.kill(begun.pid, number)
            status = begun.wait(PATIENCE)
        self.counts[scenario.name]["kills"] += 1
        log = begun.log.read_text(errors="replace")
        early = not forked or after < EARLY
        what = _end(status, number, early, log)
        self.counts[scenario.name][what.partition(":")[0]] += 1
        where = f"{name}: {signal.Signals(number).name} after {after:.3f} s, {'forked' if forked else 'new'}"
        if what.startswith("wrong"):
            self._fault(scenario, "wrong ends", f"{where}: {what}: {log}", counted=True)
        if status is None:
            os.kill(begun.pid, signal.SIGKILL)
            os.waitpid(begun.pid, 0)
        try:
            scenario.values(folder)
        except Exception as error:
            self._fault(scenario, "partial outputs", f"{where}: {type(error).__name__}: {error}")

    def _fault(self, scenario: Scenario, what: str, text: str, *, counted: bool = False) -> None:
        self.counts[scenario.name][what] += not counted
        self.faults.append(f"{scenario.name}, {what}: {text}")


def _end(status: int | None, number: int, early: bool, log: str) -> str:
    """How a process ended that was sent a signal."""
    complaints = [line for line in log.splitlines() if line.startswith("medrecon: error: ")]
    others = [line for line in log.splitlines() if "Traceback" in line or "Exception ignored" in line]
    if status == 0:
        return "finished before"
    if number == signal.SIGKILL and status == -number:
        return "killed"
    if number == signal.SIGTERM and status == 128 + number and len(complaints) == 1 and not others:
        return "told to end"
    if number == signal.SIGTERM and status == -number and early:
        return "before Python listened"
    return f"wrong ends: {status}"


def begin(scenario: Scenario, folder: Path, log: Path, *, forked: bool) -> Begun:
    """Begin a command, whose words go to `log`."""
    environment = {"OMP_NUM_THREADS": "1", **scenario.environment(folder)}
    arguments = scenario.arguments(folder)
    since = time.monotonic()
    if not forked:
        with log.open("wb") as out:
            command = [sys.executable, "-m", "medrecon", *arguments]
            new = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, **environment})
        new.returncode = 0  # it is waited for by its number
        return Begun(new.pid, log, forked, since)
    pid = os.fork()
    if pid:
        return Begun(pid, log, forked, since)
    try:
        _be(scenario, arguments, environment, log)
    finally:
        os._exit(99)


def _warm_up(scenario: Scenario, folder: Path) -> None:
    """Run a command in this process, so that what it imports and compiles is there in those that are forked."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        for name, value in scenario.environment(folder).items():
            patch.setenv(name, value)
        if scenario.manifests is not None:
            patch.setattr(manifest, "manifest_folder", lambda: scenario.manifests)
        with pytest.raises(SystemExit) as done:
            main(scenario.arguments(folder))
    assert done.value.code == 0


def _be(scenario: Scenario, arguments: list[str], environment: dict[str, str], log: Path) -> None:
    """Be the program, in a forked process."""
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1)
    os.dup2(out, 2)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
    os.environ.update(environment)
    if (folder := scenario.manifests) is not None:
        manifest.manifest_folder = lambda: folder
    status = 98
    try:
        main(arguments)
    except SystemExit as done:
        status = done.code if isinstance(done.code, int) else 97
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
