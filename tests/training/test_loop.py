"""A training run: what it learns, where it stops, and that a resumed one gives the same losses."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from medrecon.device import DeviceName
from medrecon.errors import InputError
from medrecon.operators import LinearOperator
from medrecon.training.cost import estimate_cost
from medrecon.training.failures import TrainingStoppedError, explain_out_of_memory
from medrecon.training.logs import read_table
from medrecon.training.loop import train
from medrecon.training.state import RunFolder
from medrecon.training.task import Task
from medrecon.weights.card import copy_weights, record_scores
from medrecon.weights.checkpoint import read_checkpoint, read_metadata
from medrecon.weights.networks import load_network
from medrecon.weights.scores import Scores
from medrecon.workflows.training import build_card, build_task, open_accelerator, train_network
from tests.training.runs import TINY, TINY_CT, changed, losses, settings, written


class Faulty(nn.Module):
    """Gives `value` in place of an image from the given call on."""

    def __init__(self, network: nn.Module, good: int, value: float) -> None:
        super().__init__()
        self.network, self.good, self.value, self.calls = network, good, value, 0

    def forward(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        self.calls += self.training
        x: Tensor = self.network(y, A)
        return x if self.calls <= self.good else x * self.value


def weights(path: Path) -> dict[str, Tensor]:
    return dict(read_checkpoint(path).tensors)


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("values", [TINY, TINY_CT], ids=["mri", "ct"])
def test_losses_fall_and_the_best_weights_have_a_card(tmp_path: Path, values: dict[str, object]) -> None:
    run = RunFolder(tmp_path / "run")
    wanted = settings(values, training__epochs=6, optimizer__rate=5e-3)
    position = train_network(wanted, run.path)
    assert (position.epoch, position.batch, position.step) == (6, 0, len(losses(run.path)))
    epochs = read_table(run.path / "epochs.csv")
    assert float(epochs[-1]["train_loss"]) < 0.9 * float(epochs[0]["train_loss"])
    card = json.loads(run.card.read_text())
    assert card == read_metadata(run.best)["card"]
    assert card["metrics"]["validation"]["loss"] == min(float(row["loss"]) for row in epochs) == position.best
    assert card["configuration"] == wanted.model_dump(mode="json")
    assert card["operator"] == ("sense" if values is TINY else "radon")
    protocol = "fastmri-v1 (means over slices)" if values is TINY else "lodopab"
    assert card["metrics"]["validation"]["protocol"] == protocol
    assert {"intended_use", "normalization", "data", "medrecon"} <= card.keys()
    assert list((run.path / "tensorboard").iterdir())
    network, _ = load_network(run.best)
    assert equal(dict(network.state_dict()), weights(run.best))


def test_scores_are_noted_and_weights_shipped_in_half_precision(tmp_path: Path) -> None:
    run, shipped = RunFolder(tmp_path / "run"), tmp_path / "shipped.safetensors"
    train_network(settings(), run.path)
    record_scores(run.best, "test", Scores(0.1, 30.0, 0.9, 7, (28.5, 31.0)))
    card = read_metadata(run.best)["card"]
    intervals = {"psnr_interval": [28.5, 31.0], "ssim_interval": None}
    named = {"loss": 0.1, "psnr": 30.0, "ssim": 0.9, "samples": 7, "protocol": "fastmri-v1 (means over slices)"}
    assert card["metrics"]["test"] == {**named, **intervals}
    assert card["metrics"]["validation"]["samples"] == 2
    copy_weights(run.best, shipped)
    assert shipped.stat().st_size < run.best.stat().st_size
    network, same = load_network(shipped)
    assert same == card == json.loads(shipped.with_suffix(".json").read_text())
    whole = weights(run.best)
    for name, tensor in network.state_dict().items():
        assert torch.allclose(tensor, whole[name], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("stop", [1, 3, 4])
def test_a_run_that_ended_early_goes_on_bit_for_bit(tmp_path: Path, stop: int) -> None:
    whole, parts = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "parts")
    train_network(settings(TINY, training__save_every=1), whole.path)
    train_network(settings(TINY, training__save_every=1, training__max_steps=stop), parts.path)
    train_network(settings(TINY, training__save_every=1), parts.path, resume=True)
    assert len(losses(whole.path)) == 6
    assert equal(weights(whole.last), weights(parts.last))


@pytest.mark.slow
def test_a_killed_run_goes_on_with_the_same_losses(tmp_path: Path) -> None:
    values = changed(TINY, training__epochs=9, training__save_every=2, training__clip=None)
    config, run, whole = (
        written(tmp_path / "c.yaml", values),
        RunFolder(tmp_path / "run"),
        RunFolder(tmp_path / "whole"),
    )
    command = [sys.executable, "-m", "medrecon", "train", str(config), "-o", str(run.path)]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 60
    while len(losses(run.path)) < 7 and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert 0 < len(losses(run.path)) < 27
    (run.path / ".last.safetensors.0123.safetensors").write_bytes(b"half")
    train_network(settings(values), run.path, resume=True)
    train_network(settings(values), whole.path)
    assert [step for step, _ in losses(run.path)] == list(range(1, 28))
    assert not [path for path in run.path.iterdir() if path.name.startswith(".")]
    assert [loss for _, loss in losses(run.path)] == pytest.approx([loss for _, loss in losses(whole.path)], rel=1e-6)
    scores = ([float(row["loss"]) for row in read_table(one.path / "epochs.csv")] for one in (run, whole))
    assert next(scores) == pytest.approx(next(scores), rel=1e-6)


def test_workers_give_the_same_losses(tmp_path: Path) -> None:
    train_network(settings(), tmp_path / "none")
    train_network(settings(TINY, training__workers=1), tmp_path / "one")
    assert losses(tmp_path / "none") == losses(tmp_path / "one")


def _trained(task: Task, run: RunFolder) -> None:
    train(task, run, build_card(settings()), open_accelerator("fp32"))


def test_the_plan_counts_the_steps_that_are_left(tmp_path: Path) -> None:
    run, cut = RunFolder(tmp_path / "run"), settings(TINY, training__epochs=9, training__max_steps=4)
    plan = estimate_cost(build_task(cut), open_accelerator("fp32"))
    assert (plan.steps, plan.done, plan.seconds) == (4, 0, pytest.approx(4 * plan.step))
    assert "3 an epoch of batches of 2, 4 steps, on" in plan.lines()[2]
    train_network(cut, run.path)
    plan = estimate_cost(build_task(settings()), open_accelerator("fp32"), run)
    assert (plan.steps, plan.done, plan.seconds) == (6, 4, pytest.approx(2 * plan.step))
    assert "3 an epoch of batches of 2, 2 epochs, of which 4 steps are done, on" in plan.lines()[2]
    assert "are left, and validation" in plan.lines()[-1]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_and_says_which_batch(tmp_path: Path, value: float) -> None:
    run, task = RunFolder(tmp_path / "run"), build_task(settings(TINY, training__save_every=1))
    with pytest.raises(
        TrainingStoppedError, match=r"epoch 2, step 5: the loss is .* on the batch of phantom \d"
    ) as caught:
        _trained(replace(task, network=Faulty(task.network, 4, value)), run)
    assert str(run.last) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert all(bool(tensor.isfinite().all()) for tensor in weights(run.last).values())
    assert read_metadata(run.last)["run"]["position"]["step"] == 4


def test_a_gradient_that_is_not_finite_stops_before_it_is_taken(tmp_path: Path) -> None:
    def loss(prediction: Tensor, target: Tensor, _: Tensor, /) -> Tensor:
        return (prediction - target).abs().mean() + (0 * prediction).sqrt().sum()

    run, task = RunFolder(tmp_path / "run"), build_task(settings())
    before = {name: tensor.clone() for name, tensor in task.network.state_dict().items()}
    with pytest.raises(TrainingStoppedError, match="step 1: the gradient is not finite"):
        _trained(replace(task, loss=loss), run)
    assert equal(before, dict(task.network.state_dict()))


def test_validation_that_does_not_improve_ends_the_run(tmp_path: Path) -> None:
    wanted = settings(TINY, training__epochs=50, training__patience=2, optimizer__rate=1e-30)
    position = train_network(wanted, tmp_path / "run")
    assert (position.epoch, position.epochs_since_best) == (3, 2)
    assert train_network(wanted, tmp_path / "run", resume=True) == position
    more = settings(TINY, training__epochs=50, training__patience=4, optimizer__rate=1e-30)
    assert train_network(more, tmp_path / "run", resume=True).epoch == 5


def test_float16_is_refused_on_the_cpu() -> None:
    with pytest.raises(InputError, match="fp16 takes a GPU"):
        open_accelerator("fp16", DeviceName.CPU)


def test_the_plan_changes_nothing_and_counts() -> None:
    task, untouched = build_task(settings()), build_task(settings())
    plan = estimate_cost(task, open_accelerator("fp32"))
    assert (plan.samples, plan.validation_samples, plan.steps_per_epoch, plan.epochs) == (5, 2, 3, 2)
    assert plan.parameters == sum(parameter.numel() for parameter in task.network.parameters())
    (stage,) = plan.stages
    assert stage.measured.seconds > 0
    assert plan.step == stage.measured.seconds + stage.reading
    assert replace(plan, workers=4).step == max(stage.measured.seconds, stage.reading / 4)
    assert stage.measured.activations > 2 * 24 * 20 * 8
    assert all(parameter.grad is None for parameter in task.network.parameters())
    assert equal(dict(task.network.state_dict()), dict(untouched.network.state_dict()))
    assert any("5 to train, 2 to validate" in line for line in plan.lines())
    assert "stages" not in " ".join(plan.lines())


def test_the_plan_measures_every_stage_whose_samples_are_of_another_size() -> None:
    whole = estimate_cost(build_task(settings(TINY, data__size=[64, 20])), open_accelerator("fp32"))
    bands = [{"until": 3, "rows": 16}, {"until": 5, "rows": 32}]
    wanted = settings(TINY, data__size=[64, 20], data__bands=bands, training__epochs=9)
    plan = estimate_cost(build_task(wanted), open_accelerator("fp32"))
    assert [stage.epochs for stage in plan.stages] == [3, 2, 4]
    kept = [stage.measured.activations for stage in plan.stages]
    assert kept == sorted(set(kept))
    assert plan.memory == whole.memory == 16 * plan.parameters + kept[-1]
    steps = [stage.epochs * (stage.measured.seconds + stage.reading) for stage in plan.stages]
    assert plan.seconds == pytest.approx(sum(steps) * plan.steps_per_epoch)
    assert "in the mean of 3 stages" in plan.lines()[-1]
    stopped = wanted.model_copy(update={"training": wanted.training.model_copy(update={"max_steps": 10})})
    assert [stage.epochs for stage in estimate_cost(build_task(stopped), open_accelerator("fp32")).stages] == [3, 1]


def test_the_plan_measures_the_views_of_every_stage_of_ct() -> None:
    wanted = settings(TINY_CT, data__curriculum=[{"until": 1, "views": 3}], training__epochs=3)
    plan = estimate_cost(build_task(wanted), open_accelerator("fp32"))
    assert [stage.epochs for stage in plan.stages] == [1, 2]
    assert plan.memory > 16 * plan.parameters + plan.stages[0].measured.activations


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA"),
        MemoryError(),
        RuntimeError("can't allocate memory: 9 bytes"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    ],
)
def test_too_little_memory_says_what_to_lower(error: Exception) -> None:
    savings = ("lower training.batch_size from 4", "set network.recompute=true")
    words = (
        r"at least 1\.50 GiB by the plan; lower training\.batch_size from 4, set network\.recompute=true; x is kept$"
    )
    with pytest.raises(InputError, match=words), explain_out_of_memory(3 << 29, savings, "x is kept"):
        raise error
    with pytest.raises(RuntimeError, match="else"), explain_out_of_memory(3 << 29, savings):
        raise RuntimeError("something else")


def test_folders_and_settings_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    run = tmp_path / "run"
    train_network(settings(TINY, training__max_steps=1), run, resume=True)  # begins it, where there is none
    with pytest.raises(InputError, match="--resume"):
        train_network(settings(), run)
    with pytest.raises(InputError, match=r"network\.features: 3 and 4"):
        train_network(settings(TINY, network__features=4), run, resume=True)
    (run / "last.safetensors").write_bytes((run / "best.safetensors").read_bytes())
    with pytest.raises(InputError, match="weights alone"):
        train_network(settings(), run, resume=True)


def test_reduced_precision_learns_too(tmp_path: Path) -> None:
    train_network(settings(TINY, training__precision="bf16"), tmp_path / "half")
    train_network(settings(), tmp_path / "single")
    half, single = ([loss for _, loss in losses(tmp_path / name)] for name in ("half", "single"))
    assert half == pytest.approx(single, rel=0.05)
    assert half != single
