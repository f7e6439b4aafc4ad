"""What training makes small: distances of images from their targets, differentiable, means over the batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

__all__ = ["L1Loss", "Loss", "MSELoss", "SSIMLoss", "WeightedSum"]

_WINDOW = 7
_K1, _K2 = 0.01, 0.03


class Loss(Protocol):
    """A number for real images `(n, y, x)`, with the `data_range` `(n,)` of each target."""

    def __call__(self, prediction: Tensor, target: Tensor, data_range: Tensor, /) -> Tensor: ...


@dataclass(frozen=True)
class L1Loss:
    """The mean of `|prediction - target|`."""

    def __call__(self, prediction: Tensor, target: Tensor, data_range: Tensor, /) -> Tensor:  # noqa: ARG002
        return (prediction - target).abs().mean()


@dataclass(frozen=True)
class MSELoss:
    """The mean of `|prediction - target|^2`, complex images included."""

    def __call__(self, prediction: Tensor, target: Tensor, data_range: Tensor, /) -> Tensor:  # noqa: ARG002
        error = prediction - target
        return (torch.view_as_real(error).square().sum(-1) if error.is_complex() else error.square()).mean()


@dataclass(frozen=True)
class SSIMLoss:
    """`1 - SSIM` by fastMRI's definition: that of `medrecon.metrics.ssim`, with a gradient.

    Sriram et al., End-to-end variational networks, MICCAI (2020).

    Raises
    ------
    ValueError
        if an image is smaller than the window of 7 x 7.
    """

    def __call__(self, prediction: Tensor, target: Tensor, data_range: Tensor, /) -> Tensor:
        if min(target.shape[-2:]) < _WINDOW:
            raise ValueError(f"SSIMLoss takes images of at least {_WINDOW} x {_WINDOW}, got {tuple(target.shape[-2:])}")
        scale = data_range.reshape(-1, 1, 1, 1)
        x, y = (image.reshape(-1, 1, *image.shape[-2:]) / scale for image in (prediction, target))
        # Moments about one constant an image: without the cancellation that float32 would suffer of bright flat images.
        middle = y.mean(dim=(-2, -1), keepdim=True)
        x, y = x - middle, y - middle
        mean_x, mean_y, mean_xx, mean_yy, mean_xy = (_window_mean(image) for image in (x, y, x * x, y * y, x * y))
        unbiased = _WINDOW**2 / (_WINDOW**2 - 1)
        var_x, var_y = unbiased * (mean_xx - mean_x * mean_x), unbiased * (mean_yy - mean_y * mean_y)
        covariance = unbiased * (mean_xy - mean_x * mean_y)
        mean_x, mean_y = mean_x + middle, mean_y + middle
        c1, c2 = _K1**2, _K2**2
        similarity = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
        similarity = similarity / ((mean_x.square() + mean_y.square() + c1) * (var_x + var_y + c2))
        return 1 - similarity.mean()


@dataclass(frozen=True)
class WeightedSum:
    """`sum_k weight_k loss_k`.

    Raises
    ------
    ValueError
        if there is no term.
    """

    terms: tuple[tuple[float, Loss], ...]

    def __post_init__(self) -> None:
        if not self.terms:
            raise ValueError("WeightedSum takes at least one term (weight, loss), got none")

    def __call__(self, prediction: Tensor, target: Tensor, data_range: Tensor, /) -> Tensor:
        return torch.stack([weight * loss(prediction, target, data_range) for weight, loss in self.terms]).sum()


def _window_mean(image: Tensor) -> Tensor:
    return torch.nn.functional.avg_pool2d(image, _WINDOW, stride=1)
