"""The ramp filter of filtered backprojection, in closed form, and the windows that tame it."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import assert_never

import numpy as np
import torch
from numpy.typing import NDArray

from medrecon.geometry import FanBeam, Geometry
from medrecon.operators.filtering import DetectorFilter
from medrecon.spaces import Space

__all__ = ["Window", "ramp_filter"]


class Window(StrEnum):
    """By what the ramp is multiplied; f is the frequency over the largest one that passes.

    `ramp`: 1. `shepp-logan`: `sin(pi f / 2) / (pi f / 2)`. `cosine`: `cos(pi f / 2)`. `hamming`: `.54 + .46 cos(pi f)`.
    `hann`: `cos(pi f / 2)^2`.
    """

    RAMP = "ramp"
    SHEPP_LOGAN = "shepp-logan"
    COSINE = "cosine"
    HAMMING = "hamming"
    HANN = "hann"

    def gain(self, f: NDArray[np.float64]) -> NDArray[np.float64]:
        """The window at frequencies f; 0 above 1."""
        match self:
            case Window.RAMP:
                gain = np.ones_like(f)
            case Window.SHEPP_LOGAN:
                gain = np.sinc(f / 2)
            case Window.COSINE:
                gain = np.cos(np.pi / 2 * f)
            case Window.HAMMING:
                gain = 0.54 + 0.46 * np.cos(np.pi * f)
            case Window.HANN:
                gain = np.cos(np.pi / 2 * f) ** 2
            case _ as never:
                assert_never(never)
        return np.where(f <= 1, gain, 0.0)


def ramp_filter(
    geometry: Geometry, window: Window, frequency_scaling: float, *, before: int = 0, after: int = 0
) -> DetectorFilter:
    """The windowed ramp along the detector of a scan, with the scale of the detector seen from the center of rotation.

    The ramp |f|, limited to the band of the detector, is in space `h[0] = 1 / (4 d^2)`, `h[n] = -1 / (pi n d)^2` for odd n and 0
    for even n, and stands for `d sum_j h[k - j] x[j]`, where d is the distance of the bins. Its transform is right at the zero
    frequency, which |f| sampled is not. On a curved detector h[n] is multiplied by `(n a / sin(n a))^2`, a the angle between bins.
    Kak & Slaney, Principles of Computerized Tomographic Imaging, eq. 3.61 and 3.106 (1988).

    Parameters
    ----------
    geometry
        of the views.
    window, frequency_scaling
        by what the ramp is multiplied, and the share of the band that passes.
    before, after
        bins in front of and behind the detector at which it is evaluated too.
    """
    n_angles, n_bins = geometry.shape
    largest = n_bins - 1 + max(before, after)
    length = _fast_length(2 * max(largest, 1))
    lags = np.minimum(np.arange(length), length - np.arange(length)).astype(np.float64)
    spacing = geometry.spacing
    if isinstance(geometry, FanBeam):
        spacing *= geometry.source_distance / geometry.source_to_detector
    kernel = np.zeros(length)
    odd = lags % 2 == 1
    kernel[0] = 1 / (4 * spacing)
    kernel[odd] = -1 / (math.pi**2 * lags[odd] ** 2 * spacing)
    if isinstance(geometry, FanBeam) and geometry.curved:
        turn = np.minimum(lags, largest) * (geometry.spacing / geometry.source_to_detector)
        kernel /= np.sinc(turn / math.pi) ** 2
    frequencies = np.arange(length // 2 + 1) / (length / 2)
    response = np.fft.rfft(kernel).real * window.gain(frequencies / frequency_scaling)
    space = Space(("angle", "detector"), (n_angles, n_bins), is_complex=False)
    return DetectorFilter(torch.from_numpy(response), space, before, after)


def _fast_length(least: int) -> int:
    """The smallest even length of at least `least` without prime factors above 5."""
    length = least + least % 2
    while True:
        rest = length
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return length
        length += 2
