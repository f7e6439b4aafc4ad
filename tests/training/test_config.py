"""Configurations: read from YAML, changed on the command line, refused in words."""

import math
from pathlib import Path
from typing import Any

import pytest

from medrecon.config.files import load_settings, settings_of
from medrecon.config.mri import MRISimulationSettings
from medrecon.config.settings import settings_from
from medrecon.config.training import AdamSettings, TrainingSettings
from medrecon.config.training_data import BrainSmallData
from medrecon.errors import InputError
from medrecon.networks import (
    EndToEndVarNet,
    LearnedPrimalDual,
    MeasuredRootSumOfSquares,
    MoDL,
    NormalizedUNet,
    PostProcess,
    VarNet,
)
from medrecon.networks.consistency import Consistent
from medrecon.weights.networks import load_network
from medrecon.workflows.training import build_task, train_network
from tests.training.runs import TINY, TINY_CT, changed, settings, written


def load(tmp_path: Path, values: dict[str, Any], *changes: str) -> TrainingSettings:
    return load_settings(TrainingSettings, written(tmp_path / "c.yaml", values), changes)


def fault(tmp_path: Path, values: dict[str, Any], *changes: str) -> str:
    with pytest.raises(InputError) as caught:
        load(tmp_path, values, *changes)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_changes_reach_every_key(tmp_path: Path) -> None:
    changes = (
        "training.epochs=7",
        "loss.1.weight=0.25",
        "data.size=[30, 32]",
        "optimizer.rate=3e-4",
        "training.clip=null",
    )
    found = load(tmp_path, TINY, *changes)
    assert (found.training.epochs, found.loss[1].weight, found.training.clip) == (7, 0.25, None)
    assert found.optimizer.rate == 3e-4
    assert found == settings(
        TINY,
        training__epochs=7,
        loss=[{"kind": "l1"}, {"kind": "ssim", "weight": 0.25}],
        data__size=[30, 32],
        optimizer__rate=3e-4,
        training__clip=None,
    )


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("training__epoch", 3, "training.epoch: there is no such key; allowed are epochs, batch_size"),
        ("nets", 3, "nets: there is no such key; allowed are name, data, network"),
        ("network__feature", 3, "network.feature: there is no such key; allowed are output, features, pools"),
        ("training__epochs", "many", "training.epochs: should be a valid integer"),
        ("training__epochs", 0, "training.epochs: should be greater than or equal to 1, got 0"),
        ("network__kind", "resnet", "network.kind: got 'resnet'; allowed are 'unet', 'varnet', 'e2e-varnet'"),
        ("network", {"features": 3}, "network.kind: is missing; allowed are 'denoiser', 'e2e-varnet', 'modl'"),
        ("loss", [], "loss: Tuple should have at least 1 item"),
        ("loss", [{"kind": "l3"}], "loss.0.kind: should be 'l1', 'mse' or 'ssim', got 'l3'"),
        ("data__masks", [{"kind": "random", "rate": 4}], "data.masks.0.rate: there is no such key; allowed are"),
        ("data__operator", "coils", "data.operator: varnet takes sense"),
        ("network", {"kind": "e2e-varnet"}, "network: e2e-varnet takes multi-coil k-space without maps"),
        ("network", {"kind": "unet", "initial": "fbp"}, "network.initial: fbp is for CT"),
        ("network", {"kind": "varnet", "initial": "wavelet"}, "initial: wavelet goes with `consistency: proximal`"),
        ("data__augmentation", {"zoom": 0.5}, "data.augmentation.zoom: should be greater than or equal to 1, got 0.5"),
        ("training__compile", "often", "training.compile: should be a valid boolean"),
        ("training__epochs", True, "training.epochs: should be a valid integer, got True"),
        ("training__clip", True, "training.clip: should be a valid number, got True"),
        ("network__features", True, "network.features: should be a valid integer, got True"),
        ("data__augmentation", {"zoom": True}, "data.augmentation.zoom: should be a valid number, got True"),
        ("loss", [{"kind": "l1", "weight": True}], "loss.0.weight: should be a valid number, got True"),
        ("optimizer__betas", [False, 0.9], "optimizer.betas.0: should be a valid number, got False"),
        ("optimizer__betas", [2, 0.9], "optimizer.betas.0: should be less than 1, got 2"),
        ("optimizer__betas", [0.9, -1], "optimizer.betas.1: should be greater than or equal to 0, got -1"),
        ("optimizer__weight_decay", math.inf, "optimizer.weight_decay: should be a finite number, got inf"),
        ("schedule__warmup", math.inf, "schedule.warmup: should be a finite number, got inf"),
        ("schedule__floor", math.nan, "schedule.floor: should be a finite number, got nan"),
        ("data__augmentation", {"tilt": math.nan}, "data.augmentation.tilt: should be a finite number, got nan"),
    ],
)
def test_faults_name_file_key_and_what_is_allowed(tmp_path: Path, key: str, value: object, words: str) -> None:
    message = fault(tmp_path, changed(TINY, **{key: value}))
    assert message.startswith(f"{tmp_path / 'c.yaml'}: ")
    assert words in message


