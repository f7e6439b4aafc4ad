"""What is said of a scan that is unlike those that weights were trained on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from medrecon.config.training import TrainingSettings
from medrecon.data.ct.attenuation import AttenuationUnit
from medrecon.data.ct.sinograms import SinogramSample
from medrecon.geometry import Arc, Grid, ParallelBeam
from medrecon.networks.data_normalization import Constant
from medrecon.scans.learned_notes import ct_notes
from medrecon.weights.learned import LearnedReconstructor, Weights
from tests.training.runs import TINY_CT, settings

SAMPLE = SinogramSample(
    sinogram=torch.zeros(12, 36),
    geometry=ParallelBeam(Arc.half_turn(12), 36, 1.0),
    grid=Grid((24, 24), 1.0),
    target=None,
    unit=AttenuationUnit.PER_MM,
    photons=None,
    name="s.h5",
    index=0,
)


def notes(photons: float | None, trained: TrainingSettings) -> str:
    unused: Any = None
    weights = Weights("w", Path("w.safetensors"), {}, trained, unused)
    method = LearnedReconstructor(nn.Linear(1, 1), Constant(1.0), weights)
    return "; ".join(ct_notes(method, replace(SAMPLE, photons=photons)))


@pytest.mark.parametrize(
    ("trained", "photons", "words"),
    [
        (None, 500.0, "the noise of 500 photons a ray and not next to none"),
        (500.0, 1e6, "no noise to speak of and not that of 500 photons a ray"),
        (500.0, None, "no noise to speak of and not that of 500 photons a ray"),
        (500.0, 2000.0, "the noise of 2000 photons a ray and not that of 500 photons a ray"),
        (500.0, 600.0, ""),
        (None, None, ""),
    ],
)
def test_noise_that_is_not_there_is_given_no_number(trained: float | None, photons: float | None, words: str) -> None:
    found = notes(photons, settings(TINY_CT, data__photons=trained))
    assert words in found
    assert bool(words) == ("the scan is unlike" in found)


def test_a_range_of_doses_is_told() -> None:
    stages = [{"until": 1, "views": 12, "photons": 100}]
    found = notes(10.0, settings(TINY_CT, data__curriculum=stages, data__photons=None))
    assert "the noise of 10 photons a ray and not that of 100 photons a ray to next to none" in found
