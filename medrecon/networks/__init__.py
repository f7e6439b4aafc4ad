"""Learned reconstructors: modules that are called as `x = network(y, A)`, for any operator `A`."""

from medrecon.networks.consistency import Consistent, GradientStep, ProximalStep, ReplaceMeasured
from medrecon.networks.data_normalization import AdjointMaximum, Constant, DataNormalization
from medrecon.networks.denoiser import DenoiserUNet, Denoising
from medrecon.networks.end_to_end import EndToEndVarNet
from medrecon.networks.execution import compile_unets, emulates_bfloat16
from medrecon.networks.fastmri_weights import fastmri_unet, fastmri_varnet, read_fastmri_weights
from medrecon.networks.implicit import regularized_inverse
from medrecon.networks.measured import MeasuredRootSumOfSquares
from medrecon.networks.modl import MoDL
from medrecon.networks.normalization import Normalization
from medrecon.networks.normalized import NormalizedUNet, Residual
from medrecon.networks.postprocess import PostProcess
from medrecon.networks.primal_dual import LearnedPrimalDual, PrimalDualSize
from medrecon.networks.sensitivities import SensitivityNetwork
from medrecon.networks.unet import UNet
from medrecon.networks.varnet import ProximalVarNet, VarNet

__all__ = [
    "AdjointMaximum",
    "Consistent",
    "Constant",
    "DataNormalization",
    "DenoiserUNet",
    "Denoising",
    "EndToEndVarNet",
    "GradientStep",
    "LearnedPrimalDual",
    "MeasuredRootSumOfSquares",
    "MoDL",
    "Normalization",
    "NormalizedUNet",
    "PostProcess",
    "PrimalDualSize",
    "ProximalStep",
    "ProximalVarNet",
    "ReplaceMeasured",
    "Residual",
    "SensitivityNetwork",
    "UNet",
    "VarNet",
    "compile_unets",
    "emulates_bfloat16",
    "fastmri_unet",
    "fastmri_varnet",
    "read_fastmri_weights",
    "regularized_inverse",
]