@pytest.mark.parametrize(
    ("values", "changes"),
    [
        (TINY_CT, {"network": {"kind": "varnet"}}),
        (TINY, {"data__operator": "coils", "network": {"kind": "unet", "initial": "rss"}}),
    ],
    ids=["ct", "coils"],
)
def test_coil_images_as_output_are_for_sense(tmp_path: Path, values: dict[str, Any], changes: dict[str, Any]) -> None:
    values = changed(values, **changes)
    assert load(tmp_path, values)
    assert "network.output: rss is for MRI with coil maps" in fault(tmp_path, changed(values, network__output="rss"))
    assert load(tmp_path, changed(TINY, network__output="rss"))


def test_a_sinogram_has_no_sense(tmp_path: Path) -> None:
    network = {"kind": "unet", "initial": "sense"}
    assert "sense is for MRI; take fbp" in fault(tmp_path, changed(TINY_CT, network=network))
    assert load(tmp_path, changed(TINY, network=network))


@pytest.mark.parametrize("ends", [(5, 3), (3, 3)])
@pytest.mark.parametrize(
    ("values", "key", "stage"),
    [
        (TINY, "curriculum", {"masks": TINY["data"]["masks"]}),
        (TINY, "bands", {"rows": 16}),
        (TINY_CT, "curriculum", {"views": 6}),
    ],
)
def test_stages_are_in_order(
    tmp_path: Path, values: dict[str, Any], key: str, stage: dict[str, Any], ends: tuple[int, int]
) -> None:
    def staged(*ends: int) -> dict[str, Any]:
        return changed(values, **{f"data__{key}": [{"until": end, **stage} for end in ends]})

    words = f"data.{key}: takes stages in order, each `until` above the one before; got {ends[0]}, {ends[1]}"
    assert words in fault(tmp_path, staged(*ends))
    assert load(tmp_path, staged(3, 5))


def test_true_is_no_number_of_a_mapping() -> None:
    values = {"kind": "brain-small", "masks": TINY["data"]["masks"], "repeats": {"T1": 1, "T2": True}}
    with pytest.raises(InputError, match=r"repeats.*should be a valid integer, got True"):
        settings_of(BrainSmallData, values, "c.yaml")


def test_truths_and_numbers_in_text_stay(tmp_path: Path) -> None:
    found = load(tmp_path, TINY, "training.compile=true", "optimizer.rate=1e-4", "optimizer.betas=[0, 0.99]")
    assert (found.training.compile, found.optimizer.rate) == (True, 1e-4)
    assert isinstance(found.optimizer, AdamSettings)
    assert found.optimizer.betas == (0, 0.99)


def test_true_on_the_command_line_is_no_number() -> None:
    with pytest.raises(InputError, match=r"^--coils should be a valid integer, got True$"):
        settings_from(MRISimulationSettings, {"coils": True})


