"""An image of a scenario, ready for every method: all that the benchmark asks of a modality, which it does not know otherwise."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from medrecon.benchmark.ct_inputs import CTInputs
from medrecon.benchmark.lesion import Lesion
from medrecon.benchmark.mri_inputs import MRIInputs
from medrecon.benchmark.rows import Score
from medrecon.benchmark.sources import ImageReference
from medrecon.config.benchmark import MRIScenario, ScenarioSettings
from medrecon.evaluation import LODOPAB_PROTOCOL, PROTOCOL
from medrecon.problem import Problem
from medrecon.reconstructor import Reconstructor
from medrecon.report.viewer_report import Facts
from medrecon.results import Display

__all__ = ["CaseInputs", "open_inputs", "protocol_of"]


class CaseInputs(Protocol):
    """What was measured of an image, what should come out, and how methods are asked, scored and shown.

    A third modality is one more class of this kind.
    """

    @property
    def target(self) -> Tensor:
        """What should come out: real `(y, x)`."""
        ...

    @property
    def data_range(self) -> float:
        """Of the protocol of the table; above zero."""
        ...

    @property
    def darkest(self) -> float:
        """Where that range begins."""
        ...

    @property
    def lesion(self) -> Lesion | None:
        """The lesion that was put in."""
        ...

    @property
    def sampling(self) -> str:
        """How much was measured, in few words."""
        ...

    @property
    def facts(self) -> Facts:
        """What was done to the scan."""
        ...

    @property
    def photons(self) -> float | None:
        """Per ray before the object, where they are known and there are any."""
        ...

    @property
    def pixel(self) -> tuple[float, float] | None:
        """The `(y, x)` spacing of images in millimeters, where it is known."""
        ...

    @property
    def mask(self) -> Tensor | None:
        """The samples that were kept, where it is to be shown."""
        ...

    @property
    def display(self) -> Display:
        """How images are shown."""
        ...

    def pose(self, reconstruct: Reconstructor, device: torch.device) -> Problem:
        """The problem as the method takes it, with all loops compiled that it needs: what is timed after it is the method alone.

        Raises
        ------
        InputError
            If the method takes what was not measured.
        """
        ...

    def image(self, problem: Problem, x: Tensor) -> Tensor:
        """The image `(y, x)` of what a method gave, as the target is: float32, on the CPU, scaled back."""
        ...

    def residual(self, problem: Problem, x: Tensor) -> tuple[float | None, str]:
        """How far `A x` is from `y`, relative to the noise of m measurements: 1 for the true image; None and why, if unknown."""
        ...

    def scores(self, image: Tensor) -> tuple[Score, ...]:
        """By each protocol, the first being that of the table."""
        ...


def open_inputs(scenario: ScenarioSettings, image: ImageReference, seed: int) -> CaseInputs:
    """Read an image and measure it as the scenario says; `seed` is that of noise and of a lesion's place.

    Raises
    ------
    InputError
        If it cannot be read, or something does not fit it.
    """
    if isinstance(scenario, MRIScenario):
        return MRIInputs.of(scenario, image, seed)
    return CTInputs.of(scenario, image, seed)


def protocol_of(scenario: ScenarioSettings) -> str:
    """The protocol of the table: the first of `CaseInputs.scores`."""
    return PROTOCOL if isinstance(scenario, MRIScenario) else LODOPAB_PROTOCOL
