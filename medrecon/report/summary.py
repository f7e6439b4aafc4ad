"""What came of a reconstruction, as values."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import Tensor

from medrecon._version import __version__
from medrecon.evaluation import PROTOCOL

__all__ = ["Metrics", "Reconstruction", "Report", "SliceResult"]


@dataclass(frozen=True)
class Metrics:
    """Scores of a volume by the protocol `medrecon.evaluation.PROTOCOL`; PSNR in decibels."""

    psnr: float
    ssim: float
    nmse: float


@dataclass(frozen=True)
class Report:
    """What was done to a file, in plain values.

    `seconds` is the time of coil maps and reconstruction, reading and writing left aside; `slices` how many there are, and
    `first_slice` the place of the first in the input; `shape` is `(y, x)`; `data_range` is the maximum of the
    target over these slices, which the metrics refer to; `weights` name those of a learned method, and `execution` says
    how its network was run: precision, and whether compiled; `pixel` is `(y, x)` in
    millimeters, where the header says it.
    """

    input: str
    output: str
    method: str
    weight: float | None
    iterations: int | None
    mask: dict[str, str | int | float] | None
    sampling: str
    true_acceleration: float
    coil_maps: str
    slices: int
    first_slice: int
    shape: tuple[int, int]
    device: str
    threads: int
    seconds: float = 0.0
    metrics: Metrics | None = None
    data_range: float | None = None
    notes: tuple[str, ...] = ()
    version: str = __version__
    weights: str | None = None
    execution: str | None = None
    pixel: tuple[float, float] | None = None

    def as_json(self) -> dict[str, object]:
        """Return what `json.dumps` takes; `metrics` only where there is a target, and null for an infinite PSNR."""
        values = asdict(self)
        if self.metrics is None:
            del values["metrics"], values["data_range"]
        else:
            values["metrics"] = {k: v if math.isfinite(v) else None for k, v in asdict(self.metrics).items()}
            values["protocol"] = PROTOCOL
        return values

    def attributes(self) -> dict[str, str | int | float]:
        """Return what is written beside the images."""
        values: dict[str, str | int | float] = {
            "method": self.method,
            "mask": self.sampling,
            "true_acceleration": self.true_acceleration,
            "coil_maps": self.coil_maps,
            "source": Path(self.input).name,
            "first_slice": self.first_slice,
            "version": self.version,
        }
        if self.mask is not None:
            values |= {f"mask_{name}": value for name, value in self.mask.items()}
        if self.weight is not None and self.iterations is not None:
            values |= {"weight": self.weight, "iterations": self.iterations}
        if self.weights is not None:
            values["weights"] = self.weights
        if self.execution is not None:
            values["execution"] = self.execution
        if self.pixel is not None:
            values["pixel_y_mm"], values["pixel_x_mm"] = self.pixel
        return values


@dataclass(frozen=True, eq=False)
class SliceResult:
    """One slice: image and target `(y, x)`, the samples it is made of (as in `KSpaceSample`), and how it was made.

    `residual`, `(y, x)`, is `|A.H(y - A x)|`, where it was asked for and the method gives the complex image `x`.
    """

    index: int
    image: Tensor
    target: Tensor | None
    sampled: Tensor
    sampling: str
    true_acceleration: float
    coil_maps: str
    notes: tuple[str, ...]
    seconds: float
    residual: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """What came of a file: the report, the middle slice to show, and the maximum of the volume's target."""

    report: Report
    shown: SliceResult
    data_range: float | None
