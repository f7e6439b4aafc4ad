"""Print a table, and keep it as JSON under docs/benchmarks, where the README takes it from."""

from __future__ import annotations

import datetime
import json
import os
import platform
from pathlib import Path

from rich.console import Console
from rich.table import Table

FOLDER = Path(__file__).parent.parent / "docs" / "benchmarks"


def machine() -> str:
    """The processor of this machine, in a few words."""
    names = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores, {platform.system()}"


def publish(
    name: str, title: str, command: str, columns: list[str], rows: list[list[str]], notes: list[str], *, keep: bool
) -> None:
    """Print the table and, with `keep`, write `docs/benchmarks/NAME.json`."""
    table = Table(title=title)
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*row)
    Console(width=160).print(table)
    for note in notes:
        print(note)
    if keep:
        FOLDER.mkdir(parents=True, exist_ok=True)
        content = {
            "title": title,
            "measured_with": command,
            "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
            "machine": machine(),
            "columns": columns,
            "rows": rows,
            "notes": notes,
        }
        (FOLDER / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")
