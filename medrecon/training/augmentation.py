"""Other views of an image, made before it is measured, so that image and measurements agree."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, conv2d, grid_sample, pad

__all__ = ["Augmentation", "Blur", "ContrastAugmentation"]


@dataclass(frozen=True)
class Augmentation:
    """Flips, quarter turns (half turns of an image that is not square), zooms, tilts and shifts of images `(..., y, x)`.

    Parameters
    ----------
    flips, turns
        whether an image may be mirrored, and turned.
    shift
        the largest shift along each axis, in pixels; what leaves one side is gone, and zeros come in.
    zoom
        the largest factor by which an image grows; one over it is the smallest. Images are interpolated by cubics.
    tilt
        the largest rotation to either side, in degrees.
    """

    flips: bool = False
    turns: bool = False
    shift: int = 0
    zoom: float = 1.0
    tilt: float = 0.0

    def __call__(self, image: Tensor, generator: torch.Generator) -> Tensor:
        """Draw a change and make it; as much is drawn whatever is allowed."""
        drawn = torch.rand(6, generator=generator).tolist()
        if self.flips and drawn[0] < 0.5:
            image = image.flip(-1)
        if self.turns:
            quarters = int(4 * drawn[1])
            square = image.shape[-1] == image.shape[-2]
            image = torch.rot90(image, quarters if square else 2 * (quarters % 2), dims=(-2, -1))
        if self.zoom > 1 or self.tilt > 0:
            image = _resampled(image, self.zoom ** (2 * drawn[4] - 1), math.radians(self.tilt * (2 * drawn[5] - 1)))
        down, right = (round((2 * part - 1) * self.shift) for part in drawn[2:4])
        return _moved(_moved(image, down, -2), right, -1).contiguous()


@dataclass(frozen=True)
class Blur:
    """Images as of a softer kernel: a Gaussian of a standard deviation that is drawn from 0 to `largest` pixels.

    A network that learns from images of sharp kernels learns their noise with them. Edges are mirrored.
    """

    largest: float = 0.0

    def __call__(self, image: Tensor, generator: torch.Generator) -> Tensor:
        """Draw a width and blur `(..., y, x)`; as much is drawn whatever is allowed."""
        sigma = self.largest * float(torch.rand((), generator=generator))
        reach = min(math.ceil(3 * sigma), min(image.shape[-2:]) - 1)
        if reach < 1:
            return image
        places = torch.arange(-reach, reach + 1, dtype=torch.float64)
        kernel = torch.exp(-0.5 * (places / sigma).square())
        kernel = (kernel / kernel.sum()).to(image)
        blurred = pad(image.reshape(-1, 1, *image.shape[-2:]), (reach,) * 4, mode="reflect")
        blurred = conv2d(conv2d(blurred, kernel.reshape(1, 1, -1, 1)), kernel.reshape(1, 1, 1, -1))
        return blurred.reshape(image.shape)


@dataclass(frozen=True)
class ContrastAugmentation:
    """Another contrast of a magnitude image: its intensities pass a random smooth curve through zero.

    So a network that saw one weighting learns structure and not the brightness of tissues. Air stays black, and the mean of what
    is brighter than a tenth of the largest value stays as it was. Billot et al., SynthSeg, Med Image Anal 86:102789 (2023), draw
    contrasts by tissue; here none are known.

    Parameters
    ----------
    share
        of the images that are changed.
    nodes
        number of drawn values of the curve; few make it smooth.
    """

    share: float = 0.0
    nodes: int = 5

    def __call__(self, image: Tensor, generator: torch.Generator) -> Tensor:
        """Draw a curve for `(..., y, x)` of values from 0 and apply it; as much is drawn whatever is allowed."""
        chance = float(torch.rand((), generator=generator))
        values = torch.cat([torch.zeros(1), torch.rand(self.nodes, generator=generator)]).to(image)
        largest = image.max()
        if chance >= self.share or not bool(largest > 0):
            return image
        place = image / largest * self.nodes
        left = place.floor().clamp(0, self.nodes - 1)
        part = place - left
        part = part * part * (3 - 2 * part)  # no kinks at the nodes
        index = left.long()
        changed = torch.lerp(values[index], values[index + 1], part)
        tissue = image > 0.1 * largest
        mean: Tensor = changed[tissue].mean()
        return changed * (image[tissue].mean() / mean.clamp_min(1e-3))


def _resampled(image: Tensor, zoom: float, angle: float) -> Tensor:
    """Grow by `zoom` and turn by `angle` about the middle; zeros come in from outside."""
    ny, nx = image.shape[-2:]
    sine, cosine = math.sin(angle) / zoom, math.cos(angle) / zoom
    matrix = image.new_tensor([[[cosine, -sine * ny / nx, 0.0], [sine * nx / ny, cosine, 0.0]]])
    stack = image.reshape(1, -1, ny, nx)
    grid = affine_grid(matrix, [1, 1, ny, nx], align_corners=False)
    drawn = grid_sample(stack, grid, mode="bicubic", align_corners=False).clamp_min(0)
    return drawn.reshape(image.shape)


def _moved(image: Tensor, by: int, dim: int) -> Tensor:
    if by == 0:
        return image
    moved, n = torch.zeros_like(image), image.shape[dim]
    kept = max(n - abs(by), 0)
    moved.narrow(dim, max(by, 0) if kept else 0, kept).copy_(image.narrow(dim, max(-by, 0) if kept else 0, kept))
    return moved
