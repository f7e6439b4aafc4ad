"""Write the tables of the pages anew: methods, speed, and one table for each file in docs/benchmarks.

Run as `python performance/update_readme.py`. A table `NAME` stands between the lines `<!-- begin: NAME -->` and
`<!-- end: NAME -->` of one of the pages; `NAME` is `methods`, or `speed` (some rows of the others), or
`docs/benchmarks/NAME.json` holds what `Table` describes, or `docs/benchmarks/NAME/` what `keep.py` kept of a benchmark of methods.
"""

import datetime
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, model_validator

from medrecon.commands.about import METHOD_COLUMNS, method_rows

ROOT = Path(__file__).resolve().parent.parent
README, DETAILS, RESULTS = ROOT / "README.md", ROOT / "docs" / "benchmarks.md", ROOT / "docs" / "benchmarks"
CHECKS = ROOT / "docs" / "checks.md"
PAGES = (README, DETAILS, CHECKS)
Cell = str | int | float

#: Of a benchmark, the scenarios whose scores the README shows, and what they are called there.
SHOWN = {
    "benchmark_mri": {
        "brain-small, 4x": "brain-small 4x",
        "brain-small, 8x": "brain-small 8x",
        "brain-axt2, 4x": "brain-axt2 4x",
        "brain-axt2, 8x": "brain-axt2 8x",
    },
    "benchmark_ct": {
        "1000 views": "1000 views",
        "1000 views, low dose": "1000 views, low dose",
        "60 views": "60 views",
        "60 views, low dose": "60 views, low dose",
    },
}
TITLES = {
    "benchmark_mri": "MRI: what methods make of real heads",
    "benchmark_ct": "CT: what methods make of real chests",
}

_MARKED = re.compile(r"<!-- begin: (\S+) -->\n.*?<!-- end: \1 -->", re.DOTALL)


class Table(BaseModel):
    """What a benchmark measured; cells are shown as they are written, so that numbers are rounded by the benchmark."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    title: str
    measured_with: str
    date: datetime.date
    machine: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _require_whole_rows(self) -> Self:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"a row takes {len(self.columns)} cells, one a column; got {list(row)}")
        return self


def render(table: Table) -> str:
    """Return the Markdown of a table, its notes, and how it was measured."""
    lines = [f"**{table.title}**", "", markdown_table(table.columns, table.rows), ""]
    lines += [f"- {note}" for note in table.notes] + [""] * bool(table.notes)
    return "\n".join([*lines, f"Measured with `{table.measured_with}` on {table.date}, {table.machine}."])


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Return a table; columns of which every cell starts with a digit are aligned to the right."""
    text = [[_escaped(cell) for cell in row] for row in rows]
    numbers = [bool(text) and all(re.match(r"[-+<>~]?[.\d]", row[i]) for row in text) for i in range(len(columns))]
    rule = ["---:" if number else "---" for number in numbers]
    head = [_escaped(name) for name in columns]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, rule, *text])


def methods() -> str:
    """Return the table of the methods, as `medrecon methods` lists them."""
    rows = [
        [
            modalities,
            f"`{name}`",
            what,
            needs,
            ", ".join(f"`{option}`" for option in options.split(", ") if option),
            here,
        ]
        for modalities, name, what, needs, options, here in method_rows()
    ]
    return markdown_table(METHOD_COLUMNS, rows)


def speed(tables: Mapping[str, Table]) -> str:
    """Return the rows of the timings that say most: what, how long, and how many times as long others take."""
    projectors = [
        [
            f"CT {row['operation']}, LoDoPaB, batch {row['batch']}",
            f"{str(row['medrecon']).split(' ')[0]} ms",
            *(str(row[peer]) for peer in ("ASTRA", "DeepInverse")),
        ]
        for row in _rows(tables["ct_projectors"])
        if row["scan"] == "lodopab"
    ]
    times: dict[str, list[str]] = {}
    for row in _rows(tables["mri_classical"]):
        if row["size"] == "16 x 640 x 320" and row["peer"] in ("sigpy", "bart"):
            own = str(row["seconds"]).split(" / ")[0]
            times.setdefault(f"MRI {row['method']}, {row['size']}", [own]).append(str(row["ratio"]))
    classical = [[what, f"{own} s", *ratios] for what, (own, *ratios) in times.items()]
    first = markdown_table(
        ("CT on two cores", "medrecon, an image", "ASTRA, ms (ratio)", "DeepInverse, ms (ratio)"), projectors
    )
    second = markdown_table(
        ("MRI on two cores, at no larger error", "medrecon", "SigPy takes", "BART takes"), classical
    )
    third = markdown_table(
        ("Networks on two cores", "beside", "medrecon", "the other takes"),
        [
            [_network(row), row["beside"], f"{str(row['seconds']).split(' / ')[0]} s", row["ratio"]]
            for row in _rows(tables["networks"])
            if "compiled" not in str(row["medrecon"])
        ],
    )
    return "\n\n".join((first, second, third))


