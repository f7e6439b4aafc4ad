"""Settings of reconstructions, in few words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medrecon.config import LearnedSettings, ReconstructionSettings, methods_of, settings_from
from medrecon.modality import Modality

__all__ = ["CLASSICAL_CT", "CLASSICAL_MRI", "classical", "ct", "mri"]


def mri(method: str = "rss", mask: Mapping[str, Any] | None = None, /, **fields: Any) -> ReconstructionSettings:
    """Those of k-space; `fields` are of the method, but for `slices`."""
    return _made(method, {"modality": "mri", "mask": mask}, fields)


def ct(method: str = "fbp", taken: Mapping[str, Any] | None = None, /, **fields: Any) -> ReconstructionSettings:
    """Those of sinograms, taken so; `fields` are of the method, but for `slices`."""
    return _made(method, {"modality": "ct", **(taken or {})}, fields)


def classical(modality: Modality) -> list[str]:
    """The methods of a modality that take no weights."""
    return [name for name, method in methods_of(modality).items() if not issubclass(method, LearnedSettings)]


def _made(method: str, acquisition: Mapping[str, Any], fields: dict[str, Any]) -> ReconstructionSettings:
    slices = fields.pop("slices", {})
    values = {"method": {"kind": method, **fields}, "acquisition": acquisition, "slices": slices}
    return settings_from(ReconstructionSettings, values)


#: But for grappa, which takes lines of one distance alone (tests/reconstructors/test_grappa.py).
CLASSICAL_MRI = [name for name in classical(Modality.MRI) if name != "grappa"]
CLASSICAL_CT = classical(Modality.CT)
