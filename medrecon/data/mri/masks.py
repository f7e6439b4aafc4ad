"""Which k-space samples a scan keeps: the mask as a value, and the line masks of the fastMRI data set, bit for bit.

The fastMRI masks draw from the legacy `numpy.random.RandomState`, whose streams are fixed for good, so that one seed
means the same mask here, in the package `fastmri` and in published results. Other patterns are in
`medrecon.data.mri.variable_density`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = [
    "SamplingMask",
    "Seed",
    "center_lines",
    "equispaced_fraction_mask",
    "equispaced_mask",
    "magic_fraction_mask",
    "magic_mask",
    "mask_seed",
    "random_mask",
    "require_acceleration",
    "require_line_request",
]

Seed = int | tuple[int, ...]
Lines = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class SamplingMask:
    """Which samples of k-space a scan keeps.

    Parameters
    ----------
    sampled : Tensor
        bool, `(kx,)` for whole phase-encoding lines, `(ky, kx)` for a two-dimensional pattern; DC at index `n // 2`.
    kind : str
        A label for tables, such as "random" or "poisson".

    Raises
    ------
    ValueError
        When `sampled` is not bool, has another number of axes, or keeps nothing.
    """

    sampled: Tensor
    kind: str

    def __post_init__(self) -> None:
        if self.sampled.dtype != torch.bool or self.sampled.ndim not in (1, 2):
            got = f"{tuple(self.sampled.shape)} {self.sampled.dtype}"
            raise ValueError(f"SamplingMask takes (kx,) or (ky, kx) bool, got {got}; turn numbers into bool by `!= 0`")
        if not bool(self.sampled.any()):
            raise ValueError(
                f"SamplingMask takes at least one sample, got none of {self.sampled.numel()} ({self.kind}); "
                "lower the acceleration or raise the center fraction"
            )

    @property
    def acceleration(self) -> float:
        """The true acceleration: all samples over the kept ones."""
        return self.sampled.numel() / int(self.sampled.sum())

    @property
    def calibration(self) -> int | tuple[int, int]:
        """The fully sampled center: contiguous lines around DC, or (ky, kx) of the largest centered full square."""
        if self.sampled.ndim == 1:
            first, stop = self._center_run()
            return stop - first
        return (self._center_square(),) * 2

    @property
    def spacing(self) -> int | None:
        """The step of the one regular grid on which all lines outside the calibration lie; None where there is none."""
        if self.sampled.ndim == 2:
            return None
        first, stop = self._center_run()
        if stop - first == self.sampled.numel():
            return 1
        lines = np.flatnonzero(self.sampled.cpu().numpy())
        below, above = lines[lines < first], lines[lines >= stop]
        steps = np.concatenate((np.diff(below), np.diff(above)))
        if not steps.size:
            return None
        step, outside = int(steps.min()), np.concatenate((below, above))
        grid = np.arange(outside[0], outside[-1] + 1, step)
        return step if np.isin(outside, grid).all() and np.isin(grid, lines).all() else None

    def __repr__(self) -> str:
        return f"SamplingMask({self.describe()})"

    def describe(self) -> str:
        """Say the pattern in one line: kind, samples kept, true acceleration, calibration, spacing."""
        unit = "lines" if self.sampled.ndim == 1 else "samples"
        text = f"{self.kind}: {int(self.sampled.sum())} of {self.sampled.numel()} {unit}, "
        text += f"true acceleration {self.acceleration:.2f}, "
        match self.calibration:
            case int(n):
                text += f"{n} calibration {'line' if n == 1 else 'lines'}, "
                return text + ("irregular spacing" if self.spacing is None else f"spacing {self.spacing}")
            case (ky, kx):
                return text + f"{ky} x {kx} calibration square"

    def _center_run(self) -> tuple[int, int]:
        """First and one past the last line of the run of kept lines that holds DC; empty when DC is not kept."""
        center = self.sampled.numel() // 2
        missing = np.flatnonzero(~self.sampled.cpu().numpy())
        if center in missing:
            return center, center
        below, above = missing[missing < center], missing[missing > center]
        return int(below[-1]) + 1 if below.size else 0, int(above[0]) if above.size else self.sampled.numel()

    def _center_square(self) -> int:
        """Side s of the largest full square, which starts at index `n // 2 - s // 2` of an axis."""
        # An index d away from DC lies in the square of side s when s >= 2 d + 1 (d >= 0) or s >= -2 d (d < 0).
        offsets = [torch.arange(n, device=self.sampled.device) - n // 2 for n in self.sampled.shape]
        needs_y, needs_x = (torch.where(d >= 0, 2 * d + 1, -2 * d) for d in offsets)
        side = torch.maximum(needs_y[:, None], needs_x[None, :])[~self.sampled]
        largest = min(self.sampled.shape)
        return min(int(side.min()) - 1, largest) if side.numel() else largest


def mask_seed(file_name: str) -> tuple[int, ...]:
    """Give the seed that fastMRI gives to a file's mask: the character codes of its name, without the folder."""
    return tuple(map(ord, file_name))


