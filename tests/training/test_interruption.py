"""Runs that are interrupted before their first step: what is told by then, and that they can be gone on with."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from medrecon.errors import InputError
from medrecon.training.state import RunFolder, read_position
from medrecon.weights.checkpoint import read_metadata
from medrecon.workflows import training
from medrecon.workflows.training import train_network
from tests.training.runs import TINY, losses, settings, written


def interrupt(*_: object) -> Any:
    raise KeyboardInterrupt


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[int, float]]:
    """The losses of a run that nothing disturbed."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    train_network(settings(), run)
    return losses(run)


def test_a_run_that_is_interrupted_while_it_is_measured_can_be_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: list[tuple[int, float]]
) -> None:
    run = RunFolder(tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(training, "estimate_cost", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train_network(settings(), run.path)
    assert read_position(run.last).step == 0
    train_network(settings(), run.path, resume=True)
    assert losses(run.path) == whole


def test_the_weights_that_an_interrupted_run_began_with_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_network(settings(TINY, training__max_steps=1), tmp_path / "first")
    best, run = str(tmp_path / "first" / "best.safetensors"), RunFolder(tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(training, "estimate_cost", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train_network(settings(), run.path, weights=best)
    train_network(settings(), run.path, resume=True)
    train_network(settings(), tmp_path / "whole", weights=best)
    assert losses(run.path) == losses(tmp_path / "whole")
    assert read_metadata(run.last)["card"]["started_from"]["name"] == "tiny"


def test_what_is_done_is_told_before_it_is_done_and_a_run_without_a_checkpoint_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: list[tuple[int, float]]
) -> None:
    told: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(training, "build_task", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train_network(settings(), tmp_path / "run", say=told.append)
    assert [line.partition("; ")[2] for line in told] == ["reading the data"]
    assert not (tmp_path / "run").exists()
    with monkeypatch.context() as patch:
        patch.setattr(training, "estimate_cost", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train_network(settings(), tmp_path / "run", resume=True, say=told.append)
    assert told[1].endswith("holds no checkpoint to go on with; the run begins")
    assert told[-1].startswith("measuring some steps; ")
    train_network(settings(), tmp_path / "run", resume=True, say=told.append)
    assert sum("the run begins" in line for line in told) == 1
    assert losses(tmp_path / "run") == whole


def test_resuming_replaces_no_weights_that_are_no_run(tmp_path: Path) -> None:
    (tmp_path / "best.safetensors").touch()
    with pytest.raises(InputError, match=r"best\.safetensors: are weights that a run would replace"):
        train_network(settings(), tmp_path, resume=True)


def test_a_second_run_is_refused_while_one_trains_into_the_folder(tmp_path: Path) -> None:
    tried = []

    def second(line: str) -> None:
        if line.startswith("measuring"):
            for resume in (False, True):
                done = subprocess.run([*command, *(["--resume"] if resume else [])], capture_output=True, text=True)
                tried.append((done.returncode, done.stderr))

    config, run = written(tmp_path / "c.yaml"), tmp_path / "run"
    command = [sys.executable, "-m", "medrecon", "train", str(config), "-o", str(run), "--device", "cpu"]
    train_network(settings(), run, say=second)
    words = f"medrecon: error: {run}: process {os.getpid()} on {socket.gethostname()} is training there since "
    assert [(status, err.startswith(words), len(err.splitlines())) for status, err in tried] == [(2, True, 1)] * 2
    assert not [path for path in run.iterdir() if path.name.startswith(".")]
    assert len(losses(run)) == 6


def test_of_several_processes_the_first_holds_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = []
    monkeypatch.setattr(
        training, "open_accelerator", lambda *_: held.append((tmp_path / "run").exists()) or interrupt()
    )
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        with pytest.raises(KeyboardInterrupt):
            train_network(settings(), tmp_path / "run")
    assert held == [True, False]


@pytest.mark.parametrize("kept", [True, False])
def test_a_run_that_cannot_be_begun_leaves_nothing_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    def fail(*_: object) -> Any:
        raise InputError("too little memory")

    run = tmp_path / "run"
    if kept:
        run.mkdir()
        (run / "notes.txt").write_text("mine")
    monkeypatch.setattr(training, "estimate_cost", fail)
    with pytest.raises(InputError, match="too little memory"):
        train_network(settings(), run)
    assert run.exists() == kept
    assert not kept or [path.name for path in run.iterdir()] == ["notes.txt"]


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_process_that_is_stopped_before_its_first_step_can_be_resumed(
    tmp_path: Path, whole: list[tuple[int, float]], number: signal.Signals, status: int
) -> None:
    config, run = written(tmp_path / "c.yaml"), tmp_path / "run"
    command = [sys.executable, "-m", "medrecon", "train", str(config), "-o", str(run), "--device", "cpu"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    # A shell that runs the tests in the background lets its children ignore SIGINT.
    listening = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    child = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=listening
    )
    assert child.stdout is not None
    while not child.stdout.readline().startswith("measuring"):
        assert child.poll() is None
    child.send_signal(number)
    _, err = child.communicate(timeout=60)
    assert (child.returncode, len(err.splitlines())) == (status, 1)
    train_network(settings(), run, resume=True)
    assert losses(run) == whole
