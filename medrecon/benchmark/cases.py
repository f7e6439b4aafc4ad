"""One method on one image: the smallest piece of a benchmark, run anywhere and told as a row."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from medrecon import __version__
from medrecon.benchmark.lesion import Lesion
from medrecon.benchmark.memory import peak_memory, reset_peak_memory
from medrecon.benchmark.residuals import ct_residual, mri_residual
from medrecon.benchmark.rows import FAILED, Row, Score
from medrecon.benchmark.scenes import CTScene, MRIScene, ct_scene, mri_scene
from medrecon.benchmark.sources import Item
from medrecon.config import CTMethodSettings, DeviceName, LearnedSettings, MethodSettings
from medrecon.config.benchmark import CTEntry, Entry, MRIEntry, MRIProblem, ProblemSettings
from medrecon.evaluation import LODOPAB_FR_PROTOCOL, LODOPAB_PROTOCOL, PROTOCOL
from medrecon.experiment import LearnedReconstructor, build_ct_reconstructor, build_reconstructor, pose_problem
from medrecon.experiment.device import require_device
from medrecon.experiment.learned import ct_weights, mri_weights
from medrecon.metrics import nmse, psnr, ssim
from medrecon.operators import measured_root_sum_of_squares
from medrecon.reconstructors import Reconstructor

__all__ = ["Case", "Group", "failed_row", "run_group"]

_PUT_BACK = "the measured samples are put back: the coil images agree with them"


@dataclass(frozen=True)
class Case:
    """A method on an image of a problem, with the seed of all that is random and the fingerprint of its weights."""

    problem: ProblemSettings
    entry: Entry
    item: Item
    seed: int
    device: DeviceName
    weights: str | None = None

    @cached_property
    def key(self) -> str:
        """The same for what gives the same row, whichever other images are looked at."""
        which = {"files", "slices"} if self.problem.data.kind == "fastmri" else {"images"}
        problem = self.problem.model_dump(mode="json", exclude={"tuning": True, "tuned_as": True, "data": which})
        entry = self.entry.model_dump(mode="json", exclude={"tuned", "problems"})
        what = [
            __version__,
            problem,
            entry,
            self.item.file,
            self.item.index,
            self.seed,
            self.device.value,
            self.weights,
        ]
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:24]


#: Cases of one image, which share what is read of it.
Group = tuple[Case, ...]


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
    first = cases[0]
    try:
        with torch.no_grad():
            scene = _scene(first.problem, first.item, first.seed)
    except Exception as error:
        yield from (failed_row(case, _reason(error)) for case in cases)
        return
    for case in cases:
        try:
            with torch.no_grad():
                row = _run(case, scene)
        except Exception as error:
            row = replace(failed_row(case, _reason(error)), sampling=scene.sampling)
        yield row


def failed_row(case: Case, reason: str) -> Row:
    """The row of a case that gave no image."""
    return replace(_blank(case), status=FAILED, reason=" ".join(reason.split()))


def weights_fingerprint(entry: Entry) -> str | None:
    """The sha256 of the weights of a method; None for one without.

    Raises
    ------
    InputError
        If they are not there or do not fit; the text says which command gets them.
    """
    if not isinstance(entry.method, LearnedSettings):
        return None
    path = (mri_weights if isinstance(entry, MRIEntry) else ct_weights)(entry.method).path
    return _sha256(path, path.stat().st_mtime_ns)


def build(entry: Entry, device: DeviceName, photons: float | None = None) -> Reconstructor:
    """The reconstructor of a method.

    Raises
    ------
    InputError
        If its weights are not there or do not fit, or there is no such device.
    """
    if isinstance(entry, MRIEntry):
        return _mri_reconstructor(entry.method, device)
    return _ct_reconstructor(entry.method, device, photons)


def parameters(reconstructor: object) -> dict[str, Any]:
    """The settings that hold: the plain fields of a reconstructor, or the name of its weights."""
    if isinstance(reconstructor, LearnedReconstructor):
        return {"weights": reconstructor.weights.name}
    if not is_dataclass(reconstructor):
        return {}
    values = {field.name: getattr(reconstructor, field.name) for field in fields(reconstructor)}
    return {name: value for name, value in values.items() if _is_plain(value)}


@dataclass(frozen=True, eq=False)
class _Outcome:
    picture: Tensor
    seconds: float
    memory: float | None
    residual: float | None
    note: str
    settings: dict[str, Any]
    remarks: tuple[str, ...]


def _scene(problem: ProblemSettings, item: Item, seed: int) -> MRIScene | CTScene:
    return mri_scene(problem, item, seed) if isinstance(problem, MRIProblem) else ct_scene(problem, item, seed)


def _run(case: Case, scene: MRIScene | CTScene) -> Row:
    device = require_device(case.device)
    if isinstance(scene, MRIScene):
        assert isinstance(case.entry, MRIEntry)
        outcome = _run_mri(case.entry, scene, device)
        scores: tuple[Score, ...] = (_score(PROTOCOL, outcome.picture, scene.target, scene.data_range),)
    else:
        assert isinstance(case.entry, CTEntry)
        outcome = _run_ct(case.entry, scene, device)
        scores = (_score(LODOPAB_PROTOCOL, outcome.picture, scene.target, scene.data_range),)
        if (full := scene.full_range) is not None:
            scores += (_score(LODOPAB_FR_PROTOCOL, outcome.picture / full, scene.target / full, 1.0),)
    picture, target = outcome.picture.double(), scene.target.double()
    return replace(
        _blank(case),
        settings=outcome.settings,
        sampling=scene.sampling,
        scores=scores,
        nmse=nmse(picture, target),
        data_range=scene.data_range,
        pixels=target.numel(),
        squared_error=float((picture - target).square().sum()),
        energy=float(target.square().sum()),
        residual=outcome.residual,
        residual_note=outcome.note,
        lesion_contrast=_kept(scene.lesion, outcome.picture, scene.target),
        seconds=outcome.seconds,
        threads=torch.get_num_threads(),
        peak_memory_mb=outcome.memory,
        remarks=outcome.remarks,
    )


def _run_mri(entry: MRIEntry, scene: MRIScene, device: torch.device) -> _Outcome:
    reconstructor = build(entry, DeviceName(device.type))
    sample = scene.sample
    if isinstance(reconstructor, LearnedReconstructor) and reconstructor.weights.inference.keep_oversampling:
        sample = scene.oversampled or sample
    problem = pose_problem(sample, entry.method, device)
    known = reset_peak_memory(device)
    start = time.perf_counter()
    x = reconstructor(problem.y, problem.A)
    image = x
    if entry.output == "rss":
        if not x.is_complex() or "coil" in problem.A.domain.axes:
            raise ValueError(
                "output: rss takes a complex image seen through coil maps, and this method gives another; take image"
            )
        image = measured_root_sum_of_squares(x, problem.y, problem.A)
    _wait(device)
    seconds = time.perf_counter() - start
    memory = peak_memory(device) if known else None
    picture = _finite(problem.picture(image).to(torch.float32).cpu() * scene.scale)
    residual, note = mri_residual(x, problem, scene.sigma) if entry.output == "image" else (None, _PUT_BACK)
    settings = {**parameters(reconstructor), **({} if entry.output == "image" else {"output": entry.output})}
    return _Outcome(picture, seconds, memory, residual, note, settings, problem.remarks)


def _run_ct(entry: CTEntry, scene: CTScene, device: torch.device) -> _Outcome:
    reconstructor = build(entry, DeviceName(device.type), scene.sample.photons)
    y = scene.sample.sinogram[None].to(device)
    known = reset_peak_memory(device)
    start = time.perf_counter()
    x = reconstructor(y, scene.A)[0]
    _wait(device)
    seconds = time.perf_counter() - start
    memory = peak_memory(device) if known else None
    picture = _finite(x.to(torch.float32).cpu())
    residual, note = ct_residual(picture, scene)
    return _Outcome(picture, seconds, memory, residual, note, parameters(reconstructor), ())


def _score(protocol: str, picture: Tensor, target: Tensor, data_range: float) -> Score:
    decibels = psnr(picture, target, data_range=data_range)
    return Score(protocol, decibels if math.isfinite(decibels) else None, ssim(picture, target, data_range=data_range))


def _kept(lesion: Lesion | None, picture: Tensor, target: Tensor) -> float | None:
    return None if lesion is None else 100 * lesion.contrast(picture) / lesion.contrast(target)


def _blank(case: Case) -> Row:
    return Row(
        key=case.key,
        modality="mri" if isinstance(case.problem, MRIProblem) else "ct",
        problem=case.problem.name,
        method=case.entry.name,
        settings=case.entry.method.model_dump(mode="json", exclude={"kind"}, exclude_none=True),
        learned=isinstance(case.entry.method, LearnedSettings),
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


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@lru_cache(maxsize=16)
def _mri_reconstructor(settings: MethodSettings, device: DeviceName) -> Reconstructor:
    return build_reconstructor(settings, require_device(device))


@lru_cache(maxsize=16)
def _ct_reconstructor(settings: CTMethodSettings, device: DeviceName, photons: float | None) -> Reconstructor:
    return build_ct_reconstructor(settings, photons, require_device(device))


@lru_cache(maxsize=64)
def _sha256(path: Path, changed: int) -> str:  # noqa: ARG001
    return hashlib.sha256(path.read_bytes()).hexdigest()
