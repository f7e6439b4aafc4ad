"""Many coils combined into few virtual ones, which hold nearly all of the signal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from medrecon.calibration.low_resolution import low_resolution_images
from medrecon.calibration.noise import noise_level
from medrecon.calibration.region import calibration_region, center, require_multicoil

__all__ = ["CoilCompression", "VirtualCoils", "silent_maps"]

_ENOUGH = 32  # samples of an axis that show what coils have in common
_SILENT = 4  # coils that stand for those that were left out


@dataclass(frozen=True)
class VirtualCoils:
    """Into how many coils others are compressed: `count`, or as few as lose at most `lost` of the signal's energy.

    Without a count, `above` coils or fewer stay as they are, and at least `least` virtual ones are made. The energy is that of the
    calibration region, less what noise adds.
    """

    count: int | None = None
    lost: float = 5e-4
    above: int = 24
    least: int = 12

    def __post_init__(self) -> None:
        if self.count is not None and self.count < 1:
            raise ValueError(f"VirtualCoils takes a count of at least 1, or None, got {self.count}")


@dataclass(frozen=True, eq=False)
class CoilCompression:
    """The combinations of coils that hold most energy: `y = V k` with orthonormal rows, so that white noise stays white.

    Buehrer et al., Array compression for MRI with large coil arrays, Magn Reson Med 57:1131 (2007).

    Parameters
    ----------
    matrix
        `V`, complex `(virtual, coil)`.
    lost
        the share of the energy of the calibration region, less what noise adds, that is in none of them.
    """

    matrix: Tensor
    lost: float

    @classmethod
    def of(cls, kspace: Tensor, sampled: Tensor, rule: VirtualCoils = VirtualCoils()) -> Self | None:
        """Compress the coils of `(coil, ky, kx)` by the rule; None where that leaves them as they are.

        Without a calibration region, all samples that were acquired show what coils have in common. `sampled` is bool `(kx,)` or
        `(ky, kx)`.
        """
        require_multicoil("CoilCompression", kspace)
        n_coils = kspace.shape[-3]
        if n_coils <= (rule.above if rule.count is None else rule.count):
            return None
        size = calibration_region(kspace, sampled)
        block = kspace if 0 in size else center(kspace, (min(size[0], _ENOUGH), min(size[1], _ENOUGH)))
        samples = block.flatten(-2).to(torch.complex128)
        energy, vectors = torch.linalg.eigh(samples @ samples.mH)
        energy, vectors = energy.flip(0), vectors.flip(1)
        noise = noise_level(kspace, sampled).double().square() * int((block != 0).any(-3).sum())
        signal = (energy - noise).clamp_min(0)
        beyond = 1 - signal.cumsum(0) / signal.sum().clamp_min(torch.finfo(signal.dtype).tiny)
        count = rule.count or max(rule.least, int((beyond > rule.lost).sum()) + 1)
        if count >= n_coils:
            return None
        return cls(vectors[:, :count].mH.to(kspace.dtype), max(0.0, float(beyond[count - 1])))

    def __call__(self, coils: Tensor) -> Tensor:
        """`V k` of k-space `(..., coil, ky, kx)`, or of images of coils, in their dtype."""
        n_coils = self.matrix.shape[1]
        if coils.shape[-3] != n_coils:
            raise ValueError(f"CoilCompression takes {n_coils} coils, got {tuple(coils.shape)}")
        compressed = self.matrix.to(coils) @ coils.flatten(-2)
        return compressed.reshape(*coils.shape[:-3], len(self.matrix), *coils.shape[-2:])

    def seen(self, kspace: Tensor, sampled: Tensor) -> Tensor:
        """The share of the energy of low-resolution images that the virtual coils hold, `(y, x)`: near 1 where there is signal.

        `kspace` `(coil, ky, kx)` is that of all coils.

        Raises
        ------
        ValueError
            if the center of k-space was not sampled.
        """
        _, images = low_resolution_images("CoilCompression", kspace, sampled)
        energies = (one.abs().square().sum(-3) for one in (self(images), images))
        held, all_coils = energies
        return (held / all_coils.clamp_min(torch.finfo(all_coils.dtype).tiny)).clamp(0, 1)


def silent_maps(maps: Tensor, energy: Tensor | float = 1.0) -> Tensor:
    """Maps `(..., 4, y, x)` of coils that measured nothing, for those that were left out: of what `maps` lack of `energy`.

    Coils that are left out hold noise alone. Their maps are large where no object is, so that these coils keep images dark there,
    which resolves aliasing. Here few coils of random phases, and of measurements that are zero, do it in their place.
    """
    missing = (energy - maps.abs().square().sum(-3)).clamp_min(0)
    generator = torch.Generator().manual_seed(0)
    turns = torch.rand((_SILENT, *maps.shape[-2:]), generator=generator, dtype=torch.float64).to(missing)
    return torch.polar(
        (missing / _SILENT).sqrt().unsqueeze(-3).expand(*missing.shape[:-2], *turns.shape), 2 * torch.pi * turns
    )
