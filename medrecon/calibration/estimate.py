"""The coil maps that a scan allows."""

from dataclasses import dataclass

import torch
from torch import Tensor

from medrecon.calibration.completed import completed_maps
from medrecon.calibration.low_resolution import low_resolution_maps
from medrecon.calibration.noise import noise_level
from medrecon.calibration.region import calibration_region
from medrecon.errors import InputError

__all__ = ["MapsEstimate", "estimate_maps"]

_LARGEST = 24  # samples along an axis that ESPIRiT uses
_KERNEL = 6  # its kernel where the region has twice as many samples along each axis, else half the region
_FOR_ESPIRIT = 6  # fewest samples along an axis with which ESPIRiT does better than low-resolution images
_FOR_ANY = 4  # fewest samples along an axis for maps that vary along it


@dataclass(frozen=True)
class MapsEstimate:
    """Coil maps `(..., coil, y, x)`, the name of the method that made them, and a note where that was makeshift.

    `second` is a second set of maps, for an object that lies twice in a pixel, or None where one set suffices.
    """

    maps: Tensor
    method: str
    message: str | None
    second: Tensor | None = None

    @property
    def sets(self) -> Tensor | None:
        """Both sets, `(..., set, coil, y, x)`, or None where one suffices."""
        return None if self.second is None else torch.stack((self.maps, self.second), -4)


def estimate_maps(kspace: Tensor, sampled: Tensor) -> MapsEstimate:
    """Estimate coil maps by ESPIRiT, or from low-resolution images where the calibration region is too small.

    The kernel of ESPIRiT shrinks with the calibration region, its noise level is taken from the outer k-space, and
    where its eigenvalue says that a pixel holds no signal, maps of low-resolution images take over (see `completed_maps`).

    Parameters
    ----------
    kspace
        `(..., coil, ky, kx)`.
    sampled
        Boolean, `(kx,)` or `(ky, kx)`.

    Raises
    ------
    InputError
        If the center of k-space holds no calibration lines to speak of.
    ValueError
        If the shapes do not fit.
    """
    ky, kx = calibration_region(kspace, sampled)
    if min(ky, kx) < _FOR_ANY:
        raise InputError(
            f"the fully sampled center of k-space is {ky} x {kx} (ky x kx); coil maps need at least "
            f"{_FOR_ANY} x {_FOR_ANY}: sample more central lines, use a method without coil maps (rss), or give maps of a "
            "calibration measured apart, or of the mean over frames, in Python: sense_problem(sample, maps=maps)"
        )
    if min(ky, kx) < _FOR_ESPIRIT:
        message = (
            f"the fully sampled center of k-space is {ky} x {kx} (ky x kx), ESPIRiT needs {_FOR_ESPIRIT} x "
            f"{_FOR_ESPIRIT}: coil maps are estimated from low-resolution images instead, and are coarse"
        )
        return MapsEstimate(low_resolution_maps(kspace, sampled), "low-resolution", message)
    kernel = min(_KERNEL, min(ky, kx) // 2)
    maps, second = completed_maps(
        kspace,
        sampled,
        calibration=(min(ky, _LARGEST), min(kx, _LARGEST)),
        kernel=kernel,
        noise=noise_level(kspace, sampled),
    )
    message = (
        f"the fully sampled center of k-space is {ky} x {kx} (ky x kx), less than {2 * _KERNEL} x {2 * _KERNEL}: "
        f"ESPIRiT runs with a {kernel} x {kernel} kernel"
    )
    return MapsEstimate(maps, "espirit", message if kernel < _KERNEL else None, second)
