"""Tables and curves of a run: losses of steps and of epochs as CSV, and the same for TensorBoard."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from torch.utils.tensorboard.writer import SummaryWriter

from medrecon.data.writing import atomic_file

__all__ = ["EPOCHS", "STEPS", "Logs", "read_table"]

STEPS = ("step", "epoch", "rate", "loss")
EPOCHS = ("step", "epoch", "train_loss", "loss", "psnr", "ssim", "seconds")
_PROTOCOL = "protocol"  # of PSNR and SSIM: the last column of the table of epochs


class Logs:
    """`steps.csv`, `epochs.csv` and the events of TensorBoard; what lies after `step` is of a run cut short, and dropped."""

    def __init__(self, folder: Path, step: int) -> None:
        self._steps, self._epochs = folder / "steps.csv", folder / "epochs.csv"
        for path, columns in ((self._steps, STEPS), (self._epochs, (*EPOCHS, _PROTOCOL))):
            kept = [row for row in read_table(path) if int(row["step"]) <= step]
            _write(path, columns, kept)
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._board.close()

    def step(self, values: Mapping[str, float]) -> None:
        """Note the loss of one step."""
        self._note(self._steps, STEPS, values, "step")

    def epoch(self, values: Mapping[str, float], protocol: str) -> None:
        """Note the scores at the end of an epoch, and by which protocol PSNR and SSIM are."""
        self._note(self._epochs, EPOCHS, values, "epoch", protocol)
        self._board.add_text("epoch/psnr and ssim", protocol, int(values["step"]))

    def _note(self, path: Path, columns: Sequence[str], values: Mapping[str, float], what: str, *words: str) -> None:
        with path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow([*(repr(values[name]) for name in columns), *words])
        for name in columns[2:]:
            self._board.add_scalar(f"{what}/{name}", values[name], int(values["step"]))


def read_table(path: Path) -> list[dict[str, str]]:
    """Read the whole rows of a table of a run; none where there is no file. A last row that was cut short is left out."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        text = file.read()
    whole = text[: text.rfind("\n") + 1]
    return [row for row in csv.DictReader(whole.splitlines()) if None not in row.values()]


def _write(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> None:
    with atomic_file(path, overwrite=True) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([row.get(name, "") for name in columns] for row in rows)
