"""A sinogram of CT, of few views or a low dose: what the benchmark asks of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from medrecon.benchmark.lesion import Lesion, find_lesion, lesion_in_image
from medrecon.benchmark.rows import Score
from medrecon.benchmark.sources import ImageReference, read_sinogram
from medrecon.config.benchmark import CTScenario
from medrecon.data.ct.attenuation import MU_MAX, AttenuationUnit
from medrecon.data.ct.sinograms import SinogramSample
from medrecon.errors import InputError
from medrecon.evaluation import LODOPAB_FR_PROTOCOL, LODOPAB_PROTOCOL, image_range
from medrecon.operators import Radon
from medrecon.problem import Problem, add_dose_noise, radon, subsample_views
from medrecon.reconstructor import Reconstructor
from medrecon.report.viewer_report import Facts
from medrecon.results import Display
from medrecon.scans.ct import warm_up
from medrecon.scans.ct_display import display_in

__all__ = ["CTInputs"]

_FEWEST_PHOTONS = 10.0  # expected on a ray: below, its logarithm has no Gaussian noise


@dataclass(frozen=True, eq=False)
class CTInputs:
    """A sinogram with its operator; see `medrecon.benchmark.inputs.CaseInputs`.

    Parameters
    ----------
    scenario
        how it was thinned, and what noise it has.
    sample, A
        what was measured, and by which rays.
    target, data_range
        the image in 1/mm, and its maximum less its minimum.
    variance
        of the noise of each ray, `exp(A x*) / N0` of the target `x*` and the photons `N0`; None where there is no noise. It is
        infinite where fewer than ten photons are expected.
    lesion
        that was put in.
    """

    scenario: CTScenario
    sample: SinogramSample
    A: Radon
    target: Tensor
    data_range: float
    variance: Tensor | None
    lesion: Lesion | None

    mask = None
    display: ClassVar[Display] = display_in(AttenuationUnit.HOUNSFIELD)

    @classmethod
    def of(cls, scenario: CTScenario, reference: ImageReference, seed: int) -> CTInputs:
        """Read a sinogram; put a lesion in, add noise, keep views.

        Raises
        ------
        InputError
            If it cannot be read, or something does not fit it.
        """
        sample, lesion = read_sinogram(scenario.data, reference), None
        if scenario.lesion is not None:
            assert sample.target is not None
            lesion = find_lesion(scenario.lesion, sample.grid.spacing[0], sample.target, reference, seed)
            sample = lesion_in_image(sample, lesion, radon(sample.grid, sample.geometry))
        if scenario.photons is not None:
            sample = add_dose_noise(sample, scenario.photons, reference.generator(seed, "noise"))
        if scenario.views is not None:
            sample = subsample_views(sample, scenario.views)
        assert sample.target is not None
        A, data_range = radon(sample.grid, sample.geometry), image_range(sample.target)
        if not data_range > 0:
            raise InputError(f"{reference.file}: image {reference.index} has one value everywhere and cannot be scored")
        return cls(scenario, sample, A, sample.target, data_range, _variance(sample, A), lesion)

    @property
    def darkest(self) -> float:
        return float(self.target.min())

    @property
    def sampling(self) -> str:
        dose = "no noise" if self.photons is None else f"{self.photons:.0f} photons"
        return f"{self.sample.geometry.shape[0]} views, {dose}"

    @property
    def facts(self) -> Facts:
        added = self.scenario.photons
        return {} if added is None else {"noise added": f"that of {added:g} photons per ray"}

    @property
    def photons(self) -> float | None:
        return self.sample.photons

    @property
    def pixel(self) -> tuple[float, float]:
        return self.sample.grid.spacing

    def pose(self, reconstruct: Reconstructor, device: torch.device) -> Problem:
        warm_up(reconstruct, self.A, device)
        return Problem(self.sample.sinogram[None].to(device), self.A, self.sample.grid.shape)

    def image(self, problem: Problem, x: Tensor) -> Tensor:
        return problem.display_image(x)[0].to(torch.float32).cpu()

    def residual(self, problem: Problem, x: Tensor) -> tuple[float | None, str]:
        """`|(A x - y) / sigma_i| / sqrt(m)` over the m rays that enough photons pass."""
        if self.variance is None:
            return None, "the photons per ray are not known, or there is no noise"
        counted = int(self.variance.isfinite().sum())
        if not counted:
            return None, "too few photons pass on every ray"
        error = self.A(self.image(problem, x)) - self.sample.sinogram
        return math.sqrt(float((error.square() / self.variance).sum()) / counted), ""

    def scores(self, image: Tensor) -> tuple[Score, ...]:
        """LoDoPaB-CT's; where its convention holds, also by the largest value that images may have."""
        own = Score.of(LODOPAB_PROTOCOL, image, self.target, self.data_range)
        if self.sample.unit is not AttenuationUnit.LODOPAB:
            return (own,)
        return own, Score.of(LODOPAB_FR_PROTOCOL, image / MU_MAX, self.target / MU_MAX, 1.0)


def _variance(sample: SinogramSample, A: Radon) -> Tensor | None:
    if sample.photons is None:
        return None
    assert sample.target is not None
    arriving = sample.photons * torch.exp(-A(sample.target))
    return torch.where(arriving >= _FEWEST_PHOTONS, 1 / arriving, torch.inf)
