"""Scores of volumes that are seen one slice at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from torch import Tensor

from medrecon.metrics import ssim

__all__ = ["PROTOCOL", "VolumeScore"]

#: PSNR and NMSE over all slices together, SSIM as the mean over slices, `data_range` the maximum of their target.
PROTOCOL = "fastmri-v1"


@dataclass(frozen=True)
class VolumeScore:
    """Image quality of a volume by fastMRI's protocol; `score = score.add(prediction, target)` takes a slice in.

    What `medrecon.metrics` gives for the whole volume `(slice, y, x)`, without holding it.
    Zbontar et al., fastMRI: An Open Dataset and Benchmarks for Accelerated MRI, arXiv:1811.08839.

    Parameters
    ----------
    data_range
        the maximum of the volume's target; above zero.
    """

    data_range: float
    slices: int = 0
    pixels: int = 0
    squared_error: float = 0.0
    energy: float = 0.0
    ssim_sum: float = 0.0

    def __post_init__(self) -> None:
        if not self.data_range > 0:
            raise ValueError(f"VolumeScore takes a positive data_range, got {self.data_range}")

    def add(self, prediction: Tensor, target: Tensor) -> VolumeScore:
        """Return the score with one more slice, real `(y, x)` both.

        Raises
        ------
        ValueError
            if the shapes differ, a value is complex, or an image is smaller than SSIM's window.
        """
        similarity = ssim(prediction, target, data_range=self.data_range)
        error, wanted = (prediction.double() - target.double()).square().sum(), target.double().square().sum()
        return replace(
            self,
            slices=self.slices + 1,
            pixels=self.pixels + target.numel(),
            squared_error=self.squared_error + float(error),
            energy=self.energy + float(wanted),
            ssim_sum=self.ssim_sum + similarity,
        )

    @property
    def psnr(self) -> float:
        """In decibels; infinite where prediction and target are equal."""
        self._require_slices()
        if self.squared_error == 0:
            return math.inf
        return 10 * math.log10(self.data_range**2 * self.pixels / self.squared_error)

    @property
    def nmse(self) -> float:
        """The squared error over the energy of the target."""
        self._require_slices()
        return self.squared_error / self.energy

    @property
    def ssim(self) -> float:
        """The mean over the slices."""
        self._require_slices()
        return self.ssim_sum / self.slices

    def _require_slices(self) -> None:
        if not self.slices:
            raise ValueError("VolumeScore has no slices yet; add() takes them in")
