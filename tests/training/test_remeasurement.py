"""Images of LoDoPaB-CT that are measured anew in each epoch."""

from dataclasses import dataclass, replace

import pytest
import torch

from medrecon.data.ct.attenuation import MU_WATER, AttenuationUnit
from medrecon.data.ct.photons import LODOPAB_PHOTONS
from medrecon.data.ct.sinograms import SinogramSample
from medrecon.data.sets.lodopab_small import simulation_grid
from medrecon.errors import InputError
from medrecon.geometry import lodopab, lodopab_grid
from medrecon.networks.data_normalization import Constant
from medrecon.operators import Radon
from medrecon.problem import radon
from medrecon.training.augmentation import Augmentation, Blur
from medrecon.training.ct import Dose, Remeasurement, SinogramTrainingSet
from medrecon.training.curriculum import Curriculum


@dataclass(frozen=True)
class Disk:
    """A smooth disk of water out of the middle, and a sinogram that is not its own."""

    has_image: bool = True

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> SinogramSample:
        geometry, grid = lodopab(), lodopab_grid()
        y, x = (torch.linspace(-1, 1, n) for n in grid.shape)
        inside = torch.sigmoid(60 * (0.4 - ((y - 0.2).square()[:, None] + (x + 0.1).square()).sqrt()))
        image = MU_WATER * inside if self.has_image else None
        sinogram = torch.ones(geometry.shape)
        return SinogramSample(
            sinogram, geometry, grid, image, AttenuationUnit.LODOPAB, LODOPAB_PHOTONS, "disk.hdf5", index
        )


def samples(seed: int | None, dose: Dose | None = None, *, has_image: bool = True) -> SinogramTrainingSet:
    views = Augmentation(flips=True, turns=True, shift=20, zoom=1.2)
    anew = Remeasurement(views, Blur(1.5), radon(simulation_grid(), lodopab()))
    return SinogramTrainingSet(
        Disk(has_image), Curriculum(dose or Dose()), Constant(), seed, flips=False, remeasure=anew
    )


def test_the_new_sinogram_is_that_of_the_new_image_with_the_noise_of_its_photons() -> None:
    data = samples(seed=0)
    first, second = (data.read(0, epoch) for epoch in (0, 1))
    for sample in (first, second):
        line = Radon(lodopab_grid(), lodopab())(sample.target)
        variance = torch.exp(line) / LODOPAB_PHOTONS
        residual = (sample.problem.y - line) / variance.sqrt()
        assert float(residual.mean()) == pytest.approx(0, abs=0.02)
        assert float(residual.std()) == pytest.approx(1, abs=0.03)
    assert float((first.target - second.target).abs().max()) > 0.3 * MU_WATER
    again = samples(seed=0).read(0, 1)
    assert torch.equal(again.problem.y, second.problem.y)
    assert torch.equal(again.target, second.target)
    assert not torch.equal(samples(seed=1).read(0, 1).target, second.target)


def test_views_are_kept_and_photons_counted_of_the_new_scan() -> None:
    sample = samples(0, Dose(views=50, photons=1000.0)).read(0, 0)
    assert sample.problem.y.shape == (50, lodopab().n_bins)
    line = sample.problem.A(sample.target)
    variance = torch.exp(line) * (1 / LODOPAB_PHOTONS + 1 / 1000)
    assert float(((sample.problem.y - line) / variance.sqrt()).std()) == pytest.approx(1, abs=0.05)


def test_what_is_held_out_keeps_the_sinograms_of_its_files() -> None:
    sample = samples(None).read(0, 0)
    assert torch.equal(sample.problem.y, torch.ones(lodopab().shape))
    assert torch.equal(sample.target, Disk()[0].target)


def test_sinograms_without_images_are_refused() -> None:
    with pytest.raises(InputError, match=r"disk\.hdf5: has no images to measure anew; leave data\.remeasure out"):
        samples(0, has_image=False).read(0, 0)
    assert replace(samples(0), remeasure=None).read(0, 0).problem.y.shape == lodopab().shape
