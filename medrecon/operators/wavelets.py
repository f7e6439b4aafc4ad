"""The orthogonal, periodic, separable discrete wavelet transform."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, cached_property
from typing import final

import pywt
import torch
from torch import Tensor

from medrecon.operators.linear import Identity, LinearOperator
from medrecon.spaces import Space

__all__ = ["Wavelet"]

_BLOCK = 16  # outputs of one small matrix product; a matrix of (16, 16 + taps - 2) stays in the first-level cache


@final
@dataclass(frozen=True, eq=False, repr=False)
class Wavelet(LinearOperator):
    """Mallat's pyramid of an orthogonal wavelet, periodic at the edges: `W.H @ W = W @ W.H = 1`.

    Coefficients stand where the image stood: after each level the low-pass half comes first along every axis. The families are
    PyWavelets' orthogonal ones (`haar`, `db2` ... `db38`, `sym2` ..., `coif1` ...). Sizes must be divisible by `2**levels`; an
    axis of coils, or of sets of coil maps, is none of the image, and any size will do.

    Each level is a product of overlapping blocks of the image with one small banded matrix, so that a CPU and a GPU run it as
    matrix multiplications and autograd follows it.

    Mallat, IEEE Trans PAMI 11:674 (1989).

    Raises
    ------
    ValueError
        for a wavelet that is unknown or not orthogonal, and for sizes that `2**levels` does not divide.
    """

    space: Space
    wavelet: str = "db4"
    levels: int = 4

    def __post_init__(self) -> None:
        if self.wavelet not in _orthogonal_wavelets():
            raise ValueError(
                f"Wavelet takes an orthogonal wavelet such as haar, db4, sym4 or coif2, got {self.wavelet!r}"
            )
        if self.levels < 1 or any(self.space.shape[dim] % 2**self.levels for dim in self.space.spatial_dims):
            raise ValueError(
                f"Wavelet of {self.levels} levels takes sizes divisible by {2**self.levels}, got {self.space}: "
                "pad the image (see Crop) or take fewer levels"
            )

    @property
    def domain(self) -> Space:
        return self.space

    @property
    def range(self) -> Space:
        return self.space

    @cached_property
    def _banks(self) -> dict[tuple[torch.dtype, torch.device], _FilterBank]:
        return {}

    def _bank(self, x: Tensor) -> _FilterBank:
        key = (x.dtype, x.device)
        if key not in self._banks:
            with torch.inference_mode(False):
                self._banks[key] = _FilterBank.of(self.wavelet, x)
        return self._banks[key]

    def _forward(self, x: Tensor) -> Tensor:
        corner = _planes(x)
        bank = self._bank(corner)
        pyramid: list[Tensor] = []
        for _ in range(self.levels):
            for dim in self.space.spatial_dims:
                corner = bank.analyze(corner, dim)
            pyramid.append(corner)
            corner = self._low(corner)
        bands = pyramid.pop()
        while pyramid:
            finer = pyramid.pop()
            self._low(finer).copy_(bands)
            bands = finer
        return _unplanes(bands, x)

    def _adjoint(self, y: Tensor) -> Tensor:
        finer = _planes(y)
        bank = self._bank(finer)
        pyramid: list[Tensor] = []
        for _ in range(self.levels):
            pyramid.append(finer)
            finer = self._low(finer)
        image = finer
        for level, bands in enumerate(reversed(pyramid)):
            if level > 0:
                bands = bands.clone()
                self._low(bands).copy_(image)
            image = bands
            for dim in reversed(self.space.spatial_dims):
                image = bank.synthesize(image, dim)
        return _unplanes(image, y)

    def _low(self, bands: Tensor) -> Tensor:
        for dim in self.space.spatial_dims:
            bands = bands.narrow(dim, 0, bands.shape[dim] // 2)
        return bands

    def _gram(self) -> LinearOperator:
        return Identity(self.space)

    def _norm_bound(self) -> float | None:
        return 1.0


@cache
def _orthogonal_wavelets() -> frozenset[str]:
    """Those whose taps are orthogonal to rounding; PyWavelets' finite `dmey` is so to three digits only."""
    names = pywt.wavelist(kind="discrete")
    return frozenset(name for name in names if name != "dmey" and pywt.Wavelet(name).orthogonal)


