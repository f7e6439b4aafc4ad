"""Linear operators: the algebra, and the physics of MRI and CT written in it."""

from medrecon.operators.coils import CoilMaps, sense
from medrecon.operators.diagonal import Diagonal
from medrecon.operators.differences import Crop, Gradient, Roll
from medrecon.operators.filtering import DetectorFilter
from medrecon.operators.fourier import Convolution, Fourier
from medrecon.operators.interpolation import Interpolation
from medrecon.operators.linear import Adjoint, Composition, Identity, LinearOperator, Scaled, Sum, factor_of
from medrecon.operators.map_sets import CoilMapSets, coils_of, soft_sense
from medrecon.operators.norm import operator_norm
from medrecon.operators.radon import Backprojection, Radon
from medrecon.operators.sampling import Mask
from medrecon.operators.stack import stack
from medrecon.operators.wavelets import Wavelet

__all__ = [
    "Adjoint",
    "Backprojection",
    "CoilMapSets",
    "CoilMaps",
    "Composition",
    "Convolution",
    "Crop",
    "DetectorFilter",
    "Diagonal",
    "Fourier",
    "Gradient",
    "Identity",
    "Interpolation",
    "LinearOperator",
    "Mask",
    "Radon",
    "Roll",
    "Scaled",
    "Sum",
    "Wavelet",
    "coils_of",
    "factor_of",
    "operator_norm",
    "sense",
    "soft_sense",
    "stack",
]
