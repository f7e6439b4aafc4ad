"""A slice of MRI, undersampled: what the benchmark asks of it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor

from medrecon.benchmark.lesion import Lesion, find_lesion, lesion_in_kspace
from medrecon.benchmark.rows import Score
from medrecon.benchmark.sources import ImageReference, pixel_sides, read_kspace, volume
from medrecon.calibration import noise_level
from medrecon.config.benchmark import MRIScenario, MRISource, PhantomMRISource
from medrecon.data.mri.fastmri import KSpaceSample
from medrecon.data.mri.noise import add_noise
from medrecon.errors import InputError
from medrecon.evaluation import PROTOCOL
from medrecon.operators import Mask, factor_of
from medrecon.problem import Problem, full_reconstruction, remove_oversampling, undersample
from medrecon.reconstructor import Reconstructor
from medrecon.report.viewer_report import Facts
from medrecon.results import Display
from medrecon.scans.masks import build_mask
from medrecon.scans.mri import DISPLAY
from medrecon.scans.mri_posing import pose, scaled
from medrecon.weights.learned import LearnedReconstructor

__all__ = ["MRIInputs"]


@dataclass(frozen=True, eq=False)
class MRIInputs:
    """An undersampled slice; see `medrecon.benchmark.inputs.CaseInputs`.

    Parameters
    ----------
    scenario
        how it was undersampled.
    sample
        what was measured, divided by `scale`.
    oversampled
        the same with the oversampling of its readout, for networks that were trained so; None for a mask of points.
    scale
        by which images are to be multiplied.
    target, data_range
        the root sum of squares of the full scan, and its maximum over the volume.
    sigma
        of the complex noise of `sample`, estimated from the outermost samples of the full scan with its oversampling; None where
        there is no noise.
    lesion
        that was put in.
    pixel
        `(y, x)` in millimeters, where the file or the lesion's settings state it.
    """

    scenario: MRIScenario
    sample: KSpaceSample
    oversampled: KSpaceSample | None
    scale: float
    target: Tensor
    data_range: float
    sigma: float | None
    lesion: Lesion | None
    pixel: tuple[float, float] | None

    darkest = 0.0
    photons = None
    display: ClassVar[Display] = DISPLAY

    @classmethod
    def of(cls, scenario: MRIScenario, reference: ImageReference, seed: int) -> MRIInputs:
        """Read a slice; keep coils, put a lesion in, add noise, undersample.

        The target is made of the coils that are kept and holds the lesion, but not the noise that is added. The mask is drawn for
        k-space without oversampling, with the name of the file as its seed where the scenario gives none.

        Raises
        ------
        InputError
            If the slice cannot be read or is undersampled, or something does not fit it.
        """
        source = scenario.data
        whole = _kept_coils(read_kspace(source, reference), scenario.coils)
        data_range = _volume_maximum(source, reference, scenario.coils)
        whole, lesion = _with_lesion(whole, scenario, reference, seed)
        target = full_reconstruction(whole)
        if scenario.snr is not None:
            noisy = add_noise(whole.kspace, scenario.snr, reference.generator(seed, "noise")) * (whole.kspace != 0)
            whole = replace(whole, kspace=noisy)
        full = remove_oversampling(whole)
        mask = build_mask(scenario.mask, (full.kspace.shape[-2], full.kspace.shape[-1]), reference.file)
        sample, scale = scaled(undersample(full, mask))
        oversampled = None
        if mask.sampled.ndim == 1:
            lines = undersample(whole, mask)
            oversampled = replace(lines, kspace=lines.kspace / scale)
        clean = isinstance(source, PhantomMRISource) and source.snr is None and scenario.snr is None
        return cls(
            scenario=scenario,
            sample=sample,
            oversampled=oversampled,
            scale=scale,
            target=target,
            data_range=data_range,
            sigma=None if clean else float(noise_level(whole.kspace / scale, whole.sampled)),
            lesion=lesion,
            pixel=pixel_sides(source, reference) or _stated_pixel(scenario),
        )

    @property
    def sampling(self) -> str:
        return f"{self.sample.true_acceleration:.2f}x"

    @property
    def mask(self) -> Tensor:
        return self.sample.sampled

    @property
    def facts(self) -> Facts:
        scenario = self.scenario
        mask = scenario.mask.model_dump(mode="json", exclude_none=True)
        facts: dict[str, str | int | float] = {f"mask: {name.replace('_', ' ')}": mask[name] for name in mask}
        if scenario.snr is not None:
            facts["noise added"] = f"signal-to-noise ratio {scenario.snr:g}"
        if scenario.coils is not None:
            facts["coils kept"] = scenario.coils
        return facts

    def pose(self, reconstruct: Reconstructor, device: torch.device) -> Problem:
        whole = isinstance(reconstruct, LearnedReconstructor) and reconstruct.weights.inference.keep_oversampling
        return pose(self.oversampled or self.sample if whole else self.sample, reconstruct, device)

    def image(self, problem: Problem, x: Tensor) -> Tensor:
        return problem.display_image(x).to(torch.float32).cpu() * self.scale

    def residual(self, problem: Problem, x: Tensor) -> tuple[float | None, str]:
        """`|A x - y| / (sigma sqrt(m))` over the m samples of all coils, sigma being that of complex noise."""
        if not self.sigma:
            return None, "the data hold no noise"
        if tuple(x.shape[-problem.A.domain.ndim :]) != problem.A.domain.shape or not x.is_complex():
            return None, "the image has no phase, so that its k-space is not known"
        mask = factor_of(problem.A, Mask, "benchmark").pattern
        m = int(mask.expand(problem.y.shape[-2:]).sum()) * math.prod(problem.y.shape[:-2])
        return float((problem.A(x) - problem.y).norm()) / (self.sigma * math.sqrt(m)), ""

    def scores(self, image: Tensor) -> tuple[Score, ...]:
        return (Score.of(PROTOCOL, image, self.target, self.data_range),)


def _with_lesion(
    whole: KSpaceSample, scenario: MRIScenario, reference: ImageReference, seed: int
) -> tuple[KSpaceSample, Lesion | None]:
    if scenario.lesion is None:
        return whole, None
    sides = _stated_pixel(scenario) or pixel_sides(scenario.data, reference)
    if sides is None:
        raise InputError(
            f"{reference.file}: states no field of view; give lesion.pixel, the width of a pixel in millimeters"
        )
    lesion = find_lesion(scenario.lesion, sides[0], full_reconstruction(whole), reference, seed)
    return lesion_in_kspace(whole, lesion), lesion


def _stated_pixel(scenario: MRIScenario) -> tuple[float, float] | None:
    lesion = scenario.lesion
    return None if lesion is None or lesion.pixel is None else (lesion.pixel, lesion.pixel)


def _kept_coils(sample: KSpaceSample, count: int | None) -> KSpaceSample:
    if count is None:
        return sample
    n = sample.kspace.shape[0]
    if count > n:
        raise InputError(f"{sample.name}: has {n} coils, and {count} are to be kept; set coils to at most {n}")
    return replace(sample, kspace=sample.kspace[[k * n // count for k in range(count)]], maximum=None)


@lru_cache(maxsize=256)
def _volume_maximum(source: MRISource, reference: ImageReference, coils: int | None) -> float:
    """Of the target, over all slices of the volume; the file may state that of all coils."""
    return _maximum_of(source, replace(reference, index=0), coils)


@lru_cache(maxsize=64)
def _maximum_of(source: MRISource, first: ImageReference, coils: int | None) -> float:
    slices: Iterable[KSpaceSample] = volume(source, first)
    largest = 0.0
    for sample in slices:
        if coils is None and sample.maximum is not None:
            return sample.maximum
        largest = max(largest, float(full_reconstruction(_kept_coils(remove_oversampling(sample), coils)).max()))
    if not largest > 0:
        raise InputError(f"{first.file}: its images are zero everywhere and cannot be scored")
    return largest
