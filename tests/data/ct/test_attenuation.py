"""Units of attenuation: the figures of LoDoPaB-CT, and conversions that undo each other."""

import pytest
import torch

from medrecon.data.ct.attenuation import (
    MU_AIR,
    MU_MAX,
    MU_WATER,
    AttenuationUnit,
    attenuation_from_hounsfield,
    hounsfield_from_attenuation,
    image_from_unit,
    image_in_unit,
)


def test_water_air_and_the_largest_value() -> None:
    assert attenuation_from_hounsfield(0.0) == MU_WATER == 0.02
    assert attenuation_from_hounsfield(-1000.0) == pytest.approx(MU_AIR, abs=1e-15)
    assert attenuation_from_hounsfield(3071.0) == MU_MAX
    assert pytest.approx(81.35858, abs=1e-9) == 1000 * MU_MAX


def test_hounsfield_units_come_back() -> None:
    hounsfield = torch.linspace(-1024, 3071, 4096, dtype=torch.float64)
    back = hounsfield_from_attenuation(attenuation_from_hounsfield(hounsfield))
    torch.testing.assert_close(back, hounsfield, atol=1e-9, rtol=0)


@pytest.mark.parametrize("unit", AttenuationUnit)
def test_an_image_comes_back_from_every_unit(unit: AttenuationUnit, generator: torch.Generator) -> None:
    image = MU_MAX * torch.rand(2, 5, 7, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(image_from_unit(image_in_unit(image, unit), unit), image)


def test_lodopab_images_are_transposed_and_normalized() -> None:
    image = torch.zeros(4, 6)
    image[1, 5] = MU_MAX
    stored = image_in_unit(image, AttenuationUnit.LODOPAB)
    assert stored.shape == (6, 4)
    assert stored[5, 1] == 1
    assert image_in_unit(image, AttenuationUnit.HOUNSFIELD)[1, 5] == pytest.approx(3071)
    assert image_in_unit(image, AttenuationUnit.PER_MM) is image
