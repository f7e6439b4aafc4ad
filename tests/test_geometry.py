from __future__ import annotations

import math
import re
from collections.abc import Callable

import numpy as np
import pytest

from medrecon.geometry import Arc, FanBeam, Geometry, Grid, ParallelBeam, lodopab, lodopab_grid, require_outside

PARALLEL = ParallelBeam(Arc.half_turn(12), n_bins=9, spacing=1.5, offset=0.4)
FLAT = FanBeam(Arc.full_turn(12), n_bins=9, spacing=1.5, source_distance=40.0, detector_distance=20.0, offset=0.4)
CURVED = FanBeam((0.1, 0.7, 3.0), 9, 1.5, 40.0, 20.0, curved=True)
ALL = [PARALLEL, FLAT, CURVED]


@pytest.mark.parametrize(
    "value", [*ALL, PARALLEL[::5], FLAT[[3, 1]], Grid((4, 6), (1.0, 0.5)), lodopab(), lodopab_grid()]
)
def test_repr_is_code(value: Geometry | Grid) -> None:
    assert eval(repr(value)) == value
    assert hash(eval(repr(value))) == hash(value)


@pytest.mark.parametrize("geometry", ALL)
@pytest.mark.parametrize("key", [slice(None, None, 2), slice(1, None), slice(None, None, -1), [2, 0]])
def test_slices_keep_views(geometry: Geometry, key: slice | list[int]) -> None:
    kept = geometry[key]
    np.testing.assert_allclose(kept.rays().views, geometry.rays().views[key], atol=1e-15)
    np.testing.assert_array_equal(kept.rays().bins, geometry.rays().bins)
    assert kept.shape == (len(geometry.rays().views[key]), 9)


def test_lodopab_is_that_of_the_paper() -> None:
    geometry, grid = lodopab(), lodopab_grid()
    angles = np.array(list(geometry.angles))
    np.testing.assert_allclose(angles, (np.arange(1000) + 0.5) * np.pi / 1000, rtol=1e-14)
    edges = geometry.positions()[[0, -1]] + np.array([-0.5, 0.5]) * geometry.spacing
    np.testing.assert_allclose(edges, [-183.84776, 183.84776], rtol=1e-12)
    assert geometry.shape == (1000, 513)
    assert (grid.shape, grid.extent) == ((362, 362), (260.0, 260.0))
    assert geometry.field_radius == pytest.approx(math.hypot(130, 130), rel=1e-6)  # the detector sees the corners


def test_rays_of_a_fan_pass_the_source_and_their_bins() -> None:
    for geometry in (FLAT, CURVED):
        rays = geometry.rays()
        for beta, (cosine, sine) in zip(geometry.angles, rays.views, strict=True):
            source = geometry.source_distance * np.array([math.sin(beta), -math.cos(beta)])
            across, along = np.array([math.cos(beta), math.sin(beta)]), np.array([-math.sin(beta), math.cos(beta)])
            for u, (cos_turn, sin_turn, s) in zip(geometry.positions(), rays.bins, strict=True):
                normal = np.array([cosine * cos_turn - sine * sin_turn, sine * cos_turn + cosine * sin_turn])
                distance = geometry.source_to_detector
                gamma = u / distance
                bin_ = source + (
                    distance * (math.sin(gamma) * across + math.cos(gamma) * along)
                    if geometry.curved
                    else u * across + distance * along
                )
                assert normal @ source == pytest.approx(s, abs=1e-9)
                assert normal @ bin_ == pytest.approx(s, abs=1e-9)


def test_a_far_source_gives_the_parallel_beam() -> None:
    far = FanBeam(PARALLEL.angles, 9, 1.5, 1e9, 0.0, offset=0.4).rays()
    np.testing.assert_allclose(far.views, PARALLEL.rays().views)
    np.testing.assert_allclose(far.bins, PARALLEL.rays().bins, atol=1e-7)


def test_field_that_every_view_sees() -> None:
    assert ParallelBeam(Arc.half_turn(4), 10, 2.0).field_radius == pytest.approx(10.0)
    assert ParallelBeam(Arc.half_turn(4), 10, 2.0, offset=3.0).field_radius == pytest.approx(7.0)
    assert FanBeam(Arc.full_turn(4), 10, 2.0, 100.0, 100.0).field_radius == pytest.approx(
        100 * math.sin(math.atan(0.05))
    )


