"""Coil sensitivity maps from the fully sampled center of multi-coil k-space."""

from medrecon.calibration.coil_noise import CoilNoise, Whitening
from medrecon.calibration.completed import completed_maps
from medrecon.calibration.compression import CoilCompression, VirtualCoils, silent_maps
from medrecon.calibration.crop import Crop, HardCrop, SoftCrop
from medrecon.calibration.espirit import SecondSet, espirit, espirit_sets
from medrecon.calibration.estimate import MapsEstimate, estimate_maps
from medrecon.calibration.low_resolution import low_resolution_maps
from medrecon.calibration.maps_error import maps_error, narrow_doubt
from medrecon.calibration.measured import measured_root_sum_of_squares
from medrecon.calibration.noise import measurement_noise, noise_level
from medrecon.calibration.region import calibration_region

__all__ = [
    "CoilCompression",
    "CoilNoise",
    "Crop",
    "HardCrop",
    "MapsEstimate",
    "SecondSet",
    "SoftCrop",
    "VirtualCoils",
    "Whitening",
    "calibration_region",
    "completed_maps",
    "espirit",
    "espirit_sets",
    "estimate_maps",
    "low_resolution_maps",
    "maps_error",
    "measured_root_sum_of_squares",
    "measurement_noise",
    "narrow_doubt",
    "noise_level",
    "silent_maps",
]
