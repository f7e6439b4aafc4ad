"""`medrecon tune`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medrecon.commands.benchmark import allow_imports, choose_workers
from medrecon.commands.console import print_table, progress, say
from medrecon.commands.options import AllowCodeOption, ChangesOption, ConfigArgument, SchedulerOption, WorkersOption

__all__ = ["tune"]


def tune(
    method: Annotated[str, typer.Argument(metavar="METHOD", help="The name of a method in the configuration.")],
    config: ConfigArgument,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", help="The YAML file to write; what it holds of others stays."),
    ],
    scenarios: Annotated[
        list[str] | None,
        typer.Option("--scenario", metavar="NAME", help="On this scenario [all that say `tuning`]; repeatable."),
    ] = None,
    problems: Annotated[list[str] | None, typer.Option("--problem", hidden=True)] = None,
    changes: ChangesOption = None,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
    allow_code: AllowCodeOption = False,
) -> int:
    """Search the best settings of a method on validation images, for a benchmark to read.

    A call that was cut off is repeated to go on: trials are kept beside the output.

    Example: medrecon tune tv benchmark_mri --output tuned/benchmark_mri.yaml
    """
    from medrecon.benchmark import load_benchmark, tune_method, tuning_rows
    from medrecon.config.shipped import find_config

    if problems:
        say("--problem is called --scenario now; the old name will go in the next version")
    path = find_config(config)
    settings = load_benchmark(path, changes or [])
    allow_imports(path, settings, changes or [], allowed=allow_code)
    with progress() as bar, choose_workers(workers, scheduler) as chosen:
        found = tune_method(
            settings, method, output, chosen, scenarios=[*(scenarios or []), *(problems or [])], progress=bar
        )
    columns, rows = tuning_rows(found)
    print_table(columns, rows, right=("PSNR (dB)", "images", "trials"))
    say(f"{output}: holds them; name it in the configuration: tuned, beside the method")
    return 0
