"""What importing costs, and what it brings."""

import subprocess
import sys
from statistics import median

import pytest

import medrecon


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


def test_importing_medrecon_is_quick_and_brings_no_torch() -> None:
    code = (
        "import sys, time; start = time.perf_counter(); import medrecon; spent = time.perf_counter() - start;"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules; print(spent)"
    )
    assert median(float(run(code)) for _ in range(5)) < 0.05


def test_importing_medrecon_adds_little_to_torch() -> None:
    code = "import torch, time; start = time.perf_counter(); import medrecon; print(time.perf_counter() - start)"
    assert median(float(run(code)) for _ in range(3)) < 0.05


@pytest.mark.parametrize("arguments", [["--help"], ["reconstruct", "--help"], ["methods"], ["data", "--help"]])
def test_help_needs_no_torch(arguments: list[str]) -> None:
    code = (
        "import sys; from medrecon.cli import main\n"
        f"try: main({arguments!r})\n"
        "except SystemExit as done: assert done.code == 0, done.code\n"
        "heavy = {'torch', 'numpy', 'h5py', 'matplotlib', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    assert run(code)


def test_no_command_imports_the_peers() -> None:
    code = (
        "import sys, importlib, pkgutil, medrecon\n"
        "for found in pkgutil.walk_packages(medrecon.__path__, 'medrecon.'):\n"
        "    if not found.name.endswith('__main__'): importlib.import_module(found.name)\n"
        "print({'sigpy', 'fastmri', 'skimage'} & set(sys.modules))"
    )
    assert run(code) == "set()"


def test_every_public_name_is_there_and_of_its_own_module() -> None:
    assert set(medrecon._HOME) == set(medrecon.__all__) <= set(dir(medrecon))
    for name in medrecon.__all__:
        assert getattr(medrecon, name) is not None
    assert medrecon.sense.__module__.startswith("medrecon.operators")
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        medrecon.nonsense  # noqa: B018


@pytest.mark.parametrize(("given", "wanted"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")])
def test_threads_sleep_while_they_wait_unless_told_otherwise(given: dict[str, str], wanted: str) -> None:
    code = (
        f"import os; os.environ.pop('OMP_WAIT_POLICY', None); os.environ.update({given!r})\n"
        "from medrecon.cli import main\n"
        "try: main(['--version'])\n"
        "except SystemExit: print(os.environ['OMP_WAIT_POLICY'])"
    )
    assert run(code).splitlines()[-1] == wanted
