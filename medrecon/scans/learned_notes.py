"""What a user should know of an image that trained weights gave: what they have seen, and how the scan differs from that."""

from __future__ import annotations

from collections.abc import Iterator

from medrecon.calibration.sinogram_noise import photon_noise
from medrecon.config.methods import PrecisionName
from medrecon.config.training_data import LoDoPaBData, MRIData, PhantomCTData
from medrecon.data.ct.photons import LODOPAB_PHOTONS
from medrecon.data.ct.sinograms import SinogramSample
from medrecon.geometry import ParallelBeam, lodopab, lodopab_grid
from medrecon.networks import emulates_bfloat16
from medrecon.operators import Radon
from medrecon.weights.learned import Execution, LearnedReconstructor
from medrecon.words import counted

__all__ = ["ct_notes", "mri_notes"]

_SLACK = 1.25  # so much more or less than in training is noted
_SAME_WIDTH = 0.01  # relative difference of pixels that are taken for the same
_NOISE_SLACK = 2.0  # so much more or less noise than in training is noted
_LEAST_NOISE = 1e-4  # that of 10 000 photons a ray; less is not told apart


def mri_notes(method: LearnedReconstructor, acceleration: float) -> Iterator[str]:
    """What the weights were trained on, how they were run, and how a scan of this true acceleration differs from the training."""
    yield from _origin(method)
    weights, data = method.weights, method.weights.settings.data
    if "imported" in weights.card or not isinstance(data, MRIData):
        return
    stages = (data.masks, *(stage.masks for stage in data.curriculum))
    rates = [mask.true_acceleration for masks in stages for mask in masks]
    least, most = min(rates), max(rates)
    if acceleration > _SLACK * most or acceleration < least / _SLACK:
        known = " to ".join(dict.fromkeys(f"{rate:.3g}" for rate in (least, most)))
        yield (
            f"the scan has a true acceleration of {acceleration:.3g}, and the weights were trained on {known}: "
            "compare with another method"
        )


def ct_notes(method: LearnedReconstructor, sample: SinogramSample) -> Iterator[str]:
    """What the weights were trained on, how they were run, and how the scan differs from the training.

    The photons of a scan that does not state them are told from its noise.
    """
    yield from _origin(method)
    data = method.weights.settings.data
    match data:
        case LoDoPaBData():
            (all_views, bins), pixel, own = lodopab().shape, lodopab_grid().spacing[0], 1 / LODOPAB_PHOTONS
        case PhantomCTData(all_views=all_views, size=size):
            bins, pixel, own = round(1.5 * size), 1.0, 0.0  # as `PhantomSinograms` measures
        case _:
            return
    unlike = []
    trained_views = all_views if data.views is None else data.views
    here_views, here_bins = sample.geometry.shape[0], sample.geometry.shape[-1]
    if here_views != trained_views:
        unlike.append(f"{counted(here_views, 'view')} and not {trained_views}")
    if here_bins != bins:
        unlike.append(f"{counted(here_bins, 'bin')} and not {bins}")
    if any(abs(width - pixel) > _SAME_WIDTH * pixel for width in sample.grid.spacing):
        here = " x ".join(dict.fromkeys(f"{width:.4g}" for width in sample.grid.spacing))
        unlike.append(f"pixels of {here} mm and not {pixel:.4g}")
    if not isinstance(sample.geometry, ParallelBeam):
        unlike.append("rays that are not parallel")
    noise = _noise(sample)
    seen = [max(own + added, _LEAST_NOISE) for added in _added_noise(data)]
    if not min(seen) / _NOISE_SLACK <= noise <= _NOISE_SLACK * max(seen):
        here = f"the noise of {1 / noise:.0f} photons a ray" if noise > _LEAST_NOISE else "no noise to speak of"
        known = " to ".join(dict.fromkeys(_noise_words(variance) for variance in (max(seen), min(seen))))
        unlike.append(f"{here} and not {known}")
    if unlike:
        yield f"the scan is unlike those that the weights were trained on: {', '.join(unlike)}: compare with another method"


def _noise(sample: SinogramSample) -> float:
    """One over the photons a ray: those stated, or those that the noise speaks of."""
    if sample.photons is not None:
        return max(1 / sample.photons, _LEAST_NOISE)
    return max(float(photon_noise(sample.sinogram, Radon(sample.grid, sample.geometry))), _LEAST_NOISE)


def _noise_words(noise: float) -> str:
    return f"that of {1 / noise:.0f} photons a ray" if noise > _LEAST_NOISE else "next to none"


def _added_noise(data: LoDoPaBData | PhantomCTData) -> Iterator[float]:
    """One over the photons a ray of the noise that a training adds, in all its stages."""
    for photons in (data.photons, *(stage.photons for stage in data.curriculum)):
        yield 0.0 if photons is None else 1 / photons


def _origin(method: LearnedReconstructor) -> Iterator[str]:
    weights = method.weights
    data = weights.card.get("data", {})
    where, split = data.get("name", "unknown data"), data.get("split", "no split")
    yield f"the weights {weights.name} were trained on '{where}' ({split})"
    if weights.execution != Execution():
        yield f"the network was run in {weights.execution}"
    if weights.execution.precision is PrecisionName.BF16 and emulates_bfloat16(method.device):
        yield "this processor has no instructions for bfloat16, which is therefore slower: leave out precision"
