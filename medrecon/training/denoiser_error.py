"""How far a denoiser is off at each level of noise: what the methods that it serves need to know of it."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import torch
from torch import Tensor

from medrecon.data.batches import derived_seed
from medrecon.networks import DenoiserUNet
from medrecon.progress import Progress, silent
from medrecon.training.noisy_images import NoisyImages, noisy_sample
from medrecon.weights.denoiser import ErrorCurve

__all__ = ["measure_error"]

_LEVELS = 16


def measure_error(denoiser: DenoiserUNet, images: NoisyImages, progress: Progress = silent) -> ErrorCurve:
    """Measure the mean squared error of a real or imaginary part on the crops of a held set, over the range of its levels."""
    low, high = images.levels
    levels = tuple(low * (high / low) ** (k / (_LEVELS - 1)) for k in range(_LEVELS))
    device = next(denoiser.parameters()).device
    found: dict[bool, list[list[float]]] = {}
    for index in range(len(images)):
        generator = torch.Generator().manual_seed(derived_seed(index))
        x = images.crop(index, generator)
        errors = [_error(denoiser, x, level, generator, device) for level in levels]
        found.setdefault(x.is_complex(), []).append(errors)
        progress("measuring the denoiser's error", index + 1, len(images))
    return ErrorCurve(levels=levels, complex=_mean(found.get(True)), real=_mean(found.get(False)))


def _error(denoiser: DenoiserUNet, x: Tensor, level: float, generator: torch.Generator, device: torch.device) -> float:
    sample = noisy_sample(x, level, generator, "crop")
    with torch.no_grad():
        image = denoiser((sample.problem.y * level).to(device), level)
    error = image.cpu() - x
    return float((torch.view_as_real(error) if error.is_complex() else error).square().mean())


def _mean(rows: Sequence[Sequence[float]] | None) -> tuple[float, ...] | None:
    return None if rows is None else tuple(fmean(column) for column in zip(*rows, strict=True))
