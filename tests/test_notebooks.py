"""Every notebook runs as a script, and its .ipynb holds the same cells and no error."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
LARGEST = 2**20  # bytes
NAMES = sorted(path.stem for path in NOTEBOOKS.glob("[0-9]*.py"))


def load_build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("notebooks_build", NOTEBOOKS / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def notebook(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))
    return found


def outputs(name: str) -> list[dict[str, Any]]:
    return [output for cell in notebook(name)["cells"] for output in cell.get("outputs", [])]


def test_there_are_notebooks() -> None:
    assert len(NAMES) >= 4
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == set(NAMES)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_runs_as_a_script(name: str, tmp_path: Path) -> None:
    environment = {**os.environ, "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(NOTEBOOKS / f"{name}.py")]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("name", NAMES)
def test_holds_the_cells_of_its_source(name: str) -> None:
    source = (NOTEBOOKS / f"{name}.py").read_text(encoding="utf-8")
    wanted = [(cell.kind, cell.text) for cell in load_build().cells_of(source)]
    held = [(cell["cell_type"], "".join(cell["source"])) for cell in notebook(name)["cells"]]
    assert held == wanted, f"{name}.py was changed since its notebook was made: `make notebooks`"


@pytest.mark.parametrize("name", NAMES)
def test_was_run_without_errors(name: str) -> None:
    code = [cell for cell in notebook(name)["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert all(output["output_type"] != "error" for output in outputs(name))
    assert all(output.get("name") != "stderr" for output in outputs(name))
    assert any("image/png" in output.get("data", {}) for output in outputs(name))


@pytest.mark.parametrize("name", NAMES)
def test_is_small_and_knows_no_machine(name: str) -> None:
    path = NOTEBOOKS / f"{name}.ipynb"
    assert path.stat().st_size < LARGEST
    said = "".join("".join(output.get("text", "")) for output in outputs(name))
    for trace in (*(f"/{folder}/" for folder in ("tmp", "home", "root", "work")), "\x1b["):
        assert trace not in said


def test_cells_of_a_source() -> None:
    build = load_build()
    cells = build.cells_of("# %% [markdown]\n# # Title\n#\n# Text.\n\n# %%\nx = 1\n\n\ny = 2  # two\n")
    assert [(cell.kind, cell.text) for cell in cells] == [
        ("markdown", "# Title\n\nText."),
        ("code", "x = 1\n\n\ny = 2  # two"),
    ]
    with pytest.raises(ValueError, match="begins with"):
        build.cells_of("import os\n# %%\n")
    with pytest.raises(ValueError, match="Markdown"):
        build.cells_of("# %% [markdown]\nnot a comment\n")
