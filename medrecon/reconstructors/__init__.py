"""Classical reconstructors: values that are called as `x = reconstruct(y, A)`."""

from medrecon.reconstructors.direct import RootSumOfSquares, ZeroFilled
from medrecon.reconstructors.protocol import Reconstructor
from medrecon.reconstructors.sense import Sense
from medrecon.reconstructors.total_variation import TotalVariation
from medrecon.reconstructors.wavelet import WaveletSparsity

__all__ = ["Reconstructor", "RootSumOfSquares", "Sense", "TotalVariation", "WaveletSparsity", "ZeroFilled"]