def quality(summary: Mapping[str, Any], shown: Mapping[str, str], title: str) -> str:
    """Return the mean PSNR with its interval and the mean SSIM of each method, a column for each scenario that is shown.

    Of several protocols it is the first.
    """
    found = {scenario["scenario"]: scenario for scenario in reversed(summary["scenarios"])}
    scenarios = {name: found[name] for name in shown}
    first = next(iter(scenarios.values()))
    rows = []
    for place, method in enumerate(first["methods"]):
        rows.append([f"`{method['method']}`", *(_score(scenario["methods"][place]) for scenario in scenarios.values())])
    notes = [
        "PSNR in dB with the 95 % interval of its mean / SSIM; settings of the classical methods were searched, and networks "
        "trained and chosen, on other people.",
        *(f"{shown[name]}: {_described(scenario)}" for name, scenario in scenarios.items()),
        "All scenarios, gains with their intervals, residuals, lesions and times: "
        f"[summary](docs/benchmarks/{summary['name']}/summary.md).",
    ]
    head = [
        f"**{title}**",
        "",
        markdown_table(["method", *shown.values()], rows),
        "",
        *(f"- {note}" for note in (*notes, *summary.get("notes", ()))),
        "",
    ]
    how = f"medrecon benchmark configs/{summary['name']}.yaml"
    return "\n".join([*head, f"Measured with `{how}` on {summary['date']}, {summary['machine']}."])


def sections(folder: Path) -> dict[str, str]:
    """Return what belongs between the markers, by name."""
    tables = {file.stem: Table.model_validate_json(file.read_text("utf-8")) for file in sorted(folder.glob("*.json"))}
    kept = {file.parent.name: json.loads(file.read_text("utf-8")) for file in sorted(folder.glob("*/summary.json"))}
    return {
        "methods": methods(),
        "speed": speed(tables),
        **{name: render(table) for name, table in tables.items()},
        **{name: quality(summary, SHOWN[name], TITLES[name]) for name, summary in kept.items() if name in SHOWN},
    }


def filled(page: str, contents: Mapping[str, str]) -> str:
    """Return the text with `contents` between its markers.

    Raises
    ------
    ValueError
        If there are markers without content.
    """
    if missing := sorted(set(_MARKED.findall(page)) - set(contents)):
        raise ValueError(
            f"nothing was measured for the table '{missing[0]}': docs/benchmarks/{missing[0]}.json is missing"
        )
    return _MARKED.sub(lambda m: f"<!-- begin: {m[1]} -->\n{contents[m[1]]}\n<!-- end: {m[1]} -->", page)


def require_places(pages: Sequence[str], contents: Mapping[str, str]) -> None:
    """Refuse contents that no page has markers for.

    Raises
    ------
    ValueError
        If there are any.
    """
    places = {name for page in pages for name in _MARKED.findall(page)}
    if homeless := sorted(set(contents) - places):
        begin, end = f"<!-- begin: {homeless[0]} -->", f"<!-- end: {homeless[0]} -->"
        raise ValueError(
            f"no page has a place for '{homeless[0]}'; add the lines {begin} and {end} to docs/benchmarks.md"
        )


def _rows(table: Table) -> list[dict[str, Cell]]:
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def _score(method: Mapping[str, Any]) -> str:
    psnr, ssim = method["psnr"], method["ssim"]
    if psnr is None:
        return ""
    interval = "" if psnr["low"] is None else f" [{psnr['low']:.2f}, {psnr['high']:.2f}]"
    return f"{psnr['mean']:.2f}{interval} / {ssim['mean']:.3f}"


def _described(scenario: Mapping[str, Any]) -> str:
    count, files = scenario["images"], scenario["files"]
    images = "1 image" if count == 1 else f"{count} test images" + (f" of {files} volumes" if 1 < files < count else "")
    return f"{images}, {scenario['sampling']}, protocol {scenario['protocol']}; intervals: {scenario['unit']}"


def _network(row: Mapping[str, Cell]) -> str:
    if row["task"] == "primal-dual":
        return f"learned primal-dual, {row['medrecon']}"
    return f"end-to-end VarNet, {row['task']}, {row['medrecon']}"


def _escaped(cell: Cell) -> str:
    return str(cell).replace("|", "\\|")


if __name__ == "__main__":
    found = sections(RESULTS)
    texts = {page: page.read_text("utf-8") for page in PAGES}
    require_places(list(texts.values()), found)
    for page, text in texts.items():
        page.write_text(filled(text, found), "utf-8")
    print("the pages are up to date")
