"""From the settings of a sampling mask to the mask."""

from __future__ import annotations

from medrecon.config.mri import (
    LineMaskSettings,
    MaskName,
    MaskSettings,
    PoissonMaskSettings,
    RadialMaskSettings,
    WholeLineMaskSettings,
)
from medrecon.data.mri.masks import (
    SamplingMask,
    equispaced_fraction_mask,
    equispaced_mask,
    magic_fraction_mask,
    magic_mask,
    mask_seed,
    random_mask,
)
from medrecon.data.mri.variable_density import gaussian_mask, poisson_mask, radial_mask
from medrecon.errors import InputError

__all__ = ["build_mask", "mask_facts"]


def build_mask(settings: MaskSettings, shape: tuple[int, int], name: str) -> SamplingMask:
    """Draw the mask for k-space of shape `(ky, kx)` of the file `name`, which is its seed where none is given.

    Raises
    ------
    InputError
        If k-space is too small for what is asked.
    """
    seed = mask_seed(name) if settings.seed is None else settings.seed
    rate, width = settings.acceleration, shape[1]
    try:
        match settings:
            case RadialMaskSettings():
                return radial_mask(shape, rate, seed)
            case PoissonMaskSettings():
                center = round(settings.center * shape[0]), round(settings.center * width)
                return poisson_mask(shape, rate, center, seed)
            case LineMaskSettings(kind=MaskName.RANDOM):
                return random_mask(width, rate, settings.center, seed)
            case LineMaskSettings(kind=MaskName.EQUISPACED_FRACTION):
                return equispaced_fraction_mask(width, rate, settings.center, seed)
            case LineMaskSettings(kind=MaskName.MAGIC_FRACTION):
                return magic_fraction_mask(width, rate, settings.center, seed)
            case LineMaskSettings():
                return gaussian_mask(width, rate, settings.center, seed)
            case WholeLineMaskSettings(kind=MaskName.EQUISPACED):
                return equispaced_mask(width, rate, settings.center, seed)
            case WholeLineMaskSettings():
                return magic_mask(width, rate, settings.center, seed)
    except ValueError as error:
        raise InputError(f"{name}: {error}") from error


def mask_facts(mask: MaskSettings, name: str) -> dict[str, str | int | float]:
    """The mask asked for, with the defaults and the seed that stand for what was left open."""
    values: dict[str, str | int | float] = {"kind": mask.kind.value, "acceleration": mask.acceleration}
    if not isinstance(mask, RadialMaskSettings):
        values["center_fraction"] = mask.center
    return {**values, "seed": name if mask.seed is None else mask.seed}
