"""One method on one image: the smallest piece of a benchmark, run anywhere and told as a row."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import Tensor

from medrecon._version import __version__
from medrecon.benchmark.inputs import CaseInputs, open_inputs
from medrecon.benchmark.memory import peak_memory, reset_peak_memory
from medrecon.benchmark.methods import build
from medrecon.benchmark.perceptual import lpips_distance
from medrecon.benchmark.rows import FAILED, Row
from medrecon.benchmark.sources import ImageReference
from medrecon.calibration import measured_root_sum_of_squares, measurement_noise
from medrecon.config import LearnedSettings
from medrecon.config.benchmark import CustomMethodSettings, MethodEntry, ScenarioSettings
from medrecon.device import DeviceName, require_device
from medrecon.metrics import nmse
from medrecon.problem import Problem
from medrecon.reconstructor import parameters_of

__all__ = ["Case", "Group", "Picture", "failed_picture", "failed_row", "inputs_of", "run_group", "run_pictures"]

T = TypeVar("T")

_PUT_BACK = "the measured samples are put back: the coil images agree with them"


@dataclass(frozen=True)
class Case:
    """A method on an image of a scenario, with the seed of all that is random and the fingerprint of its weights or code.

    With `lpips` that distance is measured, too.
    """

    scenario: ScenarioSettings
    entry: MethodEntry
    image: ImageReference
    seed: int
    device: DeviceName
    weights: str | None = None
    lpips: bool = False

    @cached_property
    def key(self) -> str:
        """The same for what gives the same row, whichever other images are looked at."""
        which = {"files", "slices"} if self.scenario.data.kind == "fastmri" else {"images"}
        scenario = self.scenario.model_dump(mode="json", exclude={"tuning": True, "tuned_as": True, "data": which})
        entry = self.entry.model_dump(mode="json", exclude={"tuned", "scenarios"}, by_alias=True)
        what = [
            __version__,
            scenario,
            entry,
            self.image.file,
            self.image.index,
            self.seed,
            self.device.value,
            self.weights,
            *(["lpips"] if self.lpips else []),
        ]
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:24]


#: Cases of one image, which share what is read of it.
Group = tuple[Case, ...]


@dataclass(frozen=True, eq=False)
class Picture:
    """The image `(y, x)` of the case with this key, in the unit of its target; or None, and why."""

    key: str
    image: Tensor | None
    reason: str = ""


def run_group(cases: Sequence[Case], threads: int | None = None) -> Iterator[Row]:
    """Run cases of one scenario and image; what goes wrong with one is told in its row.

    Parameters
    ----------
    cases
        of one scenario, image and seed.
    threads
        of torch, and of medrecon's own loops; None leaves what there is.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    return _each(cases, threads, _row, failed_row)


def run_pictures(cases: Sequence[Case], threads: int | None = None) -> Iterator[Picture]:
    """Run cases of one scenario and image for their images alone; see `run_group`."""
    return _each(cases, threads, lambda case, _, outcome: Picture(case.key, outcome.picture), failed_picture)


def failed_row(case: Case, reason: str) -> Row:
    """The row of a case that gave no image."""
    return replace(_blank(case), status=FAILED, reason=" ".join(reason.split()))


def failed_picture(case: Case, reason: str) -> Picture:
    """What is left of a case that gave no image."""
    return Picture(case.key, None, " ".join(reason.split()))


def inputs_of(case: Case) -> CaseInputs:
    """What was measured of the image of a case, and what should come out.

    Raises
    ------
    InputError
        If it cannot be read, or something does not fit it.
    """
    return open_inputs(case.scenario, case.image, case.seed)


@dataclass(frozen=True, eq=False)
class _Outcome:
    picture: Tensor
    seconds: float
    memory: float | None
    residual: float | None
    note: str
    settings: dict[str, Any]
    notes: tuple[str, ...]


