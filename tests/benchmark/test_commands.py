"""The commands as a user calls them."""

import os
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner, Result

from medrecon.benchmark import page
from medrecon.benchmark.choice import choose
from medrecon.commands.benchmark import benchmark, choose_workers
from medrecon.commands.tune import tune
from medrecon.data.locks import hold_folder
from medrecon.errors import InputError

from .settings import MASK, MRI_DATA, sense, zero_filled

SCENARIO = {
    "name": "brain",
    "data": {**MRI_DATA, "slices": 1},
    "mask": MASK,
    "tuning": {**MRI_DATA, "slices": 1, "seed": 1},
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "b.yaml"
    path.write_text(
        yaml.safe_dump({"name": "b", "mri": {"methods": [zero_filled(), sense()], "scenarios": [SCENARIO]}})
    )
    return path


def call(*arguments: object) -> Result:
    app = typer.Typer()
    app.command("benchmark")(benchmark)
    app.command("tune")(tune)
    return CliRunner().invoke(app, [str(argument) for argument in arguments], standalone_mode=False)


def test_a_benchmark_and_its_tables(config: Path, tmp_path: Path) -> None:
    done = call("benchmark", config, "--output", tmp_path / "out", "--workers", 0, "--set", "resamples=100")
    assert done.exit_code == 0, done.output
    assert "fastmri-v1" in done.output
    assert "2 cases, 0 failed; tables lie in" in done.output
    again = call("benchmark", config, "--output", tmp_path / "out", "--workers", 0, "--set", "resamples=100")
    assert "2 cases, 2 of them from before, 0 failed" in again.output


def test_all_cases_fail(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> object:
        raise ValueError("no center")

    monkeypatch.setattr("medrecon.benchmark.cases.open_inputs", broken)
    done = call("benchmark", config, "--output", tmp_path / "out", "--workers", 0)
    assert "failed: brain, sense, phantom brain, slice 0: no center" in done.output
    assert done.return_value == 2


def test_tuned_settings_come_to_the_benchmark(config: Path, tmp_path: Path) -> None:
    output = tmp_path / "tuned.yaml"
    done = call("tune", "sense", config, "--output", output, "--workers", 0)
    assert done.exit_code == 0, done.output
    assert "trials" in done.output
    again = call("tune", "sense", config, "--output", output, "--workers", 0, "--problem", "brain")
    assert again.exit_code == 0, again.output
    assert "--problem is called --scenario now" in again.output
    with pytest.raises(InputError, match="--scenario head: 'sense' has no such scenario"):
        raise call("tune", "sense", config, "--output", output, "--scenario", "head").exception or AssertionError
    weight = yaml.safe_load(output.read_text())["tuned"][0]["settings"]["weight"]
    changes = ["--set", "mri.methods.1.tuned=tuned.yaml", "--set", "resamples=100"]
    call("benchmark", config, "--output", tmp_path / "out", "--workers", 0, *changes)
    assert f'""weight"": {weight}' in (tmp_path / "out" / "rows.csv").read_text()


def test_workers_are_here_or_elsewhere() -> None:
    with pytest.raises(InputError, match="give one of them"):
        choose_workers(2, "tcp://host:8786")
    assert choose_workers(0, None).count == 0
    one = choose_workers(1, None)
    assert one.threads is not None
    assert one.threads >= 1
    assert choose_workers(None, None).count >= 1
    assert choose_workers(None, "tcp://host:8786").scheduler == "tcp://host:8786"


def test_a_report_beside_the_tables(config: Path, tmp_path: Path) -> None:
    page = tmp_path / "out" / "images.html"
    line = (
        "benchmark",
        config,
        "--output",
        tmp_path / "out",
        "--workers",
        0,
        "--set",
        "resamples=100",
        "--report",
        page,
    )
    done = call(*line, "--report-images", 1)
    assert f"report {page}: 1 image, to look" in done.output
    assert "brain: phantom brain, slice 0" in page.read_text()
    assert call(*line).exit_code == 0  # the page is replaced
    for wrong in (tmp_path / "images.png", tmp_path / "none" / "images.html"):
        refused = call(*line[:-1], wrong)
        assert isinstance(refused.exception, InputError), refused.output
        assert not wrong.exists()


def test_nobody_comes_to_the_folder_between_the_tables_and_the_page(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[str] = []

    def watched(*arguments: Any) -> Any:
        with (
            pytest.raises(InputError, match="is at work there already") as caught,
            hold_folder(out, "another benchmark"),
        ):
            pass
        refused.append(str(caught.value))
        return choose(*arguments)

    monkeypatch.setattr(page, "choose", watched)
    out, report = tmp_path / "out", tmp_path / "r.html"
    done = call("benchmark", config, "-o", out, "--workers", 0, "--set", "resamples=100", "--report", report)
    assert done.exit_code == 0, done.output
    assert refused
    assert report.exists()


def test_a_method_of_ones_own_lies_where_the_command_is_called(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_method_here.py").write_text("def adjoint(y, A):\n    return A.H(y)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    change = "mri.methods.0.method={kind: custom, import: 'my_method_here:adjoint'}"
    done = call("benchmark", config, "-o", "out", "--workers", 0, "--set", change, "--set", "resamples=100")
    assert "2 cases, 0 failed" in done.output


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not bind processes to processors")
def test_workers_share_the_processors_that_the_process_may_use() -> None:
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert choose_workers(1, None).threads == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert choose_workers(1, None).threads == len(allowed)
