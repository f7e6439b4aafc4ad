"""The methods of a benchmark as objects: built, and known by their weights or code."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from medrecon.benchmark.custom import CustomReconstructor, custom_code, load_custom
from medrecon.config import MethodSettings
from medrecon.config.benchmark import CustomMethodSettings, MethodEntry
from medrecon.device import DeviceName, require_device
from medrecon.modality import Modality
from medrecon.reconstructor import Reconstructor
from medrecon.weights.learned import weights_behind
from medrecon.workflows import build_reconstructor

__all__ = ["build", "fingerprint"]


def build(entry: MethodEntry, device: DeviceName, photons: float | None = None) -> Reconstructor:
    """The reconstructor of a method.

    Raises
    ------
    InputError
        If its weights are not there or do not fit, it cannot be imported, or there is no such device.
    """
    if isinstance(entry.method, CustomMethodSettings):
        return load_custom(entry.method.import_, require_device(device))
    return _built(entry.method, entry.modality, device, photons)


def fingerprint(reconstruct: Reconstructor) -> str | None:
    """The sha256 of the weights of a method, or of the file of the user's own code; None for the others."""
    match reconstruct:
        case CustomReconstructor():
            path = custom_code(reconstruct.name)
        case _:
            weights = weights_behind(reconstruct)
            path = None if weights is None else weights.path
    return None if path is None else _sha256(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=16)
def _built(settings: MethodSettings, modality: Modality, device: DeviceName, photons: float | None) -> Reconstructor:
    return build_reconstructor(settings, modality, photons=photons, device=require_device(device))


@lru_cache(maxsize=64)
def _sha256(path: Path, changed: int) -> str:  # noqa: ARG001
    return hashlib.sha256(path.read_bytes()).hexdigest()
