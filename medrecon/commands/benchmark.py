"""`medrecon benchmark`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medrecon.commands.console import print_table, progress, say
from medrecon.commands.options import AllowCodeOption, ChangesOption, ConfigArgument, SchedulerOption, WorkersOption
from medrecon.commands.processors import PROCESS_BYTES, processors
from medrecon.words import shortened

if TYPE_CHECKING:
    from medrecon.benchmark import Workers
    from medrecon.config.benchmark import BenchmarkSettings

__all__ = ["allow_imports", "benchmark", "choose_workers"]

_RIGHT = ("PSNR (dB)", "SSIM", "gain (dB)", "failed")


def benchmark(
    config: ConfigArgument,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="The folder of the tables [benchmarks/NAME].")
    ] = None,
    changes: ChangesOption = None,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="R.html", help="Write, or replace, one page to look through images of all methods."),
    ] = None,
    report_images: Annotated[
        int, typer.Option(min=1, help="Of each scenario in the report: worst, median, first, best, and then between.")
    ] = 3,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Begin anew; without it, finished cases in the folder are kept.")
    ] = False,
    allow_code: AllowCodeOption = False,
) -> int:
    """Compare methods on scenarios as a file says: a row an image and method, and means with intervals.

    A call that was cut off is repeated to go on. A case that fails is a row with the reason; the status is 2 where all do. The
    images in the report are made anew once all are scored, and kept in DIR/images.

    Example: medrecon benchmark benchmark_phantom --output results --report results/images.html
    """
    from medrecon.benchmark import load_benchmark, run_benchmark, run_with_page, summary_lines
    from medrecon.config.shipped import find_config

    path = find_config(config)
    settings = load_benchmark(path, changes or [])
    allow_imports(path, settings, changes or [], allowed=allow_code)
    folder = Path("benchmarks") / settings.name if output is None else output
    if report is not None:
        _require_page(report, folder)
    with progress() as bar, choose_workers(workers, scheduler) as chosen:
        if report is None:
            done, shown = run_benchmark(settings, folder, chosen, overwrite=overwrite, progress=bar), None
        else:
            done, shown = run_with_page(
                settings, folder, chosen, report, images=report_images, overwrite=overwrite, progress=bar
            )
    tables = [summary_lines(summary) for summary in done.summaries]
    print_table(tables[0][0], [row for _, rows in tables for row in rows], right=_RIGHT)
    for row in done.failed:
        say(f"failed: {row.scenario}, {row.method}, {row.file}, slice {row.slice}: {row.reason}")
    kept = f", {done.kept} of them from before" if done.kept else ""
    say(f"{len(done.rows)} cases{kept}, {len(done.failed)} failed; tables lie in {folder}, first summary.md")
    if shown is not None:
        count = "1 image" if shown == 1 else f"{shown} images"
        say(f"report {report}: {count}, to look through in a browser" if shown else "no report: every case failed")
    return 0 if len(done.failed) < len(done.rows) else 2


def choose_workers(count: int | None, scheduler: str | None) -> Workers:
    """The workers of these options, which share the cores of this machine.

    Raises
    ------
    InputError
        If both are given.
    """
    from medrecon.benchmark import Workers
    from medrecon.errors import InputError
    from medrecon.memory import require_memory

    if scheduler is not None:
        if count is not None:
            raise InputError("--workers are processes on this machine, and --scheduler has its own; give one of them")
        return Workers(0, None, scheduler)
    chosen = max(1, processors() // 2) if count is None else count
    require_memory(
        chosen * PROCESS_BYTES, f"--workers: {chosen} processes", lambda free: f"{free // PROCESS_BYTES} would fit"
    )
    return Workers(chosen, None if chosen == 0 else max(1, processors() // chosen))


def allow_imports(path: Path, settings: BenchmarkSettings, changes: Sequence[str], *, allowed: bool) -> None:
    """Let methods of the user's own be imported from the folder that the command is called in, after all that is installed.

    Raises
    ------
    InputError
        If a file that does not come with medrecon names any that `changes` do not, and running their code is not allowed.
    """
    from medrecon.config.benchmark import CustomMethodSettings
    from medrecon.config.files import parse_change
    from medrecon.config.shipped import config_folder
    from medrecon.errors import InputError

    methods = [entry.method for one in settings.modalities.values() for entry in one.methods]
    places = [method.import_ for method in methods if isinstance(method, CustomMethodSettings)]
    given = {place for change in changes for place in _imports(*parse_change(change))}
    foreign = [place for place in places if place not in given]
    if foreign and not allowed and path.resolve().parent != config_folder().resolve():
        raise InputError(
            f"{path}: imports {shortened(foreign[0])}, whose code then runs; look at both, and give --allow-code if you trust them"
        )
    if places and (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)


def _imports(key: str, value: object) -> Iterator[str]:
    """The places of code that a changed key names, or the keys in its value."""
    if isinstance(value, dict):
        for inner, one in value.items():
            yield from _imports(str(inner), one)
    elif isinstance(value, list):
        for one in value:
            yield from _imports("", one)
    elif isinstance(value, str) and key.rpartition(".")[2] == "import":
        yield value


def _require_page(path: Path, folder: Path) -> None:
    """Make sure that a page can be written, before anything runs; the folder of the tables need not be there yet."""
    from medrecon.data.writing import require_writable
    from medrecon.errors import InputError

    if path.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{path}: the report is an HTML file; name it *.html")
    if path.parent.resolve() == folder.resolve() and not folder.exists():
        return
    require_writable(path, overwrite=True)
