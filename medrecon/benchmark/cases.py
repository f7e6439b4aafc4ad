"""One method on one image: the smallest piece of a benchmark, run anywhere and told as a row."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import Tensor

from medrecon._version import __version__
from medrecon.benchmark.inputs import CTInputs, MRIInputs, ct_inputs, mri_inputs
from medrecon.benchmark.lesion import Lesion
from medrecon.benchmark.memory import peak_memory, reset_peak_memory
from medrecon.benchmark.methods import build, parameters
from medrecon.benchmark.perceptual import lpips_distance
from medrecon.benchmark.residuals import ct_residual, mri_residual
from medrecon.benchmark.rows import FAILED, Row, Score
from medrecon.benchmark.sources import ImageReference
from medrecon.calibration import measured_root_sum_of_squares, measurement_noise
from medrecon.config import LearnedSettings
from medrecon.config.benchmark import (
    CTMethodEntry,
    CustomMethodSettings,
    MethodEntry,
    MRIMethodEntry,
    MRIScenario,
    ScenarioSettings,
)
from medrecon.data.mri.fastmri import KSpaceSample
from medrecon.device import DeviceName, require_device
from medrecon.evaluation import LODOPAB_FR_PROTOCOL, LODOPAB_PROTOCOL, PROTOCOL
from medrecon.metrics import nmse, psnr, ssim
from medrecon.problem import Problem, sense_problem
from medrecon.scans.ct_work import warm_up
from medrecon.weights.learned import LearnedReconstructor
from medrecon.workflows import pose_problem

__all__ = ["Case", "Group", "Picture", "failed_picture", "failed_row", "inputs_of", "run_group", "run_pictures"]

T = TypeVar("T")

_PUT_BACK = "the measured samples are put back: the coil images agree with them"


@dataclass(frozen=True)
class Case:
    """A method on an image of a problem, with the seed of all that is random and the fingerprint of its weights or code.

    With `lpips` that distance is measured, too.
    """

    problem: ScenarioSettings
    entry: MethodEntry
    item: ImageReference
    seed: int
    device: DeviceName
    weights: str | None = None
    lpips: bool = False

    @cached_property
    def key(self) -> str:
        """The same for what gives the same row, whichever other images are looked at."""
        which = {"files", "slices"} if self.problem.data.kind == "fastmri" else {"images"}
        problem = self.problem.model_dump(mode="json", exclude={"tuning": True, "tuned_as": True, "data": which})
        entry = self.entry.model_dump(mode="json", exclude={"tuned", "problems"}, by_alias=True)
        what = [
            __version__,
            problem,
            entry,
            self.item.file,
            self.item.index,
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
    """Run cases of one problem and image; what goes wrong with one is told in its row.

    Parameters
    ----------
    cases
        of one problem, image and seed.
    threads
        of torch, and of medrecon's own loops; None leaves what there is.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    return _each(cases, threads, _row, failed_row)


def run_pictures(cases: Sequence[Case], threads: int | None = None) -> Iterator[Picture]:
    """Run cases of one problem and image for their images alone; see `run_group`."""
    return _each(cases, threads, lambda case, _, outcome: Picture(case.key, outcome.picture), failed_picture)


def failed_row(case: Case, reason: str) -> Row:
    """The row of a case that gave no image."""
    return replace(_blank(case), status=FAILED, reason=" ".join(reason.split()))


def failed_picture(case: Case, reason: str) -> Picture:
    """What is left of a case that gave no image."""
    return Picture(case.key, None, " ".join(reason.split()))


def inputs_of(case: Case) -> MRIInputs | CTInputs:
    """What was measured of the image of a case, and what should come out.

    Raises
    ------
    InputError
        If it cannot be read, or something does not fit it.
    """
    if isinstance(case.problem, MRIScenario):
        return mri_inputs(case.problem, case.item, case.seed)
    return ct_inputs(case.problem, case.item, case.seed)


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
    made: Callable[[Case, MRIInputs | CTInputs, _Outcome], T],
    failed: Callable[[Case, str], T],
) -> Iterator[T]:
    """Run cases that share a inputs, and make something of what came, or of the reason why nothing did."""
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


def _run(case: Case, inputs: MRIInputs | CTInputs) -> _Outcome:
    device = require_device(case.device)
    if isinstance(inputs, MRIInputs):
        assert isinstance(case.entry, MRIMethodEntry)
        return _run_mri(case.entry, inputs, device)
    assert isinstance(case.entry, CTMethodEntry)
    return _run_ct(case.entry, inputs, device)


