"""From raw MRI and CT measurements to images; names are imported when they are first used."""

from importlib import import_module
from typing import TYPE_CHECKING

from medrecon._version import __version__ as __version__

if TYPE_CHECKING:
    from medrecon.calibration import espirit, estimate_maps, low_resolution_maps
    from medrecon.data.ct.lodopab import LoDoPaB
    from medrecon.data.ct.sinograms import SinogramSample
    from medrecon.data.mri.fastmri import FastMRIFile, KSpaceSample
    from medrecon.data.mri.masks import SamplingMask
    from medrecon.errors import InputError
    from medrecon.evaluation import VolumeScore
    from medrecon.geometry import Arc, FanBeam, Grid, ParallelBeam, lodopab, lodopab_grid
    from medrecon.metrics import nmse, psnr, ssim
    from medrecon.operators import (
        CoilMaps,
        Fourier,
        Gradient,
        LinearOperator,
        Mask,
        Radon,
        Wavelet,
        operator_norm,
        sense,
    )
    from medrecon.problem import Problem, coil_problem, full_reconstruction, sense_problem, undersample
    from medrecon.reconstructor import Reconstructor
    from medrecon.reconstructors import (
        FilteredBackprojection,
        NonnegativeTotalVariation,
        PoissonTotalVariation,
        RootSumOfSquares,
        Sense,
        Sirt,
        Tikhonov,
        TotalVariation,
        WaveletSparsity,
        ZeroFilled,
    )
    from medrecon.spaces import Space


__all__ = [
    "Arc",
    "CoilMaps",
    "FanBeam",
    "FastMRIFile",
    "FilteredBackprojection",
    "Fourier",
    "Gradient",
    "Grid",
    "InputError",
    "KSpaceSample",
    "LinearOperator",
    "LoDoPaB",
    "Mask",
    "NonnegativeTotalVariation",
    "ParallelBeam",
    "PoissonTotalVariation",
    "Problem",
    "Radon",
    "Reconstructor",
    "RootSumOfSquares",
    "SamplingMask",
    "Sense",
    "SinogramSample",
    "Sirt",
    "Space",
    "Tikhonov",
    "TotalVariation",
    "VolumeScore",
    "Wavelet",
    "WaveletSparsity",
    "ZeroFilled",
    "coil_problem",
    "espirit",
    "estimate_maps",
    "full_reconstruction",
    "lodopab",
    "lodopab_grid",
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
    "medrecon.data.mri.fastmri": ("FastMRIFile", "KSpaceSample"),
    "medrecon.data.ct.lodopab": ("LoDoPaB",),
    "medrecon.data.mri.masks": ("SamplingMask",),
    "medrecon.data.ct.sinograms": ("SinogramSample",),
    "medrecon.errors": ("InputError",),
    "medrecon.evaluation": ("VolumeScore",),
    "medrecon.geometry": ("Arc", "FanBeam", "Grid", "ParallelBeam", "lodopab", "lodopab_grid"),
    "medrecon.metrics": ("nmse", "psnr", "ssim"),
    "medrecon.operators": (
        "CoilMaps",
        "Fourier",
        "Gradient",
        "LinearOperator",
        "Mask",
        "Radon",
        "Wavelet",
        "operator_norm",
        "sense",
    ),
    "medrecon.problem": ("Problem", "coil_problem", "full_reconstruction", "sense_problem", "undersample"),
    "medrecon.reconstructor": ("Reconstructor",),
    "medrecon.reconstructors": (
        "Tikhonov",
        "FilteredBackprojection",
        "NonnegativeTotalVariation",
        "PoissonTotalVariation",
        "RootSumOfSquares",
        "Sense",
        "Sirt",
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
