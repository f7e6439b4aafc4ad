"""What came of the reconstruction of a file, as values."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from torch import Tensor

from medrecon._version import __version__
from medrecon.evaluation import Metrics
from medrecon.reconstructor import Parameters

__all__ = ["Display", "Facts", "Reconstruction", "Report", "SliceResult", "Trust", "Window"]

#: How a scan was measured, by name, in plain values: those of its mask or its geometry, its dose, its coil maps.
Facts = Mapping[str, str | int | float | Mapping[str, str | int | float] | None]


@dataclass(frozen=True)
class Window:
    """The values shown as black and as white, `low < high`, in the unit of the images."""

    low: float
    high: float
    name: str = ""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"Window takes finite values low < high, got {self.low} and {self.high}")


@dataclass(frozen=True)
class Display:
    """How the images of a scan are shown.

    Parameters
    ----------
    unit
        of the images as they are shown, in words.
    values
        from an image or a stack of them, upright, to the values that are shown.
    is_magnitude
        whether zero is black; else the extremes are cut at both ends, and bars say what values are shown.
    presets
        windows to choose from.
    measured, measured_unit, residual
        what the picture of the measurements shows, its unit (empty for a sampling mask), and what residuals are.
    """

    unit: str
    measured: str
    measured_unit: str
    residual: str
    values: Callable[[Tensor], Tensor]
    is_magnitude: bool
    presets: tuple[Window, ...] = ()


@dataclass(frozen=True, eq=False)
class SliceResult:
    """One image and its target, real `(y, x)`, upright, in the unit of the problem: intensity as stored, or 1/mm.

    Parameters
    ----------
    index
        its place in the file.
    measured
        what it was made of, as a picture: the samples of k-space, `(ky, kx)` or `(kx,)`, or the sinogram `(angle, detector)`.
    residual
        a map of what the image leaves unexplained, where it was asked for and is known.
    data_range
        of the metrics of this image; None where it is not scored.
    protocol
        of these metrics, in words.
    sampling
        in few words, such as `3.97x` or `60 views`.
    """

    index: int
    image: Tensor
    target: Tensor | None
    measured: Tensor
    sampling: str
    residual: Tensor | None = None
    data_range: float | None = None
    protocol: str = ""


@dataclass(frozen=True)
class Trust:
    """What a fifth of the measurements of the middle slice, held back, says of the method; see `medrecon.held_out`.

    Parameters
    ----------
    held_out
        the error of the method (`medrecon.held_out.Prediction`): 0 for what it predicts without error, 1 for no better than a black
        image; None where nothing can be held back, or the image is none of which measurements can be predicted.
    others
        the errors of methods that were tried beside it, by name.
    weights
        the weights that were tried, and the error at each by which one was chosen: of line integrals without the ramp.
    instead
        a method that predicts better.
    is_worse
        whether the method predicts worse than another, or than a black image, beyond doubt.
    unknown
        why there is no error, where that was asked.
    seconds
        that it took.
    """

    held_out: float | None
    others: Mapping[str, float] = field(default_factory=dict)
    weights: tuple[tuple[float, float], ...] = ()
    instead: str | None = None
    is_worse: bool = False
    unknown: str | None = None
    seconds: float = 0.0

    def words(self, method: str) -> str | None:
        """What was found of an image by the method, in a line; None where nothing was."""
        if self.held_out is None:
            return None
        errors = {method: self.held_out, **self.others}
        told = dict(zip(errors, _told_apart(*errors.values()), strict=True))
        by = ", ".join(f"{told[name]} by {name}" for name in sorted(errors, key=errors.__getitem__))
        tried = [weight for weight, _ in self.weights]
        weights = f"; {len(tried)} weights tried, {tried[0]:g} to {tried[-1]:g}" if tried else ""
        return f"error in what was held back of the middle slice: {by}, 1 by a black image{weights}"

    def notes(self, method: str) -> tuple[str, ...]:
        """What a user must know of an image by the method."""
        if self.held_out is None:
            return () if self.unknown is None else (f"how far to trust the image is not known: {self.unknown}",)
        if not self.is_worse:
            return ()
        error, other = _told_apart(self.held_out, 1.0 if self.instead is None else self.others[self.instead])
        words = (
            f"do not trust this image: {method} predicts measurements that it was not shown with an error of {error}"
        )
        if self.instead is not None:
            return (f"{words}, and {self.instead} with {other}; take --method {self.instead}",)
        return (f"{words}, where a black image has {other}; take another method or weight",)


@dataclass(frozen=True)
class Report:
    """What was done to a file, in plain values.

    Parameters
    ----------
    modality, input, output
        the scanner, and the files; an empty output was not written.
    method, parameters
        by which images were made; `weights` name those of a learned method, and `execution` says how its network was run.
    measured, sampling
        how the scan was measured, in a sentence and in few words.
    facts
        the same as values.
    slices, first_slice
        how many images there are, and the place of the first in the input.
    shape, pixel, unit
        `(rows, columns)` of the images as they are written, their `(y, x)` spacing in millimeters where it is known, and the unit.
    device, threads, seconds
        where and how long it was computed: coil maps and reconstruction, reading and writing left aside.
    metrics, data_range
        by each protocol, the first being that of tables; the range, where it is one for all slices.
    notes
        what a user should know.
    trust
        what measurements that were held back say of the method, where that was asked.
    """

    modality: str
    input: str
    output: str
    method: str
    parameters: Parameters
    measured: str
    sampling: str
    facts: Facts
    slices: int
    first_slice: int
    shape: tuple[int, int]
    pixel: tuple[float, float] | None
    unit: str
    device: str
    threads: int
    seconds: float = 0.0
    metrics: tuple[Metrics, ...] = ()
    data_range: float | None = None
    notes: tuple[str, ...] = ()
    version: str = __version__
    weights: str | None = None
    execution: str | None = None
    trust: Trust | None = None

    def as_json(self) -> dict[str, object]:
        """Return what `json.dumps` takes; `metrics` only where there is a target, and null for an infinite PSNR.

        Names of the version before stand beside those of today: `remarks`, and `weight` and `iterations` outside `parameters`.
        """
        values = asdict(self)
        del values["facts"], values["metrics"], values["sampling"]  # in few words, for tables
        values |= {
            **self.facts,
            "weight": self.parameters.get("weight"),
            "iterations": self.parameters.get("iterations"),
        }
        values["remarks"] = values["notes"]
        if self.data_range is None:
            del values["data_range"]
        if self.trust is None:
            del values["trust"]
        if not self.metrics:
            return values
        values["metrics"] = {name: v for m, end in self._endings() for name, v in m.as_json(end).items()}
        return values | {f"protocol{end}": m.protocol for m, end in self._endings()}

    def attributes(self) -> dict[str, str | int | float]:
        """Return what is written beside the images."""
        values: dict[str, str | int | float | None] = {
            "modality": self.modality,
            "method": self.method,
            "unit": self.unit,
            "source": Path(self.input).name,
            "first_slice": self.first_slice,
            "version": self.version,
            **_flat(self.facts),
            "weights": self.weights,
            "execution": self.execution,
            **self.parameters,
        }
        if self.pixel is not None:
            values["pixel_y_mm"], values["pixel_x_mm"] = self.pixel
        return {name: value for name, value in values.items() if value is not None}

    def _endings(self) -> list[tuple[Metrics, str]]:
        """Metrics, and what stands behind the names of those that are not of the first protocol, such as `_fr`."""
        first = self.metrics[0].protocol
        return [(m, m.protocol.removeprefix(first).replace("-", "_")) for m in self.metrics]


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """What came of a file: the report, the middle image, and how to show it."""

    report: Report
    shown: SliceResult
    display: Display


def _told_apart(*values: float) -> list[str]:
    """The numbers in three digits, or as many more as tell them apart."""
    digits = next((n for n in range(3, 9) if len({f"{value:.{n}g}" for value in values}) == len({*values})), 3)
    return [f"{value:.{digits}g}" for value in values]


def _flat(facts: Facts) -> dict[str, str | int | float | None]:
    flat: dict[str, str | int | float | None] = {}
    for name, value in facts.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}_{key}": inner for key, inner in value.items()}
        else:
            flat[name] = value
    return flat