def _row(case: Case, inputs: MRIInputs | CTInputs, outcome: _Outcome) -> Row:
    if isinstance(inputs, MRIInputs):
        scores: tuple[Score, ...] = (_score(PROTOCOL, outcome.picture, inputs.target, inputs.data_range),)
    else:
        scores = (_score(LODOPAB_PROTOCOL, outcome.picture, inputs.target, inputs.data_range),)
        if (full := inputs.full_range) is not None:
            scores += (_score(LODOPAB_FR_PROTOCOL, outcome.picture / full, inputs.target / full, 1.0),)
    picture, target = outcome.picture.double(), inputs.target.double()
    return replace(
        _blank(case),
        settings=outcome.settings,
        sampling=inputs.sampling,
        scores=scores,
        nmse=nmse(picture, target),
        data_range=inputs.data_range,
        pixels=target.numel(),
        squared_error=float((picture - target).square().sum()),
        energy=float(target.square().sum()),
        residual=outcome.residual,
        residual_note=outcome.note,
        lesion_contrast=_kept(inputs.lesion, outcome.picture, inputs.target),
        seconds=outcome.seconds,
        threads=torch.get_num_threads(),
        peak_memory_mb=outcome.memory,
        notes=outcome.notes,
        lpips=_lpips(outcome.picture, inputs) if case.lpips else None,
    )


def _run_mri(entry: MRIMethodEntry, inputs: MRIInputs, device: torch.device) -> _Outcome:
    reconstructor = build(entry, DeviceName(device.type))
    sample = inputs.sample
    if isinstance(reconstructor, LearnedReconstructor) and reconstructor.weights.inference.keep_oversampling:
        sample = inputs.oversampled or sample
    problem = _posed(sample, entry, device)
    known = reset_peak_memory(device)
    start = time.perf_counter()
    x = reconstructor(problem.y, problem.A)
    image = x
    if entry.output != "image":
        if not x.is_complex() or "coil" in problem.A.domain.axes:
            raise ValueError(
                f"output: {entry.output} takes a complex image seen through coil maps, and this method gives another; take image"
            )
        noise = measurement_noise(problem.y, problem.A) if entry.output == "rss-noise" else None
        image = measured_root_sum_of_squares(x, problem.y, problem.A, noise)
    _wait(device)
    seconds = time.perf_counter() - start
    memory = peak_memory(device) if known else None
    picture = _finite(problem.display_image(image).to(torch.float32).cpu() * inputs.scale)
    residual, note = mri_residual(x, problem, inputs.sigma) if entry.output == "image" else (None, _PUT_BACK)
    settings = {**parameters(reconstructor), **({} if entry.output == "image" else {"output": entry.output})}
    return _Outcome(picture, seconds, memory, residual, note, settings, problem.notes)


def _posed(sample: KSpaceSample, entry: MRIMethodEntry, device: torch.device) -> Problem:
    if isinstance(entry.method, CustomMethodSettings):
        return sense_problem(sample, device=device)
    return pose_problem(sample, entry.method, device)


def _run_ct(entry: CTMethodEntry, inputs: CTInputs, device: torch.device) -> _Outcome:
    reconstructor = build(entry, DeviceName(device.type), inputs.sample.photons)
    y = inputs.sample.sinogram[None].to(device)
    warm_up(reconstructor, inputs.A, device)
    known = reset_peak_memory(device)
    start = time.perf_counter()
    x = reconstructor(y, inputs.A)[0]
    _wait(device)
    seconds = time.perf_counter() - start
    memory = peak_memory(device) if known else None
    picture = _finite(x.to(torch.float32).cpu())
    residual, note = ct_residual(picture, inputs)
    return _Outcome(picture, seconds, memory, residual, note, parameters(reconstructor), ())


def _score(protocol: str, picture: Tensor, target: Tensor, data_range: float) -> Score:
    decibels = psnr(picture, target, data_range=data_range)
    return Score(protocol, decibels if math.isfinite(decibels) else None, ssim(picture, target, data_range=data_range))


def _lpips(picture: Tensor, inputs: MRIInputs | CTInputs) -> float:
    low = 0.0 if isinstance(inputs, MRIInputs) else float(inputs.target.min())
    return lpips_distance(picture, inputs.target, low=low, data_range=inputs.data_range)


def _kept(lesion: Lesion | None, picture: Tensor, target: Tensor) -> float | None:
    return None if lesion is None else 100 * lesion.contrast(picture) / lesion.contrast(target)


def _blank(case: Case) -> Row:
    return Row(
        key=case.key,
        modality="mri" if isinstance(case.problem, MRIScenario) else "ct",
        problem=case.problem.name,
        method=case.entry.name,
        settings=case.entry.method.model_dump(mode="json", exclude={"kind"}, exclude_none=True, by_alias=True),
        learned=isinstance(case.entry.method, LearnedSettings | CustomMethodSettings),
        file=case.item.file,
        slice=case.item.index,
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