def test_equal_values_are_equal() -> None:
    assert ParallelBeam(Arc.half_turn(12), 9, 1.5, 0.4) == PARALLEL
    assert ParallelBeam(Arc.half_turn(12), 9, 1.5) != PARALLEL
    assert Grid((3, 3), 1) == Grid([3, 3], (1.0, 1.0))
    assert len({lodopab(), lodopab()}) == 1


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ParallelBeam(tuple(range(180)), 9, 1.0), "radians, got up to 179, which looks like degrees"),
        (lambda: FanBeam(Arc(0.0, 1.0, 360), 9, 1.0, 5.0, 5.0), "looks like degrees"),
        (lambda: ParallelBeam((0.0, math.nan), 9, 1.0), "angle 1 is not a finite number"),
        (lambda: ParallelBeam((), 9, 1.0), "at least one angle"),
        (lambda: ParallelBeam(Arc.half_turn(3), 9, 0.0), "a spacing above 0 mm, got 0.0"),
        (lambda: ParallelBeam(Arc.half_turn(3), 9, -1.0), "a spacing above 0 mm, got -1.0"),
        (lambda: ParallelBeam(Arc.half_turn(3), 9, 1.0, math.inf), "offset of at most 1e+09 millimeters"),
        (lambda: ParallelBeam(Arc.half_turn(3), 0, 1.0), "at least one detector bin"),
        (lambda: FanBeam(Arc.full_turn(3), 9, 1.0, 0.0, 5.0), "a source_distance above 0 mm"),
        (lambda: FanBeam(Arc.full_turn(3), 9, 1.0, 5.0, -1.0), "a detector_distance of at least 0 mm"),
        (lambda: FanBeam(Arc.full_turn(3), 400, 1.0, 50.0, 50.0, curved=True), "less than 90"),
        (lambda: Grid((3, 0), 1.0), "at least one pixel an axis, got shape (3, 0)"),
        (lambda: Grid((3, 3), (1.0, -2.0)), "a spacing above 0 mm, got -2.0"),
        (lambda: Grid((3, 3, 3), 1.0), "(y, x) sizes and spacings"),
        (lambda: PARALLEL[20:], "no view is left of 12"),
        (lambda: Arc(0.0, 1.0, 0), "a count of at least 1"),
    ],
)
def test_what_cannot_be_is_refused(make: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        make()


def test_a_source_inside_the_image_is_refused() -> None:
    geometry = FanBeam(Arc.full_turn(8), 9, 1.0, 50.0, 50.0)
    require_outside(geometry, Grid((64, 64), 1.0))
    with pytest.raises(ValueError, match="the source, 50 mm from the center, lies inside the image of 128 x 128 mm"):
        require_outside(geometry, Grid((128, 128), 1.0))


def test_a_grid_off_the_axis() -> None:
    grid = Grid((4, 3), 0.5, center=(-10.0, 18))
    y, x = grid.coordinates()
    assert (y.tolist(), x.tolist()) == ([-10.75, -10.25, -9.75, -9.25], [17.5, 18.0, 18.5])
    assert eval(repr(grid)) == grid != Grid((4, 3), 0.5)
    assert repr(Grid((4, 3), 0.5)) == "Grid(shape=(4, 3), spacing=(0.5, 0.5))"
    assert grid.radius == pytest.approx(math.hypot(11.0, 18.75))
    with pytest.raises(ValueError, match=r"a center \(y, x\) in millimeters up to 1e\+09, got \(1, nan\)"):
        Grid((4, 3), 0.5, (1, math.nan))
    with pytest.raises(ValueError, match="lies inside the image"):
        require_outside(FanBeam(Arc.full_turn(90), 10, 1.0, 20.0, 10.0), Grid((8, 8), 1.0, (0.0, 20.0)))


def test_a_grid_that_covers_a_circle() -> None:
    assert Grid((4, 3), 1.0).covering(1.5) == Grid((4, 3), 1.0)
    assert Grid((4, 3), 1.0).covering(4.0) == Grid((8, 9), 1.0)
    assert Grid((4, 3), 1.0, (-2.0, 0.0)).covering(4.0) == Grid((12, 9), 1.0, (-2.0, 0.0))
