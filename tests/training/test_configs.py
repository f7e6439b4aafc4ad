"""Every file of `configs/` says what the program takes, and the networks that were published have their sizes."""

from pathlib import Path

import pytest
import torch

from medrecon.config.files import load_settings
from medrecon.config.training import TrainingSettings
from medrecon.experiment.networks import build_network, operator_family

FOLDER = Path(__file__).parents[2] / "configs"
FILES = sorted(FOLDER.glob("*.yaml"))
PARAMETERS = {
    "unet_fastmri_knee": 496_372_225,
    "varnet_fastmri_knee": 29_936_966,
    "varnet_fastmri_brain": 29_936_966,
    "lpd_lodopab": 874_980,
}
SHIPPED = 3_000_000  # parameters of 6 MB in half precision


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_configuration_names_a_network_that_can_be_built(path: Path) -> None:
    settings = load_settings(TrainingSettings, path)
    assert settings.name == path.stem
    with torch.device("meta"):
        network = build_network(settings.network, operator_family(settings.data))
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == PARAMETERS.get(path.stem, count)
    assert count <= SHIPPED or not path.stem.endswith("_small")


def test_all_are_here() -> None:
    assert set(PARAMETERS) < {path.stem for path in FILES}
