"""Attenuation in 1/mm, as the library reckons, and as others write it: Hounsfield units, LoDoPaB's normalized images.

`mu = HU (mu_water - mu_air) / 1000 + mu_water`, with LoDoPaB-CT's figures for mu_water and mu_air.
Leuschner et al., LoDoPaB-CT, Scientific Data 8:109 (2021).
"""

from enum import StrEnum
from typing import TypeVar, assert_never

from torch import Tensor

__all__ = [
    "MU_AIR",
    "MU_MAX",
    "MU_WATER",
    "AttenuationUnit",
    "attenuation_from_hounsfield",
    "hounsfield_from_attenuation",
    "image_from_unit",
    "image_in_unit",
]

MU_WATER = 20.0 / 1000  # 1/mm
MU_AIR = 0.02 / 1000  # 1/mm
#: That of 3071 HU, the largest value of a 12-bit CT image, in 1/mm.
MU_MAX = 3071 * (MU_WATER - MU_AIR) / 1000 + MU_WATER

Values = TypeVar("Values", float, Tensor)


class AttenuationUnit(StrEnum):
    """How an image of attenuation is written.

    `PER_MM`: mu in 1/mm, `(y, x)`. `HOUNSFIELD`: in Hounsfield units, `(y, x)`. `LODOPAB`: `mu / MU_MAX`, transposed,
    `(x, y)`, as the files of LoDoPaB-CT hold their images.
    """

    PER_MM = "1/mm"
    HOUNSFIELD = "HU"
    LODOPAB = "normalized"


def attenuation_from_hounsfield(hounsfield: Values) -> Values:
    """`HU (mu_water - mu_air) / 1000 + mu_water`, in 1/mm.

    >>> attenuation_from_hounsfield(0.0)
    0.02
    """
    return hounsfield * ((MU_WATER - MU_AIR) / 1000) + MU_WATER


def hounsfield_from_attenuation(attenuation: Values) -> Values:
    """`1000 (mu - mu_water) / (mu_water - mu_air)`, in Hounsfield units, of mu in 1/mm.

    >>> round(hounsfield_from_attenuation(MU_AIR))
    -1000
    """
    return (attenuation - MU_WATER) / ((MU_WATER - MU_AIR) / 1000)


def image_in_unit(image: Tensor, unit: AttenuationUnit) -> Tensor:
    """Write an image of mu in 1/mm, `(..., y, x)`, in a unit: `(..., y, x)`, or `(..., x, y)` in LoDoPaB's."""
    match unit:
        case AttenuationUnit.PER_MM:
            return image
        case AttenuationUnit.HOUNSFIELD:
            return hounsfield_from_attenuation(image)
        case AttenuationUnit.LODOPAB:
            return (image / MU_MAX).mT
        case _ as never:
            assert_never(never)


def image_from_unit(image: Tensor, unit: AttenuationUnit) -> Tensor:
    """Undo `image_in_unit`: mu in 1/mm, `(..., y, x)`."""
    match unit:
        case AttenuationUnit.PER_MM:
            return image
        case AttenuationUnit.HOUNSFIELD:
            return attenuation_from_hounsfield(image)
        case AttenuationUnit.LODOPAB:
            return (image * MU_MAX).mT
        case _ as never:
            assert_never(never)
