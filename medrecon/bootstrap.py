"""How far a mean may be off: percentile intervals by resampling."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["FEWEST_GROUPS", "Estimate", "Resampling", "resampling"]

#: With fewer volumes than this their slices are resampled, as if each were a volume of its own.
FEWEST_GROUPS = 10
_LEVEL = 0.95
_AT_ONCE = 2**22  # numbers


@dataclass(frozen=True)
class Estimate:
    """A mean over `count` values with its 95 % interval; `low` and `high` are None for a single value."""

    mean: float
    low: float | None
    high: float | None
    count: int


@dataclass(frozen=True, eq=False)
class Resampling:
    """How often each image is drawn, `(resample, image)`, and in words what was drawn: the same for all methods of a problem."""

    counts: NDArray[np.uint16]
    unit: str

    def estimate(self, values: Sequence[float | None]) -> Estimate | None:
        """The mean of the values of the images, and the range of 95 % of the means of their resamples; None without any.

        Images without a value are left out. Efron, Ann Stat 7:1 (1979).

        Raises
        ------
        ValueError
            if there are not as many values as images.
        """
        if len(values) != self.counts.shape[1]:
            raise ValueError(f"estimate takes a value an image, {self.counts.shape[1]}, got {len(values)}")
        present = np.array([value is not None for value in values])
        if not present.any():
            return None
        numbers = np.array([value for value in values if value is not None], dtype=np.float64)
        mean = float(numbers.mean())
        if len(numbers) == 1:
            return Estimate(mean, None, None, 1)
        weights = self.counts[:, present].astype(np.float64)
        totals = weights.sum(axis=1)
        means = (weights @ (numbers - mean))[totals > 0] / totals[totals > 0]
        low, high = np.quantile(means, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2]) + mean
        return Estimate(mean, float(low), float(high), len(numbers))


def resampling(groups: Sequence[Hashable], resamples: int, seed: int) -> Resampling:
    """Draw images with replacement; whole volumes where there are at least `FEWEST_GROUPS` of several slices.

    Parameters
    ----------
    groups
        the volume of each image.
    resamples
        how often to draw.
    seed
        of the draws.

    Raises
    ------
    ValueError
        if there is no image.
    """
    if not groups:
        raise ValueError("resampling takes at least one image")
    numbers = {group: place for place, group in enumerate(dict.fromkeys(groups))}
    whole = FEWEST_GROUPS <= len(numbers) < len(groups)
    places = np.array([numbers[group] for group in groups]) if whole else np.arange(len(groups))
    n_drawn = len(numbers) if whole else len(groups)
    random = np.random.default_rng(seed)
    counts = np.empty((resamples, len(groups)), dtype=np.uint16)
    step = max(1, _AT_ONCE // n_drawn)
    for start in range(0, resamples, step):
        stop = min(start + step, resamples)
        drawn = random.integers(n_drawn, size=(stop - start, n_drawn))
        rows = np.arange(stop - start)[:, None] * n_drawn
        drawn_counts = np.bincount((rows + drawn).ravel(), minlength=(stop - start) * n_drawn)
        counts[start:stop] = drawn_counts.reshape(-1, n_drawn)[:, places]
    return Resampling(counts, _unit(len(numbers), len(groups), whole=whole))


def _unit(n_volumes: int, n_images: int, *, whole: bool) -> str:
    if whole:
        return f"{n_volumes} volumes resampled"
    if n_images == 1:
        return "none of a single image"
    if n_volumes == n_images:
        return f"{n_images} images resampled"
    what = "1 volume" if n_volumes == 1 else f"{n_volumes} volumes"
    return f"{n_images} slices of {what} resampled as if they were independent, which makes intervals too narrow"