def test_what_has_no_unet_is_not_compiled(tmp_path: Path) -> None:
    assert "primal-dual has none" in fault(tmp_path, changed(TINY_CT, training__compile=True))
    network = {"kind": "primal-dual", "iterations": 1, "features": 4, "primal_pools": 1}
    values = changed(TINY_CT, training__compile=True, network=network)
    assert load(tmp_path, values).training.compile
    assert load(tmp_path, changed(TINY, training__compile=True)).training.compile


def test_missing_keys_and_files(tmp_path: Path) -> None:
    assert "optimizer: is missing" in fault(tmp_path, {key: TINY[key] for key in TINY if key != "optimizer"})
    with pytest.raises(InputError, match="does not exist"):
        load_settings(TrainingSettings, tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("- a\n")
    with pytest.raises(InputError, match="holds no keys; it takes name, data"):
        load_settings(TrainingSettings, tmp_path / "list.yaml")
    (tmp_path / "bad.yaml").write_text("a: [1\n")
    with pytest.raises(InputError, match="not YAML"):
        load_settings(TrainingSettings, tmp_path / "bad.yaml")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("training.epochs", "takes key=value"),
        ("training.epochs.x=3", "epochs is a value, 2"),
        ("loss.7.weight=3", "a place in a list of 2"),
        ("loss.0.weight=[", "not YAML"),
    ],
)
def test_changes_that_cannot_be_are_refused(tmp_path: Path, change: str, words: str) -> None:
    assert words in fault(tmp_path, TINY, change)


SMALL = {"features": 3, "pools": 1}
COILS = {"data__operator": "coils"}


@pytest.mark.parametrize("network", [{"kind": "varnet", "cascades": 2}, {"kind": "modl", "iterations": 2}])
def test_a_margin_is_put_around_every_unet(network: dict[str, Any]) -> None:
    built = build_task(settings(TINY, network={**network, **SMALL, "margin": 5})).network
    margins = {module.margin for module in built.modules() if isinstance(module, NormalizedUNet)}
    assert margins == {5}


@pytest.mark.parametrize(
    ("values", "network", "changes", "kind"),
    [
        (TINY, {"kind": "varnet", "cascades": 1, "recompute": True, **SMALL}, {}, VarNet),
        (TINY, {"kind": "varnet", "cascades": 1, "output": "rss", **SMALL}, {}, MeasuredRootSumOfSquares),
        (TINY, {"kind": "modl", "iterations": 2, **SMALL}, {}, MoDL),
        (TINY, {"kind": "primal-dual", "iterations": 2, "features": 4}, {}, LearnedPrimalDual),
        (TINY, {"kind": "unet", "initial": "zero-filled", "residual": True, **SMALL}, {}, PostProcess),
        (TINY, {"kind": "unet", "initial": "zero-filled", "consistency": "proximal", **SMALL}, {}, Consistent),
        (TINY, {"kind": "unet", "initial": "rss", "limit": 6, **SMALL}, COILS, PostProcess),
        (TINY, {"kind": "e2e-varnet", "cascades": 2, **SMALL, "sensitivity_pools": 1}, COILS, EndToEndVarNet),
        (TINY_CT, {"kind": "unet", "initial": "fbp", **SMALL}, {}, PostProcess),
        (TINY_CT, {"kind": "varnet", "cascades": 1, **SMALL}, {}, VarNet),
        (TINY_CT, {"kind": "modl", "iterations": 2, **SMALL}, {}, MoDL),
    ],
)
def test_every_network_trains_a_step_and_comes_back_from_its_weights(
    tmp_path: Path, values: dict[str, Any], network: dict[str, Any], changes: dict[str, Any], kind: type
) -> None:
    train_network(settings(values, network=network, training__max_steps=1, **changes), tmp_path / "run")
    found, card = load_network(tmp_path / "run" / "best.safetensors")
    assert isinstance(found, kind)
    assert card["configuration"]["network"]["kind"] == network["kind"]
    assert card["trained_steps"] == 1
    load_network(tmp_path / "run" / "best.safetensors", card["operator"])
    other = "sense" if values is TINY_CT else "radon"
    with pytest.raises(InputError, match=f"was trained on .* the scan is .*{other}"):
        load_network(tmp_path / "run" / "best.safetensors", other)
