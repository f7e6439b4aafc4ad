"""The tables and curves of a run, as those who read them find them; and runs that go on for longer than was planned."""

import csv
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

from medrecon.training.logs import EPOCHS, STEPS, Logs, read_table
from medrecon.training.schedules import CosineRate
from medrecon.weights.scores import SLICES_PROTOCOL
from medrecon.workflows.training import train_network
from tests.training.runs import TINY, settings

VALUES = {"epoch": 0, "rate": 0.1, "train_loss": 1.0, "psnr": 30.0, "ssim": 0.9, "seconds": 1.0}


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard shows."""
    board = EventAccumulator(str(folder / "tensorboard"))
    board.Reload()
    return {tag: [(e.step, e.value) for e in board.Scalars(tag)] for tag in board.Tags()["scalars"]}


def table(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_tables_and_curves_of_a_run_that_was_resumed_hold_every_step_once(tmp_path: Path) -> None:
    run = tmp_path / "run"
    train_network(settings(TINY, training__max_steps=4), run)
    train_network(settings(TINY, training__epochs=3), run, resume=True)
    steps, epochs = table(run / "steps.csv"), table(run / "epochs.csv")
    assert steps[0] == list(STEPS)
    assert epochs[0] == [*EPOCHS, "protocol"]
    assert {row[-1] for row in epochs[1:]} == {SLICES_PROTOCOL}
    assert [int(row[0]) for row in steps[1:]] == list(range(1, 10))
    assert [int(row[0]) for row in epochs[1:]] == [3, 4, 6, 9]  # also where `max_steps` ended it
    found = curves(run)
    assert set(found) == {f"step/{name}" for name in STEPS[2:]} | {f"epoch/{name}" for name in EPOCHS[2:]}
    for tag, rows, columns in (("step/loss", steps, STEPS), ("epoch/psnr", epochs, EPOCHS)):
        column = columns.index(tag.partition("/")[2])
        assert [step for step, _ in found[tag]] == [int(row[0]) for row in rows[1:]]
        assert [value for _, value in found[tag]] == pytest.approx([float(row[column]) for row in rows[1:]], rel=1e-6)


def test_what_came_after_the_last_checkpoint_is_dropped(tmp_path: Path) -> None:
    with Logs(tmp_path, 0) as logs:
        for step in range(1, 6):
            logs.step({**VALUES, "step": step, "loss": step})
        logs.epoch({**VALUES, "step": 5, "loss": 1.0}, "lodopab")
    with (tmp_path / "steps.csv").open("a") as file:
        file.write("6,0,0.1")  # killed while it wrote
    with Logs(tmp_path, 3) as logs:
        logs.step({**VALUES, "step": 4, "loss": 40.0})
    assert [(row["step"], float(row["loss"])) for row in read_table(tmp_path / "steps.csv")] == [
        ("1", 1.0), ("2", 2.0), ("3", 3.0), ("4", 40.0)
    ]  # fmt: skip
    assert read_table(tmp_path / "epochs.csv") == []
    assert curves(tmp_path)["step/loss"] == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 40.0)]


def test_more_epochs_than_planned_follow_the_longer_cosine(tmp_path: Path) -> None:
    schedule = {"kind": "cosine", "warmup": 0.5, "floor": 0.1}
    train_network(settings(TINY, schedule=schedule, training__epochs=2), tmp_path)
    position = train_network(settings(TINY, schedule=schedule, training__epochs=4), tmp_path, resume=True)
    assert (position.epoch, position.step) == (4, 12)
    rates = [float(row["rate"]) / 1e-3 for row in read_table(tmp_path / "steps.csv")]
    cosine = CosineRate(warmup=0.5, floor=0.1)
    wanted = [cosine(step / 3, 2 if step < 6 else 4) for step in range(12)]
    assert rates == pytest.approx(wanted)
    assert rates[6] > rates[5]


def test_a_table_from_before_protocols_were_named_goes_on(tmp_path: Path) -> None:
    old = "step,epoch,train_loss,loss,psnr,ssim,seconds\n3,0,1.0,1.0,30.0,0.9,1.0\n"
    (tmp_path / "epochs.csv").write_text(old)
    with Logs(tmp_path, 3) as logs:
        logs.epoch({**VALUES, "step": 6, "loss": 0.5}, "lodopab")
    rows = read_table(tmp_path / "epochs.csv")
    assert [(row["step"], row["psnr"], row["protocol"]) for row in rows] == [
        ("3", "30.0", ""),
        ("6", "30.0", "lodopab"),
    ]
