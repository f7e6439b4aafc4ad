"""`medrecon train` and `medrecon weights` as a user meets them."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from medrecon.commands.console import COMPLAIN_TO
from medrecon.commands.launch import launch
from medrecon.training.logs import read_table
from medrecon.training.state import RunFolder
from medrecon.training.validation import validate
from medrecon.weights.checkpoint import Checkpoint, read_metadata, write_checkpoint
from medrecon.weights.networks import load_network
from medrecon.workflows.training import build_task, open_accelerator
from tests.program import medrecon
from tests.training.runs import TINY, TINY_CT, losses, settings, written


def test_train_prints_a_plan_and_weights_are_listed_and_shown(tmp_path: Path) -> None:
    config, run = written(tmp_path / "c.yaml"), tmp_path / "runs" / "a"
    done = medrecon("train", config, "-o", run, "--set", "training.epochs=1")
    assert (done.status, done.err) == (0, "")
    for words in ("parameters: ", "samples: 5 to train, 2 to validate", "steps: 3 an epoch", "memory: ", "time: "):
        assert words in done.out
    assert "trained 3 steps" in done.out
    listed = medrecon("weights", "list", "--folder", tmp_path / "runs")
    assert listed.status == 0
    assert "varnet" in listed.out
    assert "2 samples; fastmri-v1" in listed.out
    shown = medrecon("weights", "show", run / "best.safetensors")
    assert '"operator": "sense"' in shown.out
    assert '"protocol": "fastmri-v1 (means over slices)"' in shown.out
    again = medrecon("train", config, "-o", run, "--set", "training.epochs=2", "--resume")
    assert "trained 6 steps" in again.out
    assert "the run begins" not in again.out
    begun = medrecon("train", config, "-o", tmp_path / "new", "--set", "training.max_steps=1", "--resume")
    assert (begun.status, begun.err) == (0, "")
    assert "new: holds no checkpoint to go on with; the run begins" in begun.out


@pytest.mark.parametrize(("emulated", "precision"), [(True, "bf16"), (True, "fp32"), (False, "bf16")])
def test_the_plan_says_where_bfloat16_is_the_slower_choice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, emulated: bool, precision: str
) -> None:
    monkeypatch.setattr("medrecon.workflows.training.emulates_bfloat16", lambda _device: emulated)
    short = ("--set", "training.max_steps=1", "--set", f"training.precision={precision}")
    done = medrecon("train", written(tmp_path / "c.yaml"), "-o", tmp_path / "run", *short)
    assert done.status == 0
    assert ("set training.precision=fp32" in done.out) == (emulated and precision == "bf16")


@pytest.mark.parametrize(("operator", "protocol"), [("radon", "lodopab"), ("coils", "fastmri-v1 (means over slices)")])
def test_a_card_from_before_protocols_were_named_is_shown_with_its_own(
    tmp_path: Path, operator: str, protocol: str
) -> None:
    scores = {"loss": 0.1, "psnr": 30.0, "ssim": 0.9, "samples": 7}
    card = {"operator": operator, "configuration": {}, "metrics": {"validation": scores, "test": None}}
    path = tmp_path / "old.safetensors"
    write_checkpoint(path, Checkpoint({"w": torch.zeros(1)}, {"card": card}))
    listed = medrecon("weights", "list", "--folder", tmp_path)
    for words in ("30.00 dB", "SSIM 0.9000", f"7 samples; {protocol.partition(' ')[0]}"):
        assert words in listed.out
    shown = json.loads(medrecon("weights", "show", path).out)
    assert shown["metrics"] == {"validation": {**scores, "protocol": protocol}, "test": None}
    write_checkpoint(path, Checkpoint({"w": torch.zeros(1)}, {"card": {"of": "another program"}}), overwrite=True)
    assert json.loads(medrecon("weights", "show", path).out) == {"of": "another program"}


def test_a_run_may_begin_with_weights_and_its_card_says_so(tmp_path: Path) -> None:
    config, first, second = written(tmp_path / "c.yaml"), tmp_path / "first", tmp_path / "second"
    assert medrecon("train", config, "-o", first, "--set", "training.epochs=1").status == 0
    still = ("--set", "training.epochs=1", "--set", "optimizer.rate=1e-12")
    done = medrecon("train", config, "-o", second, "--weights", first / "best.safetensors", *still)
    assert (done.status, done.err) == (0, "")
    one, other = (load_network(run / "best.safetensors") for run in (first, second))
    for name, tensor in one[0].state_dict().items():
        torch.testing.assert_close(other[0].state_dict()[name], tensor, rtol=0, atol=1e-6)
    assert other[1]["started_from"]["name"] == "tiny"
    assert other[1]["started_from"]["trained_steps"] == 3
    assert "data" not in other[1]["started_from"]  # they are those of the card
    assert "started_from" not in one[1]
    third = medrecon("train", config, "-o", tmp_path / "third", "--weights", second / "best.safetensors", *still)
    assert third.status == 0
    links = read_metadata(RunFolder(tmp_path / "third").last)["card"]["started_from"]
    assert links["started_from"] == other[1]["started_from"]
    resumed = medrecon("train", config, "-o", second, "--resume", *still, "--set", "training.epochs=2")
    assert resumed.status == 0
    assert read_metadata(RunFolder(second).last)["card"]["started_from"]["name"] == "tiny"
    other_size = medrecon(
        "train", config, "-o", tmp_path / "x", "--weights", first / "best.safetensors", "--set", "network.cascades=1"
    )
    assert other_size.status == 2
    assert "the weights are of another network" in other_size.err
    both = medrecon("train", config, "-o", second, "--resume", "--weights", first / "best.safetensors")
    assert (both.status, "leave out --weights or --resume" in both.err) == (2, True)
    begun = medrecon(
        "train", config, "-o", tmp_path / "new", "--resume", "--weights", first / "best.safetensors", *still
    )
    assert (begun.status, begun.err) == (0, "")
    assert read_metadata(RunFolder(tmp_path / "new").last)["card"]["started_from"]["name"] == "tiny"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train", "CONFIG", "--set", "training.epoch=1"), "training.epoch: there is no such key"),
        (("train", "none.yaml"), "no such file"),
        (("weights", "show", "none"), "no such file of weights"),
        (("weights", "list", "--folder", "none"), "is no folder"),
    ],
)
def test_what_is_wrong_is_one_line_and_status_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    config = written(tmp_path / "c.yaml")
    done = medrecon(*(config if argument == "CONFIG" else argument for argument in arguments))
    assert done.status == 2
    assert words in done.complaint


@pytest.mark.parametrize("values", [TINY, TINY_CT], ids=["mri", "ct"])
def test_weights_are_scored_on_what_they_have_not_seen_and_passed_on(tmp_path: Path, values: dict[str, object]) -> None:
    best, out = tmp_path / "run" / "best.safetensors", tmp_path / "mine.safetensors"
    medrecon("train", written(tmp_path / "c.yaml", values), "-o", best.parent, "--set", "training.epochs=1")
    before = read_metadata(best)["card"]["metrics"]
    seen = medrecon("weights", "score", best, "--part", "validation", "--device", "cpu")
    assert f"{before['validation']['psnr']:.2f} dB" in seen.out
    assert read_metadata(best)["card"]["metrics"] == before
    done = medrecon("weights", "score", best, "--record", "--device", "cpu")
    test = read_metadata(best)["card"]["metrics"]["test"]
    assert (done.status, done.err) == (0, "")
    (low, high), (worse, better) = test["psnr_interval"], test["ssim_interval"]
    assert low < test["psnr"] < high
    assert worse < test["ssim"] < better
    quality = f"{test['psnr']:.2f} dB [{low:.2f}, {high:.2f}], SSIM {test['ssim']:.4f} [{worse:.4f}, {better:.4f}]"
    assert f"best, test: {quality}, 2 samples; {test['protocol']}" in done.out
    listed = medrecon("weights", "list", "--folder", best.parent)
    assert f"[{low:.2f}, {high:.2f}]" in listed.out
    assert test["psnr"] != before["validation"]["psnr"]
    assert medrecon("weights", "export", best, "--output", out).status == 0
    assert out.stat().st_size < best.stat().st_size
    assert json.loads(out.with_suffix(".json").read_text())["metrics"]["test"] == test
    again = medrecon("weights", "export", best, "--output", out)
    assert (again.status, "--overwrite" in again.err) == (2, True)
    for wrong, words in (
        (("--part", "train"), "were trained on it"),
        (("--part", "x"), "there is no part 'x'"),
        (("--folder", tmp_path), "leave it out"),
    ):
        failed = medrecon("weights", "score", best, "--device", "cpu", *wrong)
        assert (failed.status, words in failed.complaint) == (2, True)


def test_damaged_weights_are_listed_as_such(tmp_path: Path) -> None:
    torch.save({}, tmp_path / "old.safetensors")
    done = medrecon("weights", "list", "--folder", tmp_path)
    assert done.status == 0
    assert "pickled" in done.out


def _in_processes(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "medrecon", *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, timeout=120, check=False, capture_output=True, text=True)


@pytest.mark.slow
def test_two_processes_with_unequal_shares_finish_and_agree(tmp_path: Path) -> None:
    values = {**TINY, "data": {**TINY["data"], "train": 5, "validation": 3}, "training": {"epochs": 2, "batch_size": 1}}
    config, run = written(tmp_path / "c.yaml", values), RunFolder(tmp_path / "run")
    done = _in_processes("train", config, "-o", run.path, "--devices", 2, "--device", "cpu")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("parameters: ") == done.stdout.count("trained 6 steps") == 1
    assert [step for step, _ in losses(run.path)] == [1, 2, 3, 4, 5, 6]  # 5 samples, one repeated, by two processes
    network, card = load_network(run.best)
    task = build_task(settings(values))
    scores = validate(network, task.loss, task.validation, open_accelerator("fp32"))
    assert card["metrics"]["validation"]["samples"] == scores.samples == 3
    assert card["metrics"]["validation"]["loss"] == pytest.approx(scores.loss, rel=1e-5)
    assert float(read_table(run.path / "epochs.csv")[-1]["psnr"]) > 0


@pytest.mark.parametrize(
    ("statuses", "wanted"),
    [((0, 0), 0), ((2, -6), 2), ((2, 1), 2), ((-15, 3), 3), ((0, 2), 2), ((1, 2), 2), ((1, -9), 1), ((-6, 0), 1)],
)
def test_the_status_of_several_processes_is_that_of_the_one_that_said_what_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], statuses: tuple[int, int], wanted: int
) -> None:
    class Ended:
        def __init__(self, *_: object, env: dict[str, str], **__: object) -> None:
            self.returncode = statuses[int(env["RANK"])]
            if self.returncode > 0:
                Path(env[COMPLAIN_TO]).write_text(f"status {self.returncode}\n", encoding="utf-8")

        def poll(self) -> int:
            return self.returncode

        def wait(self, _seconds: float = 0.0) -> int:
            return self.returncode

    monkeypatch.setattr("medrecon.commands.launch.subprocess.Popen", Ended)
    assert launch(["train"], 2) == wanted
    told = capsys.readouterr().err
    if statuses == (1, -9):
        assert "process 1 of 2 was killed from outside, by a lack of memory perhaps; what was saved stays" in told
    else:
        assert told == (f"status {wanted}\n" if max(statuses) > 0 else "")


def test_what_ends_several_processes_ends_them_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM to the one that started them, whose own handler it has again afterwards."""
    started: list[subprocess.Popen[bytes]] = []

    def waiting(*_: object, **__: object) -> subprocess.Popen[bytes]:
        started.append(real([sys.executable, "-c", "import time; time.sleep(60)"]))
        return started[-1]

    real, before = subprocess.Popen, signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("medrecon.commands.launch.subprocess.Popen", waiting)
    monkeypatch.setattr("medrecon.commands.launch._wait", lambda _: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(SystemExit) as ended:
        launch(["train"], 2)
    assert ended.value.code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == before
    assert [child.returncode for child in started] == [-signal.SIGTERM, -signal.SIGTERM]


def test_the_program_says_that_several_processes_were_told_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medrecon.commands.launch._wait", lambda _: os.kill(os.getpid(), signal.SIGTERM))
    real = subprocess.Popen
    waiting = [sys.executable, "-c", "import time; time.sleep(60)"]
    monkeypatch.setattr("medrecon.commands.launch.subprocess.Popen", lambda *_, **__: real(waiting))
    done = medrecon("train", written(tmp_path / "c.yaml"), "-o", tmp_path / "run", "--devices", 2)
    assert (done.status, done.complaint.partition(";")[0]) == (143, "told to end")


@pytest.mark.slow
def test_a_fault_in_two_processes_is_one_line_and_status_2(tmp_path: Path) -> None:
    values = {**TINY, "optimizer": {"kind": "adam", "rate": 1e30}, "training": {"epochs": 9, "batch_size": 1}}
    config = written(tmp_path / "c.yaml", values)
    done = _in_processes("train", config, "-o", tmp_path / "run", "--devices", 2, "--device", "cpu")
    assert done.returncode == 2
    assert done.stderr.count("medrecon: error: ") == len(done.stderr.splitlines()) == 1
    assert "on the batch of phantom" in done.stderr
