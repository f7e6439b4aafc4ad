"""Where the computing is done."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from medrecon.errors import InputError

if TYPE_CHECKING:
    import torch

__all__ = ["DeviceName", "require_device"]


class DeviceName(StrEnum):
    """Where the computing is done."""

    CPU = "cpu"
    CUDA = "cuda"


def require_device(name: DeviceName) -> torch.device:
    """Return the device.

    Raises
    ------
    InputError
        If there is none of this kind.
    """
    import torch

    if name is DeviceName.CUDA and not torch.cuda.is_available():
        raise InputError("--device cuda: no CUDA device is available to PyTorch; leave it out to compute on the CPU")
    return torch.device(name.value)
