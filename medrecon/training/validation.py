"""How good a network is on samples that it does not learn from."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import nn

from medrecon.data.batches import share
from medrecon.evaluation import LODOPAB_PROTOCOL, PROTOCOL
from medrecon.metrics import psnr, ssim
from medrecon.training.examples import Examples, collate
from medrecon.training.losses import Loss

__all__ = ["SLICES_PROTOCOL", "Scores", "protocol_of", "validate"]

#: fastMRI's range, the maximum of the volume's target (of the slice's, where a file does not state it), for each slice; means over
#: slices, and not figures of whole volumes.
SLICES_PROTOCOL = f"{PROTOCOL} (means over slices)"


@dataclass(frozen=True)
class Scores:
    """Means over the samples; PSNR and SSIM with the `data_range` that the data set states, as `protocol_of` names them."""

    loss: float
    psnr: float
    ssim: float
    samples: int


def protocol_of(operator: str) -> str:
    """The protocol of the scores of networks on these operators, as the card of weights names them: "radon" for CT, else MRI."""
    return LODOPAB_PROTOCOL if operator == "radon" else SLICES_PROTOCOL


def validate(network: nn.Module, loss: Loss, examples: Examples, accelerator: Accelerator) -> Scores:
    """Score a network, each sample once and on its own; processes share the samples, and all get the same scores.

    The network is used as it is, without the wrapping that synchronises gradients, so that processes may have unequal shares.
    """
    sums = torch.zeros(4, dtype=torch.float64)
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
            sums += torch.tensor([float(value), *quality, 1.0], dtype=torch.float64)
    network.train(trained)
    total = accelerator.reduce(sums.to(accelerator.device), reduction="sum").cpu()
    value, signal, similarity, n = total.tolist()
    return Scores(value / n, signal / n, similarity / n, int(n))
