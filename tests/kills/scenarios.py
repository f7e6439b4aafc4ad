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
from dataclasses import dataclass
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
    words
        of the command, for the folders of inputs and of outputs; the same again go on.
    read
        what a file holds, by its path in the folder; an error for one that is not whole, None for one that grows line by line.
    inputs
        the folder of what commands read.
    manifests
        the folder of the manifests of data sets, in place of medrecon's own.
    """

    name: str
    words: str
    read: Callable[[Path], Any]
    inputs: Path
    manifests: Path | None = None

    def arguments(self, folder: Path) -> list[str]:
        """Of the program that writes to a folder."""
        return [word.format(inputs=self.inputs, out=folder) for word in self.words.split()]

    def environment(self, folder: Path) -> dict[str, str]:
        """Of the program that writes to a folder."""
        return {} if self.manifests is None else {"MEDRECON_DATA": str(folder)}

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


RECONSTRUCT = (
    "reconstruct {inputs}/scan.h5 -o {out}/o.h5 --overwrite --method tv --mask random --center-fraction 0.25 --iterations 8 "
    "--preview {out}/o.png --json {out}/o.json --report {out}/o.html"
)


@contextmanager
def scenarios(root: Path) -> Iterator[tuple[Scenario, ...]]:
    """All scenarios, with their inputs in a folder; data sets come from a server on this machine."""
    inputs = root / "inputs"
    inputs.mkdir()
    simulate(inputs / "scan.h5", slices=4)
    _write_configurations(inputs)
    with _server(inputs / "files") as port:
        _write_manifest(inputs / "manifests", inputs / "files", port)
        yield (
            Scenario("reconstruct", RECONSTRUCT, _image_or_report, inputs),
            Scenario("simulate", "simulate {out}/o.h5 --overwrite --size 48 --slices 10 --coils 3", _arrays, inputs),
            Scenario("train", "train {inputs}/train.yaml -o {out}/run --resume --device cpu", _run_file, inputs),
            Scenario("benchmark", "benchmark {inputs}/benchmark.yaml -o {out}/b --workers 0", _table, inputs),
            Scenario("tune", "tune sense {inputs}/tune.yaml -o {out}/tuned.yaml --workers 0", _tuned, inputs),
            Scenario("fetch", "data fetch tiny", _fetched, inputs, manifests=inputs / "manifests"),
        )


def _write_configurations(folder: Path) -> None:
    written(folder / "train.yaml", {**TINY, "training": {**TINY["training"], "save_every": 1}})
    scenario = {"name": "brain", "data": MRI_DATA, "mask": MASK}
    tuning = {**MRI_DATA, "phantom": "shepp-logan", "slices": 1, "seed": 1}
    for name, methods, more in (("benchmark", [zero_filled(), sense()], {}), ("tune", [sense()], {"tuning": tuning})):
        values = {"name": name, "resamples": 100, "mri": {"methods": methods, "scenarios": [{**scenario, **more}]}}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(values))


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


def _write_manifest(folder: Path, served: Path, port: int) -> None:
    folder.mkdir()
    files = [
        {
            "name": path.name,
            "url": f"http://127.0.0.1:{port}/{path.name}",
            "bytes": path.stat().st_size,
            "sha256": _digest(path),
            **({"unpack": True} if path.suffix == ".zip" else {}),
        }
        for path in sorted(served.iterdir())
    ]
    texts = dict.fromkeys(("title", "license", "citation", "homepage", "description"), "words")
    split = {"name": "test", "pattern": "*.bin", "count": 2, "datasets": ["x"]}
    content = {"name": "tiny", **texts, "splits": [split], "source": {"kind": "url", "files": files}}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(content))


def emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
