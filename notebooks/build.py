"""Make NAME.ipynb of each NAME.py in percent format: run it, and keep what it prints and draws.

`python notebooks/build.py` makes all, `python notebooks/build.py 01` those whose name begins so.
"""

from __future__ import annotations

import base64
import io
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["HERE", "Cell", "build", "cells_of", "sources"]

HERE = Path(__file__).resolve().parent
_MARK, _MARKDOWN = "# %%", "# %% [markdown]"
_SECONDS = 900  # a cell may take


@dataclass(frozen=True)
class Cell:
    """One cell: `kind` is "markdown" or "code"."""

    kind: str
    text: str


def sources() -> list[Path]:
    """The notebooks, in order."""
    return sorted(HERE.glob("[0-9]*.py"))


def cells_of(text: str) -> list[Cell]:
    """The cells of a source in percent format; of Markdown, the `# ` at the start of each line is taken off.

    Raises
    ------
    ValueError
        if a line of Markdown is no comment, or something stands before the first cell.
    """
    blocks: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith(_MARK):
            blocks.append(("markdown" if line.strip() == _MARKDOWN else "code", []))
        elif blocks:
            blocks[-1][1].append(line)
        elif line.strip():
            raise ValueError(f"a source in percent format begins with '{_MARK}', got '{line}'")
    return [Cell(kind, _plain(lines) if kind == "markdown" else "\n".join(lines).strip("\n")) for kind, lines in blocks]


def build(source: Path) -> Path:
    """Run a source in a folder of its own, and write the notebook beside it, whole or not at all."""
    import nbformat
    from nbclient import NotebookClient

    cells = cells_of(source.read_text(encoding="utf-8"))
    new = {"markdown": nbformat.v4.new_markdown_cell, "code": nbformat.v4.new_code_cell}
    notebook = nbformat.v4.new_notebook(cells=[new[cell.kind](cell.text) for cell in cells])
    os.environ["PYTHONWARNINGS"] = "ignore::Warning:tqdm.auto"  # which wants widgets
    os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(
            notebook, timeout=_SECONDS, kernel_name="python3", resources={"metadata": {"path": folder}}
        ).execute()
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for number, cell in enumerate(notebook.cells):
        cell.id, cell.metadata = f"cell-{number:02}", {}
        if cell.cell_type == "code":
            cell.outputs = [_stripped(output) for output in _joined(cell.outputs)]
    nbformat.validate(notebook)
    target = source.with_suffix(".ipynb")
    temporary = target.with_suffix(".tmp")
    temporary.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
    temporary.replace(target)
    return target


def _plain(lines: list[str]) -> str:
    text = []
    for line in lines:
        if line.strip() and not line.startswith("#"):
            raise ValueError(f"a line of Markdown begins with '# ', got '{line}'")
        text.append(line.removeprefix("#").removeprefix(" "))
    return "\n".join(text).strip("\n")


def _joined(outputs: list[Any]) -> list[Any]:
    """The outputs, what was printed in several pieces as one."""
    joined: list[Any] = []
    for output in outputs:
        if output.output_type == "stream" and joined and joined[-1].get("name") == output.name:
            joined[-1].text += output.text
        else:
            joined.append(output)
    return joined


def _stripped(output: Any) -> Any:
    """An output without what differs from run to run, and a picture without the words that stand for it."""
    if "data" in output:
        output["metadata"] = {}
        if "image/png" in output["data"]:
            output["data"] = {"image/png": _small(output["data"]["image/png"])}
    return output


def _small(png: str) -> str:
    """A picture of 128 grays and the 128 colors of magma alone, those that `figures.draw` uses: it takes half the room."""
    import matplotlib as mpl
    import numpy as np
    from PIL import Image

    maps = [mpl.colormaps[name].resampled(128)(np.arange(128))[:, :3] for name in ("gray", "magma")]
    palette = (255 * np.concatenate(maps)).round().astype(np.int32)
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB"), dtype=np.int32)
    found, place = np.unique(picture.reshape(-1, 3), axis=0, return_inverse=True)
    nearest = ((found[:, None] - palette) ** 2).sum(-1).argmin(-1).astype(np.uint8)
    small = Image.fromarray(nearest[place].reshape(picture.shape[:2]), "P")
    small.putpalette(palette.astype(np.uint8).tobytes())
    written = io.BytesIO()
    small.save(written, "PNG", optimize=True)
    return base64.b64encode(written.getvalue()).decode()


if __name__ == "__main__":
    chosen = [source for source in sources() if not sys.argv[1:] or source.name.startswith(tuple(sys.argv[1:]))]
    for one in chosen:
        made = build(one)
        print(f"{made.name}: {made.stat().st_size / 1024:.0f} KiB")
