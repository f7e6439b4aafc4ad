"""LPIPS, a distance between images that people see, where the package `lpips` and its weights are present."""

from __future__ import annotations

import importlib
import os
import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from medrecon.errors import InputError

__all__ = ["LPIPS_PROTOCOL", "lpips_distance", "require_lpips"]

#: AlexNet's features with the linear weights of version 0.1, of images whose range is moved to -1 ... 1; gray as three colors.
LPIPS_PROTOCOL = "lpips-alex-0.1"
_FEATURES = "alexnet-owt-*.pth"
_LEFT_OUT = "or leave lpips out of the configuration"


def require_lpips() -> None:
    """Make sure that LPIPS can be computed, without the network.

    Raises
    ------
    InputError
        If the package or its weights are not there; the text says how to get them.
    """
    try:
        importlib.import_module("lpips")
    except ImportError as error:
        raise InputError(
            f"lpips: the package is not installed; `pip install lpips` does it, with torchvision, {_LEFT_OUT}"
        ) from error
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    if not any(folder.glob(_FEATURES)):
        raise InputError(
            f"lpips: the weights of AlexNet are not in {folder}; `python -c \"import lpips; lpips.LPIPS(net='alex')\"` "
            f"fetches them once, {_LEFT_OUT}"
        )


def lpips_distance(picture: Tensor, target: Tensor, *, low: float, data_range: float) -> float:
    """LPIPS of real images `(y, x)`, on the CPU: 0 for equal ones; values from `low` to `low + data_range` are -1 to 1.

    What is outside is clipped. Zhang et al., The Unreasonable Effectiveness of Deep Features as a Perceptual Metric, CVPR 2018.

    Raises
    ------
    InputError
        As `require_lpips`.
    """
    network = _network(os.getpid())
    gray = [(2 * (image.float() - low) / data_range - 1).clamp(-1, 1) for image in (picture, target)]
    colors = [image.expand(1, 3, *image.shape) for image in gray]
    with torch.no_grad():
        return float(network(*colors))


@lru_cache(maxsize=1)
def _network(process: int) -> Any:  # noqa: ARG001
    require_lpips()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torchvision, about how lpips calls it
        return importlib.import_module("lpips").LPIPS(net="alex", verbose=False).eval()