def random_mask(width: int, acceleration: float, center_fraction: float, seed: Seed) -> SamplingMask:
    """Keep the center and each other line by the toss of a coin, so that `width / acceleration` lines are expected.

    The expected number is met over many seeds, not by each mask. [fastMRI, arXiv:1811.08839]

    Parameters
    ----------
    width : int
        Number of phase-encoding lines.
    acceleration : float
        At least 1.
    center_fraction : float
        Share of the lines kept as a block around DC, in [0, 1].
    seed : int or tuple of int
        Seed of `numpy.random.RandomState`; fastMRI takes `mask_seed(file_name)`.

    Raises
    ------
    ValueError
        When an argument is out of its range.
    """
    require_line_request("random_mask", width, acceleration, center_fraction)
    n_center = round(width * center_fraction)
    lines = center_lines(width, n_center)
    if n_center < width:
        share = (width / acceleration - n_center) / (width - n_center)
        lines |= _random_state("random_mask", seed).uniform(size=width) < share
    return SamplingMask(torch.from_numpy(lines), "random")


def equispaced_mask(width: int, acceleration: float, center_fraction: float, seed: Seed) -> SamplingMask:
    """Keep the center and every `acceleration`-th line from a random first one, as scanners do for GRAPPA.

    The center comes on top, so that the true acceleration is lower than the one asked. Arguments as in `random_mask`;
    the acceleration must be whole. [fastMRI, arXiv:1811.08839]
    """
    require_line_request("equispaced_mask", width, acceleration, center_fraction)
    step = _require_whole("equispaced_mask", acceleration, "equispaced_fraction_mask")
    first = int(_random_state("equispaced_mask", seed).randint(0, step))
    lines = center_lines(width, round(width * center_fraction))
    lines[first::step] = True
    return SamplingMask(torch.from_numpy(lines), "equispaced")


def equispaced_fraction_mask(width: int, acceleration: float, center_fraction: float, seed: Seed) -> SamplingMask:
    """Keep the center and lines of one (fractional, rounded) spacing, so that about `width / acceleration` are kept.

    The spacing is `s = R (n_center - n) / (n_center R - n)`. Where the center already holds all lines asked for, it
    alone is kept. Arguments as in `random_mask`. [fastMRI, arXiv:1811.08839]
    """
    require_line_request("equispaced_fraction_mask", width, acceleration, center_fraction)
    n_center = round(width * center_fraction)
    lines = center_lines(width, n_center)
    excess = n_center * acceleration - width
    if excess < -1e-9 * width:
        step = (acceleration * (n_center - width)) / excess
        first = int(_random_state("equispaced_fraction_mask", seed).randint(0, round(step)))
        lines[np.around(np.arange(first, width - 1, step)).astype(int)] = True
    return SamplingMask(torch.from_numpy(lines), "equispaced-fraction")


