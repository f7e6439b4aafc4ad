"""CT that is mirrored with its sinogram: the rays agree with the image, exactly."""

import math
from dataclasses import dataclass, replace

import pytest
import torch

from medrecon.data.ct.attenuation import AttenuationUnit
from medrecon.data.ct.sinograms import SinogramSample
from medrecon.errors import InputError
from medrecon.geometry import Arc, FanBeam, Geometry, Grid, ParallelBeam, lodopab, lodopab_grid
from medrecon.networks.data_normalization import Constant
from medrecon.operators import Radon
from medrecon.training.ct import Dose, SinogramTrainingSet
from medrecon.training.curriculum import Curriculum


@dataclass(frozen=True)
class One:
    """The noiseless sinogram of one random image."""

    geometry: Geometry
    grid: Grid

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> SinogramSample:
        image = torch.rand(self.grid.shape, generator=torch.Generator().manual_seed(7))
        sinogram = Radon(self.grid, self.geometry)(image)
        return SinogramSample(
            sinogram, self.geometry, self.grid, image, AttenuationUnit.PER_MM, None, "one.hdf5", index
        )


def samples(geometry: Geometry, grid: Grid, seed: int | None = 0, dose: Dose | None = None) -> SinogramTrainingSet:
    return SinogramTrainingSet(One(geometry, grid), Curriculum(dose or Dose()), Constant(), seed, flips=True)


def arcs(count: int) -> dict[str, Arc]:
    step = math.pi / count
    return {
        "half turn": Arc.half_turn(count),
        "half a step on": Arc(step / 2, step, count),
        "full turn": Arc.full_turn(count),
        "backwards": Arc(0.0, -step, count),
        "about the y axis": Arc(math.pi / 2 - (count - 1) / 2 * step / 3, step / 3, count),
    }


@pytest.mark.parametrize("shape", [(12, 12), (13, 10), (9, 11)])
@pytest.mark.parametrize("count", [7, 8])
@pytest.mark.parametrize("arc", list(arcs(1)))
def test_the_mirrored_sinogram_is_that_of_the_mirrored_image(arc: str, count: int, shape: tuple[int, int]) -> None:
    for n_bins in (17, 18):
        geometry = ParallelBeam(arcs(count)[arc], n_bins=n_bins, spacing=1.1)
        data = samples(geometry, Grid(shape, 1.0))
        image = data.sinograms[0].target
        assert image is not None
        seen: set[str] = set()
        views = {"none": image, "x": image.flip(-1), "y": image.flip(-2), "both": image.flip(-2, -1)}
        for epoch in range(24):
            sample = data.read(0, epoch)
            torch.testing.assert_close(
                sample.problem.A(sample.target), sample.problem.y, rtol=1e-5, atol=1e-5 * float(image.norm())
            )
            seen.update(name for name, view in views.items() if torch.equal(view, sample.target))
        assert seen == set(views)


def test_a_sinogram_that_is_not_mirrored_fits_no_mirrored_image() -> None:
    data = samples(ParallelBeam(Arc.half_turn(8), n_bins=17, spacing=1.0), Grid((12, 12), 1.0))
    sample = data.sinograms[0]
    assert sample.target is not None
    A = data.read(0, 0).problem.A
    assert float((A(sample.target.flip(-1)) - sample.sinogram).norm() / sample.sinogram.norm()) > 0.05


def test_the_views_of_lodopab_may_be_mirrored_but_not_thinned() -> None:
    """Every twentieth of views that begin half a step from the axis no longer lies alike on both sides."""
    grid = Grid((12, 12), lodopab_grid().spacing[0] * 30)
    coarse = replace(lodopab(), n_bins=19, spacing=lodopab().spacing * 27)
    for epoch in range(6):
        sample = samples(coarse, grid).read(0, epoch)
        residual = sample.problem.A(sample.target) - sample.problem.y
        assert float(residual.norm() / sample.problem.y.norm()) < 1e-5
    with pytest.raises(InputError, match=r"leave data\.flips out"):
        samples(coarse, grid, dose=Dose(views=50)).read(0, 0)


def test_views_are_thinned_before_they_are_mirrored() -> None:
    data = samples(ParallelBeam(Arc.half_turn(24), n_bins=17, spacing=1.0), Grid((12, 12), 1.0), dose=Dose(views=8))
    for epoch in range(6):
        sample = data.read(0, epoch)
        assert sample.problem.y.shape == (8, 17)
        residual = sample.problem.A(sample.target) - sample.problem.y
        assert float(residual.norm() / sample.problem.y.norm()) < 1e-5


def test_flips_are_drawn_from_seed_epoch_and_index_and_validation_has_none() -> None:
    geometry, grid = ParallelBeam(Arc.half_turn(8), n_bins=17, spacing=1.0), Grid((12, 12), 1.0)
    drawn = [[samples(geometry, grid, seed).read(0, epoch).target for epoch in range(12)] for seed in (0, 0, 1)]
    assert all(torch.equal(a, b) for a, b in zip(drawn[0], drawn[1], strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(drawn[0], drawn[2], strict=True))
    held = samples(geometry, grid, None)
    assert all(torch.equal(held.read(0, epoch).target, held.read(0, 0).target) for epoch in range(12))


@pytest.mark.parametrize(
    "geometry",
    [
        ParallelBeam(Arc.half_turn(8), n_bins=17, spacing=1.0, offset=0.25),
        ParallelBeam(Arc(0.05, math.pi / 8, 8), n_bins=17, spacing=1.0),
        ParallelBeam(Arc(0.0, math.pi / 16, 8), n_bins=17, spacing=1.0),
        FanBeam(Arc.full_turn(8), n_bins=17, spacing=1.0, source_distance=60.0, detector_distance=60.0),
    ],
    ids=["offset", "askew", "a quarter turn", "fan"],
)
def test_rays_without_a_mirror_are_refused(geometry: Geometry) -> None:
    with pytest.raises(InputError, match=r"one\.hdf5: data\.flips takes parallel views .* leave data\.flips out"):
        samples(geometry, Grid((12, 12), 1.0)).read(0, 0)
    assert samples(geometry, Grid((12, 12), 1.0), None).read(0, 0).problem.y.shape == geometry.shape
