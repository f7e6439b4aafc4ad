"""Photon counting: the noise of a CT scan at a stated dose."""

import math

import torch
from torch import Tensor

__all__ = ["COUNT_FLOOR", "LODOPAB_PHOTONS", "count_photons", "largest_line_integral"]

#: Photons per ray before the object, in LoDoPaB-CT.
LODOPAB_PHOTONS = 4096.0
#: A ray of which no photon arrives is taken for one of which this many did, for its logarithm's sake.
COUNT_FLOOR = 0.1


def count_photons(sinogram: Tensor, photons: float, generator: torch.Generator) -> Tensor:
    """Measure line integrals with so many photons a ray: `y = -log(max(I, 0.1 / N0))`, `I ~ Poisson(N0 exp(-y)) / N0`.

    Where many photons arrive, the noise of y has the variance `exp(y) / N0`. Leuschner et al., LoDoPaB-CT, Scientific
    Data 8:109 (2021).

    Parameters
    ----------
    sinogram : Tensor
        Dimensionless line integrals without noise, real, of any shape; infinity is a ray that nothing passes.
    photons : float
        N0, those that would arrive without an object; 4096 in LoDoPaB.
    generator : torch.Generator
        The source of the draw, on the device of the sinogram.

    Returns
    -------
    Tensor
        Line integrals of the shape and type of `sinogram`; the largest is `largest_line_integral(photons)`.

    Raises
    ------
    ValueError
        If there are no photons, or a line integral is NaN or minus infinity.
    """
    _require_photons("count_photons", photons)
    if sinogram.is_complex() or not sinogram.is_floating_point():
        raise ValueError(f"count_photons takes real line integrals, got {sinogram.dtype}")
    wrong = sinogram.isnan() | sinogram.isneginf()
    if wrong.any():
        raise ValueError(f"count_photons takes line integrals, got {int(wrong.sum())} that are NaN or minus infinity")
    expected = photons * torch.exp(-sinogram.double())  # float32 counts no further than 1.7e7
    counts = torch.poisson(expected, generator=generator)
    return -torch.log(counts.clamp_min(COUNT_FLOOR) / photons).to(sinogram.dtype)


def largest_line_integral(photons: float) -> float:
    """What `count_photons` gives for a ray of which no photon arrives: `-log(0.1 / N0)`."""
    _require_photons("largest_line_integral", photons)
    return math.log(photons / COUNT_FLOOR)


def _require_photons(who: str, photons: float) -> None:
    if not (math.isfinite(photons) and photons > 0):
        raise ValueError(f"{who} takes a number of photons per ray above zero, got {photons}")
