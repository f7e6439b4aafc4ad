"""Keep what `medrecon benchmark` found in docs/benchmarks, where the README takes it from.

    medrecon benchmark configs/benchmark_mri.yaml --output results/mri
    python performance/keep.py results/mri

The summary and the rows go to `docs/benchmarks/NAME/`; NAME is that of the configuration. A benchmark with failed rows is not kept.
What a reader should know of its circumstances, such as rows of another day, is said by `--note`.
"""

from __future__ import annotations

import argparse
import datetime
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tables import FOLDER, machine

KEPT = ("summary.md", "summary.csv", "rows.csv")


def keep(results: Path, folder: Path, notes: Sequence[str] = ()) -> Path:
    """Copy the tables of a finished benchmark, and note when and where they were made; return where they lie.

    Raises
    ------
    ValueError
        If a row failed.
    """
    summary: dict[str, Any] = json.loads((results / "summary.json").read_text())
    failed = [
        f"{method['method']} on '{scenario['scenario']}': {method['reason']}"
        for scenario in summary["scenarios"]
        for method in scenario["methods"]
        if method["failed"]
    ]
    if failed:
        raise ValueError(f"{results}: {len(failed)} methods failed, first {failed[0]}")
    target = folder / str(summary["name"])
    target.mkdir(parents=True, exist_ok=True)
    for name in KEPT:
        shutil.copyfile(results / name, target / name)
    circumstances = {"date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(), "machine": machine()}
    (target / "summary.json").write_text(
        json.dumps({**summary, **circumstances, "notes": list(notes)}, indent=1) + "\n"
    )
    with (target / "summary.md").open("a") as file:
        file.writelines(f"- {note}\n" for note in notes)
    return target


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("results", type=Path, help="the folder that `medrecon benchmark` wrote")
    parser.add_argument("--note", action="append", default=[], help="a sentence below the tables; may be given again")
    arguments = parser.parse_args()
    print(keep(arguments.results, FOLDER, arguments.note))
