"""Coils that are far noisier than the others, which methods are to weigh by their noise."""

from __future__ import annotations

from torch import Tensor

from medrecon.calibration import coil_noise_ratios, noise_covariance
from medrecon.data.mri.fastmri import KSpaceSample
from medrecon.findings import Finding, FindingName, Severity
from medrecon.words import listed

__all__ = ["check_noise"]

NOISY = 3.0  # times the noise of the median coil; sound arrays reach 1.5


def check_noise(sample: KSpaceSample) -> tuple[tuple[Finding, ...], Tensor | None]:
    """Name the coils that are far noisier than the median one, with the covariance of the noise `(coil, coil)` if there are any."""
    noisy = (coil_noise_ratios(sample.kspace, sample.sampled) > NOISY).nonzero().flatten().tolist()
    if not noisy:
        return (), None
    covariance = noise_covariance(sample.kspace, sample.sampled)
    levels = covariance.diagonal().real.sqrt()
    times = listed([f"coil {coil} is {float(levels[coil] / levels.median()):.3g} times as noisy" for coil in noisy])
    text = (
        f"{times} as the median coil, which would spread over the image: coils are weighted by their noise, and the image keeps "
        "its brightness; look at the cables"
    )
    return (Finding(FindingName.NOISY_COIL, Severity.MENDED, text),), covariance
