"""A process that runs the commands on one damaged file after the other, within limits of memory and time.

`python -m tests.fuzz.worker SEEDS` reads jobs as lines of JSON, and writes a line of JSON for each.
"""

import json
import os
import resource
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

from medrecon.benchmark.rows import open_journal
from medrecon.benchmark.schedule import load_benchmark, make_schedule
from medrecon.cli import main
from medrecon.commands.console import complain, expected
from medrecon.config.files import load_settings
from medrecon.config.training import TrainingSettings
from medrecon.data.sets.manifest import load_manifest
from medrecon.weights.networks import build_network, operator_family
from medrecon.workflows.training_data import build_training_sets
from tests.fuzz.formats import OUTSIDE
from tests.fuzz.seeds import SEEDS

SECONDS = 10.0  # of the processor
MEMORY = 2 * 2**30  # bytes beyond those of a process that has done nothing

Action = tuple[str, ...] | Callable[[], object]


class _TooLong(BaseException):
    """A command ran longer than it may."""


def actions(kind: str, path: Path, seeds: Path, random: Random) -> list[Action]:
    """What is tried with a damaged file."""
    file, output = str(path), str(path.with_suffix(".out.h5"))
    reconstruct = ("reconstruct", file, "--output", output, "--overwrite", "--method")
    match kind:
        case "mri" | "header":
            ways = (("rss",), ("sense", "--iterations", "2"), ("wavelet", "--iterations", "2"))
            return [random.choice((("inspect", file, "--json"), *((*reconstruct, *way) for way in ways)))]
        case "ct":
            ways = (("fbp",), ("sirt", "--iterations", "2"), ("fbp", "--repair", "--hu"))
            return [random.choice((("inspect", file), *((*reconstruct, *way) for way in ways)))]
        case "lodopab":
            return [("inspect", file)]
        case "npy":
            geometry = "--geometry", str(seeds / SEEDS["geometry"][0])
            return [random.choice((("inspect", file, *geometry), (*reconstruct, "fbp", *geometry)))]
        case "exchange" | "nexus" | "npz" | "mat":
            return [random.choice((("inspect", file), (*reconstruct, "fbp")))]
        case "tiff":
            counts = "--geometry", str(seeds / SEEDS["geometry"][0]), "--flat", "1000", "--axes", "angle,slice,detector"
            return [random.choice((("inspect", file, *counts), (*reconstruct, "fbp", *counts)))]
        case "complex":
            axes = "--axes", "slice,coil,y,x"
            return [random.choice((("inspect", file, *axes), (*reconstruct, "rss", *axes)))]
        case "cfl" | "bart":
            _lay_pair(kind, path, seeds)
            return [random.choice((("inspect", file), (*reconstruct, "rss")))]
        case "geometry":
            array = str(seeds / SEEDS["npy"][0])
            ways = ("inspect", array), ("reconstruct", array, *reconstruct[2:], "fbp")
            return [(*random.choice(ways), "--geometry", file)]
        case "dicom" | "nifti" | "packed-nifti" | "nrrd" | "packed-nrrd":
            return [
                ("simulate", output, "--overwrite", "--modality", "ct", "--from", file, "--views", "4", "--slices", "1")
            ]
        case "training":
            return [lambda: _prepare(path)]
        case "benchmark":
            return [lambda: make_schedule(load_benchmark(path))]
        case "manifest":
            return [lambda: _read_manifest(path)]
        case "journal":
            return [lambda: _read_journal(path)]
        case "weights":
            used = (
                "reconstruct",
                str(seeds / SEEDS["mri"][0]),
                "--output",
                output,
                "--overwrite",
                "--no-check",
                "--weights",
                file,
            )
            tables = (
                ("weights", "show", file),
                ("weights", "export", file, "-o", f"{file}.safetensors", "--overwrite"),
                used,
            )
            return [("weights", "list", "--folder", str(path.parent)), random.choice(tables)]
    raise ValueError(f"{kind} is no kind of file")


def _lay_pair(kind: str, path: Path, seeds: Path) -> None:
    """Put the sound half of a pair of BART beside the damaged one."""
    name, ending = SEEDS[kind][0].rpartition(".")[0], ".hdr" if kind == "cfl" else ".cfl"
    if path.parent != seeds:
        path.with_suffix(ending).write_bytes((seeds / f"{name}{ending}").read_bytes())


def _prepare(path: Path) -> None:
    """All of a training but its steps."""
    settings = load_settings(TrainingSettings, path)
    build_network(settings.network, operator_family(settings.data))
    for samples in build_training_sets(settings.data, settings.training.seed):
        samples.read(0, 0)


def _read_manifest(path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / SEEDS["manifest"][0]
        copy.write_bytes(path.read_bytes())
        load_manifest("brain-small", Path(folder))


def _read_journal(path: Path) -> None:
    with open_journal(path):
        pass


def _status(action: Action) -> int:
    if not callable(action):
        try:
            main(action)
        except SystemExit as done:
            return int(done.code or 0)
        return 0
    try:
        action()
    except Exception as error:
        complain(expected(error) or f"unexpected {type(error).__name__}: {error}")
        return 1 if expected(error) is None else 2
    return 0


def outcome(status: int, spoken: str, outside: Path) -> str:
    """The kind of an end: `0`, `2`, or what may not be."""
    if outside.exists() and outside.stat().st_atime_ns > 0:
        return "outside"
    lines = [line for line in spoken.splitlines() if not line.startswith(("medrecon: note: ", "medrecon: compiling"))]
    if (status == 2 and len(lines) != 1) or (status == 0 and lines):
        return "loud"
    return {0: "0", 2: "2"}.get(status, "1")


def _run(kind: str, path: Path, seeds: Path, seed: int) -> tuple[str, str]:
    """Try everything with a file until something ends as nothing may; return how the last one ended, and its words."""
    outside, found, spoken = seeds.parent / OUTSIDE, "0", ""
    for action in actions(kind, path, seeds, Random(seed)):
        if outside.exists():
            os.utime(outside, ns=(0, outside.stat().st_mtime_ns))
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as words:
            os.dup2(words.fileno(), 2)
            _clear_peak()
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            try:
                status = _status(action)
                signal.setitimer(signal.ITIMER_PROF, 0)
            except _TooLong:
                return "hang", str(action)
            sys.stderr.flush()
            words.seek(0)
            lines = words.read(10_000).splitlines(keepends=True)
            spoken = "".join(line for line in lines if not line.startswith("medrecon: compiling"))
        found = outcome(status, spoken, outside)
        if _peak() > _BASE + MEMORY:
            found = "memory"
        if found not in ("0", "2"):
            return found, f"{action if isinstance(action, tuple) else kind}: {spoken}"
    return found, spoken


def _clear_peak() -> None:
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _peak() -> int:
    return _of_status("VmHWM")


def _of_status(name: str) -> int:
    with suppress(OSError):
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
    return 0


_BASE = _of_status("VmRSS")


def serve(seeds: Path) -> None:
    """Answer jobs until there are no more."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    with Path(os.devnull).open("w", encoding="utf-8") as nothing:
        os.dup2(nothing.fileno(), 1)

    def too_long(*_: Any) -> None:
        raise _TooLong

    signal.signal(signal.SIGPROF, too_long)
    warnings.simplefilter("default")
    limit = _of_status("VmSize") + 2 * MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for line in sys.stdin:
        job = json.loads(line)
        found, words = _run(job["kind"], Path(job["path"]), seeds, job["seed"])
        print(json.dumps([found, words[:2000]]), file=answers, flush=True)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