def _each(
    cases: Sequence[Case],
    threads: int | None,
    made: Callable[[Case, CaseInputs, _Outcome], T],
    failed: Callable[[Case, str], T],
) -> Iterator[T]:
    """Run cases that share their inputs, and make something of what came, or of the reason why nothing did."""
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        with torch.no_grad():
            inputs = inputs_of(cases[0])
    except Exception as error:
        yield from (failed(case, _reason(error)) for case in cases)
        return
    for case in cases:
        try:
            with torch.no_grad():
                found = made(case, inputs, _run(case, inputs))
        except Exception as error:
            found = failed(case, _reason(error))
            if isinstance(found, Row):
                found = replace(found, sampling=inputs.sampling)
        yield found


def _run(case: Case, inputs: CaseInputs) -> _Outcome:
    device, output = require_device(case.device), case.entry.output
    reconstruct = build(case.entry, case.device, inputs.photons)
    problem = inputs.pose(reconstruct, device)
    known = reset_peak_memory(device)
    start = time.perf_counter()
    x = reconstruct(problem.y, problem.A)
    shown = x if output == "image" else _combined(x, problem, output)
    _wait(device)
    seconds = time.perf_counter() - start
    memory = peak_memory(device) if known else None
    picture = _finite(inputs.image(problem, shown))
    residual, note = inputs.residual(problem, x) if output == "image" else (None, _PUT_BACK)
    settings = {**parameters_of(reconstruct), **({} if output == "image" else {"output": output})}
    return _Outcome(picture, seconds, memory, residual, note, settings, problem.notes)


def _combined(x: Tensor, problem: Problem, output: str) -> Tensor:
    """The root sum of squares of the coil images of `x`, with what was measured put back."""
    if not x.is_complex() or "coil" in problem.A.domain.axes:
        raise ValueError(
            f"output: {output} takes a complex image seen through coil maps, and this method gives another; take image"
        )
    noise = measurement_noise(problem.y, problem.A) if output == "rss-noise" else None
    return measured_root_sum_of_squares(x, problem.y, problem.A, noise)


def _row(case: Case, inputs: CaseInputs, outcome: _Outcome) -> Row:
    picture, target, lesion = outcome.picture.double(), inputs.target.double(), inputs.lesion
    kept = None if lesion is None else 100 * lesion.contrast(outcome.picture) / lesion.contrast(inputs.target)
    return replace(
        _blank(case),
        settings=outcome.settings,
        sampling=inputs.sampling,
        scores=inputs.scores(outcome.picture),
        nmse=nmse(picture, target),
        data_range=inputs.data_range,
        pixels=target.numel(),
        squared_error=float((picture - target).square().sum()),
        energy=float(target.square().sum()),
        residual=outcome.residual,
        residual_note=outcome.note,
        lesion_contrast=kept,
        seconds=outcome.seconds,
        threads=torch.get_num_threads(),
        peak_memory_mb=outcome.memory,
        notes=outcome.notes,
        lpips=_lpips(outcome.picture, inputs) if case.lpips else None,
    )


def _lpips(picture: Tensor, inputs: CaseInputs) -> float:
    return lpips_distance(picture, inputs.target, low=inputs.darkest, data_range=inputs.data_range)


def _blank(case: Case) -> Row:
    return Row(
        key=case.key,
        modality=case.scenario.modality,
        scenario=case.scenario.name,
        method=case.entry.name,
        settings=case.entry.method.model_dump(mode="json", exclude={"kind"}, exclude_none=True, by_alias=True),
        learned=isinstance(case.entry.method, LearnedSettings | CustomMethodSettings),
        file=case.image.file,
        slice=case.image.index,
        device=case.device.value,
    )


def _finite(picture: Tensor) -> Tensor:
    if not bool(picture.isfinite().all()):
        raise ArithmeticError("the image is not finite; choose another weight or method")
    return picture


def _reason(error: Exception) -> str:
    match error:
        case ValueError() | ArithmeticError():
            return str(error)
        case MemoryError():
            return "there is not enough memory"
        case _:
            return f"{type(error).__name__}: {error}"


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
