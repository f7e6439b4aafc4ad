"""The coil maps that a scan allows."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from medrecon.calibration.completed import completed_maps
from medrecon.calibration.compression import CoilCompression
from medrecon.calibration.espirit import SecondSet
from medrecon.calibration.low_resolution import low_resolution_maps
from medrecon.calibration.noise import noise_level
from medrecon.calibration.region import calibration_region
from medrecon.errors import InputError

__all__ = ["MapsEstimate", "estimate_maps"]

_LARGEST = 24  # samples along an axis that ESPIRiT uses
_KERNEL = 6  # its kernel where the region has twice as many samples along each axis, else half the region
_FOR_ESPIRIT = 6  # fewest samples along an axis with which ESPIRiT does better than low-resolution images
_FOR_ANY = 4  # fewest samples along an axis for maps that vary along it
_SHARES = {
    4: 0.15,
    5: 0.05,
    6: SecondSet.share,
}  # of the object that two maps ask for, by kernel; smaller ones cannot tell


@dataclass(frozen=True)
class MapsEstimate:
    """Coil maps, the name of the method that made them, and a note where that was makeshift or there are two sets.

    `maps` is `(..., coil, y, x)`, or `(..., set, coil, y, x)` where an object lies twice in a pixel.
    """

    maps: Tensor
    method: str
    message: str | None


def estimate_maps(
    kspace: Tensor, sampled: Tensor, *, most_sets: int = 1, compression: CoilCompression | None = None
) -> MapsEstimate:
    """Estimate coil maps by ESPIRiT, or from low-resolution images where the calibration region is too small.

    The kernel of ESPIRiT shrinks with the calibration region, its noise level is taken from the outer k-space, and
    where its eigenvalue says that a pixel holds no signal, maps of low-resolution images take over (see `completed_maps`). A second
    set of maps is looked for where the kernel has four samples or more along each axis and `most_sets` allows it.

    Parameters
    ----------
    kspace
        `(..., coil, ky, kx)`.
    sampled
        Boolean, `(kx,)` or `(ky, kx)`.
    most_sets
        1, or 2 where the maps may be of two sets.
    compression
        of the coils, where maps are to be of the virtual ones: their root-sum-of-squares is then below 1 where there is no signal.

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
    seen = None if compression is None else compression.seen(kspace, sampled)
    kspace = kspace if compression is None else compression(kspace)
    if min(ky, kx) < _FOR_ESPIRIT:
        message = (
            f"the fully sampled center of k-space is {ky} x {kx} (ky x kx), ESPIRiT needs {_FOR_ESPIRIT} x "
            f"{_FOR_ESPIRIT}: coil maps are estimated from low-resolution images instead, and are coarse"
        )
        coarse = low_resolution_maps(kspace, sampled)
        return MapsEstimate(coarse if seen is None else coarse * seen.sqrt().unsqueeze(-3), "low-resolution", message)
    kernel = min(_KERNEL, min(ky, kx) // 2)
    rule = SecondSet(share=_SHARES[kernel]) if kernel in _SHARES and most_sets > 1 else None
    maps, second = completed_maps(
        kspace,
        sampled,
        calibration=(min(ky, _LARGEST), min(kx, _LARGEST)),
        kernel=kernel,
        noise=noise_level(kspace, sampled),
        rule=rule,
        seen=seen,
    )
    message = "; ".join(_told(None if second is None else rule, kernel, (ky, kx)))
    return MapsEstimate(maps if second is None else torch.stack((maps, second), -4), "espirit", message or None)


def _told(rule: SecondSet | None, kernel: int, region: tuple[int, int]) -> Iterator[str]:
    """What a user should know: the rule by which there are two sets, if so, and a kernel that is not whole."""
    if rule is not None:
        yield (
            f"calibration shows two sets of coil maps (second eigenvalue above {rule.level:g} of the first in more than "
            f"{rule.share:.1%} of the object): the object fills its field of view or is wider; both are used, each with an image "
            "of its own"
        )
    if kernel < _KERNEL:
        yield (
            f"the fully sampled center of k-space is {region[0]} x {region[1]} (ky x kx), less than {2 * _KERNEL} x {2 * _KERNEL}: "
            f"ESPIRiT runs with a {kernel} x {kernel} kernel"
        )
