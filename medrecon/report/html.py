"""One HTML file in which a reader looks through reconstructions as radiologists do, without a network or a program.

The page, its script and its style lie in `medrecon/report/viewer`; images are stored as 16-bit numbers, compressed slice by slice.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import math
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from importlib.resources import files

import numpy as np
import torch
from torch import Tensor

from medrecon.data.writing import atomic_file
from medrecon.errors import InputError
from medrecon.report.viewer_report import Column, Facts, Table, ViewerCase, ViewerReport, Window, quantile

__all__ = ["LARGEST_PAGE", "write_html"]

#: Bytes of images beyond which browsers open a page slowly, or not at all.
LARGEST_PAGE = 300_000_000
_SCRIPTS = ("stacks.js", "tables.js", "views.js", "controls.js", "viewer.js")
_LEVELS = 65535  # steps between the smallest and the largest number of a stack
_COMPRESSION = 1  # of zlib; 9 makes pages 2 % smaller in three times the time
_BRIGHTEST = 0.998  # this quantile of errors and residuals is the brightest
_GAINS = (1, 2, 5, 10, 20, 50, 100)  # of errors, against the images


def write_html(path: str | os.PathLike[str], report: ViewerReport, *, overwrite: bool = False) -> None:
    """Write one HTML file that holds images, viewer and all; nothing in it asks for a network.

    A stack is stored as `offset + step n`, n of 16 bits: images are off by `(max - min) / 131070` at most.

    Raises
    ------
    InputError
        If the file cannot be written (see `medrecon.data.writing.atomic_file`), or the images are too many for a browser.
    """
    size = sum(stack.numel() for case in report.cases for stack in _stacks(case)) * 2
    if size > LARGEST_PAGE:
        raise InputError(
            f"{path}: {size / 1e6:.0f} MB of images, and browsers open pages of up to {LARGEST_PAGE / 1e6:.0f} MB; "
            "take fewer slices, cases or methods into the report"
        )
    before, after = _page(report)
    with (
        atomic_file(path, overwrite=overwrite) as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace") as page,
    ):
        page.write(before)
        for number, case in enumerate(report.cases):
            for name, stack in _named_stacks(case).items():
                page.write(f'<script type="text/plain" id="stack-{number}-{name}">')
                page.write("\n".join(_packed(stack)))
                page.write("</script>\n")
        page.write(after)


def _page(report: ViewerReport) -> tuple[str, str]:
    """The page before and after the images."""
    folder = files("medrecon.report") / "viewer"
    page, style = ((folder / name).read_text("utf-8") for name in ("viewer.html", "viewer.css"))
    script = "\n".join((folder / name).read_text("utf-8") for name in _SCRIPTS)
    policy = (
        f"default-src 'none'; img-src data:; script-src {_digest(script)}; style-src {_digest(style)}; base-uri 'none'"
    )
    values = {"version": report.version, "tables": [_table(t) for t in report.tables]}
    values["cases"] = [_case(case, number) for number, case in enumerate(report.cases)]
    text = json.dumps(values, allow_nan=False).replace("<", "\\u003c")
    parts = {"title": html.escape(report.title), "policy": policy, "style": style, "script": script, "values": text}
    before, after = page.split("@images@")
    return _filled(before, parts), _filled(after, parts)


def _filled(page: str, parts: Mapping[str, str]) -> str:
    pieces = page.split("@")  # every second is a name
    return "".join(parts[piece] if number % 2 else piece for number, piece in enumerate(pieces))


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _case(case: ViewerCase, number: int) -> dict[str, object]:
    window = case.default_window
    presets = [asdict(preset) for preset in (Window(window.low, window.high, window.name or "default"), *case.presets)]
    return {
        "name": case.name,
        "unit": case.unit,
        "pixel": case.pixel or (1.0, 1.0),
        "measured": case.pixel is not None,
        "presets": presets,
        "gain": _gain(case, window),
        "residualTop": max(
            (quantile(m.residual.abs(), _BRIGHTEST) for m in case.methods if m.residual is not None), default=0
        ),
        "residualUnit": case.residual_unit,
        "firstSlice": case.first_slice,
        "names": [method.name for method in case.methods],
        "stacks": {name: {"id": f"stack-{number}-{name}", **_scale(s)} for name, s in _named_stacks(case).items()},
        "table": _table(_score_table(case)),
        "facts": _facts(case.facts),
        "methodFacts": [_facts(method.facts) for method in case.methods],
        "notes": case.notes,
    }


def _facts(facts: Facts) -> list[tuple[str, str]]:
    return [(name, f"{value:.6g}" if isinstance(value, float) else str(value)) for name, value in facts.items()]


def _table(table: Table) -> dict[str, object]:
    """Infinity is `"inf"` in JSON, which knows none; NaN is an empty cell."""
    rows = [[_number(cell) if isinstance(cell, float) else cell for cell in row] for row in table.rows]
    return {"caption": table.caption, "columns": [asdict(column) for column in table.columns], "rows": rows}


def _number(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else "inf" if value > 0 else "-inf"


def _score_table(case: ViewerCase) -> Table:
    """Of the methods, without the columns that nobody fills."""
    methods = case.methods
    columns: list[tuple[Column, list[str | float | None]]] = [
        (Column("method"), [method.name for method in methods]),
        (Column("protocol"), [method.scores.protocol or None for method in methods]),
        (Column("PSNR (dB)", 2), [method.scores.psnr for method in methods]),
        (Column("SSIM", 4), [method.scores.ssim for method in methods]),
        (Column("NMSE", 5), [method.scores.nmse for method in methods]),
        (Column("residual", 3), [method.scores.residual for method in methods]),
        (Column("seconds", 2), [method.scores.seconds for method in methods]),
    ]
    filled = [(column, cells) for column, cells in columns if any(cell is not None for cell in cells)]
    rows = tuple(zip(*(cells for _, cells in filled), strict=True))
    return Table("Scores of " + case.name, tuple(column for column, _ in filled), rows)


def _gain(case: ViewerCase, window: Window) -> int:
    """How many times brighter than images errors are shown: the largest of `_GAINS` that leaves them within the scale."""
    if case.target is None:
        return 1
    worst = max(quantile((method.images - case.target).abs(), _BRIGHTEST) for method in case.methods)
    return max((gain for gain in _GAINS if worst * gain <= window.high - window.low), default=1)


def _named_stacks(case: ViewerCase) -> dict[str, Tensor]:
    stacks = {f"image-{number}": method.images for number, method in enumerate(case.methods)}
    stacks |= {f"residual-{n}": method.residual for n, method in enumerate(case.methods) if method.residual is not None}
    if case.target is not None:
        stacks["target"] = case.target
    if case.mask is not None:
        mask = case.mask.detach().to(torch.float32)
        stacks["mask"] = (
            mask.expand(case.methods[0].images.shape[-2], mask.shape[-1])[None] if mask.ndim == 1 else mask[None]
        )
    return stacks


def _stacks(case: ViewerCase) -> Iterable[Tensor]:
    return _named_stacks(case).values()


def _scale(stack: Tensor) -> dict[str, object]:
    low, high = (float(value) for value in stack.aminmax())
    return {"shape": list(stack.shape), "offset": low, "step": (high - low) / _LEVELS}


def _packed(stack: Tensor) -> Iterator[str]:
    """Slices as base64 of zlib of the differences along x of 16-bit numbers: all high bytes, then all low ones."""
    low, high = (float(value) for value in stack.aminmax())
    step = (high - low) / _LEVELS or 1.0
    for image in stack.detach().cpu():
        numbers = np.rint((image.numpy().astype(np.float64) - low) / step).astype(np.uint16)
        steps = np.diff(numbers, axis=1, prepend=np.uint16(0))
        planes = (steps >> 8).astype(np.uint8).tobytes() + (steps & 255).astype(np.uint8).tobytes()
        yield base64.b64encode(zlib.compress(planes, _COMPRESSION)).decode()
