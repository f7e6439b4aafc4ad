"""What a user can ask for, as frozen values.

The fields are options of the command line, and a tolerance; `medrecon.workflows` turns them into objects.
Importing this package imports no torch.
"""

from medrecon.config.ct import CTAcquisition, CTPhantomName, CTSimulationSettings
from medrecon.config.methods import (
    METHODS,
    FilterName,
    LearnedSettings,
    Method,
    MethodSettings,
    PrecisionName,
    methods_of,
)
from medrecon.config.mri import (
    LineMaskSettings,
    MaskName,
    MaskSettings,
    MRIAcquisition,
    MRIPhantomName,
    MRISimulationSettings,
    PartialFourierName,
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
    "PartialFourierName",
    "PoissonMaskSettings",
    "PrecisionName",
    "RadialMaskSettings",
    "ReconstructionSettings",
    "SliceSettings",
    "WholeLineMaskSettings",
    "methods_of",
    "settings_from",
]
