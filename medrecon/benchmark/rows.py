"""One image by one method: the row of a benchmark, and the journal in which rows are safe once they are found."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from torch import Tensor

from medrecon.benchmark.perceptual import LPIPS_PROTOCOL
from medrecon.errors import InputError
from medrecon.metrics import psnr, ssim
from medrecon.words import cell

__all__ = ["DONE", "FAILED", "Journal", "Row", "Score", "open_journal", "rows_csv"]

DONE, FAILED = "done", "failed"
_RENAMED = {"problem": "scenario", "remarks": "notes"}  # in rows of earlier versions


@dataclass(frozen=True)
class Score:
    """Image quality by a protocol; `psnr` in decibels, None where image and target are equal."""

    protocol: str
    psnr: float | None
    ssim: float

    @classmethod
    def of(cls, protocol: str, image: Tensor, target: Tensor, data_range: float) -> Score:
        """The quality of an image `(y, x)`."""
        decibels = psnr(image, target, data_range=data_range)
        return cls(protocol, decibels if math.isfinite(decibels) else None, ssim(image, target, data_range=data_range))


@dataclass(frozen=True)
class Row:
    """What came of one image and method.

    Parameters
    ----------
    key
        of the case: the same for the same scenario, image, settings, weights and version, else unlike.
    modality, scenario, method, settings, learned
        what was run: "mri" or "ct", names of the configuration, the settings that hold, and whether it has weights or is the
        user's own.
    file, slice
        the image.
    sampling
        the true acceleration or the views and photons, in words.
    status, reason
        "done", or "failed" and why.
    scores
        by each protocol, the first being that of the table.
    nmse
        `|x - target|^2 / |target|^2` of the image.
    data_range, pixels, squared_error, energy
        of which the scores of a volume are made.
    residual, residual_note
        `|A x - y| / (sigma sqrt(m))` of m measurements, 1 for the true image; or why it is not known.
    lesion_contrast
        of the image, in per cent of that of the target.
    seconds, threads, device
        of the reconstruction alone: nothing read, no coil maps estimated.
    peak_memory_mb
        the largest resident memory of the whole process meanwhile, in MiB; on a GPU, that of the GPU.
    notes
        what a user should know.
    lpips
        of the image, where it was asked for.
    """

    key: str
    modality: str
    scenario: str
    method: str
    settings: dict[str, Any]
    learned: bool
    file: str
    slice: int
    sampling: str = ""
    status: str = DONE
    reason: str = ""
    scores: tuple[Score, ...] = ()
    nmse: float | None = None
    data_range: float | None = None
    pixels: int = 0
    squared_error: float = 0.0
    energy: float = 0.0
    residual: float | None = None
    residual_note: str = ""
    lesion_contrast: float | None = None
    seconds: float | None = None
    threads: int = 0
    device: str = "cpu"
    peak_memory_mb: float | None = None
    notes: tuple[str, ...] = ()
    lpips: float | None = None

    @property
    def done(self) -> bool:
        """Whether there is an image."""
        return self.status == DONE

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Row:
        """The row of plain values, also of those of an earlier version: before there was `lpips`, or by other names.

        Raises
        ------
        ValueError
            if a value is missing, unknown, or of another kind.
        """
        values = {_RENAMED.get(name, name): value for name, value in values.items()}
        if {*values, "lpips"} != {field.name for field in fields(cls)}:
            raise ValueError("these are not the values of a row")
        _kinds().validate_python({"lpips": None, **values})
        scores = tuple(Score(**score) for score in values["scores"])
        return cls(**{**values, "scores": scores, "notes": tuple(values["notes"])})


@lru_cache(maxsize=1)
def _kinds() -> TypeAdapter[Row]:
    """What the values of a row must be."""
    return TypeAdapter(Row)


class Journal:
    """Rows as they come, a line of JSON each, on the disk before `append` returns.

    `rows` are those that stood there when it was opened, by key.
    """

    def __init__(self, file: io.FileIO, rows: dict[str, Row]) -> None:
        self._file = file
        self.rows = rows

    def append(self, row: Row) -> None:
        """Add a row.

        Raises
        ------
        OSError
            If it cannot be written; part of a line that then stands there is dropped when the journal is opened next.
        """
        line = (json.dumps(row.to_json(), allow_nan=False) + "\n").encode()
        try:
            while line:
                line = line[self._file.write(line) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._file.name) from error


@contextmanager
def open_journal(path: Path, *, overwrite: bool = False) -> Iterator[Journal]:
    """Open the journal of a run, made if need be; what follows the last whole line is dropped.

    Nobody else may write to it, which is for the caller to see to (`medrecon.data.locks`).

    Raises
    ------
    InputError
        If it holds something else.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+", buffering=0) as file:
        if overwrite:
            file.truncate(0)
        rows = _read(file, path)
        yield Journal(file, rows)


def _read(file: io.FileIO, path: Path) -> dict[str, Row]:
    file.seek(0)
    data = file.readall()
    whole = data[: data.rfind(b"\n") + 1]
    rows: dict[str, Row] = {}
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            row = Row.from_json(json.loads(line))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise InputError(
                f"{path}: line {number} is no row of this version of medrecon; give another folder, or --overwrite to begin anew"
            ) from error
        rows[row.key] = row
    file.truncate(len(whole))
    file.seek(0, os.SEEK_END)
    return rows


def rows_csv(rows: Sequence[Row]) -> str:
    """A table of rows: the name of its protocol stands behind every figure's."""
    protocols = list(dict.fromkeys(score.protocol for row in rows for score in row.scores))
    quality = [f"{what} ({protocol})" for protocol in protocols for what in ("psnr", "ssim")]
    distance = [f"lpips ({LPIPS_PROTOCOL})"] if any(row.lpips is not None for row in rows) else []
    columns = ["scenario", "method", "settings", "file", "slice", "sampling", "status", "reason", *quality]
    columns += [*distance, "nmse"]
    columns += ["residual", "residual note", "lesion contrast (%)", "seconds", "threads", "device", "peak memory (MiB)"]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*columns, "notes"])
    for row in rows:
        found = {score.protocol: score for score in row.scores}
        figures = [getattr(found.get(protocol), what, None) for protocol in protocols for what in ("psnr", "ssim")]
        settings = json.dumps(row.settings)
        values = [
            row.scenario,
            row.method,
            settings,
            row.file,
            row.slice,
            row.sampling,
            row.status,
            row.reason,
            *figures,
            *([row.lpips] if distance else []),
        ]
        values += [row.nmse, row.residual, row.residual_note, row.lesion_contrast, row.seconds, row.threads, row.device]
        table.writerow(map(cell, [*values, row.peak_memory_mb, "; ".join(row.notes)]))
    return text.getvalue()
