"""What is killed: commands, each with what it writes, told by values that an undisturbed run gives, too."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml
from safetensors.numpy import load_file

from medrecon.config.benchmark import TunedSettings
from medrecon.config.files import load_settings
from tests.benchmark.settings import MASK, MRI_DATA, sense, zero_filled
from tests.program import simulate
from tests.training.runs import TINY, losses, written

Values = dict[str, Any]


@dataclass(frozen=True)
class Scenario:
    """A command to kill.

    Parameters
    ----------
    name
        the command's.
    arguments
        of the program, for the folder it writes to; the same again go on.
    read
        what a file holds, by its path in the folder; an error for one that is not whole, None for one that grows line by line.
    environment
        of the program, for that folder.
    manifests
        the folder of the manifests of data sets, in place of medrecon's own.
    """

    name: str
    arguments: Callable[[Path], list[str]]
    read: Callable[[Path], Any]
    environment: Callable[[Path], dict[str, str]] = field(default=lambda _: {})
    manifests: Path | None = None

    def values(self, folder: Path) -> Values:
        """All visible files of a folder by their paths, each with what it holds."""
        files = sorted(path for path in folder.rglob("*") if path.is_file() and not hidden(path, folder))
        return {
            path.relative_to(folder).as_posix(): self.read(path) for path in files if "tensorboard" not in path.parts
        }


def hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _arrays(path: Path) -> dict[str, str]:
    found = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: found.update({name: _hash(item)}) if isinstance(item, h5py.Dataset) else None
        )
    return found


def _hash(item: h5py.Dataset) -> str:
    return hashlib.sha256(np.asarray(item[()]).tobytes()).hexdigest() + str(item.shape)


def _image_or_report(path: Path) -> Any:
    if path.suffix == ".h5":
        return _arrays(path)
    if path.suffix == ".png":
        assert path.read_bytes().endswith(b"IEND\xaeB`\x82"), f"{path} is cut short"
        return "a picture"
    if path.suffix == ".html":
        assert path.read_text().rstrip().endswith("</html>"), f"{path} is cut short"
        return "a page"
    return {key: value for key, value in json.loads(path.read_text()).items() if key not in ("seconds", "output")}


def _run_file(path: Path) -> Any:
    match path.name:
        case "last.safetensors" | "best.safetensors":
            return {name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in load_file(path).items()}
        case "steps.csv":
            return losses(path.parent)
        case "best.json":
            card = json.loads(path.read_text())
            return card["metrics"]["validation"]["loss"]
        case _:
            return None


def _table(path: Path) -> Any:
    match path.name:
        case "rows.json":
            rows = json.loads(path.read_text())["rows"]
            return [(row["method"], row["file"], row["slice"], row["scores"]) for row in rows]
        case "summary.json":
            return [one["scenario"] for one in json.loads(path.read_text())["scenarios"]]
        case "journal.jsonl":
            return None
        case _:
            return path.read_text().count("\n")


def _tuned(path: Path) -> Any:
    if path.suffix != ".yaml":
        return None
    return [(one.method, one.scenario, one.settings, one.psnr) for one in load_settings(TunedSettings, path).tuned]


def _fetched(path: Path) -> Any:
    return None if "downloads" in path.parts else _digest(path)


@contextmanager
def scenarios(root: Path) -> Iterator[tuple[Scenario, ...]]:
    """All scenarios, with their inputs in a folder; data sets come from a server on this machine."""
    inputs = root / "inputs"
    inputs.mkdir()
    scan = simulate(inputs / "scan.h5", slices=4)
    values = {**TINY, "training": {**TINY["training"], "save_every": 1}}
    config = written(inputs / "train.yaml", values)
    scenario = {"name": "brain", "data": MRI_DATA, "mask": MASK}
    tuning = {**MRI_DATA, "phantom": "shepp-logan", "slices": 1, "seed": 1}
    benchmark, tune = inputs / "benchmark.yaml", inputs / "tune.yaml"
    rows = {"methods": [zero_filled(), sense()], "scenarios": [scenario]}
    benchmark.write_text(yaml.safe_dump({"name": "b", "resamples": 100, "mri": rows}))
    tuned = {"methods": [sense()], "scenarios": [{**scenario, "tuning": tuning}]}
    tune.write_text(yaml.safe_dump({"name": "t", "resamples": 100, "mri": tuned}))
    beside = ("--preview", "--json", "--report")
    with _server(inputs / "files") as port:
        yield (
            Scenario(
                "reconstruct",
                lambda out: [
                    *(
                        "reconstruct",
                        str(scan),
                        "-o",
                        str(out / "o.h5"),
                        "--overwrite",
                        "--method",
                        "tv",
                        "--mask",
                        "random",
                    ),
                    *("--iterations", "8", "--center-fraction", "0.25"),
                    *(
                        word
                        for name, end in zip(beside, ("png", "json", "html"), strict=True)
                        for word in (name, str(out / f"o.{end}"))
                    ),
                ],
                _image_or_report,
            ),
            Scenario(
                "simulate",
                lambda out: [
                    "simulate",
                    str(out / "o.h5"),
                    "--overwrite",
                    "--size",
                    "48",
                    "--slices",
                    "10",
                    "--coils",
                    "3",
                ],
                _arrays,
            ),
            Scenario(
                "train",
                lambda out: ["train", str(config), "-o", str(out / "run"), "--resume", "--device", "cpu"],
                _run_file,
            ),
            Scenario(
                "benchmark", lambda out: ["benchmark", str(benchmark), "-o", str(out / "b"), "--workers", "0"], _table
            ),
            Scenario(
                "tune",
                lambda out: ["tune", "sense", str(tune), "-o", str(out / "tuned.yaml"), "--workers", "0"],
                _tuned,
            ),
            Scenario(
                "fetch",
                lambda _: ["data", "fetch", "tiny"],
                _fetched,
                lambda out: {"MEDRECON_DATA": str(out)},
                _manifests(inputs, port),
            ),
        )


@contextmanager
def _server(folder: Path) -> Iterator[int]:
    folder.mkdir()
    random = np.random.default_rng(0)
    for name in ("one.bin", "two.bin"):
        (folder / name).write_bytes(random.bytes(600_000))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        for number in range(40):
            zipped.writestr(f"inside/{number}.bin", random.bytes(10_000))
    (folder / "three.zip").write_bytes(archive.getvalue())
    command = [sys.executable, "-m", "tests.kills.server", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        try:
            yield int(running.stdout.readline())
        finally:
            running.kill()


def _manifests(inputs: Path, port: int) -> Path:
    folder = inputs / "manifests"
    folder.mkdir()
    files = [
        {
            "name": path.name,
            "url": f"http://127.0.0.1:{port}/{path.name}",
            "bytes": path.stat().st_size,
            "sha256": _digest(path),
            **({"unpack": True} if path.suffix == ".zip" else {}),
        }
        for path in sorted((inputs / "files").iterdir())
    ]
    texts = dict.fromkeys(("title", "license", "citation", "homepage", "description"), "words")
    split = {"name": "test", "pattern": "*.bin", "count": 2, "datasets": ["x"]}
    content = {"name": "tiny", **texts, "splits": [split], "source": {"kind": "url", "files": files}}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(content))
    return folder


def emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
