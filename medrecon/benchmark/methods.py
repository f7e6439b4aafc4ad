"""The methods of a benchmark as objects: built, known by their weights or code, with the problems that they take."""

from __future__ import annotations

import hashlib
import math
from dataclasses import fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from medrecon.benchmark.custom import CustomReconstructor, custom_code, load_custom
from medrecon.config import CTMethodSettings, MethodSettings
from medrecon.config.benchmark import CustomMethodSettings, MethodEntry, MRIMethodEntry
from medrecon.data.mri.fastmri import KSpaceSample
from medrecon.device import DeviceName, require_device
from medrecon.problem import Problem, coil_problem, sense_problem
from medrecon.reconstructor import Reconstructor
from medrecon.reconstructors import RootSumOfSquares
from medrecon.scans.mri import pose_kspace
from medrecon.weights.learned import Execution, LearnedReconstructor
from medrecon.workflows import build_ct_reconstructor, build_reconstructor

__all__ = ["build", "fingerprint", "parameters", "pose"]


def build(entry: MethodEntry, device: DeviceName, photons: float | None = None) -> Reconstructor:
    """The reconstructor of a method.

    Raises
    ------
    InputError
        If its weights are not there or do not fit, it cannot be imported, or there is no such device.
    """
    if isinstance(entry.method, CustomMethodSettings):
        return load_custom(entry.method.import_, require_device(device))
    if isinstance(entry, MRIMethodEntry):
        return _mri_reconstructor(entry.method, device)
    return _ct_reconstructor(entry.method, device, photons)


def pose(sample: KSpaceSample, reconstruct: Reconstructor, device: torch.device) -> Problem:
    """The problem of a slice as the method takes it.

    Raises
    ------
    InputError
        If it takes coil maps and there are no calibration lines to estimate them from.
    """
    match reconstruct:
        case RootSumOfSquares():
            return coil_problem(sample, device=device)
        case LearnedReconstructor():
            return pose_kspace(sample, reconstruct.weights, device)
        case _:
            return sense_problem(sample, device=device)


def fingerprint(reconstruct: Reconstructor) -> str | None:
    """The sha256 of the weights of a method, or of the file of the user's own code; None for the others."""
    match reconstruct:
        case CustomReconstructor():
            path = custom_code(reconstruct.name)
        case LearnedReconstructor():
            path = reconstruct.weights.path
        case _:
            path = None
    return None if path is None else _sha256(path, path.stat().st_mtime_ns)


def parameters(reconstructor: object) -> dict[str, Any]:
    """The settings that hold: the plain fields of a reconstructor, or the name of its weights or of its object."""
    if isinstance(reconstructor, CustomReconstructor):
        return {"import": reconstructor.name, **parameters(reconstructor.method)}
    if isinstance(reconstructor, LearnedReconstructor):
        weights = reconstructor.weights
        switched = {} if weights.execution == Execution() else {"run": str(weights.execution)}
        return {"weights": weights.name, **switched}
    if not is_dataclass(reconstructor):
        return {}
    values = {field.name: getattr(reconstructor, field.name) for field in fields(reconstructor)}
    return {name: value for name, value in values.items() if _is_plain(value)}


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))


@lru_cache(maxsize=16)
def _mri_reconstructor(settings: MethodSettings, device: DeviceName) -> Reconstructor:
    return build_reconstructor(settings, require_device(device))


@lru_cache(maxsize=16)
def _ct_reconstructor(settings: CTMethodSettings, device: DeviceName, photons: float | None) -> Reconstructor:
    return build_ct_reconstructor(settings, photons, require_device(device))


@lru_cache(maxsize=64)
def _sha256(path: Path, changed: int) -> str:  # noqa: ARG001
    return hashlib.sha256(path.read_bytes()).hexdigest()
