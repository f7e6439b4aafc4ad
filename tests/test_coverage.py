"""What a scan covers, and what is cut off at the ends of its detector."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch

from medrecon.coverage import Scan, angular_cells, coverage, truncation
from medrecon.data.ct.projections import phantom_sinogram
from medrecon.data.phantoms.ellipses import Ellipse, Phantom
from medrecon.geometry import Arc, FanBeam, Geometry, Grid, ParallelBeam, lodopab
from medrecon.operators import Radon
from medrecon.reconstructors import FilteredBackprojection

TURN = 2 * math.pi


def arc(degrees: float, views: int = 120, first: float = 0.4) -> Arc:
    return Arc(first, math.radians(degrees) / views, views)


def parallel(angles: Arc | Sequence[float], offset: float = 0.0) -> ParallelBeam:
    return ParallelBeam(angles if isinstance(angles, Arc) else tuple(angles), 100, 1.0, offset)


def fan(angles: Arc | Sequence[float], offset: float = 0.0) -> FanBeam:
    """Sees 29.9 mm from the center, within 13.9 degrees to either side."""
    return FanBeam(angles if isinstance(angles, Arc) else tuple(angles), 99, 1.0, 125.0, 75.0, offset=offset)


SHORT = 180 + 2 * math.degrees(math.atan(49.5 / 200))

CASES: list[tuple[Geometry, Scan, float]] = [
    (lodopab(), Scan.HALF_TURN, 180),
    (parallel(Arc.full_turn(90)), Scan.FULL_TURN, 180),
    (parallel(Arc.full_turn(91)), Scan.FULL_TURN, 180),
    (parallel(arc(210)), Scan.HALF_TURN, 180),
    (parallel(arc(120)), Scan.LIMITED, 120),
    (parallel(Arc.half_turn(5)), Scan.HALF_TURN, 180),
    (parallel(k * 2.4 % math.pi for k in range(100)), Scan.HALF_TURN, 180),
    (parallel(Arc.full_turn(90), offset=20), Scan.OFFSET, 360),
    (parallel(Arc.half_turn(90), offset=20), Scan.HALF_TURN, 180),
    (parallel(Arc.full_turn(90), offset=0.25), Scan.FULL_TURN, 360 / 2),
    (fan(arc(360)), Scan.FULL_TURN, 360),
    (fan(arc(-400)), Scan.FULL_TURN, 360),
    (fan(arc(SHORT)), Scan.SHORT, SHORT),
    (fan(arc(-SHORT)), Scan.SHORT, SHORT),
    (fan(arc(300)), Scan.SHORT, 300),
    (fan(arc(SHORT - 10)), Scan.LIMITED, SHORT - 10),
    (fan(arc(90)), Scan.LIMITED, 90),
    (fan(arc(360), offset=30), Scan.OFFSET, 360),
    (fan(arc(SHORT), offset=-3), Scan.SHORT, SHORT),
]


@pytest.mark.parametrize(("geometry", "scan", "degrees"), CASES)
def test_kinds_of_scan(geometry: Geometry, scan: Scan, degrees: float) -> None:
    found = coverage(geometry)
    assert found.scan is scan
    assert math.degrees(found.arc) == pytest.approx(degrees, abs=1e-6)
    assert found.complete == (scan is not Scan.LIMITED)
    assert math.degrees(sum(width for _, width in found.gaps)) == pytest.approx(
        math.degrees(angular_cells(geometry).period) - degrees, abs=1e-6
    )
    assert str(len(geometry.angles)) in found.words


def test_cells_add_up_to_the_arc() -> None:
    for geometry, _, degrees in CASES:
        cells = angular_cells(geometry)
        assert math.degrees(cells.widths.sum()) == pytest.approx(degrees, abs=1e-6)
        assert (cells.widths > 0).all()


def test_cells_reach_half_way_to_the_neighbors() -> None:
    cells = angular_cells(parallel([0.0, 0.6, 0.2, 2.8, 1.6, 1.2, 0.9, 2.0, 2.4]))
    assert cells.widths[:3] == pytest.approx([(0.2 + math.pi - 2.8) / 2, 0.35, 0.3])
    assert len(cells.holes) == 0


def test_depth_is_the_way_to_the_nearest_hole() -> None:
    cells = angular_cells(fan(arc(200, first=0.0)))
    start, step = -math.radians(200) / 240, math.radians(200)
    assert cells.holes == pytest.approx(np.array([[start + step, TURN - step]]))
    inside = np.array([start, start + 0.3, start + step - 0.2, start + 0.1 - TURN, start + step / 2])
    assert cells.depth(inside) == pytest.approx([0, 0.3, 0.2, 0.1, step / 2])
    assert not cells.depth(np.array([start - 0.1, start + step + 0.1, start + 5.0])).any()


def test_holes_that_opposite_rays_fill() -> None:
    """Three arcs of a fan with holes between, none opposite another."""
    full = list(Arc.full_turn(180))
    three = [angle for angle in full if math.degrees(angle) % 120 < 100]
    assert coverage(fan(three)).complete
    two = [angle for angle in full if math.degrees(angle) % 180 < 160]
    assert not coverage(fan(two)).complete
    assert len(coverage(fan(two)).gaps) == 2


def test_radius_of_an_offset_detector() -> None:
    turn, half = coverage(parallel(Arc.full_turn(90), 20.0)), coverage(parallel(Arc.half_turn(90), 20.0))
    assert (turn.radius, half.radius) == pytest.approx((70, 30))
    assert "sees up to 70.0 mm from the center" in turn.words
    assert "only a full turn would see more than 30.0 mm" in half.words
    assert coverage(fan(arc(360), offset=-30)).radius == pytest.approx(125 * math.sin(math.atan(79.5 / 200)))


def test_words_of_what_is_missing() -> None:
    assert "over 90.0 of the 207.8 degrees needed" in coverage(fan(arc(90))).words
    assert "a short scan (207.8 needed)" in coverage(fan(arc(SHORT + 1))).words
    beside = coverage(parallel(Arc.full_turn(90), offset=60.0))
    assert not beside.complete
    assert "does not see the center" in beside.words


@pytest.mark.parametrize("views", [1, 2, 7])
def test_few_views(views: int) -> None:
    for geometry in (parallel(Arc.half_turn(views)), fan(arc(360, views)), parallel([0.3] * views)):
        cells = angular_cells(geometry)
        assert cells.widths.sum() == pytest.approx(cells.period)
        assert coverage(geometry).words


def disk(radius: float, x0: float = 0.0) -> Phantom:
    return Phantom((Ellipse(0.02, (0.0, x0), (radius, radius)),))


def test_truncation_says_which_side() -> None:
    geometry = parallel(Arc(0.0, math.pi / 360, 90))
    inside = truncation(phantom_sinogram(disk(40), geometry), geometry)
    assert (inside.first, inside.last, inside.truncated) == (0.0, 0.0, False)
    right = truncation(phantom_sinogram(disk(40, x0=20.0), geometry), geometry)
    assert right.first == 0.0
    assert right.last == right.worst > 0.5
    assert right.truncated


def test_truncation_is_not_noise(generator: torch.Generator) -> None:
    geometry = parallel(Arc.half_turn(90))
    noise = 0.15 * torch.randn(geometry.shape, generator=generator, dtype=torch.float64)
    assert not truncation(phantom_sinogram(disk(40), geometry) + noise, geometry).truncated
    assert truncation(phantom_sinogram(disk(55), geometry) + noise, geometry).truncated


def test_an_offset_detector_is_meant_to_cut() -> None:
    turn, half = parallel(Arc.full_turn(90), 30.0), parallel(Arc.half_turn(90), 30.0)
    assert truncation(phantom_sinogram(disk(60), turn), turn).first > 0.5
    assert not truncation(phantom_sinogram(disk(60), turn), turn).truncated
    assert truncation(phantom_sinogram(disk(60), half), half).truncated
    assert truncation(phantom_sinogram(disk(90), turn), turn).truncated


def test_truncation_of_odd_data() -> None:
    geometry = parallel(Arc.half_turn(4))
    assert not truncation(torch.zeros(3, *geometry.shape), geometry).truncated
    assert not truncation(torch.full(geometry.shape, math.nan), geometry).truncated
    with pytest.raises(ValueError, match=r"takes a sinogram \(..., angle, detector\) of \(4, 100\), got \(4, 99\)"):
        truncation(torch.zeros(4, 99), geometry)


def degrees_of(*parts: tuple[float, float, float]) -> list[float]:
    return [math.radians(angle) for part in parts for angle in np.arange(*part)]


UNEVEN = [
    (degrees_of((0, 90, 0.5), (90, 180, 2)), 0.0),
    (degrees_of((0, 60, 0.25), (60, 180, 1.75)), 0.0),
    (degrees_of(*((start, start + 5, 0.5) for start in range(0, 180, 9))), 0.0),  # bursts, and 4.5 degrees between them
    (degrees_of((0, 30, 1), (33, 180, 1)), 0.0),  # three views lost
    (degrees_of((0, 90, 0.5), (90, 360, 2)), 0.0),
    (degrees_of((0, 342, 1)), 35.0),
    (degrees_of((0, 100, 0.5), (112, 360, 1)), -38.0),
    (list(np.mod(np.arange(200) * math.radians(111.24611797), TURN)), 0.0),
]


@pytest.mark.parametrize(("angles", "offset"), UNEVEN)
@pytest.mark.parametrize("beam", [parallel, fan])
def test_arcs_have_their_weight_whatever_their_steps(
    beam: Callable[..., Geometry], angles: list[float], offset: float
) -> None:
    """The middle of an object is as bright as it is, and what is missing is not told of what is there."""
    if beam is fan and math.pi > max(angles):
        angles = [*angles, *(angle + math.pi for angle in angles)]
    geometry = beam(angles, offset)
    phantom = Phantom((Ellipse(0.02, (4.0, -3.0), (20.0, 22.0)), Ellipse(0.02, (-5.0, 6.0), (5.0, 5.0))))
    grid = Grid((60, 60), 1.0)
    image = FilteredBackprojection()(phantom_sinogram(phantom, geometry), Radon(grid, geometry))
    y, x = (torch.from_numpy(axis) for axis in grid.coordinates())
    insert = torch.hypot(y[:, None] + 5, x - 6)
    body = (torch.hypot(y[:, None] - 4, x + 3) < 17) & (insert > 8)
    assert float(image[body].mean()) == pytest.approx(0.02, rel=0.01)
    assert float(image[insert < 3].mean()) == pytest.approx(0.04, rel=0.025)
    assert "needed" not in coverage(geometry).words


def test_missing_views_are_told_once() -> None:
    turn = coverage(parallel(degrees_of((0, 342, 1)), 35.0))
    assert (turn.scan, turn.complete) == (Scan.OFFSET, False)
    assert math.degrees(turn.arc) == pytest.approx(342, abs=1e-6)
    assert "full turn with a detector offset by 35 mm" in turn.words
    assert "missing over up to 18.0 degrees" in turn.words
    half = coverage(parallel(degrees_of((0, 30, 1), (35, 180, 1))))
    assert (half.scan, half.complete) == (Scan.HALF_TURN, True)
    assert "missing over up to 5.0 degrees" in half.words
    opposite = coverage(fan(degrees_of((0, 160, 2), (180, 340, 2))))
    assert not opposite.complete
    assert "needed" not in opposite.words
    assert "holes between, up to 20.0 degrees wide" in opposite.words


def test_half_a_turn_with_an_offset_misses_no_views() -> None:
    for angles in (Arc.half_turn(90), arc(200), arc(-185)):
        assert "missing" not in coverage(parallel(angles, offset=3.5)).words
    assert "missing over up to 5.0 degrees" in coverage(parallel(degrees_of((0, 30, 1), (35, 180, 1)))).words
    assert coverage(parallel([0.3])).words == "1 view, of a single direction"
