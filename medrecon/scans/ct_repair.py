"""Bins of a detector that say nothing are filled, and those that read too much or too little in all views are corrected."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medrecon.data.ct.attenuation import AttenuationUnit
from medrecon.data.ct.geometry_files import CTScan
from medrecon.data.ct.sinogram_files import Sinograms, require_line_integrals
from medrecon.data.ct.sinograms import SinogramSample
from medrecon.scans.ct_bin_checks import axis_bin, dead_bins, uneven_bins
from medrecon.scans.ct_wide_rings import across
from medrecon.words import counted, listed

__all__ = ["Repair", "RepairedSinograms", "repair"]

Floats = NDArray[np.float64]

_ROUNDS = 3  # of looking for bins that are off, each without what was found before
_LOST = 0.5  # of the views: a bin with fewer values is filled as a whole
_DROP, _OFTEN, _USUAL = (
    3.0,
    0.05,
    10.0,
)  # a reading above its neighbors, in what share of views, and times that of others
_NARROW = 3  # bins side by side, up to which a cubic fills them; more are filled by a line


@dataclass(frozen=True, eq=False)
class Repair:
    """A sinogram without the faults of its detector, and what was done.

    Parameters
    ----------
    sinogram
        `(angle, detector)`.
    filled
        bins that were filled from their neighbors in all views.
    values
        how many single values were filled besides.
    corrected
        bins, and what was subtracted from each in all views.
    """

    sinogram: Tensor
    filled: tuple[int, ...] = ()
    values: int = 0
    corrected: tuple[tuple[int, float], ...] = ()

    @property
    def words(self) -> str:
        """What was done; empty for nothing."""
        return Repairs().joined(self).words


@dataclass(frozen=True)
class Repairs:
    """What was done to the sinograms of a file, all together.

    Parameters
    ----------
    filled, values
        bins that were filled in any of them, and how many single values.
    corrected
        bins that were corrected in any, with the least and the most that was subtracted.
    n_repaired, n_slices
        how many of them were changed, of how many.
    """

    filled: tuple[int, ...] = ()
    values: int = 0
    corrected: tuple[tuple[int, float, float], ...] = ()
    n_repaired: int = 0
    n_slices: int = 0

    def joined(self, one: Repair) -> Repairs:
        """These, and what was done to one sinogram more."""
        corrected = {k: (low, high) for k, low, high in self.corrected}
        for k, by in one.corrected:
            low, high = corrected.get(k, (by, by))
            corrected[k] = min(low, by), max(high, by)
        return Repairs(
            filled=tuple(sorted({*self.filled, *one.filled})),
            values=self.values + one.values,
            corrected=tuple((k, *corrected[k]) for k in sorted(corrected)),
            n_repaired=self.n_repaired + bool(one.filled or one.values or one.corrected),
            n_slices=self.n_slices + 1,
        )

    @property
    def n_bins(self) -> int:
        """How many bins were filled or corrected."""
        return len({*self.filled, *(k for k, _, _ in self.corrected)})

    @property
    def words(self) -> str:
        """What was done; empty for nothing."""
        parts = []
        if self.filled:
            parts.append(f"filled from their neighbors: bins {listed(self.filled)}")
        if self.values:
            parts.append(f"filled from their neighbors: {counted(self.values, 'single value')}")
        if self.corrected:
            sizes = [f"{k} ({_range_words(-high, -low)})" for k, low, high in self.corrected]
            parts.append(f"corrected in all views: bins {listed(sizes)}")
        where = "" if self.n_repaired == self.n_slices else f" in {self.n_repaired} of {self.n_slices} slices"
        return f"repaired{where}: {'; '.join(parts)}" if parts else ""


def _range_words(low: float, high: float) -> str:
    return " to ".join(dict.fromkeys(f"{size:+.3g}" for size in (low, high)))


def repair(sinogram: Tensor, axis: float | None = None) -> Repair:
    """Mend a sinogram `(angle, detector)`; `axis` is the bin that sees the axis of rotation, else that in the middle.

    Bins that are dead, not finite in half of the views, or often read nothing between two that are lit, take a cubic through two
    sound neighbors on either side, or a line where more than three lie side by side; single values that are not finite a line. From
    bins that are off in all views the median of what they read beyond that cubic is subtracted: the gain of a bin is a constant
    under the logarithm. Views without any finite value stay as they are.
    """
    y = sinogram.double().numpy().copy()
    finite = np.isfinite(y)
    sound_views = finite.any(1)
    lost = set(np.flatnonzero(finite[sound_views].mean(0) < _LOST).tolist()) | set(dead_bins(sinogram)) | _unsteady(y)
    single = ~finite & sound_views[:, None]
    single[:, sorted(lost)] = False
    for view in np.flatnonzero(single.any(1)):
        known = finite[view].copy()
        known[sorted(lost)] = False
        if known.any():
            y[view, single[view]] = np.interp(np.flatnonzero(single[view]), np.flatnonzero(known), y[view, known])
    for k in sorted(lost):
        y[sound_views, k] = _expected(y, k, lost)[sound_views]
    corrected = _corrected(y, lost, axis) if sound_views.all() else {}
    mended = torch.from_numpy(y).to(sinogram.dtype)
    return Repair(mended, tuple(sorted(lost)), int(single.sum()), tuple(sorted(corrected.items())))


def _unsteady(y: Floats) -> set[int]:
    """Bins that in many views read twenty times fewer counts than either neighbor, which hardly any other does."""
    if y.shape[1] < 3:
        return set()
    with np.errstate(invalid="ignore"):
        share = (y[:, 1:-1] - np.fmax(y[:, :-2], y[:, 2:]) > _DROP).mean(0)
    return set((1 + np.flatnonzero(share > max(_OFTEN, _USUAL * float(np.median(share))))).tolist())


def _corrected(y: Floats, lost: set[int], axis: float | None) -> dict[int, float]:
    """Subtract from bins in place what they are off, and say how much."""
    off: dict[int, float] = {}

    def subtract(k: int, wrong: set[int]) -> None:
        size = float(np.median(y[:, k] - across(y, k, wrong)))
        y[:, k] -= size
        off[k] = off.get(k, 0.0) + size

    for _ in range(_ROUNDS):
        found = set(uneven_bins(y, axis)) - lost
        for k in found:  # its neighbors may be off as well, and not found before it is mended
            subtract(k, found | lost | {k - 1, k + 1})
        if not found:
            break
    for k in tuple(off):
        subtract(k, off.keys() | lost)
    return off


def _expected(y: Floats, k: int, wrong: set[int]) -> Floats:
    """What the sound bins beside bin `k` say of it, `(angle,)`."""
    sound = [j for j in range(y.shape[1]) if j not in wrong and j != k]
    before, after = [j for j in sound if j < k][-1:], [j for j in sound if j > k][:1]
    if not before or not after:
        return y[:, (before or after or [k])[0]].copy()
    if after[0] - before[0] <= _NARROW + 1:
        return across(y, k, wrong)
    share = (k - before[0]) / (after[0] - before[0])
    return (1 - share) * y[:, before[0]] + share * y[:, after[0]]


@dataclass(frozen=True, eq=False)
class RepairedSinograms:
    """A file of sinograms, each mended when it is read."""

    file: Sinograms

    @property
    def path(self) -> Path:
        return self.file.path

    @property
    def scan(self) -> CTScan:
        return self.file.scan

    @property
    def unit(self) -> AttenuationUnit:
        return self.file.unit

    @property
    def has_target(self) -> bool:
        return self.file.has_target

    @property
    def notes(self) -> tuple[str, ...]:
        return self.file.notes

    def __len__(self) -> int:
        return len(self.file)

    def __getitem__(self, index: int) -> SinogramSample:
        return self.mended(index)[0]

    def mended(self, index: int) -> tuple[SinogramSample, Repair]:
        """A sound sample, and what was done to it.

        Raises
        ------
        InputError
            If values are not finite all the same.
        """
        sample = self.file.unchecked(index)
        done = self._mended(sample.sinogram)
        require_line_integrals(done.sinogram, _place(self, index))
        return replace(sample, sinogram=done.sinogram), done

    def raw(self, index: int) -> Tensor:
        return self._mended(self.file.raw(index)).sinogram

    def unchecked(self, index: int) -> SinogramSample:
        sample = self.file.unchecked(index)
        return replace(sample, sinogram=self._mended(sample.sinogram).sinogram)

    def _mended(self, sinogram: Tensor) -> Repair:
        return repair(sinogram, axis_bin(self.scan.geometry))


@dataclass(frozen=True, eq=False)
class Readings:
    """What was done to each sinogram of a file, all of them finite; --repair is advised where it is not given."""

    file: Sinograms

    def __getitem__(self, index: int) -> Repair:
        if isinstance(self.file, RepairedSinograms):
            return self.file.mended(index)[1]
        sample = self.file.unchecked(index)
        require_line_integrals(sample.sinogram, _place(self.file, index), can_repair=True)
        return Repair(sample.sinogram)


def _place(file: Sinograms, index: int) -> str:
    return f"{file.path}: slice {index} (of {len(file)}, counted from 0)"
