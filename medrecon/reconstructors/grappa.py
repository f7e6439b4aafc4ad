"""GRAPPA: missing lines of k-space from their neighbors in all coils."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

import torch
from torch import Tensor
from torch.nn.functional import pad

from medrecon.operators import LinearOperator, Mask, factor_of
from medrecon.reconstructors.direct import RootSumOfSquares

__all__ = ["Grappa"]

_READOUT, _LINES = 5, 4  # samples of the kernel: along the readout, and acquired lines
_FEW_LINES = 2  # where there are too few calibration lines for those
_SPACINGS = range(2, 9)  # beyond, neighbors say nothing
_REMEDY = "take sense, wavelet or tv, which take any mask, or --mask equispaced"


@dataclass(frozen=True)
class Grappa:
    """Every missing sample as one combination of its 5 x 4 acquired neighbors in all coils; then their root sum of squares.

    Weights of one kernel a place between lines solve `min |S w - t|^2 + weight |S^H S| / n |w|^2` over all places of the
    calibration lines, with the Frobenius norm of the `n` x `n` matrix. Measured samples stay. It takes every so-manieth line of any
    offset, with calibration lines in the middle, and uses no coil maps; where calibration lines are too few for four lines of
    neighbors, two are taken.
    Griswold et al., Magn Reson Med 47:1202 (2002).

    Raises
    ------
    ValueError
        for a negative weight; when called, for an operator without a mask of regularly spaced lines and calibration lines.
    """

    weight: float = 0.01

    def __post_init__(self) -> None:
        if not self.weight >= 0:
            raise ValueError(f"Grappa takes a weight of at least 0, got {self.weight}")

    def __call__(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        return RootSumOfSquares()(self.fill(y, A), A)

    def fill(self, y: Tensor, A: LinearOperator) -> Tensor:
        """The k-space `(..., coil, ky, kx)` with the lines that were left out."""
        mask = factor_of(A, Mask, "Grappa")
        if A.range.axes != ("coil", "ky", "kx"):
            raise ValueError(f"Grappa takes multi-coil k-space (..., coil, ky, kx), got {A.range}")
        A.range.require(y, "Grappa")
        shape = A.range.shape[1:]
        patterns = mask.pattern.expand(*y.shape[:-3], *shape).reshape(-1, *shape)
        scans = [self._filled(*scan) for scan in zip(y.reshape(-1, *y.shape[-3:]), patterns, strict=True)]
        return torch.stack(scans).reshape(y.shape) if scans else y

    def _filled(self, kspace: Tensor, pattern: Tensor) -> Tensor:
        if bool((pattern == pattern[:, :1]).all()) and not bool(pattern.all()):
            return self._filled(kspace.mT, pattern.mT).mT  # lines along the other axis
        if not bool((pattern == pattern[:1]).all()):
            raise ValueError(f"Grappa takes whole lines of k-space, got a mask of points; {_REMEDY}")
        lattice = _Lattice.of(pattern[0].cpu())
        return kspace if lattice is None else lattice.fill(kspace, self.weight)


@dataclass(frozen=True)
class _Lattice:
    """Lines `first`, `first + spacing`, to `last` that were acquired, beside those from `start` to `stop` of the calibration."""

    first: int
    last: int
    spacing: int
    start: int
    stop: int

    @classmethod
    def of(cls, line: Tensor) -> _Lattice | None:
        """Find it in bool `(line)`; None where nothing is missing."""
        taken, middle = line.nonzero().flatten().tolist(), len(line) // 2
        if len(taken) == len(line):
            return None
        if not bool(line[middle]):
            raise ValueError(
                f"Grappa takes calibration lines in the middle of k-space, got none; take rss, or {_REMEDY}"
            )
        stop = middle + int(line[middle:].int().cumprod(0).sum())
        start = middle - int(line[:middle].flip(0).int().cumprod(0).sum())
        outside = [index for index in taken if not start <= index < stop]
        spacing = gcd(*(index - outside[0] for index in outside)) if outside else 0
        if spacing not in _SPACINGS:
            raise ValueError(f"Grappa takes every second to eighth line, got irregular ones; {_REMEDY}")
        first, last = outside[0], outside[-1]
        if (
            first > start or last < stop
        ):  # of one side alone, the calibration goes on as far as it holds lines of the lattice
            first = min(first, start + (first - start) % spacing)
            last = max(last, stop - 1 - (stop - 1 - last) % spacing)
        if not bool(line[first : last + 1 : spacing].all()):
            raise ValueError(f"Grappa takes lines of one distance, got one line in {spacing} with holes; {_REMEDY}")
        if stop - start <= (_FEW_LINES - 1) * spacing:
            raise ValueError(
                f"Grappa takes at least {spacing + 1} calibration lines for one line in {spacing}, got {stop - start}; "
                "sample more central lines"
            )
        return cls(first, last, spacing, start, stop)

    @property
    def n_lines(self) -> int:
        """Of the kernel."""
        return _LINES if self.stop - self.start > (_LINES - 1) * self.spacing else _FEW_LINES

    def fill(self, kspace: Tensor, weight: float) -> Tensor:
        """K-space `(coil, readout, line)` with the lines that are missing near those of the lattice."""
        n_coils, n_readout, n_lines = kspace.shape
        weights = self._weights(kspace, weight)
        acquired = kspace[..., self.first : self.last + 1 : self.spacing]
        around = self.n_lines // 2
        windows = pad(acquired, (around, around, _READOUT // 2, _READOUT // 2))
        windows = windows.unfold(1, _READOUT, 1).unfold(2, self.n_lines, 1)  # (coil, readout, base, 5, lines)
        windows = windows.permute(1, 2, 0, 3, 4)
        found = windows.reshape(-1, weights.shape[0]) @ weights.to(kspace)
        found = found.reshape(n_readout, -1, n_coils, self.spacing - 1).permute(2, 0, 1, 3)
        place = self.first - self.spacing + self.spacing * torch.arange(found.shape[2])[:, None]
        place = (place + torch.arange(1, self.spacing)).flatten()
        inside = (place >= 0) & (place < n_lines) & ((place < self.start) | (place >= self.stop))
        filled = kspace.clone()
        filled[..., place[inside].to(kspace.device)] = found.flatten(-2)[..., inside.to(kspace.device)]
        return filled

    def _weights(self, kspace: Tensor, weight: float) -> Tensor:
        """Of the samples of a window, in the order (coil, readout, line), for those between its middle lines, (coil, place)."""
        block = kspace[..., self.start : self.stop].to(torch.complex128)
        reach = (self.n_lines - 1) * self.spacing + 1
        windows = block.unfold(1, _READOUT, 1).unfold(2, reach, 1).permute(1, 2, 0, 3, 4)
        sources = windows[..., :: self.spacing].flatten(0, 1).flatten(1)
        middle = (self.n_lines // 2 - 1) * self.spacing
        targets = windows[..., _READOUT // 2, middle + 1 : middle + self.spacing].flatten(0, 1).flatten(1)
        normal = sources.mH @ sources
        ridge = weight * torch.linalg.matrix_norm(normal) / len(normal)
        ridge = ridge.clamp_min(torch.finfo(torch.float64).tiny)
        normal.diagonal().add_(ridge)
        weights: Tensor = torch.linalg.solve(normal, sources.mH @ targets)
        return weights
