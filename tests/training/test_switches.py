"""Compiled networks, and weights that lie channels last: what they may change, and what they may not."""

from functools import partial
from pathlib import Path

import pytest
import torch

from medrecon.networks import UNet, compile_unets
from medrecon.training.state import RunFolder
from medrecon.weights.checkpoint import read_checkpoint
from medrecon.weights.networks import load_network
from medrecon.workflows.training import build_task, train_network
from tests.training.runs import TINY, losses, settings

#: torch itself calls what it has deprecated, and looks at gradients of tensors that are no leaves, when it compiles.
WARNS = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:The .grad attribute:UserWarning")


def names(path: Path) -> list[str]:
    return sorted(read_checkpoint(path).tensors)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    run = RunFolder(tmp_path_factory.mktemp("plain") / "run")
    train_network(settings(), run.path)
    return run


@WARNS
def test_compiled_networks_give_the_same_losses_and_names(
    plain: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a backend that takes the graph as it is, so that no compiler is needed."""
    compiled = partial(compile_unets, backend="eager")
    monkeypatch.setattr("medrecon.workflows.training.compile_unets", compiled)
    run = RunFolder(tmp_path / "run")
    train_network(settings(TINY, training__compile=True, training__max_steps=3), run.path)
    train_network(settings(), run.path, resume=True)
    assert [loss for _, loss in losses(run.path)] == pytest.approx([loss for _, loss in losses(plain.path)], rel=1e-4)
    assert names(run.last) == names(plain.last)
    assert names(run.best) == names(plain.best)
    load_network(run.best)


@WARNS
def test_compiling_is_left_to_the_first_call() -> None:
    """So a machine without a compiler can read and change what it does not run."""
    network = build_task(settings(TINY, training__compile=True)).network
    unets = [module for module in network.modules() if isinstance(module, UNet)]
    assert len(unets) == 2
    assert all(unet._compiled_call_impl is not None for unet in unets)
    plain = build_task(settings()).network
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), plain.parameters(), strict=True))


def test_channels_last_lays_weights_out_and_changes_no_loss(plain: RunFolder, tmp_path: Path) -> None:
    wanted, run = settings(TINY, training__channels_last=True), RunFolder(tmp_path / "run")
    weights = [weight for weight in build_task(wanted).network.parameters() if weight.ndim == 4]
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in weights)
    assert not all(weight.is_contiguous() for weight in weights)
    train_network(wanted, run.path)
    assert [loss for _, loss in losses(run.path)] == pytest.approx([loss for _, loss in losses(plain.path)], rel=1e-4)
    assert names(run.last) == names(plain.last)
    assert all(tensor.is_contiguous() for tensor in read_checkpoint(run.best).tensors.values())
    load_network(run.best)


def test_a_run_may_be_gone_on_with_in_another_layout(plain: RunFolder, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    train_network(settings(TINY, training__channels_last=True, training__max_steps=3), run.path)
    train_network(settings(), run.path, resume=True)
    assert [loss for _, loss in losses(run.path)] == pytest.approx([loss for _, loss in losses(plain.path)], rel=1e-4)
