"""Readouts in both directions: the phase between them, by reference lines, so that no ghost lies half a field away.

Bruder et al., Magn Reson Med 23:311 (1992); Heid, Proc. ISMRM 2000, p. 2014, for the line in the middle of two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["GhostCorrection"]

CArray = NDArray[np.complex64]


@dataclass(frozen=True)
class GhostCorrection:
    """A phase that reversed readouts are turned by: `slope` radians a pixel of the readout, `offset` at its middle."""

    slope: float
    offset: float

    @classmethod
    def of(cls, lines: CArray, reverse: NDArray[np.bool_]) -> GhostCorrection | None:
        """Fit it to reference lines `(line, coil, ky)` without phase encoding, some of which are reversed (and flipped already).

        All of one direction are averaged: of three lines the outer two, so that what drifts from echo to echo cancels. None without
        lines of both directions, or without signal.
        """
        if not reverse.any() or reverse.all():
            return None
        rows = _to_rows(torch.from_numpy(lines)).to(torch.complex128)
        mask = torch.from_numpy(reverse)
        common = (rows[~mask].mean(0) * rows[mask].mean(0).conj()).sum(0)
        steps = (common[1:] * common[:-1].conj()).sum()
        if float(common.abs().max()) == 0 or not bool(steps.isfinite()):
            return None
        slope = float(steps.angle())
        x = torch.arange(len(common)) - len(common) // 2
        turned = (common * torch.exp(-1j * slope * x)).sum()
        return cls(slope, float(turned.angle()))

    def __call__(self, lines: Tensor) -> Tensor:
        """Turn reversed lines `(..., ky)`, which were flipped."""
        rows = _to_rows(lines)
        x = torch.arange(rows.shape[-1], dtype=torch.float64) - rows.shape[-1] // 2
        phase = torch.polar(torch.ones_like(x), self.slope * x + self.offset).to(rows.dtype)
        return _to_lines(rows * phase)


def _to_rows(lines: Tensor) -> Tensor:
    rows: Tensor = torch.fft.fftshift(torch.fft.ifft(torch.fft.ifftshift(lines, dim=-1), norm="ortho"), dim=-1)
    return rows


def _to_lines(rows: Tensor) -> Tensor:
    lines: Tensor = torch.fft.fftshift(torch.fft.fft(torch.fft.ifftshift(rows, dim=-1), norm="ortho"), dim=-1)
    return lines
