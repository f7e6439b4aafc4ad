"""Methods of the user's own, named by where they are imported from."""

from pathlib import Path
from typing import Any

import pytest

from medrecon.benchmark import Workers, run_benchmark
from medrecon.benchmark.schedule import load_benchmark, make_schedule
from medrecon.errors import InputError

from .settings import ct, mri, sense

CODE = """
from dataclasses import dataclass

import torch


def adjoint(y, A):
    return A.H(y)


@dataclass(frozen=True)
class Landweber:
    iterations: int = 3

    def __call__(self, y, A):
        x = torch.zeros_like(A.H(y))
        for _ in range(self.iterations):
            x = x + 1e-2 * A.H(y - A(x))
        return x


class Needs:
    def __init__(self, weight):
        self.weight = weight


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))

    def forward(self, y, A):
        assert not self.training
        return self.scale * A.H(y)


def wrong_shape(y, A):
    return A.H(y)[..., :5]


def nothing(y, A):
    return None


number = 3
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module of the user's, which only this test has."""
    name = f"own_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def own(place: str, name: str = "mine") -> dict[str, Any]:
    return {"name": name, "method": {"kind": "custom", "import": place}}


@pytest.mark.parametrize("name", ["adjoint", "Landweber", "Network"])
def test_a_method_of_ones_own_stands_beside_the_others(module: str, name: str, tmp_path: Path) -> None:
    done = run_benchmark(mri([sense(), own(f"{module}:{name}")]), tmp_path / "out", Workers(0))
    mine = done.rows[1]
    assert mine.done, mine.reason
    assert mine.scores[0].protocol == "fastmri-v1"
    assert mine.residual is not None
    assert mine.settings["import"] == f"{module}:{name}"
    assert mine.settings.get("iterations") == (3 if name == "Landweber" else None)
    assert done.summaries[0].best_classical == "sense"  # gains are over what everybody has
    assert "mine (" in (tmp_path / "out" / "summary.md").read_text()


def test_of_ct(module: str, tmp_path: Path) -> None:
    done = run_benchmark(ct([own(f"{module}:Landweber")]), tmp_path / "out", Workers(0))
    assert all(row.done for row in done.rows)
    assert done.rows[0].scores[0].protocol == "lodopab"


def test_changed_code_is_run_again(module: str, tmp_path: Path) -> None:
    settings = ct([own(f"{module}:adjoint")])
    before = {case.key for case in make_schedule(settings).cases}
    assert {case.key for case in make_schedule(settings).cases} == before
    old = run_benchmark(settings, tmp_path / "out", Workers(0)).rows
    (tmp_path / f"{module}.py").write_text(CODE.replace("return A.H(y)", "return 2 * A.H(y)", 1))
    assert not before & {case.key for case in make_schedule(settings).cases}
    new = run_benchmark(settings, tmp_path / "out", Workers(0))
    assert new.kept == 0
    assert new.rows[0].nmse > 2 * old[0].nmse  # type: ignore[operator]


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("nowhere_at_all:name", r"method 'mine': import nowhere_at_all:name: there is no module nowhere_at_all here"),
        ("{}:name", r"has no name; write package\.module:name"),
        ("{}:number", r"is a int; a method is called as x = method\(y, A\)"),
        ("{}:Needs", r"cannot be made without arguments \(TypeError: .*weight"),
    ],
)
def test_what_cannot_be_imported_is_told_before_anything_runs(
    module: str, place: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=words) as error:
        run_benchmark(mri([own(place.format(module))]), tmp_path / "out", Workers(0))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import not_installed_at_all", "takes the module not_installed_at_all, which is not installed"),
        ("1 / 0", "fails when it is imported (ZeroDivisionError: division by zero)"),
        ("def (", "fails when it is imported (SyntaxError"),
    ],
)
def test_a_module_at_fault(module: str, code: str, words: str, tmp_path: Path) -> None:
    (tmp_path / f"{module}.py").write_text(code)
    with pytest.raises(InputError) as error:
        make_schedule(ct([own(f"{module}:name")]))
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("name", "words"), [("wrong_shape", "is to give images (32, 32), and gave (32, 5)"), ("nothing", "gave NoneType")]
)
def test_what_is_no_image_is_a_failed_row(module: str, name: str, words: str, tmp_path: Path) -> None:
    done = run_benchmark(mri([own(f"{module}:{name}")]), tmp_path / "out", Workers(0))
    assert all(words in row.reason for row in done.rows)


@pytest.mark.parametrize(("place", "words"), [("mine.py", "takes package.module:name"), (None, "import: is missing")])
def test_a_place_in_the_configuration(place: str | None, words: str, tmp_path: Path) -> None:
    method = {"kind": "custom"} if place is None else {"kind": "custom", "import": place}
    path = tmp_path / "b.yaml"
    scenario = {"name": "p", "data": {"kind": "phantom-ct"}}
    import yaml

    path.write_text(
        yaml.safe_dump({"name": "b", "ct": {"methods": [{"name": "m", "method": method}], "scenarios": [scenario]}})
    )
    with pytest.raises(InputError, match=words):
        load_benchmark(path)
