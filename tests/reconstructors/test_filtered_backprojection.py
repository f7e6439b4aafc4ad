"""Filtered backprojection against phantoms whose line integrals are known in closed form."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from medrecon.data.ct.projections import phantom_image, phantom_sinogram
from medrecon.data.phantoms.ellipses import Ellipse, Phantom
from medrecon.data.phantoms.mri_phantoms import shepp_logan
from medrecon.geometry import Arc, FanBeam, Geometry, Grid, ParallelBeam
from medrecon.operators import Diagonal, Radon
from medrecon.reconstructors.filtered_backprojection import FilteredBackprojection
from medrecon.reconstructors.ramp import Window, ramp_filter
from medrecon.reconstructors.redundancy import ray_weights

GRID = Grid((96, 96), 1.0)
MU = 0.02
DISK = Phantom((Ellipse(MU, (4.0, -7.0), (30.0, 30.0)),))
CYLINDER = Phantom((Ellipse(MU, (0.0, 0.0), (42.0, 42.0)),))
TURN = 2 * math.pi
SHORT = math.pi + 2 * math.asin(51 / 250)


def fan(
    arc: float, *, curved: bool = False, n_bins: int = 120, offset: float = 0.0, views: int = 240, first: float = 0.3
) -> FanBeam:
    return FanBeam(Arc(first, arc / views, views), n_bins, 1.5, 250.0, 170.0, curved, offset)


SCANS: dict[str, Geometry] = {
    "parallel": ParallelBeam(Arc.half_turn(180), 100, 1.0),
    "parallel, coarse bins": ParallelBeam(Arc.half_turn(180), 60, 1.7),
    "parallel, fine bins": ParallelBeam(Arc.half_turn(180), 260, 0.4),
    "parallel, full turn": ParallelBeam(Arc.full_turn(301), 100, 1.0),
    "parallel, 200 degrees": ParallelBeam(Arc(0.1, math.pi / 180, 200), 100, 1.0),
    "parallel, quarter offset": ParallelBeam(Arc.full_turn(300), 100, 1.0, 0.25),
    "parallel, offset": ParallelBeam(Arc.full_turn(300), 64, 1.0, 18.0),
    "parallel, offset to the other side": ParallelBeam(Arc.full_turn(300), 64, 1.0, -18.0),
    "parallel, little offset, half turn": ParallelBeam(Arc.half_turn(180), 100, 1.0, 2.0),
    "flat fan": fan(TURN),
    "flat fan, short": fan(SHORT),
    "flat fan, short, backwards": fan(-SHORT),
    "flat fan, overscan": fan(math.radians(260)),
    "flat fan, most of a turn": fan(math.radians(345)),
    "flat fan, more than a turn": fan(1.25 * TURN, views=300),
    "flat fan, offset": fan(TURN, n_bins=76, offset=33.0),
    "flat fan, little offset": fan(TURN, offset=4.0),
    "flat fan, little offset, short": fan(SHORT, n_bins=124, offset=2.5),
    "curved fan": fan(TURN, curved=True),
    "curved fan, short": fan(SHORT, curved=True),
    "curved fan, offset": fan(TURN, curved=True, n_bins=76, offset=-33.0),
}
every_scan = pytest.mark.parametrize("name", SCANS)


def reconstruct(
    phantom: Phantom, geometry: Geometry, method: FilteredBackprojection | None = None, grid: Grid = GRID
) -> Tensor:
    return (method or FilteredBackprojection())(phantom_sinogram(phantom, geometry), Radon(grid, geometry))


def within(radius: float, grid: Grid = GRID, y0: float = 0.0, x0: float = 0.0) -> Tensor:
    y, x = (torch.from_numpy(axis) for axis in grid.coordinates())
    return torch.hypot(y[:, None] - y0, x[None, :] - x0) < radius


def relative(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm() / b.norm())


@every_scan
@pytest.mark.parametrize("window", [Window.RAMP, Window.HANN])
def test_a_disk_comes_back_with_its_value(name: str, window: Window) -> None:
    image = reconstruct(DISK, SCANS[name], FilteredBackprojection(window)) / MU
    inside, outside = within(26, y0=4, x0=-7), ~within(34, y0=4, x0=-7)
    assert float(image[inside].mean()) == pytest.approx(1, abs=0.002)
    assert float((image[inside] - 1).abs().max()) < 0.02
    assert abs(float(image[outside].mean())) < 0.002
    assert float(image[outside].abs().max()) < 0.12


@every_scan
def test_a_cylinder_comes_back_flat(name: str) -> None:
    image = reconstruct(CYLINDER, SCANS[name])[within(38)] / MU
    assert float((image - 1).abs().max()) < 0.01


def test_flatness_is_the_work_of_the_weights() -> None:
    for name, least in (("flat fan, short", 0.1), ("flat fan, offset", 0.3)):
        geometry = SCANS[name]
        y = phantom_sinogram(CYLINDER, geometry)
        weights = torch.from_numpy(ray_weights(geometry))
        even = 0.5 * TURN / len(geometry.angles) * torch.ones(geometry.shape, dtype=torch.float64)
        image = FilteredBackprojection()(y * even / weights.clamp_min(1e-9), Radon(GRID, geometry))
        assert float((image[within(38)] / MU - 1).abs().max()) > least


def test_weights_of_a_line_sum_to_one() -> None:
    geometry = ParallelBeam(Arc.full_turn(60), 64, 1.0, 18.0)
    weights = ray_weights(geometry) / (TURN / 60)
    assert weights.min() >= 0
    places = geometry.positions()
    for bin_, place in enumerate(places):
        opposite = np.nonzero(np.isclose(places, -place))[0]
        total = weights[:, bin_] + (np.roll(weights, 30, axis=0)[:, opposite[0]] if len(opposite) else 0)
        assert total == pytest.approx(1)


def test_a_half_turn_and_a_full_turn_agree() -> None:
    half, full = (reconstruct(DISK, ParallelBeam(arc, 100, 1.0)) for arc in (Arc.half_turn(180), Arc.full_turn(360)))
    assert relative(half, full) < 1e-9
    short, turn = (reconstruct(DISK, SCANS[f"flat fan{name}"]) for name in (", short", ""))
    assert relative(short, turn) < 0.03


def test_a_far_source_gives_the_parallel_image() -> None:
    parallel = ParallelBeam(Arc(0.2, TURN / 200, 200), 100, 1.0)
    for curved in (False, True):
        far = FanBeam(parallel.angles, 100, 1.0, 1e7, 0.0, curved)
        assert relative(reconstruct(DISK, far), reconstruct(DISK, parallel)) < 1e-4


def test_the_order_of_the_views_does_not_matter(generator: torch.Generator) -> None:
    for name in ("parallel, 200 degrees", "flat fan, short", "parallel, offset"):
        geometry = SCANS[name]
        order = torch.randperm(len(geometry.angles), generator=generator).tolist()
        y = phantom_sinogram(DISK, geometry)
        mixed = FilteredBackprojection()(y[order], Radon(GRID, geometry[order]))
        assert relative(mixed, FilteredBackprojection()(y, Radon(GRID, geometry))) < 1e-12


def test_irregular_and_repeated_angles() -> None:
    golden = tuple(k * math.pi * (math.sqrt(5) - 1) / 2 % math.pi for k in range(220))
    twice = tuple(Arc.half_turn(180)) * 2
    drifting = tuple(math.pi * (k / 200) ** 1.3 for k in range(200))
    for angles in (golden, twice, drifting):
        image = reconstruct(DISK, ParallelBeam(angles, 100, 1.0))[within(26, y0=4, x0=-7)] / MU
        assert float(image.mean()) == pytest.approx(1, abs=0.003)
        assert float(image.std()) < 0.02


def test_two_turns_are_one_turn_twice() -> None:
    once, twice = fan(TURN), replace(fan(TURN), angles=tuple(fan(TURN).angles) * 2)
    y = phantom_sinogram(DISK, once)
    again = FilteredBackprojection()(torch.cat([y, y]), Radon(GRID, twice))
    assert relative(again, FilteredBackprojection()(y, Radon(GRID, once))) < 1e-9


def test_a_quarter_of_a_turn_shows_the_edges_it_sees() -> None:
    geometry = ParallelBeam(Arc(-math.pi / 4, math.pi / 180, 90), 100, 1.0)
    image = reconstruct(Phantom((Ellipse(MU, (0.0, 0.0), (30.0, 30.0)),)), geometry) / MU
    rise = image.roll(-4, -1) - image
    assert float(rise[48, 12:22].max()) > 0.8  # across x, along whose normals it looks
    assert float((image.roll(-4, -2) - image)[12:22, 48].max()) < 0.4
    assert float(image[within(20)].mean()) == pytest.approx(0.5, abs=0.05)


def test_the_error_falls_with_the_number_of_views() -> None:
    truth = phantom_image(DISK, GRID).double()
    errors = [
        relative(reconstruct(DISK, ParallelBeam(Arc.half_turn(n), 100, 1.0)), truth) for n in (8, 16, 32, 64, 128)
    ]
    assert all(after < 0.75 * before for before, after in pairwise(errors[:4]))
    assert errors[4] < errors[3]


@pytest.mark.parametrize("name", ["parallel", "flat fan, short", "curved fan, offset"])
def test_a_turned_scan_turns_the_image(name: str) -> None:
    geometry = SCANS[name]
    y = phantom_sinogram(DISK, geometry)
    turned = replace(geometry, angles=tuple(angle + math.pi / 2 for angle in geometry.angles))
    images = [FilteredBackprojection()(y, Radon(GRID, view)) for view in (geometry, turned)]
    assert relative(images[1], torch.rot90(images[0], -1)) < 1e-9


@pytest.mark.parametrize("shape", [((60, 90), (1.5, 1.0)), ((97, 64), (1.0, 1.45)), ((250, 250), (0.4, 0.4))])
def test_any_grid(shape: tuple[tuple[int, int], tuple[float, float]]) -> None:
    grid = Grid(*shape)
    inside = within(26, grid, y0=4, x0=-7)
    for name in ("parallel", "flat fan, short"):
        image = reconstruct(DISK, SCANS[name], grid=grid) / MU
        assert float(image[inside].mean()) == pytest.approx(1, abs=0.002)
        assert float((image[inside] - 1).abs().max()) < 0.02


def test_outside_the_field_of_view_is_nothing() -> None:
    """The filtered views go on beyond the detector: without that the corners are bright."""
    small = Phantom((Ellipse(MU, (0.0, 0.0), (25.0, 25.0)),))
    for geometry in (
        ParallelBeam(Arc.half_turn(240), 60, 1.0),
        fan(TURN, n_bins=70),
        fan(SHORT, curved=True, n_bins=70),
    ):
        assert geometry.field_radius < 40
        image = reconstruct(small, geometry)[~within(35)] / MU
        assert abs(float(image.mean())) < 0.002
        assert float(image.abs().max()) < 0.08


@pytest.mark.parametrize("name", ["parallel", "flat fan", "curved fan, short", "parallel, offset", "flat fan, offset"])
def test_the_shepp_logan_phantom_comes_back(name: str) -> None:
    geometry, unit = SCANS[name], 45.0
    image = FilteredBackprojection(Window.SHEPP_LOGAN)(
        phantom_sinogram(shepp_logan(), geometry, unit), Radon(GRID, geometry)
    )
    truth = phantom_image(shepp_logan(), GRID, unit).double()
    inside = within(30)
    assert relative(image[inside], truth[inside]) < 0.12
    brain, ventricle = within(4, y0=-30), within(3, y0=0, x0=-10)
    assert float(image[brain].mean()) == pytest.approx(0.2, abs=0.01)
    assert float(image[ventricle].mean()) == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize("window", list(Window))
def test_windows_keep_values_and_tame_noise(window: Window, generator: torch.Generator) -> None:
    geometry = SCANS["parallel"]
    noise = torch.randn(geometry.shape, generator=generator, dtype=torch.float64)
    A = Radon(GRID, geometry)
    strong, weak = (float(FilteredBackprojection(window, scaling)(noise, A).std()) for scaling in (1.0, 0.6))
    assert weak < 0.7 * strong
    if window is not Window.RAMP:
        assert strong < 0.95 * float(FilteredBackprojection()(noise, A).std())
    image = reconstruct(DISK, geometry, FilteredBackprojection(window, 0.6))
    assert float(image[within(22, y0=4, x0=-7)].mean() / MU) == pytest.approx(1, abs=0.003)


def test_the_ramp_is_the_frequency_and_right_at_zero() -> None:
    geometry = ParallelBeam(Arc.half_turn(4), 400, 0.7)
    ramp = ramp_filter(geometry, Window.RAMP, 1.0)
    n = len(ramp.response)
    frequency = torch.arange(n, dtype=torch.float64) / (2 * (n - 1) * 0.7)  # in cycles per millimeter
    assert torch.allclose(ramp.response[1:], frequency[1:], rtol=0, atol=2e-3 * float(frequency[-1]))
    odd = torch.arange(1, n, 2, dtype=torch.float64)
    lags_beyond = 1 / (4 * 0.7) - 2 * float((1 / (math.pi * odd) ** 2).sum()) / 0.7  # what they would take away
    assert 0 < lags_beyond == pytest.approx(float(ramp.response[0]), rel=1e-9)


@pytest.mark.parametrize(
    ("window", "at_half", "at_one"),
    [
        ("ramp", 1, 1),
        ("shepp-logan", 0.900316, 0.636620),
        ("cosine", 0.707107, 0),
        ("hamming", 0.54, 0.08),
        ("hann", 0.5, 0),
    ],
)
def test_windows_by_hand(window: str, at_half: float, at_one: float) -> None:
    gain = Window(window).gain(np.array([0.0, 0.5, 1.0, 1.01]))
    assert gain == pytest.approx([1, at_half, at_one, 0], abs=1e-6)


def test_frequency_scaling_is_where_the_band_ends() -> None:
    geometry = ParallelBeam(Arc.half_turn(4), 101, 1.0)
    plain, scaled = ramp_filter(geometry, Window.RAMP, 1.0), ramp_filter(geometry, Window.HANN, 0.64)
    f = torch.arange(len(plain.response)) / (len(plain.response) - 1)
    want = torch.where(f <= 0.64, torch.cos(math.pi / 2 * f / 0.64) ** 2, 0.0) * plain.response
    assert torch.allclose(scaled.response, want, rtol=1e-5, atol=1e-9)


def test_linear_batched_and_in_either_precision(generator: torch.Generator) -> None:
    grid, method = Grid((24, 24), 4.0), FilteredBackprojection(Window.HANN, 0.8)
    for name in ("parallel", "flat fan, short", "curved fan, offset"):
        A = Radon(grid, SCANS[name][::10])
        y = A.range.random((2, 3), generator=generator, dtype=torch.float64)
        images = method(y, A)
        assert images.shape == (2, 3, 24, 24)
        assert relative(method(2 * y[0] - y[1], A), 2 * images[0] - images[1]) < 1e-12
        assert relative(torch.stack([method(one, A) for one in y[1]]), images[1]) < 1e-12
        single = method(y.float(), A)
        assert single.dtype == torch.float32
        assert relative(single.double(), images) < 1e-5


@pytest.mark.parametrize("name", ["parallel", "parallel, offset", "flat fan, short", "curved fan, offset"])
def test_gradients(name: str, generator: torch.Generator) -> None:
    A = Radon(Grid((6, 5), 16.0), replace(SCANS[name][::40], n_bins=9, spacing=14.0))
    y = A.range.random(generator=generator, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda y: FilteredBackprojection()(y, A), (y,))
    B = FilteredBackprojection().operator(A.grid, A.geometry)
    x = B.range.random(generator=generator, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(B(y), y, x)
    assert relative(gradient, B.H(x)) < 1e-12


@pytest.mark.filterwarnings("ignore:Dynamo detected a call to a `functools.lru_cache`")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_compiled(generator: torch.Generator) -> None:
    A = Radon(Grid((12, 12), 8.0), SCANS["flat fan, short"][::20])
    y = A.range.random((2,), generator=generator).requires_grad_()
    method = FilteredBackprojection(Window.COSINE)
    want = method(y, A)
    got = torch.compile(lambda y: 2 * method(y, A), backend="aot_eager")(y)
    assert relative(got.detach() / 2, want.detach()) < 1e-6
    gradients = [torch.autograd.grad(image.square().sum(), y)[0] for image in (got / 2, want)]
    assert relative(*gradients) < 1e-5


def test_refusals() -> None:
    A = Radon(GRID, SCANS["parallel"])
    for scaling in (0.0, 1.5, math.nan):
        with pytest.raises(ValueError, match="frequency_scaling above 0 and up to 1"):
            FilteredBackprojection(frequency_scaling=scaling)
    with pytest.raises(ValueError, match="'sharp' is not a valid Window"):
        FilteredBackprojection("sharp")  # type: ignore[arg-type]
    weighted = Diagonal(torch.ones(A.range.shape), A.range) @ A
    with pytest.raises(ValueError, match="inverts a Radon transform alone, got Diagonal @ Radon"):
        FilteredBackprojection()(torch.ones(A.range.shape), weighted)
    with pytest.raises(
        ValueError, match=r"FilteredBackprojection takes \(..., angle=180, detector=100\) real, got \(180, 99\)"
    ):
        FilteredBackprojection()(torch.ones(180, 99), A)


@pytest.mark.parametrize("name", ["parallel", "parallel, offset", "flat fan, short", "curved fan, offset"])
def test_a_grid_off_the_axis_is_a_part_of_a_larger_one(name: str, generator: torch.Generator) -> None:
    geometry = SCANS[name][::4]
    y = torch.rand(geometry.shape, generator=generator, dtype=torch.float64)
    large, part = Grid((40, 36), 2.0), Grid((9, 8), 2.0, center=(2.0 * (5 + 4 - 19.5), 2.0 * (20 + 3.5 - 17.5)))
    want = FilteredBackprojection()(y, Radon(large, geometry))[5:14, 20:28]
    assert relative(FilteredBackprojection()(y, Radon(part, geometry)), want) < 1e-9


def test_closed_form_sinograms_off_the_axis() -> None:
    grid = Grid((64, 64), 0.5, center=(-20.0, 15.0))
    phantom = Phantom((Ellipse(0.02, (0.0, 0.0), (40.0, 40.0)), Ellipse(0.02, (-20.0, 15.0), (8.0, 8.0))))
    for geometry in (SCANS["parallel"], SCANS["flat fan, short"]):
        image = FilteredBackprojection()(phantom_sinogram(phantom, geometry), Radon(grid, geometry))
        assert float(image[24:40, 24:40].mean()) == pytest.approx(0.04, rel=0.01)
        y = Radon(grid, geometry)(phantom_image(Phantom(phantom.shapes[1:]), grid).double())
        assert relative(y, phantom_sinogram(Phantom(phantom.shapes[1:]), geometry)) < 0.03
