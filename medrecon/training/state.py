"""Where a training run stands: what is saved, so that a resumed run goes on as if nothing had happened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, Field, ValidationError
from torch import Tensor, nn

from medrecon.errors import InputError
from medrecon.weights.checkpoint import Checkpoint, load_into, read_checkpoint, read_metadata, write_checkpoint
from medrecon.words import shortened

__all__ = ["Position", "RunFolder", "State", "read_position", "read_state", "write_state"]

_NETWORK, _OPTIMIZER = "network.", "optimizer."


@dataclass(frozen=True)
class Position:
    """How far training has come, and what it must remember.

    Parameters
    ----------
    epoch, batch
        the epoch under way, and how many of its batches each process has done.
    step
        steps of the optimizer in all.
    loss_sum
        of the losses of the batches of this epoch.
    best, epochs_since_best
        the least validation loss so far, and the epochs since.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    best: float | None = None
    epochs_since_best: int = 0


@dataclass(frozen=True)
class RunFolder:
    """Where a run writes: checkpoints `last` and `best` with its card, tables of losses, and events of TensorBoard."""

    path: Path

    @property
    def last(self) -> Path:
        return self.path / "last.safetensors"

    @property
    def best(self) -> Path:
        return self.path / "best.safetensors"

    def clean(self) -> None:
        """Remove what a run left half written when it was killed."""
        for path in (self.last, self.best, self.card):
            for temporary in self.path.glob(f".{path.name}.*"):
                temporary.unlink()

    @property
    def card(self) -> Path:
        return self.path / "best.json"


@dataclass(frozen=True, eq=False)
class State:
    """All that changes while a network is trained; everything random is made of seeds, and learning rates of the position.

    `scaler` is that of float16, or empty.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    position: Position
    n_processes: int
    scaler: Mapping[str, int | float]


def read_position(path: Path) -> Position:
    """Read where the training stands whose state lies in a file.

    Raises
    ------
    InputError
        If the file cannot be used, or holds weights alone.
    """
    return _run(path, read_metadata(path)).position


def write_state(path: Path, state: State, card: Mapping[str, Any]) -> None:
    """Write one file that holds it all; see `write_checkpoint`."""
    tensors = {_NETWORK + name: tensor for name, tensor in state.network.state_dict().items()}
    numbers: dict[str, dict[str, object]] = {}
    for index, values in state.optimizer.state_dict()["state"].items():
        for name, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"{_OPTIMIZER}{index}.{name}"] = value
            else:
                numbers.setdefault(str(index), {})[name] = value
    run = {
        "position": asdict(state.position),
        "optimizer": numbers,
        "n_processes": state.n_processes,
        "scaler": dict(state.scaler),
    }
    write_checkpoint(path, Checkpoint(tensors, {"card": card, "run": run}))


def read_state(path: Path, network: nn.Module, optimizer: torch.optim.Optimizer, n_processes: int) -> State:
    """Put the weights and the state of the optimizer where they were, and return where training stands.

    Raises
    ------
    InputError
        If the file cannot be used, is of another network, or holds weights alone.
    """
    checkpoint = read_checkpoint(path)
    run = _run(path, checkpoint.metadata)
    if run.n_processes != n_processes:
        raise InputError(
            f"{path}: the run had {run.n_processes} processes, and now there are {n_processes}; "
            f"give --devices {run.n_processes}, so that it goes on as it was"
        )
    tensors = checkpoint.tensors
    weights = {name.removeprefix(_NETWORK): value for name, value in tensors.items() if name.startswith(_NETWORK)}
    load_into(network, weights, str(path))
    _load_optimizer(path, optimizer, run.optimizer, tensors)
    return State(network, optimizer, run.position, n_processes, run.scaler)


def _load_optimizer(
    path: Path,
    optimizer: torch.optim.Optimizer,
    numbers: Mapping[int, Mapping[str, Any]],
    tensors: Mapping[str, Tensor],
) -> None:
    """Put the numbers and the tensors of a file where they were, each of the shape of its parameter."""
    groups = optimizer.state_dict()["param_groups"]
    shapes = [parameter.shape for group in optimizer.param_groups for parameter in group["params"]]
    saved = {index: dict(values) for index, values in numbers.items()}
    for name in (name for name in tensors if name.startswith(_OPTIMIZER)):
        index, _, key = name.removeprefix(_OPTIMIZER).partition(".")
        known = index.isdecimal() and int(index) < len(shapes)
        if not known or tensors[name].shape not in (torch.Size(()), shapes[int(index)]):
            raise InputError(f"{path}: {shortened(name)} is of another network; give the folder of this run")
        saved.setdefault(int(index), {})[key] = tensors[name]
    optimizer.load_state_dict({"state": saved, "param_groups": groups})


class _Run(BaseModel):
    """What a file says of the run beside its tensors."""

    position: Position
    optimizer: dict[int, dict[str, Any]]
    n_processes: int = Field(ge=1)
    scaler: dict[str, int | float]


def _run(path: Path, metadata: Mapping[str, Any]) -> _Run:
    run = metadata.get("run")
    if not isinstance(run, dict):
        raise InputError(f"{path}: holds weights alone, and no state of a run to go on with")
    position = run.get("position")
    if isinstance(position, dict):  # before version 0.2 the epochs since the best were called `waited`
        today = {"epochs_since_best" if name == "waited" else name: value for name, value in position.items()}
        run = {**run, "position": today}
    try:
        return _Run.model_validate(run)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part)[:40] for part in first["loc"])
        raise InputError(f"{path}: the state of the run: {place}: {first['msg']}; train again") from error
