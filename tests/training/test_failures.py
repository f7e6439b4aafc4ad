"""What goes wrong in training, and what the user sees: one line, status 2, and nothing lost."""

from __future__ import annotations

import math
import re
import resource
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import pytest
import torch
from torch import Tensor, nn

from medrecon.errors import InputError
from medrecon.networks.execution import explain_compiler_error
from medrecon.operators import LinearOperator
from medrecon.training.cost import estimate_cost
from medrecon.training.failures import TrainingStoppedError
from medrecon.training.loop import train
from medrecon.training.state import RunFolder
from medrecon.weights.checkpoint import Checkpoint, read_checkpoint, read_metadata, write_checkpoint
from medrecon.weights.networks import build_network, load_network
from medrecon.workflows.training import build_card, build_task, open_accelerator, train_network
from tests.program import medrecon, simulate
from tests.training.runs import TINY, TINY_CT, changed, losses, settings, written

EVERY = changed(TINY, training__save_every=1)


class Failing(nn.Module):
    """Raises an error in the given call of training, and in those after it."""

    def __init__(self, network: nn.Module, good: int, error: Exception) -> None:
        super().__init__()
        self.network, self.good, self.error, self.calls = network, good, error, 0

    def forward(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        self.calls += self.training
        if self.calls > self.good:
            raise self.error
        x: Tensor = self.network(y, A)
        return x


@pytest.fixture
def fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks of the program run out of memory in the fifth step: three are measured for the plan."""

    def build(*arguments: Any) -> nn.Module:
        return Failing(
            build_network(*arguments), 3 + 4, torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")
        )

    monkeypatch.setattr("medrecon.workflows.training.build_network", build)


def stripped(path: Path) -> None:
    """Make the checkpoint of a `Failing` network one of the network inside it."""
    checkpoint = read_checkpoint(path)
    tensors = {name.replace("network.network.", "network.", 1): value for name, value in checkpoint.tensors.items()}
    write_checkpoint(path, Checkpoint(tensors, checkpoint.metadata))


@pytest.mark.usefixtures("fails")
def test_too_little_memory_in_a_step_keeps_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, run = written(tmp_path / "c.yaml", EVERY), RunFolder(tmp_path / "run")
    done = medrecon("train", config, "-o", run.path)
    assert done.status == 2
    found = re.match(r"there is not enough memory .* at least ([\d.]+) MiB by the plan; (.*?); (.*)", done.complaint)
    assert found is not None, done.complaint
    plan = estimate_cost(build_task(settings(EVERY)), open_accelerator("fp32"))
    assert float(found[1]) == pytest.approx(plan.memory / 2**20, rel=0.2)
    assert found[2] == (
        "lower training.batch_size from 2, set network.recompute=true, set training.precision=bf16, "
        "lower network.features from 3"
    )
    assert found[3].startswith(f"{run.last} is the last good checkpoint: --resume takes another network.recompute;")
    assert [step for step, _ in losses(run.path)] == [1, 2, 3, 4]
    assert read_metadata(run.last)["run"]["position"]["step"] == 4
    monkeypatch.undo()
    stripped(run.last)
    stripped(run.best)
    fewer = ("--set", "training.batch_size=1")
    assert "training.batch_size" in medrecon("train", config, "-o", run.path, "--resume", *fewer).complaint
    again = medrecon("train", config, "-o", run.path, "--resume", "--set", "network.recompute=true")
    assert "trained 6 steps" in again.out, again.err
    assert found[3].endswith(f"begin with --weights {run.best} --output NEW")
    new = medrecon("train", config, "-o", tmp_path / "new", "--weights", run.best, *fewer)
    assert "trained 10 steps" in new.out, new.err


def test_too_little_memory_for_the_plan_is_said_by_what_the_weights_take() -> None:
    task = build_task(settings())
    task = replace(task, network=Failing(task.network, 0, MemoryError()))
    count = sum(parameter.numel() for parameter in task.network.parameters())
    with pytest.raises(
        InputError, match=f"at least {16 * count / 2**20:.1f} MiB by the plan; lower training.batch_size"
    ):
        estimate_cost(task, open_accelerator("fp32"))


def test_too_little_memory_for_the_plan_of_a_run_that_goes_on_says_what_may_be_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, run = written(tmp_path / "c.yaml", EVERY), RunFolder(tmp_path / "run")
    train_network(settings(EVERY, training__max_steps=1), run.path)
    monkeypatch.setattr(
        "medrecon.workflows.training.build_network", lambda *a: Failing(build_network(*a), 0, MemoryError())
    )
    done = medrecon("train", config, "-o", run.path, "--resume")
    assert done.status == 2
    assert done.complaint.endswith(f"for the rest begin with --weights {run.best} --output NEW")


def test_what_saves_memory_is_what_is_not_done_already() -> None:
    small = settings(TINY, network__recompute=True, training__batch_size=1, training__precision="bf16")
    assert build_task(small).savings == ("lower network.features from 3",)
    network = {"kind": "unet", "initial": "fbp", "features": 3, "pools": 1}
    assert build_task(settings(TINY_CT, network=network)).savings == (
        "lower training.batch_size from 2",
        "set training.precision=bf16",
        "lower network.features from 3",
    )


def test_a_validation_that_is_not_finite_stops_and_keeps_the_weights(tmp_path: Path) -> None:
    class Blind(nn.Module):
        def __init__(self, network: nn.Module) -> None:
            super().__init__()
            self.network = network

        def forward(self, y: Tensor, A: LinearOperator, /) -> Tensor:
            x: Tensor = self.network(y, A)
            return x if self.training else x * float("nan")

    run, task = RunFolder(tmp_path / "run"), build_task(settings(EVERY))
    with pytest.raises(TrainingStoppedError, match=r"epoch 1: the validation loss is nan; .* last good"):
        train(replace(task, network=Blind(task.network)), run, build_card(settings()), open_accelerator("fp32"))
    assert read_metadata(run.last)["run"]["position"]["step"] == 2
    assert not run.best.exists()


@pytest.mark.parametrize("error", [InputError("v.h5: slice 1: is NaN"), KeyboardInterrupt()], ids=["file", "Ctrl-C"])
def test_what_ends_validation_costs_no_epoch(tmp_path: Path, error: BaseException) -> None:
    class Cut(nn.Module):
        def __init__(self, network: nn.Module) -> None:
            super().__init__()
            self.network = network

        def forward(self, y: Tensor, A: LinearOperator, /) -> Tensor:
            if not self.training:
                raise error
            x: Tensor = self.network(y, A)
            return x

    run, whole, task = RunFolder(tmp_path / "run"), RunFolder(tmp_path / "whole"), build_task(settings())
    with pytest.raises(type(error)):
        train(replace(task, network=Cut(task.network)), run, build_card(settings()), open_accelerator("fp32"))
    assert read_metadata(run.last)["run"]["position"]["step"] == 3
    stripped(run.last)
    train_network(settings(), run.path, resume=True)
    train_network(settings(), whole.path)
    assert losses(run.path) == losses(whole.path)


def test_a_loss_that_is_not_finite_is_one_line_and_status_2(tmp_path: Path) -> None:
    config = written(tmp_path / "c.yaml", changed(TINY, optimizer__rate=1e30, training__epochs=9))
    done = medrecon("train", config, "-o", tmp_path / "run")
    assert done.status == 2
    assert re.search(r"step \d+: .* not finite|the loss is (nan|inf)", done.complaint)
    assert "on the batch of phantom" in done.complaint
    assert re.search(
        r"lower optimizer\.rate or set a smaller training\.clip, and go on with --resume, .* begin anew, with --output NEW",
        done.complaint,
    )
    tensors = read_checkpoint(tmp_path / "run" / "last.safetensors").tensors
    assert all(bool(tensor.isfinite().all()) for tensor in tensors.values())
    less = ("--set", "optimizer.rate=1e-3", "--set", "training.clip=0.5")
    again = medrecon("train", config, "-o", tmp_path / "run", "--resume", *less)
    assert "trained 27 steps" in again.out, again.err


def test_images_that_are_moved_out_of_sight_are_said(tmp_path: Path) -> None:
    config = written(tmp_path / "c.yaml", changed(TINY, data__augmentation={"shift": 4000}))
    done = medrecon("train", config, "-o", tmp_path / "run")
    assert done.status == 2
    assert re.search(r"phantom \d: nothing of it is left to scan; lower data\.augmentation\.shift", done.complaint)


def test_a_full_disk_is_said_and_the_last_checkpoint_kept(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    write_checkpoint(path, Checkpoint({"w": torch.ones(3)}, {"card": {}}))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # as a quota does
    try:
        with pytest.raises(InputError, match=r"w\.safetensors: the disk or the quota is full; free some space"):
            write_checkpoint(path, Checkpoint({"w": torch.ones(100_000)}, {"card": {}}))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert read_checkpoint(path).tensors["w"].shape == (3,)
    assert list(tmp_path.iterdir()) == [path]


def test_weights_that_lie_where_a_run_would_write_are_kept(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    train_network(settings(TINY, training__max_steps=1), run.path)
    run.last.unlink()
    before = run.best.read_bytes()
    with pytest.raises(InputError, match=r"best\.safetensors: are weights that a run would replace; give another"):
        train_network(settings(TINY), run.path)
    assert run.best.read_bytes() == before


def test_a_gradient_that_no_scale_of_float16_mends_stops(tmp_path: Path) -> None:
    """Steps are left out while the scale is halved, and not for ever."""
    run, task, accelerator = RunFolder(tmp_path / "run"), build_task(settings(EVERY)), open_accelerator("fp32")
    accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    weights = {name: tensor.clone() for name, tensor in task.network.state_dict().items()}
    for parameter in task.network.parameters():
        parameter.register_hook(lambda gradient: gradient * math.nan)
    with pytest.raises(TrainingStoppedError, match=r"step 2: the gradient is not finite, however .* batch of phantom"):
        train(task, run, build_card(settings()), accelerator)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in task.network.state_dict().items())


def test_weights_of_another_operator_family_say_which(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    train_network(settings(TINY, training__max_steps=1), run.path)
    with pytest.raises(InputError, match=r"was trained on MRI with coil maps .*, and the scan is CT .*weights list"):
        load_network(run.best, "radon")


def test_any_number_of_coils_is_taken(tmp_path: Path) -> None:
    """Trained on 3 coils; coils are summed by their maps, or go through the networks one by one."""
    network = {"kind": "e2e-varnet", "cascades": 1, "features": 3, "pools": 1, "sensitivity_pools": 1}
    coils = {"data__operator": "coils", "network": network}
    for number, values in enumerate(({}, coils)):
        run = RunFolder(tmp_path / f"run{number}")
        wanted = settings(TINY, training__max_steps=1, **values)
        train_network(wanted, run.path)
        trained, _ = load_network(run.best)
        other = build_task(settings(TINY, data__coils=5, **values)).training.read(0, 0)
        assert other.problem.y.shape[0] == 5
        with torch.no_grad():
            assert other.problem.display_image(trained(other.problem.y, other.problem.A)).shape == other.target.shape


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"kind": "brain-small"}, "medrecon data fetch brain-small"),
        ({"kind": "fastmri", "dataset": "fastmri-knee"}, "fastmri-knee is given to those who register"),
        ({"kind": "fastmri", "dataset": "fastmri-knee", "folder": "."}, "medrecon data fetch fastmri-knee"),
        ({"kind": "brain-small", "folder": "."}, "medrecon data fetch brain-small"),
        ({"kind": "brain-small", "folder": "none"}, "medrecon data fetch brain-small"),
    ],
)
def test_data_that_are_missing_say_which_command_gets_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: dict[str, Any], words: str
) -> None:
    monkeypatch.setenv("MEDRECON_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    config = written(tmp_path / "c.yaml", changed(TINY, data={**data, "masks": TINY["data"]["masks"]}))
    done = medrecon("train", config)
    assert done.status == 2
    assert words in done.complaint
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("folder", [None, "none"])
def test_sinograms_that_are_missing_say_which_command_gets_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str | None
) -> None:
    monkeypatch.setenv("MEDRECON_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    data = {"kind": "lodopab", "dataset": "lodopab-small", "folder": folder}
    done = medrecon("train", written(tmp_path / "c.yaml", changed(TINY_CT, data=data)))
    assert done.status == 2
    assert "medrecon data fetch lodopab-small" in done.complaint


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_file_is_named_in_one_line_even_by_a_worker(tmp_path: Path, workers: int) -> None:
    for part in ("multicoil_train", "multicoil_val"):
        (tmp_path / part).mkdir()
        simulate(tmp_path / part / "a.h5", slices=4)
    path = tmp_path / "multicoil_train" / "a.h5"
    values = changed(
        TINY,
        data={"kind": "fastmri", "dataset": "fastmri-knee", "folder": str(tmp_path), "masks": TINY["data"]["masks"]},
        training={"epochs": 1, "workers": workers},
    )
    task = build_task(settings(values))
    with h5py.File(path, "r+") as file:
        file["kspace"][2, 0, 0, 0] = complex("nan")
    with pytest.raises(InputError, match=r"a\.h5") as caught:
        train(task, RunFolder(tmp_path / "run"), build_card(settings(values)), open_accelerator("fp32"))
    assert "Traceback" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(losses(tmp_path / "run")) < 4


def test_a_network_that_does_not_fit_the_data_says_so(tmp_path: Path) -> None:
    config = written(tmp_path / "c.yaml", changed(TINY, network__pools=6))
    done = medrecon("train", config, "-o", tmp_path / "run")
    assert done.status == 2
    assert re.search(r"the network does not fit the data: UNet with 6 poolings .* take fewer poolings", done.complaint)
    assert not (tmp_path / "run").exists()


def test_a_network_that_does_not_fit_an_image_of_validation_says_so(tmp_path: Path) -> None:
    for part, size in (("multicoil_train", (48, 40)), ("multicoil_val", (12, 12))):
        (tmp_path / part).mkdir()
        simulate(tmp_path / part / "a.h5", size=size)
    data = {"kind": "fastmri", "dataset": "fastmri-knee", "folder": str(tmp_path), "masks": TINY["data"]["masks"]}
    config = written(tmp_path / "c.yaml", changed(TINY, data=data, network__pools=4))
    done = medrecon("train", config, "-o", tmp_path / "run")
    assert done.status == 2
    assert re.search(r"the network does not fit the data: UNet with 4 poolings .* take fewer poolings", done.complaint)


def test_a_network_that_does_not_fit_an_image_of_training_says_so(tmp_path: Path) -> None:
    task = build_task(settings(EVERY))
    misfit = replace(task, network=Failing(task.network, 1, ValueError("UNet takes larger images")))
    with pytest.raises(InputError, match="the network does not fit the data: UNet takes larger images"):
        train(misfit, RunFolder(tmp_path / "run"), build_card(settings(EVERY)), open_accelerator("fp32"))


class Doubled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


def _broken(graph: object, inputs: object) -> Any:
    del graph, inputs
    raise RuntimeError("no compiler")


def test_a_compiler_that_fails_says_how_to_do_without() -> None:
    module = Doubled()
    module.compile(backend=_broken)
    words = r"training\.compile: .*no compiler.*; install a C\+\+ compiler, or set training\.compile=false"
    with pytest.raises(InputError, match=words), explain_compiler_error():
        module(torch.ones(1, 2))
    with pytest.raises(RuntimeError, match="else"), explain_compiler_error():
        raise RuntimeError("else")
