"""Coil maps for every pixel: ESPIRiT's where there is signal, those of low-resolution images elsewhere."""

from __future__ import annotations

import torch
from torch import Tensor

from medrecon.calibration.espirit import SecondSet, espirit_sets
from medrecon.calibration.low_resolution import low_resolution_maps
from medrecon.calibration.region import turn
from medrecon.spaces import root_sum_of_squares

__all__ = ["completed_maps"]

_LEAST = 0.5  # eigenvalues below are not worth solving for
_INSIDE, _RAMP = (
    0.9,
    0.05,
)  # relative eigenvalue from which a pixel belongs to the object, and the width of the transition
_SECOND, _SECOND_RAMP = 0.5, 0.3  # the same of the second


def completed_maps(
    kspace: Tensor,
    sampled: Tensor,
    *,
    calibration: tuple[int, int],
    kernel: int,
    noise: Tensor | float,
    rule: SecondSet | None = None,
    seen: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Estimate coil maps `(..., coil, y, x)` of unit root-sum-of-squares everywhere, and a second set where one does not suffice.

    ESPIRiT's largest eigenvalue tells how well one set of maps explains a pixel. Cropped maps make the background exactly zero, and
    lose faint tissue, or, where few calibration lines lower all eigenvalues, the object. Uncropped ones point anywhere in the
    background and let aliased signal be put there. Here the eigenvalue is compared with its mean over the object, weighted by
    energy; where it falls short, the maps go over to those of the low-resolution images, which are tame. The second set goes over
    to zero, as its own eigenvalue falls short; it is None where no slice needs one (see `SecondSet`).

    Parameters
    ----------
    kspace
        complex `(..., coil, ky, kx)`.
    sampled
        bool `(kx,)` or `(ky, kx)`.
    calibration, kernel, noise
        as `espirit` takes them.
    rule
        when a second set is needed; without one none is looked for.
    seen
        real `(..., y, x)`: of the low-resolution images of all coils the share of the energy that these, compressed ones hold (see
        `CoilCompression.seen`). The rest stays away from the root-sum-of-squares: little in the object, much where there is noise
        alone.
    """
    maps, second = espirit_sets(
        kspace, calibration=calibration, kernel=kernel, noise=noise, crop=_eigenvalue, rule=rule
    )
    coarse = low_resolution_maps(kspace, sampled)
    value = root_sum_of_squares(maps, -3, keepdim=True)
    energy = torch.fft.ifft2(kspace * sampled, norm="ortho").abs().square().sum(-3, keepdim=True)
    energy = torch.fft.fftshift(energy, dim=(-2, -1))  # of the magnitude only: centering in k-space is a phase
    mean = (value * energy).sum((-2, -1), keepdim=True) / energy.sum((-2, -1), keepdim=True).clamp_min(1e-30)
    share = ((value / mean.clamp_min(1e-30) - _INSIDE) / _RAMP).clamp(0, 1)
    overlap = (maps.conj() * coarse).sum(-3, keepdim=True)
    known = 1.0 if seen is None else seen.unsqueeze(-3)
    blend = share * maps / value.clamp_min(1e-30) + (1 - share) * known**0.5 * coarse * turn(overlap)
    length = (blend.abs().square().sum(-3, keepdim=True) + (1 - share).square() * (1 - known)).sqrt()
    unit: Tensor = blend / length.clamp_min(1e-30)
    if second is not None:
        value = root_sum_of_squares(second, -3, keepdim=True)
        share = ((value / mean.clamp_min(1e-30) - _SECOND) / _SECOND_RAMP).clamp(0, 1)
        second = share * second / value.clamp_min(1e-30)
    return unit, second


def _eigenvalue(values: Tensor) -> Tensor:
    return torch.where(values > _LEAST, values, 0.0)
