"""Image quality against a target, by the definitions of the fastMRI leaderboard.

Each takes a prediction and a target `(..., y, x)` (a volume is `(slice, y, x)`) and gives a number.
Zbontar et al., fastMRI: An Open Dataset and Benchmarks for Accelerated MRI, arXiv:1811.08839.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["nmse", "psnr", "ssim"]

_WINDOW = 7
_K1, _K2 = 0.01, 0.03


def nmse(prediction: Tensor, target: Tensor) -> float:
    """The normalized mean squared error `|prediction - target|^2 / |target|^2`.

    Raises
    ------
    ValueError
        if the shapes differ, a value is complex, or the target is zero.
    """
    prediction, target = _checked(prediction, target, "nmse")
    energy = float(target.square().sum())
    if energy == 0:
        raise ValueError("nmse takes a target that is not zero everywhere")
    return float((prediction - target).square().sum()) / energy


def psnr(prediction: Tensor, target: Tensor, *, data_range: float) -> float:
    """The peak signal-to-noise ratio `10 log10(data_range^2 / mse)` in decibels, over all that is given; infinite where equal.

    fastMRI takes the maximum of the volume's target for `data_range`.

    Raises
    ------
    ValueError
        if the shapes differ, a value is complex, or the range is not positive.
    """
    prediction, target = _checked(prediction, target, "psnr")
    _require_range(data_range, "psnr")
    error = float((prediction - target).square().mean())
    return math.inf if error == 0 else 10 * math.log10(data_range**2 / error)


def ssim(prediction: Tensor, target: Tensor, *, data_range: float) -> float:
    """The structural similarity, a mean over the images and over every 7 x 7 window that lies inside.

    Uniform window, unbiased variances, k1 = 0.01, k2 = 0.03: fastMRI's and scikit-image's definition. fastMRI takes the maximum of
    the volume's target for `data_range`. Wang et al., IEEE Trans Image Process 13:600 (2004).

    Raises
    ------
    ValueError
        if the shapes differ, a value is complex, an image is smaller than the window, or the range is not positive.
    """
    prediction, target = _checked(prediction, target, "ssim")
    _require_range(data_range, "ssim")
    if min(target.shape[-2:]) < _WINDOW:
        raise ValueError(f"ssim takes images of at least {_WINDOW} x {_WINDOW}, got {tuple(target.shape[-2:])}")
    x, y = (image.reshape(-1, 1, *image.shape[-2:]) for image in (prediction, target))
    samples = _WINDOW**2
    mean_x, mean_y, mean_xx, mean_yy, mean_xy = (_window_mean(image) for image in (x, y, x * x, y * y, x * y))
    unbiased = samples / (samples - 1)
    var_x = unbiased * (mean_xx - mean_x * mean_x)
    var_y = unbiased * (mean_yy - mean_y * mean_y)
    covariance = unbiased * (mean_xy - mean_x * mean_y)
    c1, c2 = (_K1 * data_range) ** 2, (_K2 * data_range) ** 2
    similarity = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    similarity = similarity / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
    return float(similarity.mean())


def _window_mean(image: Tensor) -> Tensor:
    return torch.nn.functional.avg_pool2d(image, _WINDOW, stride=1)


def _checked(prediction: Tensor, target: Tensor, who: str) -> tuple[Tensor, Tensor]:
    if prediction.shape != target.shape or prediction.is_complex() or target.is_complex() or target.ndim < 2:
        raise ValueError(
            f"{who} takes a real prediction and target of one shape (..., y, x), got {tuple(prediction.shape)} "
            f"{prediction.dtype} and {tuple(target.shape)} {target.dtype}"
        )
    return prediction.detach().double(), target.detach().double()


def _require_range(data_range: float, who: str) -> None:
    if not data_range > 0:
        raise ValueError(f"{who} takes a positive data_range, got {data_range}")
