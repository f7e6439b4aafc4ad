"""Networks from an image to an image, of any size, real or complex."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from medrecon.networks.channels import from_channels, n_channels, to_channels
from medrecon.networks.normalization import Normalization
from medrecon.networks.unet import UNet

__all__ = ["NormalizedUNet", "Residual"]

_TOGETHER = 1 << 17  # pixels that the CPU works on at once where no gradient is recorded


class NormalizedUNet(nn.Module):
    """Images `(..., y, x)` to images: normalized, padded, through the U-Net, cropped, and back to their own units.

    All leading axes are batch. A complex image needs a U-Net of 2 channels, a real one of 1. First `margin` rows and columns are
    reflected on every side, then zeros are added on both sides until `y` and `x` are multiples of `multiple`; all are taken away
    again. With a multiple of 1 no zeros are added, as the U-Net takes any size.
    Without gradients the CPU takes large images one at a time: the same result with less memory.
    Sriram et al., End-to-end variational networks, MICCAI (2020).

    Parameters
    ----------
    unet
        of as many channels in as out.
    normalization
        before it, and undone after it.
    multiple
        of the padded sizes.
    margin
        of the image's own pixels around it, fewer where it is smaller: the zeros with which convolutions are padded then lie away
        from the image, and its edge is no place of its own. The published form has none.
    change
        what the U-Net gives is a change of the image, to which no mean is added on the way back: for `Residual`, and for
        images of a large mean, which the U-Net cannot know.

    Raises
    ------
    ValueError
        if the U-Net gives another number of channels than it takes, or the margin is negative; when called, for real images
        where complex ones are taken.
    """

    def __init__(
        self,
        unet: UNet,
        normalization: Normalization | None = None,
        multiple: int = 16,
        *,
        margin: int = 0,
        change: bool = False,
    ) -> None:
        super().__init__()
        if unet.in_channels != unet.out_channels or unet.in_channels > 2 or multiple < 1 or margin < 0:
            raise ValueError(
                f"NormalizedUNet takes a U-Net of 1 channel (real images) or 2 (complex), a multiple of at least 1 and a margin "
                f"of at least 0, got {unet.in_channels} to {unet.out_channels} channels, {multiple} and {margin}"
            )
        self.unet, self.multiple, self.margin, self.change = unet, multiple, margin, change
        self.normalization = Normalization() if normalization is None else normalization

    def forward(self, x: Tensor) -> Tensor:
        if n_channels(x) != self.unet.in_channels:
            have = "complex" if x.is_complex() else "real"
            raise ValueError(
                f"NormalizedUNet of {self.unet.in_channels} channel(s) got a {have} image, which needs a "
                f"UNet({n_channels(x)}, {n_channels(x)}, ...)"
            )
        channels = to_channels(x)
        if torch.is_grad_enabled() or x.device.type != "cpu":
            return from_channels(self._apply_unet(channels), x)
        together = max(1, _TOGETHER // (x.shape[-2] * x.shape[-1]))
        parts = torch.split(channels, together)
        if len(parts) == 1:
            return from_channels(self._apply_unet(channels), x)
        out = torch.empty_like(x, memory_format=torch.contiguous_format)
        for part, place in zip(parts, torch.split(out.view(-1, *x.shape[-2:]), together), strict=True):
            place.copy_(from_channels(self._apply_unet(part), place))
        return out

    def _apply_unet(self, channels: Tensor) -> Tensor:
        normal, moments = self.normalization(channels)
        y, x = (min(self.margin, size - 1) for size in channels.shape[-2:])
        reflected = F.pad(normal, (x, x, y, y), mode="reflect") if self.margin else normal
        (top, bottom), (left, right) = (self._padding(size) for size in reflected.shape[-2:])
        padded = F.pad(reflected, (left, right, top, bottom))
        del normal, reflected
        through = self.unet(padded)
        height, width = padded.shape[-2:]
        cropped = through[..., top + y : height - bottom - y, left + x : width - right - x]
        return (
            self.normalization.undo_change(cropped, moments)
            if self.change
            else self.normalization.undo(cropped, moments)
        )

    def _padding(self, size: int) -> tuple[int, int]:
        missing = -size % self.multiple
        return missing // 2, missing - missing // 2


class Residual(nn.Module):
    """`x -> x + network(x)`, such as of `NormalizedUNet(..., change=True)`."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        correction: Tensor = self.network(x)
        return x + correction
