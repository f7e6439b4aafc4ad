"""Runs that begin with trained weights, and what may be passed on of a run."""

from pathlib import Path

import pytest

from medrecon.errors import InputError
from medrecon.weights.card import copy_weights
from medrecon.weights.networks import read_card
from medrecon.workflows.training import train_network
from tests.training.runs import TINY, TINY_CT, settings

UNET = {"kind": "unet", "initial": "zero-filled", "residual": True, "features": 2, "pools": 1}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    train_network(settings(TINY, network=UNET, training__max_steps=1), tmp_path / "first")
    return tmp_path / "first"


def test_weights_of_another_family_are_refused(run: Path, tmp_path: Path) -> None:
    other = settings(TINY_CT, network={**UNET, "initial": "fbp"})
    with pytest.raises(InputError, match=r"was trained on MRI with coil maps \(sense\), and the run is of CT"):
        train_network(other, tmp_path / "second", weights=str(run / "best.safetensors"))
    assert not (tmp_path / "second" / "last.safetensors").exists()


def test_a_network_that_is_used_otherwise_is_told(run: Path, tmp_path: Path) -> None:
    told: list[str] = []
    wavelets = settings(TINY, network={**UNET, "initial": "wavelet"}, training__max_steps=1)
    train_network(wavelets, tmp_path / "second", weights=str(run / "best.safetensors"), say=told.append)
    assert any("whose network is used otherwise: initial: 'zero-filled' and 'wavelet' now" in line for line in told)
    card, found = read_card(tmp_path / "second" / "best.safetensors")
    assert card["started_from"]["name"] == "tiny"
    assert found.network.initial == "wavelet"  # type: ignore[union-attr]


def test_data_that_were_others_are_named(run: Path, tmp_path: Path) -> None:
    more = settings(TINY, network=UNET, data__train=6, training__max_steps=1)
    train_network(more, tmp_path / "second", weights=str(run / "best.safetensors"))
    train_network(more, tmp_path / "third", weights=str(tmp_path / "second" / "best.safetensors"))
    card, _ = read_card(tmp_path / "third" / "best.safetensors")
    assert card["started_from"].keys() == {"name", "trained_steps", "medrecon", "started_from"}
    assert card["started_from"]["started_from"]["data"]["split"] == "trained on 5 phantoms, chosen on 2 others"


def test_the_state_of_a_run_is_no_weights(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds the state of a training run, to go on with; its weights lie in"):
        copy_weights(run / "last.safetensors", tmp_path / "w.safetensors")
    with pytest.raises(InputError, match="holds the state of a training run"):
        train_network(settings(TINY, network=UNET), tmp_path / "second", weights=str(run / "last.safetensors"))
    assert not (tmp_path / "w.safetensors").exists()


@pytest.mark.parametrize("name", ["w.json", "w.pt", "w"])
def test_weights_are_passed_on_in_files_of_their_name(run: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"called \.safetensors"):
        copy_weights(run / "best.safetensors", tmp_path / name, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["first"]
