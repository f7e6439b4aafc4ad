"""What a run that goes on may change, and what it refuses: other data, other versions, broken checkpoints."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

from medrecon.config.files import load_settings
from medrecon.config.training import TrainingSettings
from medrecon.errors import InputError
from medrecon.training.logs import read_table
from medrecon.training.loop import train
from medrecon.training.state import Position, RunFolder
from medrecon.weights.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from medrecon.weights.networks import load_network
from medrecon.workflows.training import build_card, build_task, open_accelerator, train_network
from tests.program import medrecon, simulate
from tests.training.runs import TINY, changed, losses, settings, written

EVERY = changed(TINY, training__save_every=1)


def test_a_run_goes_on_with_another_rate_and_clip(tmp_path: Path) -> None:
    runs = [RunFolder(tmp_path / name) for name in ("same", "slower", "clipped")]
    changes: list[dict[str, object]] = [{}, {"optimizer__rate": 1e-5}, {"training__clip": 1e-6}]
    for run, change in zip(runs, changes, strict=True):
        train_network(settings(EVERY, training__max_steps=4), run.path)
        told: list[str] = []
        train_network(settings(EVERY, **change), run.path, resume=True, say=told.append)
        assert told[0].startswith("goes on with other settings than before: ")
        assert "training.max_steps: 4 and None" in told[0]
    same, slower, clipped = ([float(row["rate"]) for row in read_table(run.path / "steps.csv")] for run in runs)
    assert slower == pytest.approx([*same[:4], *(rate / 100 for rate in same[4:])])
    assert clipped == same
    final = [[loss for _, loss in losses(run.path)] for run in runs]
    assert final[0][:5] == final[1][:5] == final[2][:5]  # the fifth loss is of the weights as they were
    assert len({loss[5] for loss in final}) == 3


def test_data_may_lie_elsewhere_when_a_run_goes_on(tmp_path: Path) -> None:
    first, moved = tmp_path / "first", tmp_path / "moved"
    for part in ("multicoil_train", "multicoil_val"):
        (first / part).mkdir(parents=True)
        simulate(first / part / "a.h5", slices=2)
    data = {"kind": "fastmri", "dataset": "fastmri-knee", "folder": str(first), "masks": TINY["data"]["masks"]}
    train_network(settings(TINY, data=data, training__max_steps=1), tmp_path / "run")
    first.rename(moved)
    wanted = settings(TINY, data={**data, "folder": str(moved)})
    assert train_network(wanted, tmp_path / "run", resume=True).step == 2


def test_a_run_does_not_go_on_with_another_number_of_samples(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    train_network(settings(EVERY, training__max_steps=2), run.path)
    fewer = settings(EVERY, data__train=2)

    def resumed() -> Position:
        return train(build_task(fewer), run, build_card(fewer), open_accelerator("fp32"), resume=True)

    before = run.last.read_bytes()
    with pytest.raises(InputError, match=r"last\.safetensors: .* 5 samples .* there are 2; .* the same data, or begin"):
        resumed()
    assert run.last.read_bytes() == before
    checkpoint = read_checkpoint(run.last)
    metadata = json.loads(json.dumps(dict(checkpoint.metadata)))
    del metadata["card"]["training_samples"]  # as runs were written before
    write_checkpoint(run.last, Checkpoint(checkpoint.tensors, metadata))
    done = resumed()  # stands behind the one batch of its epoch
    assert (done.epoch, done.step) == (2, 3)


@pytest.mark.parametrize("part", [0.0, 0.5, 0.99])
def test_a_run_whose_checkpoint_was_cut_short_is_left_as_it_is(tmp_path: Path, part: float) -> None:
    config, run = written(tmp_path / "c.yaml"), RunFolder(tmp_path / "run")
    train_network(settings(TINY, training__max_steps=1), run.path)
    whole = run.last.read_bytes()
    run.last.write_bytes(whole[: int(part * len(whole))])
    before = {path.name: path.read_bytes() for path in run.path.iterdir() if path.is_file()}
    done = medrecon("train", config, "-o", run.path, "--resume")
    assert done.status == 2
    assert str(run.last) in done.complaint
    assert "cut short" in done.complaint
    assert before == {path.name: path.read_bytes() for path in run.path.iterdir() if path.is_file()}


def test_pickled_weights_are_refused_in_place_of_a_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save(build_task(settings()).network.state_dict(), path)
    with pytest.raises(InputError, match=r"model\.pt: holds pickled objects.*medrecon weights import fastmri"):
        load_network(path)
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    path.rename(run.last)
    done = medrecon("train", written(tmp_path / "c.yaml"), "-o", run.path, "--resume")
    assert done.status == 2
    assert "holds pickled objects" in done.complaint


def rewritten(path: Path, **changes: object) -> None:
    """Change the configuration in the card of a file: a key becomes another value, or is removed by None."""
    checkpoint = read_checkpoint(path)
    metadata = json.loads(json.dumps(dict(checkpoint.metadata)))
    for key, value in changes.items():
        *parts, last = key.split("__")
        inside = metadata["card"]["configuration"]
        for name in parts:
            inside = inside[name]
        if value is None:
            del inside[last]
        else:
            inside[last] = value
    write_checkpoint(path, Checkpoint(checkpoint.tensors, metadata))


def test_a_configuration_of_another_version_names_the_key_and_the_version(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    train_network(settings(TINY, training__max_steps=1), run.path)
    for path in (run.last, run.best):
        rewritten(path, network__depth=3)
    with pytest.raises(InputError, match=r"best\.safetensors: its card: network\.depth: there is no such key"):
        load_network(run.best)
    done = medrecon("train", written(tmp_path / "c.yaml"), "-o", run.path, "--resume")
    assert done.status == 2
    assert re.search(
        r"network\.depth: there is no such key.* the run is of medrecon \S+: go on with that", done.complaint
    )


def test_keys_that_came_later_do_not_stop_a_run_unless_they_are_changed(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    train_network(settings(TINY, training__max_steps=1), run.path)
    rewritten(
        run.last, training__compile=None, network__output=None, data__augmentation=None, training__batch_size=None
    )
    with pytest.raises(InputError, match=r"network\.output: 'image' and 'rss'"):
        train_network(settings(TINY, network__output="rss"), run.path, resume=True)
    with pytest.raises(InputError, match=r"training\.batch_size: 1 and 2 now"):
        train_network(settings(), run.path, resume=True)
    assert train_network(settings(TINY, training__batch_size=1), run.path, resume=True).epoch == 2


def test_the_configurations_of_earlier_runs_may_be_gone_on_with() -> None:
    """A card of before `training.compile` and `training.channels_last` agrees with the file it came from."""
    folder = Path(__file__).parents[2] / "configs"
    for name in ("varnet_brain_small", "lpd_lodopab_small"):
        wanted = load_settings(TrainingSettings, folder / f"{name}.yaml")
        before = wanted.model_dump(mode="json")
        del before["training"]["compile"], before["training"]["channels_last"]
        assert TrainingSettings.model_validate(before) == wanted
