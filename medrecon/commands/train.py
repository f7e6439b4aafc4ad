"""`medrecon train`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from medrecon.commands.console import progress, say
from medrecon.commands.launch import LAUNCHED_BY, launch
from medrecon.commands.options import ConfigArgument
from medrecon.commands.processors import PROCESS_BYTES
from medrecon.commands.termination import end_with
from medrecon.device import DeviceName
from medrecon.memory import require_memory

__all__ = ["train"]


def train(
    config: ConfigArgument,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The folder of the run [runs/NAME].")] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a key: training.epochs=3; repeatable."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder, or begin one.")] = False,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE", help="Begin with these weights of the same network, and not with random ones."
        ),
    ] = None,
    devices: Annotated[int, typer.Option(min=1, help="Processes on this machine, one a GPU if there are GPUs.")] = 1,
    device: Annotated[DeviceName | None, typer.Option(help="Where to compute [a GPU if there is one].")] = None,
) -> int:
    """Train a network as a file says; print a plan, then write checkpoints, a card and tables of losses.

    Over several machines, run `torchrun ... -m medrecon train CONFIG` on each.

    Example: medrecon train varnet_brain_small --set training.epochs=3
    """
    from medrecon.config.files import load_settings
    from medrecon.config.shipped import find_config
    from medrecon.config.training import TrainingSettings

    settings = load_settings(TrainingSettings, find_config(config), changes or [])
    folder = Path("runs") / settings.name if output is None else output
    require_memory(
        devices * PROCESS_BYTES, f"--devices: {devices} processes", lambda free: f"{free // PROCESS_BYTES} would fit"
    )
    if devices > 1 and "LOCAL_RANK" not in os.environ:
        chosen = [f"--set={change}" for change in changes or []]
        chosen += [] if weights is None else [f"--weights={weights}"]
        chosen += [*(["--resume"] if resume else []), *([] if device is None else [f"--device={device.value}"])]
        return launch(["train", config, "--output", str(folder), *chosen], devices)
    if (parent := os.environ.get(LAUNCHED_BY)) is not None:
        end_with(int(parent))
    from medrecon.words import counted
    from medrecon.workflows.training import is_first_process, train_network

    with progress() as bar:
        done = train_network(settings, folder, resume=resume, weights=weights, device=device, say=say, progress=bar)
    if is_first_process():
        best = "no epoch was finished" if done.best is None else f"best validation loss {done.best:.5g}"
        say(f"trained {counted(done.step, 'step')}; {best}; weights and card lie in {folder}")
    return 0
