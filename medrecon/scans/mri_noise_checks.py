"""Coils that are far noisier than the others, which methods are to weigh by their noise."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple, Self

import torch
from torch import Tensor

from medrecon.calibration import CoilNoise, calibration_region
from medrecon.data.mri.fastmri import KSpaceSample
from medrecon.findings import Finding, KSpaceFinding, mended_or_left
from medrecon.words import listed

__all__ = ["check_noise"]

NOISY = 3.5  # times the noise of the median coil
BRIGHT = 1.5  # times its noise over its signal: a coil that is amplified more, or nearer, is not noisy for that
GAP = 2.5  # between the noise of a few coils and that of the others, if most are noisy
SILENT = 1e-6  # of the brightest coil: less says nothing of noise
MIDDLE = 32  # samples of an axis about the center, which tell how bright a coil is


class _Noisy(NamedTuple):
    """Coils with how many times their noise is that `of` others, and the levels of all coils."""

    coils: dict[int, float]
    levels: Tensor
    of: str

    @classmethod
    def of_those(cls, noisy: Tensor, levels: Tensor, usual: Tensor, of: str) -> Self | None:
        coils = {coil: float(levels[coil] / usual) for coil in noisy.nonzero().flatten().tolist()}
        return cls(coils, levels, of) if coils else None


def check_noise(
    sample: KSpaceSample, accepted: Collection[KSpaceFinding] = ()
) -> tuple[tuple[Finding, ...], Tensor | None]:
    """Name the coils that are far noisier than the median one, with the noise by which coils are to be weighted, if there are any.

    Coils that are accepted by name count as the others do.
    That is a covariance `(coil, coil)`, without correlations: read from the edge of k-space they weighed coils no better, on scans
    with noise correlated by a half between neighbors, and on measured ones.
    """
    noise, brightness = CoilNoise.of(sample.kspace, sample.sampled), _brightness(sample.kspace)
    found = _noisy_of_few(noise, brightness) or _noisy_of_most(noise, brightness)
    if found is None:
        return (), None
    noisy, levels, of = found
    times = listed([f"coil {coil} is {level:.3g} times as noisy" for coil, level in noisy.items()])
    is_calibrated = 0 not in calibration_region(sample.kspace, sample.sampled)
    shown = "keeps its brightness" if is_calibrated else "is dimmer where such coils lie nearest"
    seen = f"{times} as {of}, which would spread over the image"
    done = f"coils are weighted by their noise, and the image {shown}; look at the cables"
    is_left = KSpaceFinding.NOISY_COIL in accepted
    finding = mended_or_left(KSpaceFinding.NOISY_COIL, seen, done, accepted)
    return (finding,), None if is_left else levels.square().diag()


def _noisy_of_few(noise: CoilNoise, brightness: Tensor) -> _Noisy | None:
    """Coils far noisier than the median one, and for their signal."""
    ratios = noise.ratios()
    over_signal = ratios / brightness
    noisy = (ratios > NOISY) & (over_signal > BRIGHT * over_signal.median())
    if not bool(noisy.any()):
        return None
    levels = noise.levels()
    return _Noisy.of_those(noisy, levels, levels.median(), "the median coil")


def _noisy_of_most(noise: CoilNoise, brightness: Tensor) -> _Noisy | None:
    """Coils far noisier than half of the coils or fewer, those of least noise, which a gap sets apart from all others.

    A coil that is amplified `a` times has `a` times the noise and about `a` times the signal; one that is noisy has more noise over
    its signal, by more than half of that on a logarithmic scale.
    """
    alive = (brightness > SILENT * brightness.max()).nonzero().flatten()
    levels = noise.levels(alive[:1])
    order = alive[levels[alive].argsort()]
    gaps = levels[order][1:] / levels[order][:-1]
    if len(gaps) == 0 or not float(gaps.max()) > GAP:
        return None
    few = order[: int(gaps.argmax()) + 1]
    if 2 * len(few) > len(alive):
        return None
    ratios = noise.ratios(few)
    over_signal = ratios / brightness
    noisy = (ratios > NOISY) & (over_signal > ratios.sqrt() * over_signal[few].median())
    levels = noise.levels(few)
    return _Noisy.of_those(noisy, levels, levels[few].median(), f"the quietest {'one' if len(few) == 1 else len(few)}")


def _brightness(kspace: Tensor) -> Tensor:
    """The root of the energy of each coil about the center, `(coil)`, above zero."""
    for axis in (-2, -1):
        n = kspace.shape[axis]
        kept = min(n, MIDDLE)
        kspace = kspace.narrow(axis, n // 2 - kept // 2, kept)
    energy = kspace.to(torch.complex128).abs().square().sum((-2, -1)).sqrt()
    return energy.clamp_min(torch.finfo(torch.float64).tiny)
