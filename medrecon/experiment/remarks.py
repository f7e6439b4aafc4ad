"""What a user should know of an image that trained weights gave: what they have seen, and how the scan differs from that."""

from __future__ import annotations

from collections.abc import Iterator

from medrecon.config.learned import PrecisionName
from medrecon.config.training_data import LoDoPaBData, MRIData, PhantomCTData
from medrecon.data.sinograms import SinogramSample
from medrecon.experiment.learned import Execution, LearnedReconstructor
from medrecon.geometry import ParallelBeam, lodopab, lodopab_grid
from medrecon.networks import emulates_bfloat16

__all__ = ["ct_remarks", "mri_remarks"]

_SLACK = 1.25  # so much more or less than in training is remarked
_SAME_WIDTH = 0.01  # relative difference of pixels that are taken for the same


def mri_remarks(method: LearnedReconstructor, acceleration: float) -> Iterator[str]:
    """What the weights were trained on, how they were run, and how a scan of this true acceleration differs from the training."""
    yield from _origin(method)
    weights, data = method.weights, method.weights.settings.data
    if "imported" in weights.card or not isinstance(data, MRIData):
        return
    stages = (data.masks, *(stage.masks for stage in data.curriculum))
    rates = [mask.acceleration for masks in stages for mask in masks]
    least, most = min(rates), max(rates)
    if acceleration > _SLACK * most or acceleration < least / _SLACK:
        known = f"{least:g}" if least == most else f"{least:g} to {most:g}"
        yield (
            f"the scan has a true acceleration of {acceleration:.3g}, and the weights were trained on {known}: "
            "compare with another method"
        )


def ct_remarks(method: LearnedReconstructor, sample: SinogramSample) -> Iterator[str]:
    """What the weights were trained on, how they were run, and how the scan differs from the training."""
    yield from _origin(method)
    match method.weights.settings.data:
        case LoDoPaBData(views=views):
            (all_views, bins), pixel = lodopab().shape, lodopab_grid().spacing[0]
        case PhantomCTData(views=views, all_views=all_views, size=size):
            bins, pixel = round(1.5 * size), 1.0  # as `PhantomSinograms` measures
        case _:
            return
    unlike = []
    trained_views = all_views if views is None else views
    here_views, here_bins = sample.geometry.shape[0], sample.geometry.shape[-1]
    if here_views != trained_views:
        unlike.append(f"{here_views} views and not {trained_views}")
    if here_bins != bins:
        unlike.append(f"{here_bins} bins and not {bins}")
    if any(abs(width - pixel) > _SAME_WIDTH * pixel for width in sample.grid.spacing):
        here = " x ".join(dict.fromkeys(f"{width:.4g}" for width in sample.grid.spacing))
        unlike.append(f"pixels of {here} mm and not {pixel:.4g}")
    if not isinstance(sample.geometry, ParallelBeam):
        unlike.append("rays that are not parallel")
    if unlike:
        yield f"the scan is unlike those that the weights were trained on: {', '.join(unlike)}: compare with another method"


def _origin(method: LearnedReconstructor) -> Iterator[str]:
    weights = method.weights
    data = weights.card.get("data", {})
    where, split = data.get("name", "unknown data"), data.get("split", "no split")
    yield f"the weights {weights.name} were trained on '{where}' ({split})"
    if weights.execution != Execution():
        yield f"the network was run in {weights.execution}"
    if weights.execution.precision is PrecisionName.BF16 and emulates_bfloat16(method.device):
        yield "this processor has no instructions for bfloat16, which is therefore slower: leave out --precision"
