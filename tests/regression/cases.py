"""Scans of phantoms with body-like anatomy, small enough for seconds, and every method on them as the program runs it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medrecon.config import (
    METHODS,
    SIMULATIONS,
    LearnedSettings,
    ReconstructionSettings,
    methods_of,
    settings_from,
)
from medrecon.data.mri.fastmri import FastMRIFile
from medrecon.evaluation import LODOPAB_PROTOCOL, PROTOCOL, VolumeScore
from medrecon.modality import Modality
from medrecon.reconstructor import Reconstructor
from medrecon.weights.shipped import shipped_weights
from medrecon.workflows import build_reconstructor, reconstruct_file, simulate_file

__all__ = ["CASES", "PROBLEMS", "Case", "Problem", "Score", "measure", "reconstructor", "weights_missing"]


@dataclass(frozen=True)
class Score:
    """By the protocol of the problem: PSNR in decibels, and SSIM."""

    psnr: float
    ssim: float


@dataclass(frozen=True)
class Problem:
    """A simulated scan, and what is left of it; the fields are those of the settings that the commands take."""

    words: str
    modality: Modality
    scan: Mapping[str, Any]
    taken: Mapping[str, Any] = field(default_factory=dict)

    @property
    def protocol(self) -> str:
        return PROTOCOL if self.modality is Modality.MRI else LODOPAB_PROTOCOL


_HEAD = {"phantom": "brain", "size": (128, 128), "coils": 8, "seed": 11}
_BODY = {"phantom": "abdomen", "size": (128, 128), "views": 180, "photons": 2e5, "seed": 12}


def _lines(kind: str, acceleration: int, seed: int) -> Mapping[str, Any]:
    return {"mask": {"kind": kind, "acceleration": acceleration, "seed": seed}}


PROBLEMS = {
    "mri-4x": Problem(
        "brain, 8 coils, SNR 60, equispaced-fraction 4x",
        Modality.MRI,
        {**_HEAD, "snr": 60},
        _lines("equispaced-fraction", 4, 1),
    ),
    "mri-8x": Problem("brain, 8 coils, SNR 60, random 8x", Modality.MRI, {**_HEAD, "snr": 60}, _lines("random", 8, 2)),
    "mri-noise": Problem(
        "brain, 8 coils, SNR 8, equispaced-fraction 4x",
        Modality.MRI,
        {**_HEAD, "snr": 8},
        _lines("equispaced-fraction", 4, 1),
    ),
    "mri-even": Problem(
        "brain, 8 coils, SNR 60, equispaced 3x", Modality.MRI, {**_HEAD, "snr": 60}, _lines("equispaced", 3, 1)
    ),
    "ct-full": Problem("abdomen, 180 views, 200000 photons a ray", Modality.CT, _BODY),
    "ct-60-views": Problem("abdomen, 60 views, 200000 photons a ray", Modality.CT, _BODY, {"views": 60}),
    "ct-low-dose": Problem(
        "abdomen, 180 views, 500 photons a ray on top", Modality.CT, _BODY, {"photons": 500, "seed": 13}
    ),
}


#: The mean of draws about the image of pnp, which has its own line, takes minutes.
_LEFT_OUT = {"diffusion"}


def _methods(name: str, problem: Problem) -> list[str]:
    """Those that need no weights, or whose weights come with medrecon; grappa where lines have one distance."""
    return [
        kind
        for kind, method in methods_of(problem.modality).items()
        if (not issubclass(method, LearnedSettings) or problem.modality in method.shipped)
        and kind not in _LEFT_OUT
        and (kind != "grappa" or name == "mri-even")
    ]


@dataclass(frozen=True)
class Case:
    """A method, with its own defaults, on a problem."""

    problem: str
    method: str

    def __str__(self) -> str:
        return f"{self.problem} {self.method}"

    @property
    def settings(self) -> ReconstructionSettings:
        problem = PROBLEMS[self.problem]
        acquisition = {"modality": problem.modality.value, **problem.taken}
        return settings_from(ReconstructionSettings, {"method": {"kind": self.method}, "acquisition": acquisition})


#: Every method that a modality has, on each of its problems: a new method joins by itself.
CASES = tuple(Case(name, method) for name, problem in PROBLEMS.items() for method in _methods(name, problem))


def weights_missing(case: Case) -> str | None:
    """Which weights the method takes and this copy lacks, in words; None where it can run."""
    method = METHODS[case.method]
    if not issubclass(method, LearnedSettings):
        return None
    name = method.shipped[PROBLEMS[case.problem].modality]
    return None if shipped_weights(name) else f"{case}: the weights {name} do not come with this copy of medrecon"


def measure(case: Case, folder: Path) -> Score:
    """Reconstruct by the public door, from a file to a file in `folder`, and score against the scan without noise."""
    problem, output = PROBLEMS[case.problem], folder / f"{case.problem}-{case.method}.h5"
    done = reconstruct_file(_simulated(problem, problem.scan, folder), output, case.settings, overwrite=True)
    if problem.modality is Modality.CT:  # its target is the phantom itself
        assert done.report.metrics, f"{case}: was not scored: {done.report.notes}"
        return Score(done.report.metrics[0].psnr, done.report.metrics[0].ssim)
    clean = FastMRIFile(_simulated(problem, {**problem.scan, "snr": math.inf}, folder))[0].target
    assert clean is not None
    score = VolumeScore(float(clean.max())).add(done.shown.image, clean)
    return Score(score.psnr, score.ssim)


def reconstructor(case: Case) -> Reconstructor:
    """The method as the program builds it."""
    return build_reconstructor(case.settings.method, PROBLEMS[case.problem].modality)


def _simulated(problem: Problem, scan: Mapping[str, Any], folder: Path) -> Path:
    """The file of the scan, written once."""
    path = folder / f"{'-'.join(f'{name}={value}' for name, value in scan.items())}.h5"
    if not path.exists():
        simulate_file(path, settings_from(SIMULATIONS[problem.modality], scan))
    return path
