"""What `held_out_weights.py` measures of a method at a weight, each once: what is measured is kept in a file and read back."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from held_out_scans import Case, Posed
from torch import Tensor

from medrecon.held_out import HeldOut, hold_out
from medrecon.modality import Modality
from medrecon.reconstructor import Reconstructor
from medrecon.reconstructors import (
    FilteredBackprojection,
    NonnegativeTotalVariation,
    PoissonTotalVariation,
    Sense,
    Tikhonov,
    TotalVariation,
    WaveletSparsity,
    ZeroFilled,
)

__all__ = ["BASELINES", "METHODS", "Kept", "Measured"]

Weighted = Sense | WaveletSparsity | TotalVariation | Tikhonov | NonnegativeTotalVariation | PoissonTotalVariation
METHODS: dict[Modality, dict[str, Weighted]] = {
    Modality.MRI: {"wavelet": WaveletSparsity(), "tv": TotalVariation(), "sense": Sense()},
    Modality.CT: {
        "tv": NonnegativeTotalVariation(),
        "tv-poisson": PoissonTotalVariation(),
        "tikhonov": Tikhonov(),
    },
}
BASELINES: dict[Modality, tuple[str, Reconstructor]] = {
    Modality.MRI: ("zero-filled", ZeroFilled()),
    Modality.CT: ("fbp", FilteredBackprojection()),
}
Values = Mapping[str, Any]
_STEP = 0.1  # of the noise: what is added to measurements to see how an image follows them


class Kept:
    """Values by name, in a file of JSON lines that grows as they are measured: a sweep that was stopped goes on."""

    def __init__(self, file: Path) -> None:
        self.file = file
        lines = file.read_text("utf-8").splitlines() if file.exists() else []
        self.values: dict[str, Values] = {line["name"]: line["values"] for line in map(json.loads, lines)}

    def get(self, name: str, measure: Callable[[], Values]) -> Values:
        """What was measured under this name, or what `measure` gives, which is kept."""
        if name not in self.values:
            self.values[name] = measure()
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self.file.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps({"name": name, "values": self.values[name]}) + "\n")
        return self.values[name]


@dataclass(frozen=True, eq=False)
class Measured:
    """A scan, posed when it is first needed, and all that is measured of it."""

    kept: Kept
    case: Case
    folder: Path
    part: str
    number: int

    @cached_property
    def posed(self) -> Posed:
        return self.case.pose(self.folder, self.part, self.number)

    @cached_property
    def split(self) -> HeldOut:
        split = hold_out(self.posed.problem.y, self.posed.problem.A)
        assert split is not None
        return split

    def baseline(self) -> Values:
        """PSNR and SSIM of the method without a weight."""
        name, reconstruct = BASELINES[self.case.modality]
        return self._get(name, lambda: self._scores(reconstruct))

    def scores(self, method: str, weight: float) -> Values:
        """PSNR, SSIM, seconds and, where the noise is known, the misfit over it, which is 1 for the truth."""
        return self._get(f"{method} {weight:.6g}", lambda: self._scores(self._method(method, weight)))

    def held_out(self, method: str, weight: float) -> Values:
        """The held-out error of a trial, and its seconds."""
        return self._get(f"{method} {weight:.6g} held out", lambda: self._trial(method, weight))

    def risk(self, method: str, weight: float) -> float:
        """SURE of the predicted measurements, over their noise: `|A x - y|^2 / v - m + 2 n . (A x(y + e n) - A x(y)) / e v`.

        Ramani, Blu & Unser, IEEE Trans Image Process 17:1540 (2008).
        """
        values = self._get(f"{method} {weight:.6g} risk", lambda: {"risk": self._sure(self._method(method, weight))})
        return float(values["risk"])

    @property
    def knows_noise(self) -> bool:
        """Whether the noise is known."""
        return self.posed.variance is not None

    def _get(self, name: str, measure: Callable[[], Values]) -> Values:
        return self.kept.get(f"{self.part} {self.number} {self.case} | {name}", measure)

    def _method(self, method: str, weight: float) -> Weighted:
        return replace(METHODS[self.case.modality][method], weight=weight)

    def _scores(self, reconstruct: Reconstructor) -> Values:
        y, A = self.posed.problem.y, self.posed.problem.A
        start = time.process_time()
        x = reconstruct(y, A)
        seconds = time.process_time() - start
        psnr, ssim = self.posed.score(x)
        values = {"psnr": psnr, "ssim": ssim, "seconds": seconds}
        if self.posed.variance is None:
            return values
        variance = self.posed.variance
        return {**values, "misfit": float(_energy(A(x) - y, variance)) / self._count()}

    def _trial(self, method: str, weight: float) -> Values:
        start = time.process_time()
        x = self._method(method, weight)(self.split.y, self.split.A)
        return {"error": float(self.split.error(x)), "seconds": time.process_time() - start}

    def _count(self) -> int:
        """Real numbers that were measured."""
        y = self.posed.problem.y
        return 2 * int((y != 0).sum()) if y.is_complex() else y.numel()

    def _sure(self, reconstruct: Reconstructor) -> float:
        y, A, variance = self.posed.problem.y, self.posed.problem.A, self.posed.variance
        assert variance is not None
        generator = torch.Generator().manual_seed(self.number)
        noise = torch.randn(y.shape, dtype=y.dtype, generator=generator) * variance.sqrt() * (y != 0)
        noise = noise * 2**0.5 if y.is_complex() else noise
        moved, found = (A(reconstruct(values, A)) for values in (y + _STEP * noise, y))
        follows = float(((noise.conj() * (moved - found)).real / variance).sum()) / _STEP
        return (float(_energy(found - y, variance)) + 2 * follows) / self._count() - 1


def _energy(residual: Tensor, variance: Tensor) -> Tensor:
    return (residual.abs().square() / variance).sum()
