"""From raw MRI measurements to images; names are imported when they are first used."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from medrecon.calibration import espirit, estimate_maps, low_resolution_maps
    from medrecon.data.fastmri import FastMRIFile, KSpaceSample
    from medrecon.data.masks import SamplingMask
    from medrecon.errors import InputError
    from medrecon.evaluation import VolumeScore
    from medrecon.metrics import nmse, psnr, ssim
    from medrecon.operators import CoilMaps, Fourier, Gradient, LinearOperator, Mask, Wavelet, operator_norm, sense
    from medrecon.problem import Problem, coil_problem, full_reconstruction, sense_problem, undersample
    from medrecon.reconstructors import (
        Reconstructor,
        RootSumOfSquares,
        Sense,
        TotalVariation,
        WaveletSparsity,
        ZeroFilled,
    )
    from medrecon.spaces import Space

__version__ = "0.1.0"

__all__ = [
    "CoilMaps",
    "FastMRIFile",
    "Fourier",
    "Gradient",
    "InputError",
    "KSpaceSample",
    "LinearOperator",
    "Mask",
    "Problem",
    "Reconstructor",
    "RootSumOfSquares",
    "SamplingMask",
    "Sense",
    "Space",
    "TotalVariation",
    "VolumeScore",
    "Wavelet",
    "WaveletSparsity",
    "ZeroFilled",
    "coil_problem",
    "espirit",
    "estimate_maps",
    "full_reconstruction",
    "low_resolution_maps",
    "nmse",
    "operator_norm",
    "psnr",
    "sense",
    "sense_problem",
    "ssim",
    "undersample",
]

_MODULES = {
    "medrecon.calibration": ("espirit", "estimate_maps", "low_resolution_maps"),
    "medrecon.data.fastmri": ("FastMRIFile", "KSpaceSample"),
    "medrecon.data.masks": ("SamplingMask",),
    "medrecon.errors": ("InputError",),
    "medrecon.evaluation": ("VolumeScore",),
    "medrecon.metrics": ("nmse", "psnr", "ssim"),
    "medrecon.operators": (
        "CoilMaps",
        "Fourier",
        "Gradient",
        "LinearOperator",
        "Mask",
        "Wavelet",
        "operator_norm",
        "sense",
    ),
    "medrecon.problem": ("Problem", "coil_problem", "full_reconstruction", "sense_problem", "undersample"),
    "medrecon.reconstructors": (
        "Reconstructor",
        "RootSumOfSquares",
        "Sense",
        "TotalVariation",
        "WaveletSparsity",
        "ZeroFilled",
    ),
    "medrecon.spaces": ("Space",),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'medrecon' has no attribute '{name}'")
    value: object = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
