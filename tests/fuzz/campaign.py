"""Many damaged files through a worker that is watched, and a count of how each ended."""

import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

import h5py
import numpy as np

from tests.fuzz.formats import OUTSIDE, mutate
from tests.fuzz.seeds import SEEDS, make_seeds

__all__ = ["ENDS", "Campaign", "Ended", "shrink", "table"]

#: How a run may end, and, from the third on, how none may.
ENDS = ("0", "2", "1", "hang", "memory", "outside", "loud", "died")
_PATIENCE, _WAITING = 90.0, 900.0  # seconds, of the processor and of the clock, until a worker that says nothing hangs


@dataclass(frozen=True)
class Ended:
    """How a damaged file was ended with, and what was done to it."""

    kind: str
    number: int
    damage: str
    end: str
    words: str
    path: Path

    @property
    def is_fine(self) -> bool:
        """Whether it was read, or refused in a line."""
        return self.end in ENDS[:2]


class Campaign:
    """Damaged files in a folder, and the worker that reads them; a context manager.

    Parameters
    ----------
    folder
        empty, for everything that is written.
    seed
        of the damages: the same number of the same kind is the same file.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.seeds, self.work, self._seed = folder / "seeds", folder / "work", seed
        self.seeds.mkdir()
        self.work.mkdir()
        self._sound = make_seeds(self.seeds)
        with h5py.File(folder / OUTSIDE, "w") as file:
            file["kspace"] = np.zeros((2, 2, 32, 12), "c8")
            file["sinogram"] = np.zeros((2, 12, 20), "f4")
        self._worker: subprocess.Popen[str] | None = None

    def __enter__(self) -> "Campaign":
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def run(self, kind: str, numbers: Sequence[int]) -> Iterator[Ended]:
        """Damage sound files of a kind, one for each number, and see how each ends; those that end well are removed."""
        for number in numbers:
            path = self.work / f"{number}{''.join(Path(SEEDS[kind][0]).suffixes)}"
            if kind == "lodopab":
                path = self.work / f"observation_{number}.hdf5"
            damage = mutate(kind, self._sound[kind], path, Random(f"{self._seed} {kind} {number}"))
            end, words = self.end_of(kind, path, number)
            yield Ended(kind, number, damage, end, words, path)
            if end in ENDS[:2]:
                for left in self.work.iterdir():
                    shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink(missing_ok=True)

    def end_of(self, kind: str, path: Path, number: int = 0) -> tuple[str, str]:
        """How the commands end with a file, and their last words."""
        worker = self._started()
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdin.write(json.dumps({"kind": kind, "path": str(path), "seed": number}) + "\n")
        worker.stdin.flush()
        if not _answers(worker):
            self._stop()
            return "hang", ""
        if answer := worker.stdout.readline():
            end, words = json.loads(answer)
            if end in ("hang", "memory"):
                self._stop()  # whatever it left behind in that process is not the next one's
            return end, words
        status = worker.wait()
        self._stop()
        return "died", f"status {status}"

    def _started(self) -> "subprocess.Popen[str]":
        if self._worker is None:
            command = [sys.executable, "-m", "tests.fuzz.worker", str(self.seeds)]
            pipe = subprocess.PIPE
            self._worker = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)
        return self._worker

    def _stop(self) -> None:
        if self._worker is not None:
            with suppress(OSError):
                self._worker.kill()
            self._worker.communicate()
            self._worker = None

    def shrunk(self, ended: Ended) -> bytes:
        """The least damage that ends the same way: bytes of the sound file are put back as long as it does."""
        sound = self._sound[ended.kind].read_bytes()

        def fails(data: bytes) -> bool:
            trial = ended.path.with_name(f"trial-{ended.path.name}")
            trial.write_bytes(data)
            return self.end_of(ended.kind, trial, ended.number)[0] == ended.end

        return shrink(sound, ended.path.read_bytes(), fails)


def _answers(worker: "subprocess.Popen[str]") -> bool:
    """Wait until a worker has something to say; false where it has used up its time, however busy the machine is."""
    before, end = _used(worker.pid), time.monotonic() + _WAITING
    while time.monotonic() < end and _used(worker.pid) - before < _PATIENCE:
        if select.select([worker.stdout], [], [], 1.0)[0]:
            return True
    return False


def _used(pid: int) -> float:
    """Seconds of the processor that a process has taken; none where it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def shrink(sound: bytes, damaged: bytes, fails: Callable[[bytes], bool], trials: int = 60) -> bytes:
    """Put back bytes of a sound file, in ever smaller pieces, as long as what is left still fails."""
    if len(sound) != len(damaged):
        return damaged
    places = [place for place, (one, other) in enumerate(zip(sound, damaged, strict=True)) if one != other]
    size = len(places) // 2
    while size and trials:
        start = 0
        while start < len(places) and trials:
            kept = places[:start] + places[start + size :]
            trial = bytearray(sound)
            for place in kept:
                trial[place] = damaged[place]
            trials -= 1
            if fails(bytes(trial)):
                places, damaged = kept, bytes(trial)
            else:
                start += size
        size //= 2
    return damaged


def table(ended: Sequence[Ended]) -> list[str]:
    """A row a kind: how many ended how."""
    lines = [f"{'kind':<14}" + "".join(f"{end:>9}" for end in ENDS)]
    for kind in (*SEEDS, "all"):
        counts = Counter(one.end for one in ended if kind in (one.kind, "all"))
        lines.append(f"{kind:<14}" + "".join(f"{counts[end]:>9}" for end in ENDS))
    return lines
