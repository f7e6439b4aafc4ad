"""A denoiser that knows no unit: a U-Net without biases and normalizations, told how strong the noise is."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from medrecon.networks.channels import from_channels, laid_out, to_channels
from medrecon.operators import Diagonal, LinearOperator

__all__ = ["DenoiserUNet", "Denoising"]


class DenoiserUNet(nn.Module):
    """`x -> D(x, sigma)`: images `(..., y, x)` with white noise of the standard deviation `sigma` to images without it.

    A residual U-Net of 3x3 convolutions without biases and normalizations, whose input is the image and a constant map of `sigma`:
    so `D(c x, c sigma) = c D(x, sigma)` for every `c > 0`, and no unit of intensity matters. Each level has residual blocks
    (convolution, ReLU, convolution); strided convolutions lead down, transposed ones up, where the skipped images are added. It
    gives what it takes off `x`, and begins as the identity. A real image is taken as a complex one without an imaginary part, so
    that one network serves both. Images of any size are continued by their last row and column to a
    multiple of the coarsest pixel.

    Zhang et al., Plug-and-play image restoration with deep denoiser prior, IEEE Trans Pattern Anal 44:6360 (2022); Mohan et al.,
    Robust and interpretable blind image denoising via bias-free CNNs, ICLR (2020).

    Parameters
    ----------
    features
        channels of each level, the finest first.
    blocks
        residual blocks of each level, on the way down and on the way up.

    Raises
    ------
    ValueError
        if a number is below 1, or there are less than two levels; when called, for a `sigma` that is neither a scalar nor of the
        shape of the leading axes of `x`.
    """

    def __init__(self, features: Sequence[int] = (32, 64, 128, 256), blocks: int = 2) -> None:
        super().__init__()
        if len(features) < 2 or min(*features, blocks) < 1:
            raise ValueError(
                f"DenoiserUNet takes two levels at least, and features and blocks of at least 1, got {tuple(features)}, {blocks}"
            )
        self.features, self.blocks = tuple(features), blocks
        steps = list(zip(self.features[:-1], self.features[1:], strict=True))
        self.first = nn.Conv2d(3, self.features[0], 3, padding=1, bias=False)
        self.before = nn.ModuleList(_level(fine, blocks) for fine, _ in steps)
        self.down = nn.ModuleList(nn.Conv2d(fine, coarse, 2, stride=2, bias=False) for fine, coarse in steps)
        self.bottom = _level(self.features[-1], blocks)
        self.up = nn.ModuleList(nn.ConvTranspose2d(coarse, fine, 2, 2, bias=False) for fine, coarse in reversed(steps))
        self.after = nn.ModuleList(_level(fine, blocks) for fine, _ in reversed(steps))
        self.last = nn.Conv2d(self.features[0], 2, 3, padding=1, bias=False)
        nn.init.zeros_(self.last.weight)

    def forward(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """Images `(..., y, x)`, real or complex; `sigma` is that of each real or imaginary part, a scalar or one an image."""
        level = torch.as_tensor(sigma, dtype=x.real.dtype, device=x.device)
        if level.ndim and level.shape != x.shape[:-2]:
            raise ValueError(f"DenoiserUNet takes a sigma of shape {tuple(x.shape[:-2])}, got {tuple(level.shape)}")
        channels = to_channels(x if x.is_complex() else torch.complex(x, torch.zeros_like(x)))
        noise = level.expand(x.shape[:-2]).reshape(-1, 1, 1, 1).expand(-1, 1, *x.shape[-2:])
        removed = self._removed(torch.cat((channels, noise), dim=1))
        return x - from_channels(removed if x.is_complex() else removed[:, :1], x)

    def _removed(self, channels: Tensor) -> Tensor:
        unit = 2 ** len(self.down)
        ny, nx = channels.shape[-2:]
        padded = F.pad(channels, (0, -nx % unit, 0, -ny % unit), mode="replicate")
        with torch.autocast(padded.device.type, enabled=False):  # which would round the image by more than weak noise
            x = self.first(laid_out(padded, self.first.weight))
        skipped = []
        for level, down in zip(self.before, self.down, strict=True):
            x = level(x)
            skipped.append(x)
            x = down(x)
        x = self.bottom(x)
        for up, level in zip(self.up, self.after, strict=True):
            x = level(up(x) + skipped.pop())
        removed: Tensor = self.last(x)
        return removed[..., :ny, :nx]


class Denoising(nn.Module):
    """A denoiser as a reconstructor of `y = x / sigma + n`, where `n` has unit variance in each real or imaginary part.

    Raises
    ------
    ValueError
        when called, if `A` is not a `Diagonal` of one value an image.
    """

    def __init__(self, denoiser: DenoiserUNet) -> None:
        super().__init__()
        self.denoiser = denoiser

    def forward(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        if not isinstance(A, Diagonal) or any(size > 1 for size in A.values.shape[-2:]):
            raise ValueError(f"Denoising takes a Diagonal of one value an image, got {A}")
        sigma = 1 / A.values.real.to(y.device)
        image: Tensor = self.denoiser(y * sigma, sigma.expand(*y.shape[:-2], 1, 1)[..., 0, 0])
        return image


class _Block(nn.Module):
    """`x + conv(relu(conv(x)))`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = x + self.second(F.relu(self.first(x)))
        return changed


def _level(width: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(*(_Block(width) for _ in range(blocks)))
