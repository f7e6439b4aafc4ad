"""Networks that learn from scans by drawn protocols."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from medrecon.config.files import settings_of
from medrecon.config.training import TrainingSettings
from medrecon.errors import InputError
from medrecon.workflows.training import train_network
from medrecon.workflows.training_data import build_training_sets
from tests.training.image_sets import write_ct, write_heads
from tests.training.runs import losses

MRI: dict[str, Any] = {
    "kind": "drawn-mri",
    "validation": 2,
    "protocols": {"matrix": [40, 48], "coils": [2, 5], "calibration": [8, 12], "acceleration": [2, 3]},
    "contrast": 0.5,
}
CT: dict[str, Any] = {
    "kind": "drawn-ct",
    "validation": 1,
    "protocols": {"matrix": [32, 40], "views": [20, 40], "spacing": [6, 8], "offset": 2},
}
NETWORKS: dict[str, Any] = {
    "drawn-mri": {"kind": "varnet", "cascades": 1, "features": 2, "pools": 1, "consistency": "proximal"},
    "drawn-ct": {"kind": "primal-dual", "iterations": 1, "features": 4, "primal": 2, "dual": 2},
}


def _settings(data: dict[str, Any], folder: Path, name: str) -> TrainingSettings:
    values = {
        "name": "drawn",
        "data": {**data, "sets": [{"name": name, "folder": str(folder)}]},
        "network": NETWORKS[data["kind"]],
        "loss": [{"kind": "l1"}],
        "optimizer": {"kind": "adam"},
        "training": {"epochs": 2},
    }
    return settings_of(TrainingSettings, values, "drawn")


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sets")
    write_heads(folder / "heads", (40, 36))
    write_ct(folder / "ct")
    return folder


def test_each_epoch_has_other_scans_and_validation_the_same(sets: Path) -> None:
    training, validation = build_training_sets(_settings(MRI, sets / "heads", "heads-open").data, 5)
    first, again, later = (training.read(0, epoch).problem.y for epoch in (0, 0, 1))
    assert torch.equal(first, again)
    assert first.shape != later.shape or not torch.equal(first, later)
    assert torch.equal(validation.read(1, 0).problem.y, validation.read(1, 3).problem.y)
    assert len(training) == 3
    assert len(validation) == 2
    assert len({training.bucket(index) for index in range(3)}) == 3  # each is a batch of its own


@pytest.mark.parametrize(("data", "name"), [(MRI, "heads-open"), (CT, "ct-open")], ids=["mri", "ct"])
def test_a_network_learns_from_them(data: dict[str, Any], name: str, sets: Path, tmp_path: Path) -> None:
    folder = sets / ("heads" if data is MRI else "ct")
    position = train_network(_settings(data, folder, name), tmp_path / "run")
    assert position.epoch == 2
    assert all(loss > 0 for _, loss in losses(tmp_path / "run"))


def test_heads_are_not_projected(sets: Path) -> None:
    settings = _settings(CT, sets / "heads", "heads-open")
    with pytest.raises(InputError, match="drawn-ct takes sets of CT"):
        build_training_sets(settings.data, 0)
