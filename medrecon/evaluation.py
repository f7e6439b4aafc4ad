"""Scores of volumes and of sets of images that are seen one at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Protocol

from torch import Tensor

from medrecon.metrics import psnr, ssim

__all__ = [
    "LEAST_SCORED",
    "LODOPAB_FR_PROTOCOL",
    "LODOPAB_PROTOCOL",
    "PROTOCOL",
    "LoDoPaBScore",
    "MeanScore",
    "Metrics",
    "Score",
    "VolumeScore",
    "image_range",
]

#: Pixels along an axis, below which an image is not scored: SSIM's window.
LEAST_SCORED = 7
#: PSNR and NMSE over all slices together, SSIM as the mean over slices, `data_range` the maximum of their target.
PROTOCOL = "fastmri-v1"
#: PSNR and SSIM of each image, `data_range` the maximum less the minimum of its target; means over the images.
LODOPAB_PROTOCOL = "lodopab"
#: The same with a `data_range` of 1, the whole range of LoDoPaB's normalized images.
LODOPAB_FR_PROTOCOL = "lodopab-fr"


@dataclass(frozen=True)
class Metrics:
    """Image quality by a protocol; PSNR in decibels, NMSE where the protocol has it."""

    protocol: str
    psnr: float
    ssim: float
    nmse: float | None = None

    def as_json(self, ending: str = "") -> dict[str, float | None]:
        """Values for JSON, null for an infinite PSNR; `ending` stands behind their names."""
        known = {"psnr": self.psnr, "ssim": self.ssim, "nmse": self.nmse}
        return {
            f"{name}{ending}": value if math.isfinite(value) else None
            for name, value in known.items()
            if value is not None
        }


class Score(Protocol):
    """Scores of images that are seen one at a time: `score = score.add(image, target)` takes one in."""

    def add(self, prediction: Tensor, target: Tensor, /) -> Score: ...

    @property
    def metrics(self) -> tuple[Metrics, ...]:
        """By each protocol of the data, the first being that of tables; none where nothing was scored."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know of them."""
        ...

    @property
    def data_range(self) -> float | None:
        """The range of the first metrics, where it is one for all images."""
        ...


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
    def metrics(self) -> tuple[Metrics, ...]:
        """By fastMRI's protocol."""
        return (Metrics(PROTOCOL, self.psnr, self.ssim, self.nmse),) if self.slices else ()

    @property
    def notes(self) -> tuple[str, ...]:
        """There are none."""
        return ()

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


@dataclass(frozen=True)
class MeanScore:
    """Image quality by LoDoPaB's protocol: the means over images of PSNR and SSIM; `score = score.add(...)` takes one in.

    Leuschner et al., LoDoPaB-CT, Scientific Data 8:109 (2021).
    """

    images: int = 0
    psnr_sum: float = 0.0
    ssim_sum: float = 0.0

    def add(self, prediction: Tensor, target: Tensor, *, data_range: float) -> MeanScore:
        """Return the score with one more image, real `(y, x)` both; `image_range(target)` is LoDoPaB's range.

        Raises
        ------
        ValueError
            if the shapes differ, a value is complex, an image is smaller than SSIM's window, or the range is not positive.
        """
        return MeanScore(
            self.images + 1,
            self.psnr_sum + psnr(prediction, target, data_range=data_range),
            self.ssim_sum + ssim(prediction, target, data_range=data_range),
        )

    @property
    def psnr(self) -> float:
        """The mean over the images, in decibels; infinite where one is equal to its target."""
        return self.psnr_sum / self._counted

    @property
    def ssim(self) -> float:
        """The mean over the images."""
        return self.ssim_sum / self._counted

    @property
    def _counted(self) -> int:
        if not self.images:
            raise ValueError("MeanScore has no images yet; add() takes them in")
        return self.images


@dataclass(frozen=True)
class LoDoPaBScore:
    """Scores of images in 1/mm by LoDoPaB's protocol, so far; with a `full_range`, also over that of all images."""

    full_range: float | None = None
    own: MeanScore = field(default_factory=MeanScore)
    full: MeanScore = field(default_factory=MeanScore)
    notes: tuple[str, ...] = ()

    def add(self, prediction: Tensor, target: Tensor) -> LoDoPaBScore:
        """Return the scores with one more image, real `(y, x)` both."""
        spread = image_range(target)
        if spread == 0 or min(target.shape) < LEAST_SCORED:
            fault = (
                "a target has one value everywhere"
                if spread == 0
                else f"images have less than {LEAST_SCORED} pixels a side"
            )
            return replace(self, notes=(f"{fault}: it is not scored",))
        own = self.own.add(prediction, target, data_range=spread)
        if self.full_range is None:
            return replace(self, own=own)
        full = self.full.add(prediction / self.full_range, target / self.full_range, data_range=1.0)
        return replace(self, own=own, full=full)

    @property
    def metrics(self) -> tuple[Metrics, ...]:
        named = (LODOPAB_PROTOCOL, self.own), (LODOPAB_FR_PROTOCOL, self.full)
        return tuple(Metrics(protocol, score.psnr, score.ssim) for protocol, score in named if score.images)

    @property
    def data_range(self) -> float | None:
        """None: that of each image is its own."""
        return None


def image_range(target: Tensor) -> float:
    """The maximum less the minimum of an image: the range of LoDoPaB's protocol."""
    return float(target.max() - target.min())
