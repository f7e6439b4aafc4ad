"""From the settings of a method to its object."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from medrecon.config.methods import (
    DiffusionSettings,
    FbpSettings,
    GrappaSettings,
    LearnedSettings,
    MethodSettings,
    PlugAndPlaySettings,
    PoissonTotalVariationSettings,
    RootSumOfSquaresSettings,
    SenseSettings,
    SirtSettings,
    TikhonovSettings,
    TotalVariationSettings,
    WaveletSettings,
    ZeroFilledSettings,
)
from medrecon.modality import Modality
from medrecon.reconstructor import Reconstructor
from medrecon.reconstructors import (
    AutomaticWeight,
    DiffusionSampler,
    FilteredBackprojection,
    Grappa,
    NonnegativeTotalVariation,
    PlugAndPlay,
    PoissonTotalVariation,
    RootSumOfSquares,
    Sense,
    Sirt,
    Tikhonov,
    TotalVariation,
    WaveletSparsity,
    ZeroFilled,
)
from medrecon.weights.denoiser import load_denoiser
from medrecon.weights.learned import load_reconstructor, weights_of

__all__ = ["build_reconstructor"]


def build_reconstructor(
    settings: MethodSettings, modality: Modality, *, photons: float | None = None, device: torch.device | str = "cpu"
) -> Reconstructor:
    """Make the reconstructor of a method; fields that were not given keep its defaults.

    Parameters
    ----------
    settings
        the method.
    modality
        of the scan, for methods of several.
    photons
        per ray before the object, where they are known, for methods that count them.
    device
        where a network is to lie.

    Raises
    ------
    InputError
        If the method takes trained weights that are not there, or do not fit.
    """
    if getattr(settings, "weight", None) == "auto":
        own = build_reconstructor(
            settings.model_copy(update={"weight": None}), modality, photons=photons, device=device
        )
        return AutomaticWeight(own)
    match settings:
        case ZeroFilledSettings():
            return ZeroFilled()
        case RootSumOfSquaresSettings():
            return RootSumOfSquares()
        case GrappaSettings():
            return replace(Grappa(), **settings.given())
        case SenseSettings():
            return replace(Sense(), **settings.given())
        case WaveletSettings():
            return replace(WaveletSparsity(), **settings.given())
        case TotalVariationSettings() if modality is Modality.MRI:
            return replace(TotalVariation(), **settings.given())
        case TotalVariationSettings():
            return replace(NonnegativeTotalVariation(), **settings.given())
        case FbpSettings():
            return replace(FilteredBackprojection(), **settings.given())
        case SirtSettings():
            return replace(Sirt(), **settings.given())
        case TikhonovSettings():
            return replace(Tikhonov(), **settings.given())
        case PoissonTotalVariationSettings():
            return replace(PoissonTotalVariation(photons=photons), **settings.given())
        case DiffusionSettings():
            denoiser = load_denoiser(weights_of(settings, modality), modality, device)
            return replace(DiffusionSampler(denoiser), **_given(settings, "steps", "samples", "seed"))
        case PlugAndPlaySettings():
            denoiser = load_denoiser(weights_of(settings, modality), modality, device)
            return replace(PlugAndPlay(denoiser), **_given(settings, "steps"))
        case LearnedSettings():
            return load_reconstructor(weights_of(settings, modality), device)


def _given(settings: LearnedSettings, *names: str) -> dict[str, Any]:
    """Those of the fields that were given."""
    return {name: value for name in names if (value := getattr(settings, name)) is not None}
