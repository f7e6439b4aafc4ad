"""Masks that sample the center of k-space more densely: Gaussian lines, Poisson discs, radial spokes on the grid.

Each meets the acceleration asked for as nearly as its pattern can. Draws come from `numpy.random.default_rng(seed)`.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from medrecon.data.mri.masks import SamplingMask, Seed, center_lines, require_acceleration, require_line_request

__all__ = ["gaussian_mask", "poisson_mask", "poisson_radius", "radial_mask"]

Samples = NDArray[np.bool_]
GOLDEN_ANGLE = math.pi * (math.sqrt(5) - 1) / 2
# Standard deviation of the density of lines in `gaussian_mask`, as a share of the width: the edge lies at three.
GAUSSIAN_WIDTH = 1 / 6


def gaussian_mask(width: int, acceleration: float, center_fraction: float, seed: Seed) -> SamplingMask:
    """Keep the center and lines drawn without replacement with a Gaussian density around DC, `width / R` in all.

    The density has a standard deviation of `width / 6`. Where the center already holds all lines asked for, it alone is
    kept.

    Parameters
    ----------
    width : int
        Number of phase-encoding lines.
    acceleration : float
        At least 1; met to the nearest line.
    center_fraction : float
        Share of the lines kept as a block around DC, in [0, 1].
    seed : int or tuple of int
        Seed of the draw.

    Raises
    ------
    ValueError
        When an argument is out of its range.
    """
    require_line_request("gaussian_mask", width, acceleration, center_fraction)
    n_lines = max(round(width / acceleration), 1)
    lines = center_lines(width, round(width * center_fraction))
    n_left = n_lines - int(lines.sum())
    if n_left > 0:
        distance = np.arange(width) - width // 2
        density = np.exp(-0.5 * (distance / (GAUSSIAN_WIDTH * width)) ** 2)[~lines]
        drawn = np.random.default_rng(seed).choice(
            np.flatnonzero(~lines), n_left, replace=False, p=density / density.sum()
        )
        lines[drawn] = True
    return SamplingMask(torch.from_numpy(lines), "gaussian")


def poisson_mask(shape: tuple[int, int], acceleration: float, calibration: tuple[int, int], seed: Seed) -> SamplingMask:
    """Keep a full center and around it samples that keep a distance from each other which grows outwards.

    Two kept samples outside the center are never nearer than the smaller of their two radii
    `poisson_radius(shape, calibration, slope)`, in grid steps; the slope is searched for, then surplus samples are
    taken away at random, so that `ny nx / R` remain. [Bridson, SIGGRAPH sketches 2007; Lustig et al., MRM 58:1182,
    2007]

    Parameters
    ----------
    shape : tuple of int
        `(ky, kx)`.
    acceleration : float
        At least 1; met to the nearest sample.
    calibration : tuple of int
        `(ky, kx)` size of the center that is kept whole; (0, 0) for none.
    seed : int or tuple of int
        Seed of the draw.

    Raises
    ------
    ValueError
        When an argument is out of its range, or the center holds more samples than are asked for.
    """
    _require_shape("poisson_mask", shape)
    require_acceleration("poisson_mask", acceleration)
    if not all(0 <= c <= n for c, n in zip(calibration, shape, strict=True)):
        raise ValueError(f"poisson_mask takes a calibration no larger than {shape}, got {calibration}")
    n_samples, n_center = max(round(math.prod(shape) / acceleration), 1), math.prod(calibration)
    if n_center > n_samples:
        raise ValueError(
            f"poisson_mask takes a calibration of at most {n_samples} samples at acceleration {acceleration} of "
            f"{shape}, got {calibration[0]} x {calibration[1]} = {n_center}; make it smaller or the acceleration lower"
        )
    center = np.zeros(shape, dtype=np.bool_)
    center[tuple(slice(n // 2 - c // 2, n // 2 - c // 2 + c) for n, c in zip(shape, calibration, strict=True))] = True
    ranks = np.random.default_rng(seed).permutation(math.prod(shape))

    def throw(slope: float) -> Samples:
        return _throw_darts(poisson_radius(shape, calibration, slope), center, ranks)

    sampled = _at_least(n_samples, throw)
    loose = np.flatnonzero(sampled & ~center)
    surplus = int(sampled.sum()) - n_samples
    sampled.ravel()[loose[np.argsort(ranks[loose])[loose.size - surplus :]]] = False
    return SamplingMask(torch.from_numpy(sampled), "poisson")


def radial_mask(shape: tuple[int, int], acceleration: float, seed: Seed) -> SamplingMask:
    """Keep the grid points nearest to spokes through DC, turned by the golden angle from a random first one.

    The spokes reach the border of the grid, and there are as many as bring the true acceleration nearest to the one
    asked. [Winkelmann et al., IEEE TMI 26:68, 2007]

    Parameters
    ----------
    shape : tuple of int
        `(ky, kx)`.
    acceleration : float
        At least 1.
    seed : int or tuple of int
        Seed of the first angle.

    Raises
    ------
    ValueError
        When an argument is out of its range.
    """
    _require_shape("radial_mask", shape)
    require_acceleration("radial_mask", acceleration)
    first = np.random.default_rng(seed).uniform(0, math.pi)
    n_samples = math.prod(shape) / acceleration
    sampled, count, spoke = np.zeros(math.prod(shape), dtype=np.bool_), 0, 0
    while count < n_samples:
        new = _spoke(shape, first + spoke * GOLDEN_ANGLE)
        new = new[~sampled[new]]
        if count > 0 and count + new.size - n_samples > n_samples - count:
            break
        sampled[new] = True
        count, spoke = count + new.size, spoke + 1
        if spoke > 16 * max(shape):  # the last corners of a nearly full grid
            break
    return SamplingMask(torch.from_numpy(sampled.reshape(shape)), "radial")


def poisson_radius(shape: tuple[int, int], calibration: tuple[int, int], slope: float) -> NDArray[np.float64]:
    """Give the radius `(ky, kx)` of each sample's disc in grid steps: `max(1, 1 + slope d)` for a slope of 1 and more.

    `d` is the distance beyond the calibration block, scaled on each axis to one at the border. Where that is too
    sparse, a slope s below 1 stands for `max(1, 1 + d - (1 - s) sqrt(2))`, a full center that fills the grid at 0.
    """
    squares = []
    for n, c in zip(shape, calibration, strict=True):
        distance = np.maximum(np.abs(np.arange(n) - n // 2) - c / 2, 0)
        squares.append((distance / max(n / 2 - c / 2, 1)) ** 2)
    distance = np.sqrt(squares[0][:, None] + squares[1]) - math.sqrt(2) * max(1 - slope, 0)
    radius: NDArray[np.float64] = np.clip(1 + max(slope, 1) * distance, 1, max(shape))
    return radius


def _at_least(n_samples: int, throw: Callable[[float], Samples]) -> Samples:
    """Search the slope, by doubling and then by false position, for a pattern of `n_samples` to 1 % more."""
    low, high, step = 0.0, math.inf, 1.0
    best, fewest = throw(low), 1
    for _ in range(40):
        surplus = int(best.sum()) / n_samples
        if surplus <= 1.01 or step < 1e-6 or step > 1e6:
            break
        if high < math.inf:
            share = math.log(surplus / 1.004) / math.log(n_samples * surplus / fewest)
            step = (high - low) * min(max(share, 0.1), 0.9)
        sampled = throw(low + step)
        if int(sampled.sum()) >= n_samples:
            low, step, best = low + step, 2 * step, sampled
        else:
            high, fewest = low + step, max(int(sampled.sum()), 1)
    return best


def _throw_darts(radius: NDArray[np.float64], center: Samples, ranks: NDArray[np.int64]) -> Samples:
    """Accept grid points in rounds, of the free ones those whose disc holds no free one of lower rank thrown with them.

    A pattern made so is maximal: each point of the grid lies within the radius of an accepted one.
    """
    pad = math.ceil(radius.max())
    ny, nx = radius.shape
    width = nx + 2 * pad
    cells = ((np.arange(ny)[:, None] + pad) * width + np.arange(nx) + pad).ravel()
    steps = np.arange(-pad, pad + 1)
    squares = (steps[:, None] ** 2 + steps**2).ravel()
    order = np.argsort(squares, kind="stable")
    offsets = (steps[:, None] * width + steps).ravel()[order]
    discs = np.searchsorted(squares[order], np.ceil(radius.ravel() ** 2 - 1e-9), side="left")  # points nearer than r

    blocked = np.ones((ny + 2 * pad) * width, dtype=np.bool_)
    blocked[cells] = center.ravel()
    sampled = center.copy().ravel()
    lowest = np.empty(blocked.size, dtype=np.int64)
    free = np.argsort(ranks)
    free = free[~sampled[free]]
    while free.size:
        thrown = free[: max(64, math.ceil(free.size / (0.5 * discs[free].mean())))]
        points = _disc_points(cells[thrown], discs[thrown], offsets)
        lowest[points] = thrown.size
        # The last write, of lowest rank, stays.
        lowest[points[::-1]] = np.repeat(np.arange(thrown.size), discs[thrown])[::-1]
        accepted = thrown[lowest[cells[thrown]] == np.arange(thrown.size)]
        sampled[accepted] = True
        blocked[_disc_points(cells[accepted], discs[accepted], offsets)] = True
        free = free[~blocked[cells[free]]]
    return sampled.reshape(ny, nx)


def _disc_points(cells: NDArray[np.int64], sizes: NDArray[np.int64], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Flat indices of all points of the discs around `cells`, one disc after the other."""
    starts = np.cumsum(sizes) - sizes
    within = np.arange(int(sizes.sum())) - np.repeat(starts, sizes)
    points: NDArray[np.int64] = np.repeat(cells, sizes) + offsets[within]
    return points


def _spoke(shape: tuple[int, int], angle: float) -> NDArray[np.int64]:
    """Flat indices of the grid points nearest to a line through DC, one at each step of its steeper axis."""
    rise, run = math.sin(angle), math.cos(angle)
    ny, nx = shape
    if abs(run) >= abs(rise):
        x = np.arange(nx)
        y = np.rint((x - nx // 2) * (rise / run)).astype(np.int64) + ny // 2
    else:
        y = np.arange(ny)
        x = np.rint((y - ny // 2) * (run / rise)).astype(np.int64) + nx // 2
    inside = (y >= 0) & (y < ny) & (x >= 0) & (x < nx)
    cells: NDArray[np.int64] = (y * nx + x)[inside]
    return cells


def _require_shape(who: str, shape: tuple[int, int]) -> None:
    if len(shape) != 2 or min(shape) < 1:
        raise ValueError(f"{who} takes a shape (ky, kx) of at least one sample an axis, got {shape}")
