"""Where the computing is done."""

import torch

from medrecon.config import DeviceName
from medrecon.errors import InputError

__all__ = ["require_device"]


def require_device(name: DeviceName) -> torch.device:
    """Return the device.

    Raises
    ------
    InputError
        If there is none of this kind.
    """
    if name is DeviceName.CUDA and not torch.cuda.is_available():
        raise InputError("--device cuda: no CUDA device is available to PyTorch; leave it out to compute on the CPU")
    return torch.device(name.value)
