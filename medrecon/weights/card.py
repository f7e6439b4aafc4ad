"""The card of trained weights: what they are, of what they were made, and how good they were found."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from medrecon._version import __version__
from medrecon.data.sets.manifest import load_manifest, manifest_folder
from medrecon.data.writing import atomic_file
from medrecon.errors import InputError
from medrecon.weights.card_fields import require_card
from medrecon.weights.checkpoint import Checkpoint, read_checkpoint, write_card, write_checkpoint
from medrecon.weights.scores import Scores, protocol_of
from medrecon.weights.shipped import shipped_names, shipped_weights

__all__ = [
    "IMPORTED_DATA",
    "DataDescription",
    "copy_weights",
    "describe_manifest",
    "describe_manifests",
    "find_weights",
    "make_card",
    "make_imported_card",
    "record_scores",
    "require_weights",
    "with_protocols",
    "with_scores",
    "write_weights",
]

_INTENDED_USE = (
    "Research on image reconstruction. Not a medical device: not for diagnosis, treatment or any clinical decision."
)


@dataclass(frozen=True)
class DataDescription:
    """Where the samples come from; `sha256` is that of the manifest, which states those of the files."""

    name: str
    license: str
    citation: str
    manifest: str | None = None
    sha256: str | None = None


#: What is known of weights of the `fastmri` package.
IMPORTED_DATA = DataDescription(
    name="fastMRI (imported)",
    license="that of the publisher of the weights; the data of fastMRI are under the fastMRI data sharing agreement",
    citation="Zbontar et al., fastMRI: An Open Dataset and Benchmarks for Accelerated MRI, arXiv:1811.08839",
)


def find_weights(name: str) -> Path:
    """The file of weights that come with medrecon under this name, or else the file at this path.

    Raises
    ------
    InputError
        If there is neither.
    """
    if (shipped := shipped_weights(name)) is not None:
        return shipped
    if Path(name).is_file():
        return Path(name)
    known = ", ".join(shipped_names()) or "none"
    raise InputError(
        f"{name}: there are no weights of this name, and no such file of weights; give a .safetensors file, or a name of "
        f"`medrecon weights list` (there are: {known})"
    )


def describe_manifest(name: str) -> DataDescription:
    """The description of a data set that medrecon knows."""
    manifest = load_manifest(name)
    file = next(file for file in manifest_folder().glob("*.yaml") if file.stem.replace("_", "-") == name)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return DataDescription(manifest.title, " ".join(manifest.license.split()), manifest.citation, name, digest)


def describe_manifests(names: Sequence[str]) -> DataDescription:
    """The description of several data sets that medrecon knows, together."""
    each = [describe_manifest(name) for name in names]
    if len(each) == 1:
        return each[0]
    name, license_, citation = (
        "; ".join(getattr(one, field) for one in each) for field in ("name", "license", "citation")
    )
    digest = hashlib.sha256("".join(one.sha256 or "" for one in each).encode()).hexdigest()
    return DataDescription(name, license_, citation, ", ".join(names), digest)


def make_card(
    configuration: Mapping[str, Any], *, operator: str, normalization: str, split: str, data: DataDescription
) -> dict[str, Any]:
    """Say all that is known before training."""
    return {
        "name": configuration.get("name", ""),
        "intended_use": _INTENDED_USE,
        "operator": operator,
        "normalization": normalization,
        "data": {**asdict(data), "split": split},
        "metrics": {"validation": None, "test": None},
        "trained_steps": 0,
        "medrecon": __version__,
        "configuration": dict(configuration),
    }


def make_imported_card(
    configuration: Mapping[str, Any], *, inference: Mapping[str, Any], source: Mapping[str, str], notes: Sequence[str]
) -> dict[str, Any]:
    """Say what is known of weights that another program trained.

    Parameters
    ----------
    configuration
        that gives the same network; of its training it states what was published, and not what is known of the file.
    inference
        the fields of `medrecon.config.InferenceSettings`.
    source
        of which package, which network and which file they are.
    notes
        what is done as in that package, and what is not.
    """
    card = make_card(
        configuration,
        operator="coils",
        normalization="kind=constant factor=1.0",
        split="not stated by the file: neither the images nor the masks are known",
        data=IMPORTED_DATA,
    )
    return {**card, "trained_steps": None, "imported": dict(source), "inference": dict(inference), "notes": list(notes)}


def with_scores(card: Mapping[str, Any], part: str, scores: Scores, step: int | None) -> dict[str, Any]:
    """Return the card with what was measured on a part, `validation` or `test`, and by which protocol."""
    values = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in asdict(scores).items()
    }
    values["protocol"] = protocol_of(card["operator"])
    return {**card, "metrics": {**card["metrics"], part: values}, "trained_steps": step}


def with_protocols(card: Mapping[str, Any]) -> dict[str, Any]:
    """Return the card with the protocol of each of its scores, also of one from before cards named them."""
    metrics = {
        part: {**values, "protocol": values.get("protocol", protocol_of(card["operator"]))} if values else values
        for part, values in card["metrics"].items()
    }
    return {**card, "metrics": metrics}


def record_scores(path: Path, part: str, scores: Scores) -> None:
    """Note in the card of a file of weights, and in the JSON beside it, what was measured on a part, such as `test`.

    Raises
    ------
    InputError
        If the file cannot be used.
    """
    checkpoint = read_checkpoint(path)
    card = require_card(path, checkpoint.metadata)
    write_weights(path, checkpoint.tensors, with_scores(card, part, scores, card.get("trained_steps")), overwrite=True)


def require_weights(path: Path, metadata: Mapping[str, Any]) -> None:
    """Refuse the state of a run, which is to go on with.

    Raises
    ------
    InputError
        If the metadata of a file say that it is one.
    """
    if "run" in metadata:
        best = path.with_name("best.safetensors")
        raise InputError(f"{path}: holds the state of a training run, to go on with; its weights lie in {best}")


def copy_weights(source: Path, target: Path, dtype: torch.dtype = torch.float16, *, overwrite: bool = False) -> None:
    """Write weights with their card, and the JSON beside them, anew in the precision `dtype`; what a run was is left out.

    Raises
    ------
    InputError
        If a file cannot be used, is the state of a run, or the target exists and is not to be replaced.
    """
    checkpoint = read_checkpoint(source)
    require_weights(source, checkpoint.metadata)
    floating = {
        name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in checkpoint.tensors.items()
    }
    write_weights(target, floating, require_card(source, checkpoint.metadata), overwrite=overwrite)


def write_weights(
    path: Path, tensors: Mapping[str, Tensor], card: Mapping[str, Any], *, overwrite: bool = False
) -> None:
    """Write weights with their card, and the card as JSON beside them.

    Raises
    ------
    InputError
        If a file cannot be written, is not called .safetensors, or exists and is not to be replaced.
    """
    if path.suffix != ".safetensors":
        raise InputError(f"{path}: weights lie in a file called .safetensors; give it that ending")
    with atomic_file(path.with_suffix(".json"), overwrite=overwrite) as temporary:  # kept if the weights are, too
        write_card(temporary, card)
        write_checkpoint(path, Checkpoint(tensors, {"card": card}), overwrite=overwrite)
