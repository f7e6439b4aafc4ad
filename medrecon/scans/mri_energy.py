"""Where the energy of a slice of k-space lies: what its checks look at."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from medrecon.data.mri.fastmri import KSpaceSample

__all__ = ["LEAST_SIZE", "Energy", "center_block", "energy_of", "spread"]

MIDDLE = 32  # samples of an axis, which hold nearly all energy
LEAST_SIZE = 16  # samples along an axis, below which nothing is said of it


@dataclass(frozen=True, eq=False)
class Energy:
    """Squared magnitudes of one slice, in units of its largest real or imaginary part, `peak`.

    Parameters
    ----------
    total
        `(ky, kx)`, over all coils.
    by_coil
        `(coil,)`, over all samples.
    """

    peak: float
    total: Tensor
    by_coil: Tensor

    @classmethod
    def of(cls, kspace: Tensor) -> Energy:
        """Sum k-space `(coil, ky, kx)` in one pass, coil by coil; what is summed in double precision is near one."""
        low, high = torch.view_as_real(kspace).aminmax()
        peak = max(-float(low), float(high))
        total, by_coil = torch.zeros(kspace.shape[-2:], dtype=torch.float64), []
        for coil in kspace:
            squares = (torch.view_as_real(coil) / peak).square_()
            energy = squares[..., 0] + squares[..., 1]  # many times faster than a sum over an axis of two
            total += energy
            by_coil.append(float(energy.sum(dtype=torch.float64)))
        return cls(peak, total, torch.tensor(by_coil, dtype=torch.float64))


def energy_of(sample: KSpaceSample) -> float:
    """The sum of squared magnitudes of the middle of k-space; of values near one in double precision, as squares leave float32."""
    block = sample.kspace
    for axis in (-2, -1):
        n = block.shape[axis]
        kept = min(n, MIDDLE)
        block = block.narrow(axis, n // 2 - kept // 2, kept)
    energy = Energy.of(block)
    if energy.peak == 0:
        return 0.0
    return float(energy.by_coil.sum()) * energy.peak**2


def spread(energies: Tensor) -> float:
    """How many entries hold the energy: n where it is even, 1 where one has all of it."""
    return float(energies.sum() ** 2 / energies.square().sum())


def center_block(sample: KSpaceSample, axis: int) -> Tensor | None:
    """The unbroken run of acquired lines, or rows, around the middle of k-space, of even length and symmetric; None if short."""
    if sample.sampled.ndim == 1:
        there = torch.ones(sample.kspace.shape[-2], dtype=torch.bool) if axis == -2 else sample.sampled
    else:
        there = sample.sampled.any(dim=1 if axis == -2 else 0)
    middle = len(there) // 2
    missing = (~there).nonzero().flatten() - middle
    before, after = missing[missing < 0], missing[missing >= 0]
    reach = min(
        middle if not len(before) else -int(before[-1]) - 1, int(after[0]) if len(after) else len(there) - middle
    )
    return sample.kspace.narrow(axis, middle - reach, 2 * reach) if 2 * reach >= LEAST_SIZE else None
