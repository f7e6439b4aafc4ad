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
from medrecon.evaluation import LODOPAB_PROTOCOL, PROTOCOL
from medrecon.metrics import psnr, ssim
from medrecon.training.examples import Examples, collate
from medrecon.training.losses import Loss

__all__ = ["SLICES_PROTOCOL", "Scores", "protocol_of", "validate"]

#: fastMRI's range, the maximum of the volume's target (of the slice's, where a file does not state it), for each slice; means over
#: slices, and not figures of whole volumes.
SLICES_PROTOCOL = f"{PROTOCOL} (means over slices)"


_RESAMPLES = 2000

Interval = tuple[float, float]
"""The 95 % interval of a mean."""


@dataclass(frozen=True)
class Scores:
    """Means over the samples; PSNR and SSIM with the `data_range` that the data set states, as `protocol_of` names them.

    The intervals are those of resampled images, as if slices of a volume were independent, and all masks of a slice together;
    None for a single image, or one without error.
    """

    loss: float
    psnr: float
    ssim: float
    samples: int
    psnr_interval: Interval | None = None
    ssim_interval: Interval | None = None


@dataclass(frozen=True)
class _Sample:
    """The scores of one sample; those of one image have one name."""

    index: int
    name: str
    loss: float
    psnr: float
    ssim: float


def protocol_of(operator: str) -> str:
    """The protocol of the scores of networks on these operators, as the card of weights names them: "radon" for CT, else MRI."""
    return LODOPAB_PROTOCOL if operator == "radon" else SLICES_PROTOCOL


def validate(network: nn.Module, loss: Loss, examples: Examples, accelerator: Accelerator) -> Scores:
    """Score a network, each sample once and on its own; processes share the samples, and all get the same scores.

    The network is used as it is, without the wrapping that synchronises gradients, so that processes may have unequal shares.
    """
    mine = []
    trained = network.training
    network.eval()
    with torch.no_grad():
        for index in share(len(examples), accelerator.process_index, accelerator.num_processes):
            example = collate([examples.read(index, 0)]).to(accelerator.device)
            autocast: AbstractContextManager[object] = accelerator.autocast()
            with autocast:
                x = network(example.problem.y, example.problem.A)
            image = example.problem.picture(x).float()
            value, data_range = loss(image, example.target, example.data_range), float(example.data_range[0])
            quality = (metric(image[0], example.target[0], data_range=data_range) for metric in (psnr, ssim))
            mine.append(_Sample(index, example.names[0], float(value), *(float(figure) for figure in quality)))
    network.train(trained)
    return _summary(sorted(gather_object(mine), key=lambda sample: sample.index))


def _summary(samples: Sequence[_Sample]) -> Scores:
    images: dict[str, list[_Sample]] = {}
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
