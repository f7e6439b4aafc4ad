"""The card of trained weights: what they are, of what they were made, and how good they were found."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from medrecon import __version__
from medrecon.data.manifest import load_manifest, manifest_folder
from medrecon.training.checkpoint import Checkpoint, read_checkpoint, write_card, write_checkpoint
from medrecon.training.validation import Scores

__all__ = ["DataDescription", "copy_weights", "describe_manifest", "make_card", "record_scores", "with_scores"]

_INTENDED_USE = (
    "Research on image reconstruction. Not a medical device: not for diagnosis, treatment or any clinical decision."
)


@dataclass(frozen=True)
class DataDescription:
    """Where the samples come from; `sha256` is that of the manifest, which states those of the files."""

    name: str
    licence: str
    citation: str
    manifest: str | None = None
    sha256: str | None = None


def describe_manifest(name: str) -> DataDescription:
    """The description of a data set that medrecon knows."""
    manifest = load_manifest(name)
    file = next(file for file in manifest_folder().glob("*.yaml") if file.stem.replace("_", "-") == name)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return DataDescription(manifest.title, " ".join(manifest.licence.split()), manifest.citation, name, digest)


def make_card(
    configuration: Mapping[str, Any], *, operator: str, normalisation: str, split: str, data: DataDescription
) -> dict[str, Any]:
    """Say all that is known before training."""
    return {
        "name": configuration.get("name", ""),
        "intended_use": _INTENDED_USE,
        "operator": operator,
        "normalisation": normalisation,
        "data": {**asdict(data), "split": split},
        "metrics": {"validation": None, "test": None},
        "trained_steps": 0,
        "medrecon": __version__,
        "configuration": dict(configuration),
    }


def with_scores(card: Mapping[str, Any], part: str, scores: Scores, step: int) -> dict[str, Any]:
    """Return the card with what was measured on a part, `validation` or `test`."""
    values = {name: value if math.isfinite(value) else None for name, value in asdict(scores).items()}
    return {**card, "metrics": {**card["metrics"], part: values}, "trained_steps": step}


def record_scores(path: Path, part: str, scores: Scores) -> None:
    """Note in the card of a file of weights, and in the JSON beside it, what was measured on a part, such as `test`.

    Raises
    ------
    InputError
        If the file cannot be used.
    """
    checkpoint = read_checkpoint(path)
    card = checkpoint.metadata["card"]
    _store(path, checkpoint.tensors, with_scores(card, part, scores, card["trained_steps"]))


def copy_weights(source: Path, target: Path, dtype: torch.dtype = torch.float16) -> None:
    """Write weights with their card, and the JSON beside them, anew in the precision `dtype`; what a run was is left out.

    Raises
    ------
    InputError
        If a file cannot be used.
    """
    checkpoint = read_checkpoint(source)
    floating = {
        name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in checkpoint.tensors.items()
    }
    _store(target, floating, checkpoint.metadata["card"])


def _store(path: Path, tensors: Mapping[str, Tensor], card: Mapping[str, Any]) -> None:
    write_checkpoint(path, Checkpoint(tensors, {"card": card}))
    write_card(path.with_suffix(".json"), card)
