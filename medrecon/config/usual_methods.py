"""Which methods are taken where none is named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from medrecon.config.methods import MethodSettings, PoissonTotalVariationSettings, WaveletSettings
from medrecon.modality import Modality

__all__ = ["USUAL_METHODS", "UsualMethods"]


@dataclass(frozen=True)
class UsualMethods:
    """Of a modality.

    Parameters
    ----------
    default
        taken unless another is named.
    candidates
        of which `--method auto` takes one.
    rival
        the classical method that a network is held against.
    """

    default: str
    candidates: tuple[str, ...]
    rival: MethodSettings


USUAL_METHODS: Mapping[Modality, UsualMethods] = {
    Modality.MRI: UsualMethods("wavelet", ("wavelet", "tv", "varnet"), WaveletSettings()),
    # 8 of 24 iterations, which say the same
    Modality.CT: UsualMethods("fbp", ("fbp", "tv-poisson", "primal-dual"), PoissonTotalVariationSettings(iterations=8)),
}
