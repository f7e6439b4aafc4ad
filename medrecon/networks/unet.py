"""The U-Net of fastMRI."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from medrecon.networks.channels import laid_out
from medrecon.networks.instance_norm import normalize_and_activate

__all__ = ["UNet"]

_SLOPE = 0.2


class UNet(nn.Module):
    """A U-Net `(n, in_channels, y, x)` to `(n, out_channels, y, x)`, for any size.

    Pairs of 3x3 convolutions without bias, each followed by an instance normalization without parameters and a leaky ReLU; means of
    2x2 down, transposed convolutions up, where an odd size is restored by reflecting the last row or column; a 1x1 convolution with
    bias at the end. On the CPU it works channels last; elsewhere as `network.to(memory_format=...)` has it.
    Ronneberger et al., U-Net, MICCAI (2015); Zbontar et al., fastMRI, arXiv:1811.08839 (2018).

    Parameters
    ----------
    in_channels, out_channels
        of the images.
    features
        channels of the finest level; each coarser one has twice as many.
    n_pools
        how often the size is halved.

    Raises
    ------
    ValueError
        if a number is below 1; when called, for what is not `(n, in_channels, y, x)`, or too small to be halved so often.
    """

    def __init__(self, in_channels: int, out_channels: int, features: int = 32, n_pools: int = 4) -> None:
        super().__init__()
        if min(in_channels, out_channels, features, n_pools) < 1:
            raise ValueError(
                f"UNet takes channels, features and n_pools of at least 1, "
                f"got {in_channels}, {out_channels}, {features}, {n_pools}"
            )
        self.in_channels, self.out_channels = in_channels, out_channels
        self.features, self.n_pools = features, n_pools
        widths = [features << level for level in range(n_pools + 1)]
        self.down = nn.ModuleList(_Pair(a, b) for a, b in zip([in_channels, *widths], widths[:-1], strict=False))
        self.bottom = _Pair(widths[-2], widths[-1])
        self.up = nn.ModuleList(_Up(width) for width in reversed(widths[:-1]))
        self.last = nn.Conv2d(features, out_channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        self._require(x)
        x = laid_out(x, self.bottom.second.weight)
        skipped = []
        for pair in self.down:
            x = pair(x)
            skipped.append(x)
            x = F.avg_pool2d(x, 2)
        x = self.bottom(x)
        for up in self.up:
            x = up(x, skipped.pop())
        image: Tensor = self.last(x)
        return image

    def _require(self, x: Tensor) -> None:
        least = 1 << self.n_pools
        if x.ndim != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"UNet takes (n, channel={self.in_channels}, y, x), got {tuple(x.shape)}")
        if min(x.shape[-2:]) < least or max(x.shape[-2:]) < 2 * least:
            raise ValueError(
                f"UNet with {self.n_pools} poolings takes images of at least {2 * least} x {least}, "
                f"got {tuple(x.shape[-2:])}; take fewer poolings"
            )


class _Pair(nn.Module):
    """Two convolutions, each normalized and activated."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.second = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = normalize_and_activate(self.first(x), _SLOPE)
        return normalize_and_activate(self.second(x), _SLOPE)


class _Up(nn.Module):
    """Twice the size with half of the channels, joined with what was skipped."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.transposed = nn.ConvTranspose2d(2 * width, width, 2, stride=2, bias=False)
        self.pair = _Pair(2 * width, width)

    def forward(self, x: Tensor, skipped: Tensor) -> Tensor:
        x = normalize_and_activate(self.transposed(x), _SLOPE)
        below, right = skipped.shape[-2] - x.shape[-2], skipped.shape[-1] - x.shape[-1]
        if below or right:
            x = F.pad(x, (0, right, 0, below), mode="reflect")
        joined: Tensor = self.pair(torch.cat((x, skipped), dim=1))
        return joined
