"""What `pip install` brings: the files of the wheel."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from medrecon.config.shipped import config_names

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    pytest.importorskip("hatchling", reason="the wheel is built by hatchling, which `make test` installs")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def files(folder: str, pattern: str) -> set[str]:
    return {str(path.relative_to(ROOT / folder)) for path in (ROOT / folder).rglob(pattern)}


def test_the_wheel_has_all_that_is_read_at_run_time(names: set[str]) -> None:
    assert {"medrecon/__init__.pyi", "medrecon/py.typed"} <= names
    for folder in ("configs", "data_manifests"):
        assert {f"medrecon/{folder}/{name}" for name in files(folder, "*.yaml")} <= names
    assert {f"medrecon/configs/{name}.yaml" for name in config_names()} <= names
    for pattern in ("*.py", "*.safetensors", "*.json", "*.html", "*.css", "*.js"):
        assert {f"medrecon/{name}" for name in files("medrecon", pattern)} <= names


def test_the_wheel_has_nothing_else(names: set[str]) -> None:
    assert {name.split("/")[0].split("-")[0] for name in names} == {"medrecon"}
    assert not {name for name in names if "__pycache__" in name or name.endswith(".h5")}
