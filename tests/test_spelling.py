"""The spelling check of `make lint`: American, in names as in words."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("normalised_field = 1", "normalised"),
        ("class CTCentredFourier: ...", "Centred"),
        ("# the colour of teh picture", "colour"),
        ("normalized_field = catalogue.gray_center", ""),
    ],
)
def test_names_are_checked_as_words_are(tmp_path: Path, line: str, found: str) -> None:
    path = tmp_path / "code.py"
    path.write_text(line + "\n")
    command = [sys.executable, "-m", "codespell_lib", "--toml", str(ROOT / "pyproject.toml"), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert found in done.stdout
    assert bool(done.returncode) == bool(found)
