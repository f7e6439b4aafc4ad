"""`medrecon inspect` and `medrecon simulate`: look into a file of raw k-space, and make one."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from medrecon.commands.console import progress, say
from medrecon.config import PhantomName, SimulationSettings, settings_from
from medrecon.errors import InputError

__all__ = ["inspect", "simulate"]


def inspect(
    file: Annotated[Path, typer.Argument(help="A file in the format of fastMRI.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print values for programs, not words.")] = False,
) -> int:
    """Say what is in a file of raw k-space, and what is wrong with it.

    The exit status is 0 for a file that can be read, problems or not.

    Example: medrecon inspect scan.h5
    """
    from medrecon.data.inspection import inspect_file, lines

    found = inspect_file(file)
    if as_json:
        say(json.dumps(asdict(found), indent=2))
    else:
        say("\n".join(lines(found)))
    return 0


def simulate(
    output: Annotated[Path, typer.Argument(metavar="OUT.h5", help="The file to write, in the format of fastMRI.")],
    phantom: Annotated[PhantomName, typer.Option(help="What is scanned.")] = PhantomName.BRAIN,
    size: Annotated[str, typer.Option(metavar="N or YxX", help="Pixels of the image, such as 320x368.")] = "256",
    slices: Annotated[int, typer.Option(help="Number of slices.")] = 1,
    coils: Annotated[int, typer.Option(help="Number of receive coils.")] = 8,
    snr: Annotated[float, typer.Option(help="Signal over noise of the full scan; inf for no noise.")] = 40.0,
    seed: Annotated[int, typer.Option(help="Of the noise and the phase.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
) -> int:
    """Simulate a fully sampled multi-coil scan of a phantom.

    Example: medrecon simulate scan.h5 --size 320x368 --slices 4 --coils 16
    """
    fields = {"phantom": phantom, "size": _size(size), "slices": slices, "coils": coils, "snr": snr, "seed": seed}
    settings = settings_from(SimulationSettings, fields)
    from medrecon.experiment import simulate_file

    with progress() as bar:
        simulate_file(output, settings, overwrite=overwrite, progress=bar)
    ny, nx = settings.size
    count = "1 slice" if settings.slices == 1 else f"{settings.slices} slices"
    say(f"{output}: {count} of {ny} x {nx} pixels, {settings.coils} coils, the {settings.phantom} phantom")
    return 0


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)(?:x(\d+))?", text.strip().lower(), re.ASCII)
    if match is None:
        raise InputError(f"--size takes N or YxX, such as 256 or 320x368; got '{text}'")
    return int(match[1]), int(match[2] or match[1])
