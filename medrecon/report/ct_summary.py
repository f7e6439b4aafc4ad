"""What came of the reconstruction of sinograms, as values."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import Tensor

from medrecon._version import __version__
from medrecon.evaluation import LODOPAB_FR_PROTOCOL, LODOPAB_PROTOCOL

__all__ = ["CTMetrics", "CTReconstruction", "CTReport", "CTSliceResult"]


@dataclass(frozen=True)
class CTMetrics:
    """Means over images by the protocol `medrecon.evaluation.LODOPAB_PROTOCOL`; PSNR in decibels.

    `psnr_fr` and `ssim_fr` are those of `LODOPAB_FR_PROTOCOL`, for images in LoDoPaB's normalized unit alone.
    """

    psnr: float
    ssim: float
    psnr_fr: float | None = None
    ssim_fr: float | None = None


@dataclass(frozen=True)
class CTReport:
    """What was done to a file of sinograms, in plain values.

    `parameters` are those of the method; `geometry` is said in words, `views` how many were used of `measured_views`. `photons` are
    those a ray that the measurement then has, where they are known, and `added_photons` those whose noise was added, of `seed`.
    `unit` is that of the images, `shape` their `(rows, columns)` as they are written, `pixel` their `(y, x)` spacing in
    millimeters. `slices`, `first_slice`, `seconds`, `weights` and `execution` are as in `medrecon.report.summary.Report`.
    """

    input: str
    output: str
    method: str
    parameters: dict[str, str | int | float]
    geometry: str
    views: int
    measured_views: int
    unit: str
    slices: int
    first_slice: int
    shape: tuple[int, int]
    pixel: tuple[float, float]
    device: str
    threads: int
    photons: float | None = None
    added_photons: float | None = None
    seed: str | int | None = None
    seconds: float = 0.0
    metrics: CTMetrics | None = None
    notes: tuple[str, ...] = ()
    version: str = __version__
    weights: str | None = None
    execution: str | None = None

    def as_json(self) -> dict[str, object]:
        """Return what `json.dumps` takes; `metrics` only where there is a target, and null for an infinite PSNR."""
        values = {"modality": "ct", **asdict(self)}
        if self.metrics is None:
            del values["metrics"]
            return values
        known = {name: value for name, value in asdict(self.metrics).items() if value is not None}
        values["metrics"] = {name: value if math.isfinite(value) else None for name, value in known.items()}
        values["protocol"] = LODOPAB_PROTOCOL
        if self.metrics.psnr_fr is not None:
            values["protocol_fr"] = LODOPAB_FR_PROTOCOL
        return values

    def attributes(self) -> dict[str, str | int | float]:
        """Return what is written beside the images."""
        values: dict[str, str | int | float | None] = {
            "modality": "ct",
            "method": self.method,
            "unit": self.unit,
            "geometry": self.geometry,
            "views": self.views,
            "pixel_y_mm": self.pixel[0],
            "pixel_x_mm": self.pixel[1],
            "source": Path(self.input).name,
            "first_slice": self.first_slice,
            "version": self.version,
            "photons": self.photons,
            "added_photons": self.added_photons,
            "seed": self.seed,
            "weights": self.weights,
            "execution": self.execution,
            **self.parameters,
        }
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, eq=False)
class CTSliceResult:
    """One image and its target in 1/mm, `(y, x)` upright, and the sinogram it is made of.

    `residual`, `(angle, detector)`, is `|y - A x|`, where it was asked for.
    """

    index: int
    image: Tensor
    target: Tensor | None
    sinogram: Tensor
    residual: Tensor | None = None


@dataclass(frozen=True, eq=False)
class CTReconstruction:
    """What came of a file: the report, and the middle slice to show."""

    report: CTReport
    shown: CTSliceResult
