"""How good a network is on samples that it does not learn from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from statistics import fmean

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import nn

from medrecon.bootstrap import Resampling, resampling
from medrecon.data.batches import share
from medrecon.metrics import psnr, ssim
from medrecon.training.losses import Loss
from medrecon.training.samples import TrainingSet, collate
from medrecon.weights.scores import Interval, Scores

__all__ = ["validate"]

_RESAMPLES = 2000


@dataclass(frozen=True)
class _SampleScores:
    """The scores of one sample; those of one image have one name."""

    index: int
    name: str
    loss: float
    psnr: float
    ssim: float


def validate(network: nn.Module, loss: Loss, samples: TrainingSet, accelerator: Accelerator) -> Scores:
    """Score a network, each sample once and on its own; processes share the samples, and all get the same scores.

    The network is used as it is, without the wrapping that synchronizes gradients, so that processes may have unequal shares.
    """
    trained = network.training
    network.eval()
    try:
        with torch.no_grad():
            shared = share(len(samples), accelerator.process_index, accelerator.num_processes)
            mine = [_score(network, loss, samples, index, accelerator) for index in shared]
    finally:
        network.train(trained)
    return _summary(sorted(gather_object(mine), key=lambda sample: sample.index))


def _score(network: nn.Module, loss: Loss, samples: TrainingSet, index: int, accelerator: Accelerator) -> _SampleScores:
    sample = collate([samples.read(index, 0)]).to(accelerator.device)
    autocast: AbstractContextManager[object] = accelerator.autocast()
    with autocast:
        x = network(sample.problem.y, sample.problem.A)
    image = sample.compared(x)
    value, data_range = loss(image, sample.target, sample.data_range), float(sample.data_range[0])
    shown, wanted = (one[0].abs() if one.is_complex() else one[0] for one in (image, sample.target))
    quality = (metric(shown, wanted, data_range=data_range) for metric in (psnr, ssim))
    return _SampleScores(index, sample.names[0], float(value), *(float(figure) for figure in quality))


def _summary(samples: Sequence[_SampleScores]) -> Scores:
    images: dict[str, list[_SampleScores]] = {}
    for sample in samples:
        images.setdefault(sample.name, []).append(sample)
    draws = resampling(list(images), _RESAMPLES, seed=0)
    return Scores(
        loss=fmean(sample.loss for sample in samples),
        psnr=fmean(sample.psnr for sample in samples),
        ssim=fmean(sample.ssim for sample in samples),
        samples=len(samples),
        psnr_interval=_interval(draws, [fmean(sample.psnr for sample in image) for image in images.values()]),
        ssim_interval=_interval(draws, [fmean(sample.ssim for sample in image) for image in images.values()]),
    )


def _interval(draws: Resampling, means: Sequence[float]) -> Interval | None:
    """Of the mean over images, of which those without error have no finite PSNR."""
    found = draws.estimate(means) if all(math.isfinite(mean) for mean in means) else None
    return None if found is None or found.low is None or found.high is None else (found.low, found.high)
