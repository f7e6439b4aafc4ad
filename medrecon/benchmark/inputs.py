"""An image of a problem, ready for every method: what was measured, what should come out, and how noisy it is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from medrecon.benchmark.lesion import Lesion, lesion_in_image, lesion_in_kspace, place_lesion
from medrecon.benchmark.sources import ImageReference, pixel_sides, read_kspace, read_sinogram, volume
from medrecon.calibration import noise_level
from medrecon.config.benchmark import CTScenario, LesionSettings, MRIScenario, MRISource, PhantomMRISource
from medrecon.data.ct.attenuation import MU_MAX, AttenuationUnit
from medrecon.data.ct.sinograms import SinogramSample
from medrecon.data.mri.fastmri import KSpaceSample
from medrecon.data.mri.noise import add_noise
from medrecon.errors import InputError
from medrecon.evaluation import image_range
from medrecon.operators import Radon
from medrecon.problem import (
    add_dose_noise,
    full_reconstruction,
    radon,
    remove_oversampling,
    subsample_views,
    undersample,
)
from medrecon.scans.mri import scaled
from medrecon.workflows import build_mask

__all__ = ["CTInputs", "MRIInputs", "ct_inputs", "mri_inputs"]

_FEWEST_PHOTONS = 10.0  # expected on a ray: below, its logarithm has no Gaussian noise


@dataclass(frozen=True, eq=False)
class MRIInputs:
    """An undersampled slice.

    Parameters
    ----------
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
    sampling
        in words.
    """

    sample: KSpaceSample
    oversampled: KSpaceSample | None
    scale: float
    target: Tensor
    data_range: float
    sigma: float | None
    lesion: Lesion | None
    sampling: str


@dataclass(frozen=True, eq=False)
class CTInputs:
    """A sinogram with its operator.

    Parameters
    ----------
    sample, A
        what was measured, and by which rays.
    target, data_range
        the image in 1/mm, and its maximum less its minimum.
    variance
        of the noise of each ray, `exp(A x*) / N0` of the target `x*` and the photons `N0`; None where there is no noise. It is
        infinite where fewer than ten photons are expected.
    full_range
        the largest value that images may have, by LoDoPaB-CT's convention; None for other data.
    lesion
        that was put in.
    sampling
        in words.
    """

    sample: SinogramSample
    A: Radon
    target: Tensor
    data_range: float
    variance: Tensor | None
    full_range: float | None
    lesion: Lesion | None
    sampling: str


def mri_inputs(problem: MRIScenario, item: ImageReference, seed: int) -> MRIInputs:
    """Read a slice; keep coils, put a lesion in, add noise, undersample.

    The target is made of the coils that are kept and holds the lesion, but not the noise that is added. The mask is drawn for
    k-space without oversampling, with the name of the file as its seed where the problem gives none.

    Raises
    ------
    InputError
        If the slice cannot be read or is undersampled, or something does not fit it.
    """
    whole = _kept_coils(read_kspace(problem.data, item), problem.coils)
    data_range = _volume_maximum(problem.data, item, problem.coils)
    lesion = None
    if problem.lesion is not None:
        sides = pixel_sides(problem.data, item)
        pixel = problem.lesion.pixel or (None if sides is None else sides[0])
        if pixel is None:
            raise InputError(
                f"{item.file}: states no field of view; give lesion.pixel, the width of a pixel in millimeters"
            )
        lesion = _placed(problem.lesion, pixel, full_reconstruction(whole), item, seed)
        whole = lesion_in_kspace(whole, lesion)
    target = full_reconstruction(whole)
    if problem.snr is not None:
        noisy = add_noise(whole.kspace, problem.snr, _generator(seed, item, "noise")) * (whole.kspace != 0)
        whole = replace(whole, kspace=noisy)
    full = remove_oversampling(whole)
    mask = build_mask(problem.mask, (full.kspace.shape[-2], full.kspace.shape[-1]), item.file)
    sample, scale = scaled(undersample(full, mask))
    oversampled = None
    if mask.sampled.ndim == 1:
        lines = undersample(whole, mask)
        oversampled = replace(lines, kspace=lines.kspace / scale)
    clean = isinstance(problem.data, PhantomMRISource) and problem.data.snr is None and problem.snr is None
    sigma = None if clean else float(noise_level(whole.kspace / scale, whole.sampled))
    sampling = f"{sample.true_acceleration:.2f}x"
    return MRIInputs(sample, oversampled, scale, target, data_range, sigma, lesion, sampling)


def ct_inputs(problem: CTScenario, item: ImageReference, seed: int) -> CTInputs:
    """Read a sinogram; put a lesion in, add noise, keep views.

    Raises
    ------
    InputError
        If it cannot be read, or something does not fit it.
    """
    sample, lesion = read_sinogram(problem.data, item), None
    if problem.lesion is not None:
        assert sample.target is not None
        lesion = _placed(problem.lesion, sample.grid.spacing[0], sample.target, item, seed)
        sample = lesion_in_image(sample, lesion, radon(sample.grid, sample.geometry))
    if problem.photons is not None:
        sample = add_dose_noise(sample, problem.photons, _generator(seed, item, "noise"))
    if problem.views is not None:
        sample = subsample_views(sample, problem.views)
    assert sample.target is not None
    A, data_range = radon(sample.grid, sample.geometry), image_range(sample.target)
    if not data_range > 0:
        raise InputError(f"{item.file}: image {item.index} has one value everywhere and cannot be scored")
    variance = None
    if sample.photons is not None:
        lines = A(sample.target)
        arriving = sample.photons * torch.exp(-lines)
        variance = torch.where(arriving >= _FEWEST_PHOTONS, 1 / arriving, torch.inf)
    dose = "no noise" if sample.photons is None else f"{sample.photons:.0f} photons"
    full_range = MU_MAX if sample.unit is AttenuationUnit.LODOPAB else None
    sampling = f"{sample.geometry.shape[0]} views, {dose}"
    return CTInputs(sample, A, sample.target, data_range, variance, full_range, lesion, sampling)


def _kept_coils(sample: KSpaceSample, count: int | None) -> KSpaceSample:
    if count is None:
        return sample
    n = sample.kspace.shape[0]
    if count > n:
        raise InputError(f"{sample.name}: has {n} coils, and {count} are to be kept; set coils to at most {n}")
    return replace(sample, kspace=sample.kspace[[k * n // count for k in range(count)]], maximum=None)


@lru_cache(maxsize=256)
def _volume_maximum(source: MRISource, item: ImageReference, coils: int | None) -> float:
    """Of the target, over all slices of the volume; the file may state that of all coils."""
    return _maximum_of(source, replace(item, index=0), coils)


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


def _placed(settings: LesionSettings, pixel: float, image: Tensor, item: ImageReference, seed: int) -> Lesion:
    generator = _generator(seed, item, "lesion")
    try:
        return place_lesion(image, settings.diameter / pixel, settings.edge / pixel, settings.contrast, generator)
    except InputError as error:
        raise InputError(f"{item.file}, slice {item.index}: {error}") from error


def _generator(seed: int, item: ImageReference, what: str) -> torch.Generator:
    """Randomness of one image, whichever others are looked at."""
    digest = hashlib.sha256(f"{seed}/{item.file}/{item.index}/{what}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