@dataclass(frozen=True, eq=False)
class _FilterBank:
    """One level along one axis, as block matrices."""

    low: Tensor  # (taps,)
    high: Tensor
    analysis: Tensor  # (2 * half, block + taps - 2), low rows first
    synthesis: Tensor  # (block, 2 * (half + taps / 2 - 1)), columns for the low samples first

    @classmethod
    def of(cls, name: str, like: Tensor) -> _FilterBank:
        wavelet = pywt.Wavelet(name)
        low, high = (torch.tensor(taps, dtype=torch.float64) for taps in (wavelet.rec_lo, wavelet.rec_hi))
        taps, half = len(low), _BLOCK // 2
        analysis = torch.zeros(2, half, _BLOCK + taps - 2, dtype=torch.float64)
        for row in range(half):
            analysis[0, row, 2 * row : 2 * row + taps] = low
            analysis[1, row, 2 * row : 2 * row + taps] = high
        reach = half + taps // 2 - 1
        synthesis = torch.zeros(_BLOCK, 2, reach, dtype=torch.float64)
        for sample in range(_BLOCK):
            for column in range(reach):
                tap = sample - 2 * (column - taps // 2 + 1)
                if 0 <= tap < taps:
                    synthesis[sample, 0, column], synthesis[sample, 1, column] = low[tap], high[tap]
        matrices = (low, high, analysis.flatten(0, 1), synthesis.flatten(1))
        return cls(*(matrix.to(like.device, like.dtype) for matrix in matrices))

    @property
    def taps(self) -> int:
        return len(self.low)

    @cached_property
    def _whole(self) -> dict[int, Tensor]:
        return {}

    def whole(self, n: int) -> Tensor:
        """The periodic analysis matrix (n, n) of a short axis."""
        if n not in self._whole:
            with torch.inference_mode(False):
                matrix = self.low.new_zeros(2, n // 2, n)
                rows = torch.arange(n // 2, device=self.low.device)
                for tap in range(self.taps):
                    columns = (2 * rows + tap) % n
                    matrix[0, rows, columns] += self.low[tap]
                    matrix[1, rows, columns] += self.high[tap]
                self._whole[n] = matrix.flatten(0, 1)
        return self._whole[n]

    def _is_short(self, n: int) -> bool:
        return n <= max(4 * _BLOCK, 2 * self.taps)

    def analyze(self, x: Tensor, dim: int) -> Tensor:
        """`n` samples along `dim` to `n / 2` low-pass and `n / 2` high-pass ones."""
        n, rows = x.shape[dim], _as_rows(x, dim)
        if self._is_short(n):
            return _product(self.whole(n), rows).reshape(x.shape)
        blocks = -(-n // _BLOCK)
        rows = torch.cat([rows, rows[:, : blocks * _BLOCK - n + self.taps - 2]], 1)
        split = _window_product(self.analysis, rows, _BLOCK)
        split = split.reshape(split.shape[0], blocks, 2, _BLOCK // 2, split.shape[3])
        halves = split.transpose(1, 2).flatten(2, 3)[:, :, : n // 2]
        return halves.reshape(x.shape)

    def synthesize(self, x: Tensor, dim: int) -> Tensor:
        """The inverse, and adjoint, of `analyze`."""
        n, rows = x.shape[dim], _as_rows(x, dim)
        if self._is_short(n):
            return _product(self.whole(n).T, rows).reshape(x.shape)
        blocks = -(-n // _BLOCK)
        half, before = n // 2, self.taps // 2 - 1
        after = blocks * _BLOCK // 2 - half
        bands = rows.reshape(rows.shape[0], 2, half, rows.shape[2])
        bands = torch.cat([bands[:, :, half - before :], bands, bands[:, :, :after]], 2)
        width = self.synthesis.shape[1] // 2
        low = _window_product(self.synthesis[:, :width], bands[:, 0], _BLOCK // 2)
        high = _window_product(self.synthesis[:, width:], bands[:, 1], _BLOCK // 2)
        return low.add_(high).flatten(1, 2)[:, :n].reshape(x.shape)


def _as_rows(x: Tensor, dim: int) -> Tensor:
    """`x` as `(leading, n, trailing)`."""
    trailing = math.prod(x.shape[dim:][1:])
    return x.reshape(-1, x.shape[dim], trailing)


def _product(matrix: Tensor, rows: Tensor) -> Tensor:
    """`matrix` applied along the middle axis of `(leading, n, trailing)`."""
    if rows.shape[2] == 1:
        return (rows[:, :, 0] @ matrix.T).unsqueeze(2)
    return matrix @ rows


def _window_product(matrix: Tensor, rows: Tensor, step: int) -> Tensor:
    """`matrix` applied to every window of its width, `step` apart, of `(leading, n, trailing)`.

    Gives `(leading, window, rows of the matrix, trailing)`.
    """
    windows = rows.unfold(1, matrix.shape[1], step)  # (leading, window, trailing, width)
    if rows.shape[2] == 1:
        return (windows[:, :, 0].transpose(0, 1) @ matrix.T).transpose(0, 1).unsqueeze(3)
    return matrix @ windows.transpose(2, 3)


def _planes(x: Tensor) -> Tensor:
    """Real and imaginary part along a new first axis, or one plane of a real tensor."""
    if x.is_complex():
        return torch.view_as_real(x.resolve_conj()).movedim(-1, 0).contiguous()
    return x.unsqueeze(0)


def _unplanes(planes: Tensor, like: Tensor) -> Tensor:
    return torch.complex(planes[0], planes[1]) if like.is_complex() else planes[0]
