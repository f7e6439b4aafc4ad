"""What importing costs, and what it brings."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import medrecon
from medrecon import problem, reconstructors


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    return done.stdout.strip()


@pytest.mark.parametrize(("before", "most"), [("", 40), ("import torch, numpy", 4)])
def test_importing_medrecon_brings_little_and_no_torch(before: str, most: int) -> None:
    code = f"import sys; {before}\nearlier = set(sys.modules); import medrecon; print(*set(sys.modules) - earlier)"
    brought = set(run(code).split())
    assert not {"torch", "numpy"} & brought
    assert 2 <= len(brought) <= most, brought


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
    for name in medrecon.__all__:
        assert getattr(medrecon, name) is not None
    assert set(medrecon.__all__) <= set(dir(medrecon))
    assert medrecon.sense.__module__.startswith("medrecon.operators")
    with pytest.raises(AttributeError, match="No medrecon attribute nonsense"):
        medrecon.nonsense  # noqa: B018


def test_every_reconstructor_and_problem_has_a_public_name() -> None:
    values = set(reconstructors.__all__) - {"Window"}
    problems = set(problem.__all__) - {"radon"}
    assert values | problems <= set(medrecon.__all__)


SCRIPT = """
import medrecon
from medrecon import FastMRIFile, ct_problem, load, open_sinograms, poisson_mask, sense_problem, undersample

sample = FastMRIFile("scan.h5")[0]
problem = sense_problem(undersample(sample, poisson_mask((640, 368), 8, (24, 24), 0)))
x = load("varnet_brain_small")(problem.y, problem.A)
reveal_type(x)
reveal_type(ct_problem([open_sinograms("ct.h5")[0]]))
reveal_type(medrecon.__version__)
reveal_type(medrecon.networks.VarNet)
problem.save("x.png", sample)
medrecon.nonsense
"""


@pytest.mark.slow
def test_type_checkers_see_names_and_types(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    root = str(Path(medrecon.__file__).parents[1])
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache", script]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "MYPYPATH": root}, capture_output=True, text=True, timeout=600
    )
    told = [line.split(": ", 1)[1] for line in done.stdout.splitlines() if line.startswith("script.py")]
    assert told == [
        'note: Revealed type is "torch._tensor.Tensor"',
        'note: Revealed type is "medrecon.problem.Problem"',
        'note: Revealed type is "str"',
        told[3],
        'error: Argument 2 to "save" of "Problem" has incompatible type "KSpaceSample"; expected "Tensor"  [arg-type]',
        'error: Module has no attribute "nonsense"  [attr-defined]',
    ], done.stdout
    assert "medrecon.networks.varnet.VarNet" in told[3]


@pytest.mark.parametrize(("given", "wanted"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")])
def test_threads_sleep_while_they_wait_unless_told_otherwise(given: dict[str, str], wanted: str) -> None:
    code = (
        f"import os; os.environ.pop('OMP_WAIT_POLICY', None); os.environ.update({given!r})\n"
        "from medrecon.cli import main\n"
        "try: main(['--version'])\n"
        "except SystemExit: print(os.environ['OMP_WAIT_POLICY'])"
    )
    assert run(code).splitlines()[-1] == wanted
