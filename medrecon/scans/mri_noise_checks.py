"""Coils that are far noisier than the others, which methods are to weigh by their noise."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from medrecon.calibration import calibration_region, coil_noise_levels, coil_noise_ratios
from medrecon.data.mri.fastmri import KSpaceSample
from medrecon.findings import Finding, KSpaceFinding, mended_or_left
from medrecon.words import listed

__all__ = ["check_noise"]

NOISY = 3.5  # times the noise of the median coil
BRIGHT = 1.5  # times its noise over its signal: a coil that is amplified more, or nearer, is not noisy for that
MIDDLE = 32  # samples of an axis about the center, which tell how bright a coil is


def check_noise(
    sample: KSpaceSample, accepted: Collection[KSpaceFinding] = ()
) -> tuple[tuple[Finding, ...], Tensor | None]:
    """Name the coils that are far noisier than the median one, with the noise by which coils are to be weighted, if there are any.

    Coils that are accepted by name count as the others do.
    That is a covariance `(coil, coil)`, without correlations: read from the edge of k-space they weighed coils no better, on scans
    with noise correlated by a half between neighbors, and on measured ones.
    """
    ratios = coil_noise_ratios(sample.kspace, sample.sampled)
    over_signal = ratios / _brightness(sample.kspace)
    noisy = ((ratios > NOISY) & (over_signal > BRIGHT * over_signal.median())).nonzero().flatten().tolist()
    if not noisy:
        return (), None
    levels = coil_noise_levels(sample.kspace, sample.sampled)
    times = listed([f"coil {coil} is {float(levels[coil] / levels.median()):.3g} times as noisy" for coil in noisy])
    is_calibrated = 0 not in calibration_region(sample.kspace, sample.sampled)
    brightness = "keeps its brightness" if is_calibrated else "is dimmer where such coils lie nearest"
    seen = f"{times} as the median coil, which would spread over the image"
    done = f"coils are weighted by their noise, and the image {brightness}; look at the cables"
    is_left = KSpaceFinding.NOISY_COIL in accepted
    found = mended_or_left(KSpaceFinding.NOISY_COIL, seen, done, accepted)
    return (found,), None if is_left else levels.square().diag()


def _brightness(kspace: Tensor) -> Tensor:
    """The root of the energy of each coil about the center, `(coil)`, above zero."""
    for axis in (-2, -1):
        n = kspace.shape[axis]
        kept = min(n, MIDDLE)
        kspace = kspace.narrow(axis, n // 2 - kept // 2, kept)
    energy = kspace.to(torch.complex128).abs().square().sum((-2, -1)).sqrt()
    return energy.clamp_min(torch.finfo(torch.float64).tiny)
