"""Images as the real channels that convolutions take, and back: the only place where a complex number is two real ones."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["from_channels", "laid_out", "n_channels", "to_channels"]


def n_channels(x: Tensor) -> int:
    """How many real channels an image has: 2 (real, imaginary) for a complex one, else 1."""
    return 2 if x.is_complex() else 1


def to_channels(x: Tensor) -> Tensor:
    """Images `(..., y, x)` as real `(n, channel, y, x)`, all leading axes laid flat: real and imaginary part, or one channel.

    A view in the channels-last layout where `x` is contiguous.
    """
    parts = torch.view_as_real(x.resolve_conj()) if x.is_complex() else x.unsqueeze(-1)
    return parts.reshape(-1, *parts.shape[-3:]).permute(0, 3, 1, 2)


def from_channels(channels: Tensor, like: Tensor) -> Tensor:
    """The images whose channels those are, with the leading axes, the field and the precision of `like`."""
    last = channels.permute(0, 2, 3, 1)
    if like.is_complex():
        images = torch.view_as_complex(last.to(like.dtype.to_real()).contiguous())
    else:
        images = last.squeeze(-1).to(like.dtype)
    return images.reshape(*like.shape[:-2], *channels.shape[-2:])


def laid_out(channels: Tensor, weight: Tensor) -> Tensor:
    """The channels in the layout for convolutions: last on the CPU, where that is faster, elsewhere as the weights lie."""
    last = channels.device.type == "cpu" or not weight.is_contiguous()
    return channels.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
