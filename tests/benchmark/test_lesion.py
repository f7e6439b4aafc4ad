"""A lesion is put where it is said, as strong as it is said, and its contrast is measured right."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from medrecon.benchmark.inputs import open_inputs
from medrecon.benchmark.lesion import Lesion, lesion_in_image, lesion_in_kspace, place_lesion
from medrecon.benchmark.sources import ImageReference, read_kspace, read_sinogram, source_images
from medrecon.config.benchmark import BenchmarkSettings, CTScenario, LesionSettings, MRIScenario
from medrecon.errors import InputError
from medrecon.operators import Radon
from medrecon.problem import full_reconstruction

from .settings import ct, mri

LESION = {"diameter": 32, "edge": 8}  # of a field of 256 mm on 32 pixels: 4 pixels


def mri_scenario(settings: BenchmarkSettings) -> tuple[MRIScenario, ImageReference]:
    assert settings.mri is not None
    scenario = settings.mri.scenarios[0]
    return scenario, source_images(scenario.data)[0]


def ct_scenario(settings: BenchmarkSettings) -> tuple[CTScenario, ImageReference]:
    assert settings.ct is not None
    scenario = settings.ct.scenarios[0]
    return scenario, source_images(scenario.data)[0]


def body(size: int = 48) -> Tensor:
    image = torch.zeros(size, size)
    image[8:-8, 8:-8] = 1.0
    image[8:24, 8:24] += 0.3 * torch.randn(16, 16, generator=torch.Generator().manual_seed(0))
    return image


def test_the_profile_is_a_smooth_disc() -> None:
    profile = Lesion((20, 24), 5.0, 2.0, 1.0).profile((48, 48))
    assert profile[20, 24] == profile[20, 28] == 1
    assert profile[20, 29] == pytest.approx(0.5)
    assert profile[20, 30] == pytest.approx(0, abs=1e-6)
    assert float(profile.sum()) == pytest.approx(math.pi * 25, rel=0.05)


def test_it_lies_in_even_tissue() -> None:
    image = body()
    lesion = place_lesion(image, 4.0, 1.0, 0.5, torch.Generator().manual_seed(0))
    top, left = lesion.center
    assert not bool(image[top - 2 : top + 3, left - 2 : left + 3].ne(1).any())
    assert lesion.height == pytest.approx(0.5)
    again = place_lesion(image, 4.0, 1.0, 0.5, torch.Generator().manual_seed(0))
    assert again == lesion


def test_no_place_for_it() -> None:
    generator = torch.Generator().manual_seed(0)
    with pytest.raises(InputError, match=r"take a smaller lesion\.diameter"):
        place_lesion(body(), 30.0, 1.0, 0.5, generator)
    with pytest.raises(InputError, match="no place"):
        place_lesion(body(), 60.0, 1.0, 0.5, generator)


def test_contrast_of_what_is_known() -> None:
    lesion = Lesion((24, 24), 4.0, 1.0, 0.5)
    image = 2 + 0.5 * lesion.profile((48, 48))
    assert lesion.contrast(image) == pytest.approx(0.5)
    assert lesion.contrast(torch.full((48, 48), 2.0)) == pytest.approx(0, abs=1e-12)
    flattened = 2 + 0.2 * lesion.profile((48, 48))
    assert lesion.contrast(flattened) / lesion.contrast(image) == pytest.approx(0.4, rel=1e-5)


def test_in_kspace_the_reference_all_coils_becomes_brighter_by_it() -> None:
    scenario, reference = mri_scenario(mri())
    sample = read_kspace(scenario.data, reference)
    image = full_reconstruction(sample)
    lesion = place_lesion(image, 5.0, 1.0, 0.5, torch.Generator().manual_seed(1))
    changed = full_reconstruction(lesion_in_kspace(sample, lesion)) - image
    expected = lesion.height * lesion.profile((32, 32))
    top, left = lesion.center
    inside = changed[top - 1 : top + 2, left - 1 : left + 2].mean()
    assert float(inside) == pytest.approx(lesion.height, rel=0.1)
    assert float((changed - expected).norm() / expected.norm()) < 0.15
    assert int(changed.argmax()) in [(top + i) * 32 + left + j for i in range(-2, 3) for j in range(-2, 3)]


def test_in_kspace_nothing_is_added_where_nothing_was_acquired() -> None:
    scenario, reference = mri_scenario(mri())
    sample = read_kspace(scenario.data, reference)
    padded = sample.kspace.clone()
    padded[..., :3] = 0
    changed = lesion_in_kspace(replace(sample, kspace=padded), Lesion((16, 16), 3.0, 1.0, 1.0))
    assert not bool(changed.kspace[..., :3].any())
    assert bool((changed.kspace[..., 3:] != padded[..., 3:]).any())


def test_in_a_sinogram_its_rays_are_added() -> None:
    scenario, reference = ct_scenario(ct())
    sample = read_sinogram(scenario.data, reference)
    lesion = Lesion((16, 12), 3.0, 1.0, 0.01)
    A = Radon(sample.grid, sample.geometry)
    changed = lesion_in_image(sample, lesion, A)
    assert changed.target is not None
    assert sample.target is not None
    assert float(changed.target[16, 12] - sample.target[16, 12]) == pytest.approx(0.01, rel=1e-4)
    assert torch.allclose(changed.sinogram - sample.sinogram, A(changed.target - sample.target), atol=1e-5)


@pytest.mark.parametrize("modality", ["mri", "ct"])
def test_the_target_holds_it_and_keeps_all_of_its_contrast(modality: str) -> None:
    settings = mri(lesion=LESION) if modality == "mri" else ct(lesion={"diameter": 70, "edge": 12, "contrast": 0.3})
    scenario = settings.modalities[modality].scenarios[0]
    reference = source_images(scenario.data)[0]
    inputs = open_inputs(scenario, reference, 0)
    plain = open_inputs(scenario.model_copy(update={"lesion": None}), reference, 0)
    if modality == "mri":
        assert inputs.data_range == plain.data_range
    assert inputs.lesion is not None
    assert plain.lesion is None
    gained = inputs.lesion.contrast(inputs.target) - inputs.lesion.contrast(plain.target)
    assert gained == pytest.approx(inputs.lesion.height, rel=0.15)


def test_a_file_without_a_field_of_view_needs_the_width_of_a_pixel(monkeypatch: pytest.MonkeyPatch) -> None:
    scenario, reference = mri_scenario(mri(lesion=LESION))
    monkeypatch.setattr("medrecon.benchmark.mri_inputs.pixel_sides", lambda *_: None)
    with pytest.raises(InputError, match=r"states no field of view; give lesion\.pixel"):
        open_inputs(scenario, reference, 0)
    stated = scenario.model_copy(update={"lesion": LesionSettings(**LESION, pixel=8.0)})
    assert open_inputs(stated, reference, 0).lesion is not None
