"""Weights with their card, and the state of a training run: safetensors files that appear whole, and hold nothing to execute."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from medrecon.data.foreign import reading
from medrecon.data.writing import atomic_file
from medrecon.documents import as_code, parse_json
from medrecon.errors import InputError
from medrecon.memory import require_memory

__all__ = [
    "FORMAT",
    "Checkpoint",
    "differences",
    "load_into",
    "read_checkpoint",
    "read_metadata",
    "write_card",
    "write_checkpoint",
]

#: The version of what is written here.
FORMAT = 1

_FRESH = "train again, or take the file from where it came"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Tensors by name, and what is said of them: plain values that JSON holds."""

    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, Any]


def write_checkpoint(path: Path, checkpoint: Checkpoint, *, overwrite: bool = True) -> None:
    """Write one file; at `path` there is always the old or the new one, whole.

    Raises
    ------
    InputError
        If it cannot be written, such as on a full disk, or exists and is not to be replaced.
    """
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in checkpoint.tensors.items()}
    text = json.dumps({"format": FORMAT, **checkpoint.metadata}, allow_nan=False)
    with atomic_file(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(
            save(tensors, metadata={"medrecon": text})
        )  # `save_file` leaves a file of its own when killed


def write_card(path: Path, card: Mapping[str, Any]) -> None:
    """Write the card as JSON to be read by people, beside the weights that hold it too."""
    with atomic_file(path, overwrite=True) as temporary:
        text = json.dumps(card, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def read_metadata(path: Path) -> dict[str, Any]:
    """Read what is said of the tensors, and not themselves.

    Raises
    ------
    InputError
        As `read_checkpoint`.
    """
    _require_safetensors(path)
    with reading(path, "the file of weights", _FRESH), safe_open(path, framework="pt") as file:
        stated = file.metadata() or {}
    return _metadata(path, stated)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read tensors and what is said of them.

    Raises
    ------
    InputError
        If the file is not there, cut short, holds pickled objects, or was not written by medrecon.
    """
    metadata = read_metadata(path)
    require_memory(path.stat().st_size, f"{path}: the weights")
    with reading(path, "the file of weights", _FRESH), safe_open(path, framework="pt") as file:
        return Checkpoint({name: file.get_tensor(name) for name in file.keys()}, metadata)  # noqa: SIM118


def load_into(network: nn.Module, tensors: Mapping[str, Tensor], name: str) -> None:
    """Copy tensors to the parameters and buffers of these names, in the network's precision and on its device.

    Raises
    ------
    InputError
        If they are not the same names and shapes; the text says what differs, and the network is as it was.
    """
    wanted = network.state_dict()
    missing = sorted(wanted.keys() - tensors.keys())
    surplus = sorted(tensors.keys() - wanted.keys())
    unlike = [
        f"{key} is {tuple(tensors[key].shape)}, the network's {tuple(wanted[key].shape)}"
        for key in wanted
        if key in tensors and tensors[key].shape != wanted[key].shape
    ]
    faults = [
        *([f"it lacks {_some(missing)}"] if missing else []),
        *([f"it has {_some(surplus)}, which the network lacks"] if surplus else []),
        *unlike[:2],
    ]
    if faults:
        raise InputError(
            f"{name}: the weights are of another network: {'; '.join(faults)}; take the configuration of its card"
        )
    network.load_state_dict({key: tensor.to(wanted[key].dtype) for key, tensor in tensors.items()})


def differences(one: object, other: object, where: str = "") -> list[str]:
    """Say in which keys two plain values differ: `network.features: 18 and 32`."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        keys = [*one, *(key for key in other if key not in one)]
        return [
            line
            for key in keys
            for line in differences(one.get(key), other.get(key), f"{where}.{key}" if where else str(key))
        ]
    return [] if one == other else [f"{where}: {as_code(one)} and {as_code(other)}"]


def _require_safetensors(path: Path) -> None:
    if not path.is_file():
        raise InputError(
            f"{path}: there is no such file of weights; `medrecon weights list` shows those that are known"
        )
    with reading(path, "the file of weights", _FRESH), path.open("rb") as file:
        start = file.read(16)
    header = start[8:9] == b"{"  # after its length, whose first byte may be any
    if not header and (start[:2] == b"PK" or start[:1] == b"\x80"):
        raise InputError(
            f"{path}: holds pickled objects, which may run any program when they are read; "
            "medrecon takes safetensors, and `medrecon weights import fastmri` the published weights of fastMRI"
        )
    if len(start) < 8 or int.from_bytes(start[:8], "little") > path.stat().st_size - 8:
        raise InputError(f"{path}: is no safetensors file, or cut short; {_FRESH}")


def _metadata(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    try:
        values = parse_json(metadata["medrecon"], f"{path}: its card")
        version = values["format"]
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: has no card of medrecon; it was written by another program") from error
    if version != FORMAT:
        raise InputError(
            f"{path}: is of format {as_code(version)}, and this version of medrecon reads format {FORMAT}; "
            + ("install a newer medrecon" if isinstance(version, int) and version > FORMAT else "train it again")
        )
    return dict(values)


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
