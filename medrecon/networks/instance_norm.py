"""Instance normalization followed by a leaky ReLU: the step between two convolutions of a U-Net."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

__all__ = ["normalize_and_activate"]

_EPS = 1e-5


def normalize_and_activate(x: Tensor, slope: float) -> Tensor:
    """`leaky((x - mean) / sqrt(variance + 1e-5))`, with the moments of each channel of each image `(n, channel, y, x)`.

    `x` itself may be overwritten. Moments are at least in single precision, whatever autocast brings. On the CPU the result lies
    channels last, and what is kept for a gradient is the result alone: the leaky ReLU is turned back (Rota Bulò et al., In-place
    activated batch norm, CVPR 2018). There it has no second derivative. Ulyanov et al., Instance normalization, arXiv:1607.08022
    (2016).
    """
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return F.leaky_relu(F.instance_norm(x, eps=_EPS), slope, inplace=True)
    if x.dtype not in (torch.float32, torch.float64, torch.bfloat16):
        return normalize_and_activate(x.float(), slope).to(x.dtype)
    x = x.contiguous(memory_format=torch.channels_last)
    if torch.is_grad_enabled() and x.requires_grad:
        activated: Tensor = _InPlace.apply(x, slope)  # type: ignore[no-untyped-call]
        return activated
    _forward(x, slope)
    return x


class _InPlace(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: float) -> Tensor:
        inverse = _forward(x, slope)
        ctx.mark_dirty(x)
        ctx.save_for_backward(x, inverse)
        ctx.slope = slope
        return x

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        from medrecon.networks import instance_norm_loops as loops

        y, inverse = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        found = loops.backward(_array(y), inverse.numpy(), _array(gradient), ctx.slope)
        n, channels, height, width = y.shape
        return torch.from_numpy(found).view(y.dtype).reshape(n, height, width, channels).permute(0, 3, 1, 2), None


def _forward(x: Tensor, slope: float) -> Tensor:
    from medrecon.networks import instance_norm_loops as loops

    return torch.from_numpy(loops.forward(_array(x), _EPS, slope))


def _array(x: Tensor) -> Any:
    """The memory of a channels-last tensor as `(n, pixel, channel)`, of bfloat16 its bits."""
    n, channels, height, width = x.shape
    if x.dtype == torch.bfloat16:
        x = x.detach().view(torch.uint16)
    return x.detach().permute(0, 2, 3, 1).view(n, height * width, channels).numpy()
