"""Projections that are continued beyond the detector: values within the field are right, those measured stay as they are."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from medrecon.coverage import truncation
from medrecon.data.ct.projections import phantom_image, phantom_sinogram
from medrecon.data.phantoms.ellipses import Ellipse, Phantom
from medrecon.geometry import Arc, FanBeam, Geometry, Grid, ParallelBeam
from medrecon.operators import Crop, Radon
from medrecon.reconstructors import FilteredBackprojection, NonnegativeTotalVariation, Sirt, extrapolate
from medrecon.spaces import image_space

GRID = Grid((96, 96), 1.0)
# millimeters and 1/mm; the field of all scans is of 34 mm
PHANTOMS = {
    "disk": Phantom((Ellipse(0.02, (0.0, 0.0), (45.0, 45.0)), Ellipse(0.02, (-8.0, 12.0), (7.0, 7.0)))),
    "ellipse off the center": Phantom(
        (Ellipse(0.02, (5.0, -6.0), (38.0, 50.0), 0.4), Ellipse(-0.01, (9.0, 4.0), (6.0, 9.0)))
    ),
    "one side alone": Phantom((Ellipse(0.03, (0.0, 14.0), (26.0, 30.0)), Ellipse(0.01, (5.0, -6.0), (5.0, 5.0)))),
    "lungs": Phantom(
        (
            Ellipse(0.02, (0.0, 0.0), (32.0, 44.0)),
            Ellipse(-0.014, (0.0, -18.0), (20.0, 13.0)),
            Ellipse(-0.014, (0.0, 18.0), (20.0, 13.0)),
        )
    ),
}
GEOMETRIES: dict[str, Geometry] = {
    "parallel": ParallelBeam(Arc.half_turn(120), 68, 1.0),
    "flat fan": FanBeam(Arc.full_turn(180), 69, 1.75, 200.0, 150.0),
    "curved fan": FanBeam(Arc.full_turn(180), 68, 1.75, 200.0, 150.0, curved=True),
    "short scan": FanBeam(Arc(0.3, math.radians(1.5), 140), 69, 1.75, 200.0, 150.0),
}


def error(image: Tensor, phantom: Phantom, radius: float) -> float:
    """Relative error of the mean within a radius."""
    y, x = (torch.from_numpy(axis) for axis in GRID.coordinates())
    inside = torch.hypot(y[:, None], x) < radius
    truth = phantom_image(phantom, GRID).double()[inside].mean()
    return float((image.double()[inside].mean() - truth) / truth)


@pytest.mark.parametrize("name", PHANTOMS)
@pytest.mark.parametrize("kind", GEOMETRIES)
def test_values_within_the_field(name: str, kind: str) -> None:
    phantom, geometry = PHANTOMS[name], GEOMETRIES[kind]
    y = phantom_sinogram(phantom, geometry)
    before = FilteredBackprojection()(y, Radon(GRID, geometry))
    continued, wide = extrapolate(y, geometry)
    after = FilteredBackprojection()(continued, Radon(GRID, wide))
    assert error(before, phantom, 30.0) > 0.025
    assert abs(error(after, phantom, 30.0)) < 0.012
    assert abs(error(after, phantom, 30.0)) < 0.3 * error(before, phantom, 30.0)
    assert not truncation(continued, wide).truncated


@pytest.mark.parametrize("method", [NonnegativeTotalVariation(), Sirt()])
def test_iterative_methods_on_a_grid_that_holds_the_object(method: NonnegativeTotalVariation | Sirt) -> None:
    phantom, geometry = PHANTOMS["disk"], GEOMETRIES["parallel"]
    y = phantom_sinogram(phantom, geometry)
    assert abs(error(method(y, Radon(GRID, geometry)), phantom, 30.0)) > 0.02
    continued, wide = extrapolate(y, geometry)
    larger = GRID.covering(wide.field_radius)
    image = Crop(image_space(larger.shape), GRID.shape)._forward(method(continued, Radon(larger, wide)))
    assert abs(error(image, phantom, 30.0)) < 0.01


def test_noise_of_photons(generator: torch.Generator) -> None:
    phantom, geometry = PHANTOMS["disk"], GEOMETRIES["parallel"]
    counts = torch.poisson(1e4 * torch.exp(-phantom_sinogram(phantom, geometry)), generator=generator)
    continued, wide = extrapolate(-torch.log(counts / 1e4), geometry)
    assert abs(error(FilteredBackprojection()(continued, Radon(GRID, wide)), phantom, 30.0)) < 0.012


def test_an_offset_detector_is_continued_on_its_far_side_alone() -> None:
    phantom = PHANTOMS["disk"]
    geometry = FanBeam(Arc.full_turn(240), 56, 1.75, 200.0, 150.0, offset=20.0)
    y = phantom_sinogram(phantom, geometry)
    continued, wide = extrapolate(y, geometry)
    assert wide.positions()[0] == pytest.approx(geometry.positions()[0])
    assert torch.equal(continued[:, :56], y)
    assert wide.n_bins > 56
    before = error(FilteredBackprojection()(y, Radon(GRID, geometry)), phantom, 30.0)
    after = error(FilteredBackprojection()(continued, Radon(GRID, wide)), phantom, 30.0)
    assert before > 0.05
    assert abs(after) < 0.012


def test_contract() -> None:
    geometry = GEOMETRIES["parallel"]
    y = phantom_sinogram(PHANTOMS["ellipse off the center"], geometry)
    kept = y.clone()
    continued, wide = extrapolate(y, geometry)
    first = round(float(geometry.positions()[0] - wide.positions()[0]))
    assert torch.equal(y, kept)
    assert torch.equal(continued[:, first : first + 68], y)
    assert continued.shape == wide.shape
    assert abs(wide.offset) <= wide.spacing / 2
    assert float(continued.min()) >= 0
    assert torch.equal(extrapolate(y, geometry)[0], continued)
    assert torch.allclose(extrapolate(1024 * y, geometry)[0], 1024 * continued, rtol=1e-9)
    thousandfold, _ = extrapolate(1e3 * y, geometry)
    assert float((thousandfold - 1e3 * continued).abs().max()) < 1e-4 * float(thousandfold.max())
    single, _ = extrapolate(y.float(), geometry)
    assert single.dtype == torch.float32


def test_a_detector_beside_the_center() -> None:
    """Half a turn of a shifted detector: the sides are continued until they lie alike about the center."""
    phantom, geometry = PHANTOMS["disk"], replace(GEOMETRIES["parallel"], offset=5.0)
    continued, wide = extrapolate(phantom_sinogram(phantom, geometry), geometry)
    assert abs(wide.offset) <= wide.spacing / 2
    assert abs(error(FilteredBackprojection()(continued, Radon(GRID, wide)), phantom, 25.0)) < 0.02
