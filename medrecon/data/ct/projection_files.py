"""Projections of any file as sinograms: what a row of the detector saw in all views is one slice."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from medrecon.axes import SinogramAxis
from medrecon.data.ct.attenuation import AttenuationUnit
from medrecon.data.ct.exposures import Measured
from medrecon.data.ct.geometry_files import CTScan
from medrecon.data.ct.sinogram_files import require_line_integrals
from medrecon.data.ct.sinograms import SinogramSample, describe_scan
from medrecon.data.foreign import require_few_slices
from medrecon.errors import InputError
from medrecon.memory import available_memory, require_memory

__all__ = ["ProjectionFile", "ProjectionOptions"]

_FEWEST, _MOST = 2**22, 2**26  # numbers that are held, so that neighboring rows are read at once
_BYTES = 16  # of a number while it is normalized


@dataclass(frozen=True)
class ProjectionOptions:
    """What a user says of projections beside their file.

    Parameters
    ----------
    geometry
        the file that says how they were measured.
    flat, dark
        files of frames without the object, and without the beam; or their counts, the same in all bins.
    axes
        what the axes of the array are.
    allow_external
        whether the file may lead to others.
    """

    geometry: Path | None = None
    flat: Path | float | None = None
    dark: Path | float | None = None
    axes: tuple[SinogramAxis, ...] | None = None
    allow_external: bool = False


class ProjectionFile:
    """Line integrals of a file as `Sinograms`: `file[i]` is the sinogram of row i of the detector.

    Raises
    ------
    InputError
        If the scan is of other views or bins, or of rows that do not fit in memory.
    """

    unit = AttenuationUnit.PER_MM
    has_target = False

    def __init__(self, path: Path, measured: Measured, scan: CTScan, notes: tuple[str, ...] = ()) -> None:
        self.path, self.scan, self.notes, self._measured = path, scan, notes, measured
        rows, views, bins = measured.shape
        if (views, bins) != scan.geometry.shape:
            raise InputError(
                f"{path}: holds {views} projections of {bins} bins, and the geometry has (angle, detector) = "
                f"{scan.geometry.shape}; make them agree"
            )
        require_few_slices(f"{path}: has {rows} rows of the detector", rows)
        require_memory(_BYTES * views * bins, f"{path}: the sinogram of one row, {views} x {bins},")
        self._held: tuple[range, Tensor] | None = None

    def __repr__(self) -> str:
        n, views, bins = self._measured.shape
        scan = describe_scan(self.scan.geometry, self.scan.grid, self.scan.photons, has_target=False)
        return f"ProjectionFile({self.path}: (slice={n}, angle={views}, detector={bins}), {scan})"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_held": None}

    def __len__(self) -> int:
        return self._measured.shape[0]

    def __iter__(self) -> Iterator[SinogramSample]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> SinogramSample:
        sample = self.unchecked(index)
        place = f"slice {sample.index} (of {len(self)}, counted from 0)"
        require_line_integrals(sample.sinogram, f"{self.path}: {place}")
        return sample

    def unchecked(self, index: int) -> SinogramSample:
        """Read one sample, its line integrals as they are, nothing checked of them."""
        return SinogramSample(
            sinogram=self.raw(index),
            geometry=self.scan.geometry,
            grid=self.scan.grid,
            target=None,
            unit=self.unit,
            photons=self.scan.photons,
            name=self.path.name,
            index=operator.index(index) % len(self),
        )

    def raw(self, index: int) -> Tensor:
        """Read one sinogram, `(angle, detector)` float32, as it is, nothing checked."""
        index = operator.index(index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self.path} has {len(self)} sinograms, got index {index}")
        index %= len(self)
        if self._held is None or index not in self._held[0]:
            self._held = None
            rows = self._rows(index)
            read = self._measured.read(rows, f"slices {rows[0]} to {rows[-1]} (of {len(self)}, counted from 0)")
            self._held = rows, torch.from_numpy(read)
        return self._held[1][index - self._held[0].start].contiguous()

    def _rows(self, index: int) -> range:
        """Rows to read at once with one that is wanted: as many as memory well holds, from there on."""
        rows, views, bins = self._measured.shape
        numbers = min(_MOST, max(_FEWEST, available_memory() // (4 * _BYTES)))
        return range(index, min(rows, index + max(1, numbers // (views * bins))))
