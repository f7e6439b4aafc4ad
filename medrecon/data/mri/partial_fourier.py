"""The side of k-space that was not acquired, from the other one: both say nearly the same, as the phase of an image is smooth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["OneSide", "homodyne", "pocs"]

_ITERATIONS = 10  # of projections, beyond which nothing changes


@dataclass(frozen=True)
class OneSide:
    """Lines `start` to `stop` (not included) of `n`, with the center of k-space among them, and more of one side than of the other.

    Raises
    ------
    ValueError
        when it is made of lines with gaps, without the center, or as far on both sides.
    """

    start: int
    stop: int
    n: int

    @classmethod
    def of(cls, sampled: Tensor) -> OneSide:
        """Find it in bool `(kx,)`."""
        taken, n = sampled.nonzero().flatten().tolist() if sampled.ndim == 1 else [], len(sampled)
        if not taken or len(taken) != taken[-1] + 1 - taken[0] or not taken[0] < n // 2 < taken[-1]:
            raise ValueError(
                "partial Fourier takes every line up to the side that was left out, got a mask with gaps or of points; "
                "take sense, wavelet or tv with zeros there"
            )
        found = cls(taken[0], taken[-1] + 1, n)
        if abs((n // 2 - found.start) - (found.stop - 1 - n // 2)) <= 1:
            raise ValueError("partial Fourier takes more lines of one side of k-space than of the other, got as many")
        return found

    @property
    def half(self) -> int:
        """Lines on each side of the center that have their mirror image."""
        return min(self.n // 2 - self.start, self.stop - 1 - self.n // 2)

    @property
    def places(self) -> Tensor:
        """Of the lines, from the center on and away from the side that was left out: below zero there."""
        places = torch.arange(self.n) - self.n // 2
        return places if self.n // 2 - self.start == self.half else -places

    def acquired(self) -> Tensor:
        """Which lines were, bool `(kx,)`."""
        return (torch.arange(self.n) >= self.start) & (torch.arange(self.n) < self.stop)

    def phase(self, kspace: Tensor) -> Tensor:
        """The factor `exp(i phase)` of each pixel of `(..., ky, kx)`, by the lines on both sides and a Hann window."""
        places = self.places.to(torch.float64)
        window = torch.cos(torch.pi * places / (2 * self.half + 2)).square() * (places.abs() <= self.half)
        return torch.sgn(_image(kspace * window.to(kspace.device, kspace.real.dtype)))


def homodyne(kspace: Tensor, side: OneSide) -> Tensor:
    """K-space `(..., ky, kx)` of the image that is real but for a smooth phase, and has the lines of one side.

    Lines of the side alone count twice, none of the other, and those around the center by a ramp between.
    Noll et al., IEEE Trans Med Imaging 10:154 (1991).
    """
    places = side.places.to(torch.float64)
    weights = (1 + places / (side.half + 1)).clamp(0, 2)
    alone = (places == -(side.n // 2)) | (
        (places == side.n // 2) & (side.n % 2 == 0)
    )  # the line that has no mirror image
    weights = torch.where(alone, weights.clamp(max=1), weights).to(kspace.device, kspace.real.dtype)
    phase = side.phase(kspace)
    return _kspace((_image(kspace * weights) * phase.conj()).real * phase)


def pocs(kspace: Tensor, side: OneSide, iterations: int = _ITERATIONS) -> Tensor:
    """K-space `(..., ky, kx)` with the missing lines of an image of a smooth phase, by projections; measured lines stay.

    Haacke et al., J Magn Reson 92:126 (1991).
    """
    phase, acquired = side.phase(kspace), side.acquired().to(kspace.device)
    filled = kspace
    for _ in range(iterations):
        filled = torch.where(acquired, kspace, _kspace(_image(filled).abs() * phase))
    return filled


def _image(kspace: Tensor) -> Tensor:
    return _centered(torch.fft.ifft2, kspace)


def _kspace(image: Tensor) -> Tensor:
    return _centered(torch.fft.fft2, image)


def _centered(transform: Callable[..., Tensor], values: Tensor) -> Tensor:
    axes = (-2, -1)
    shifted: Tensor = torch.fft.fftshift(transform(torch.fft.ifftshift(values, axes), norm="ortho"), axes)
    return shifted
