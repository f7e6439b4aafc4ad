"""The methods of a benchmark as objects: built, known by their weights or code, and with the settings that hold."""

from __future__ import annotations

import hashlib
import math
from dataclasses import fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from medrecon.benchmark.custom import CustomReconstructor, custom_code, load_custom
from medrecon.config import CTMethodSettings, LearnedSettings, MethodSettings
from medrecon.config.benchmark import CTMethodEntry, CustomMethodSettings, MethodEntry, MRIMethodEntry
from medrecon.device import DeviceName, require_device
from medrecon.reconstructor import Reconstructor
from medrecon.weights.learned import Execution, LearnedReconstructor, ct_weights, mri_weights
from medrecon.workflows import build_ct_reconstructor, build_reconstructor

__all__ = ["build", "fingerprint", "parameters"]


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
    assert isinstance(entry, CTMethodEntry)
    return _ct_reconstructor(entry.method, device, photons)


def fingerprint(entry: MethodEntry) -> str | None:
    """The sha256 of the weights of a method, or of the file of the user's own code; None for the others.

    Raises
    ------
    InputError
        If they are not there or do not fit; the text says which command gets them.
    """
    if isinstance(entry.method, CustomMethodSettings):
        path = custom_code(entry.method.import_)
        return None if path is None else _sha256(path, path.stat().st_mtime_ns)
    if not isinstance(entry.method, LearnedSettings):
        return None
    path = (mri_weights if isinstance(entry, MRIMethodEntry) else ct_weights)(entry.method).path
    return _sha256(path, path.stat().st_mtime_ns)


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