def magic_mask(width: int, acceleration: float, center_fraction: float, seed: Seed) -> SamplingMask:
    """Keep the center and every `acceleration`-th line, with offsets on the two sides that mirror symmetry fills up.

    An image of slowly varying phase has nearly conjugate symmetric k-space, so lines that are no mirrors of each other
    say more. Arguments as in `random_mask`; the acceleration must be whole. [Defazio, arXiv:1912.01101]
    """
    require_line_request("magic_mask", width, acceleration, center_fraction)
    step = _require_whole("magic_mask", acceleration, "magic_fraction_mask")
    lines = center_lines(width, round(width * center_fraction))
    lines |= _magic_lines(width, step, _random_state("magic_mask", seed))
    return SamplingMask(torch.from_numpy(lines), "magic")


def magic_fraction_mask(width: int, acceleration: float, center_fraction: float, seed: Seed) -> SamplingMask:
    """Keep a `magic_mask` with its spacing widened, so that about `width / acceleration` lines are kept in all.

    The center has at least one line, and at most as many as are asked for; where it has all of them, it alone is kept
    (the package `fastmri` 0.3.0 fails there). Arguments as in `random_mask`. [Defazio, arXiv:1912.01101]
    """
    require_line_request("magic_fraction_mask", width, acceleration, center_fraction)
    n_lines = round(width / acceleration)
    n_center = max(min(round(width * center_fraction), n_lines), 1)
    lines = center_lines(width, n_center)
    if n_lines > n_center:
        step = round(width / (n_lines - n_center))
        lines |= _magic_lines(width, step, _random_state("magic_fraction_mask", seed))
    return SamplingMask(torch.from_numpy(lines), "magic-fraction")


def center_lines(width: int, n_center: int) -> Lines:
    """Give `(width,)` bool that keeps the `n_center` lines around DC."""
    lines = np.zeros(width, dtype=np.bool_)
    first = (width - n_center + 1) // 2
    lines[first : first + n_center] = True
    return lines


def require_line_request(who: str, width: int, acceleration: float, center_fraction: float) -> None:
    """Raise `ValueError` in words unless width >= 1, acceleration >= 1 and 0 <= center fraction <= 1."""
    if width < 1:
        raise ValueError(f"{who} takes a width of at least one line, got {width}")
    require_acceleration(who, acceleration)
    if not 0 <= center_fraction <= 1:
        raise ValueError(f"{who} takes a center fraction in [0, 1], got {center_fraction}; 8 % of the lines is 0.08")


def require_acceleration(who: str, acceleration: float) -> None:
    """Raise `ValueError` in words unless the acceleration is finite and at least 1."""
    if not 1 <= acceleration < float("inf"):
        raise ValueError(f"{who} takes an acceleration of at least 1, got {acceleration}; 4 keeps a quarter of k-space")


def _require_whole(who: str, acceleration: float, instead: str) -> int:
    if acceleration != int(acceleration):
        raise ValueError(f"{who} takes a whole acceleration, got {acceleration}; {instead} takes fractions")
    return int(acceleration)


def _random_state(who: str, seed: Seed) -> np.random.RandomState:
    codes: Sequence[int] = (seed,) if isinstance(seed, int) else seed
    if not codes or not all(0 <= code < 2**32 for code in codes):
        raise ValueError(f"{who} takes a seed of one or more whole numbers in [0, 2**32), got {seed!r}")
    return np.random.RandomState(seed)


def _magic_lines(width: int, step: int, random: np.random.RandomState) -> Lines:
    """Lines of both signs of frequency; counted from DC outwards they start at (even, odd) neighbors of one draw."""
    draw = int(random.randint(0, step))
    positive, negative = (draw + 1, draw + 2) if draw % 2 == 0 else (draw + 2, draw - 1)
    from_dc = np.zeros(width, dtype=np.bool_)  # the order of an unshifted transform: DC, 1, 2, ..., -2, -1
    n_positive = (width + 1) // 2
    from_dc[positive:n_positive:step] = True
    from_dc[n_positive:][::-1][negative::step] = True
    return np.fft.fftshift(from_dc)
