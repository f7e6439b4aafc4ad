"""How images of attenuation are shown."""

from __future__ import annotations

from functools import partial

from torch import Tensor

from medrecon.data.ct.attenuation import MU_MAX, AttenuationUnit, attenuation_from_hounsfield, image_in_unit
from medrecon.results import Display, Window

__all__ = ["HOUNSFIELD_WINDOWS", "display_in"]

#: What is usual for the body, by level -+ half the width.
HOUNSFIELD_WINDOWS = (
    Window(-160, 240, "soft tissue"),
    Window(0, 80, "brain"),
    Window(-1350, 150, "lung"),
    Window(-400, 1400, "bone"),
    Window(-1000, 1000, "wide"),
)


def display_in(unit: AttenuationUnit) -> Display:
    """How images of attenuation are shown in a unit, upright."""
    top = MU_MAX if unit is AttenuationUnit.LODOPAB else 1.0
    presets: tuple[Window, ...] = HOUNSFIELD_WINDOWS
    if unit is not AttenuationUnit.HOUNSFIELD:
        ends = ((attenuation_from_hounsfield(one.low), attenuation_from_hounsfield(one.high)) for one in presets)
        presets = tuple(Window(low / top, high / top, one.name) for (low, high), one in zip(ends, presets, strict=True))
    return Display(
        unit="normalized attenuation" if unit is AttenuationUnit.LODOPAB else unit.value,
        measured="sinogram (views down, bins right)",
        measured_unit="line integral",
        residual="|y - A x|, line integrals: views down, bins right",
        values=partial(_values, unit=unit),
        is_magnitude=False,
        presets=presets,
    )


def _values(images: Tensor, unit: AttenuationUnit) -> Tensor:
    return images / MU_MAX if unit is AttenuationUnit.LODOPAB else image_in_unit(images, unit)
