"""Small training runs."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

from medrecon.config.files import settings_of
from medrecon.config.training import TrainingSettings
from medrecon.training.logs import read_table

TINY: dict[str, Any] = {
    "name": "tiny",
    "data": {
        "kind": "phantom-mri",
        "train": 5,
        "validation": 2,
        "size": [24, 20],
        "coils": 3,
        "masks": [{"kind": "random", "acceleration": 2, "center_fraction": 0.3}],
    },
    "network": {"kind": "varnet", "cascades": 2, "features": 3, "pools": 1},
    "loss": [{"kind": "l1"}, {"kind": "ssim", "weight": 0.5}],
    "optimizer": {"kind": "adam", "rate": "1e-3"},
    "schedule": {"kind": "cosine"},
    "training": {"epochs": 2, "batch_size": 2, "clip": 1.0},
}

TINY_CT: dict[str, Any] = {
    **TINY,
    "data": {"kind": "phantom-ct", "train": 4, "validation": 2, "size": 24, "all_views": 12},
    "network": {"kind": "primal-dual", "iterations": 2, "features": 8, "initial": "fbp"},
}


def changed(values: dict[str, Any] = TINY, **changes: object) -> dict[str, Any]:
    """The values with others: `changed(training__epochs=3)`."""
    values = copy.deepcopy(values)
    for key, value in changes.items():
        *parts, last = key.split("__")
        inside = values
        for part in parts:
            inside = inside[part]
        inside[last] = value
    return values


def settings(values: dict[str, Any] = TINY, **changes: object) -> TrainingSettings:
    return settings_of(TrainingSettings, changed(values, **changes), "tiny.yaml")


def written(path: Path, values: dict[str, Any] = TINY) -> Path:
    path.write_text(yaml.safe_dump(values))
    return path


def losses(folder: Path) -> list[tuple[int, float]]:
    return [(int(row["step"]), float(row["loss"])) for row in read_table(folder / "steps.csv")]
