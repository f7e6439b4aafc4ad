"""Classical reconstructors: values that are called as `x = reconstruct(y, A)`."""

from medrecon.reconstructors.direct import RootSumOfSquares, ZeroFilled
from medrecon.reconstructors.extrapolation import extrapolate
from medrecon.reconstructors.filtered_backprojection import FilteredBackprojection
from medrecon.reconstructors.grappa import Grappa
from medrecon.reconstructors.nonnegative_tv import NonnegativeTotalVariation
from medrecon.reconstructors.poisson_tv import PoissonTotalVariation
from medrecon.reconstructors.predicted import AutomaticWeight
from medrecon.reconstructors.prior import Denoiser, DiffusionSampler, PlugAndPlay
from medrecon.reconstructors.ramp import Window
from medrecon.reconstructors.sense import Sense
from medrecon.reconstructors.sirt import Sirt
from medrecon.reconstructors.tikhonov import Tikhonov
from medrecon.reconstructors.total_variation import TotalVariation
from medrecon.reconstructors.wavelet import WaveletSparsity

__all__ = [
    "AutomaticWeight",
    "Denoiser",
    "DiffusionSampler",
    "FilteredBackprojection",
    "Grappa",
    "NonnegativeTotalVariation",
    "PlugAndPlay",
    "PoissonTotalVariation",
    "RootSumOfSquares",
    "Sense",
    "Sirt",
    "Tikhonov",
    "TotalVariation",
    "WaveletSparsity",
    "Window",
    "ZeroFilled",
    "extrapolate",
]
