"""What a user can ask for, as frozen values.

The fields are options of the command line, and a tolerance; `medrecon.workflows` turns them into objects.
Importing this package imports no torch.
"""

from medrecon.config.ct import CTAcquisition, CTPhantomName, CTSimulationSettings
from medrecon.config.methods import (
    METHODS,
    FbpSettings,
    FilterName,
    LearnedSettings,
    Method,
    MethodSettings,
    MoDLMethodSettings,
    PoissonTotalVariationSettings,
    PrecisionName,
    PrimalDualMethodSettings,
    RootSumOfSquaresSettings,
    SenseSettings,
    SirtSettings,
    TikhonovSettings,
    TotalVariationSettings,
    UNetMethodSettings,
    VarNetMethodSettings,
    WaveletSettings,
    ZeroFilledSettings,
    methods_of,
)
from medrecon.config.mri import (
    LineMaskSettings,
    MaskName,
    MaskSettings,
    MRIAcquisition,
    MRIPhantomName,
    MRISimulationSettings,
    PoissonMaskSettings,
    RadialMaskSettings,
    WholeLineMaskSettings,
)
from medrecon.config.reconstruction import SIMULATIONS, Acquisition, ReconstructionSettings
from medrecon.config.settings import SliceSettings, settings_from

__all__ = [
    "METHODS",
    "SIMULATIONS",
    "Acquisition",
    "CTAcquisition",
    "CTPhantomName",
    "CTSimulationSettings",
    "FbpSettings",
    "FilterName",
    "LearnedSettings",
    "LineMaskSettings",
    "MRIAcquisition",
    "MRIPhantomName",
    "MRISimulationSettings",
    "MaskName",
    "MaskSettings",
    "Method",
    "MethodSettings",
    "MoDLMethodSettings",
    "PoissonMaskSettings",
    "PoissonTotalVariationSettings",
    "PrecisionName",
    "PrimalDualMethodSettings",
    "RadialMaskSettings",
    "ReconstructionSettings",
    "RootSumOfSquaresSettings",
    "SenseSettings",
    "SirtSettings",
    "SliceSettings",
    "TikhonovSettings",
    "TotalVariationSettings",
    "UNetMethodSettings",
    "VarNetMethodSettings",
    "WaveletSettings",
    "WholeLineMaskSettings",
    "ZeroFilledSettings",
    "methods_of",
    "settings_from",
]
