"""Iterative reconstruction of CT: what each method gains, converges to, and refuses."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache

import pytest
import torch
from torch import Tensor

from medrecon.calibration.sinogram_noise import grid_error, log_noise, photon_noise, smoothed
from medrecon.data.ct.photons import count_photons
from medrecon.data.ct.projections import phantom_image, phantom_sinogram
from medrecon.data.phantoms.ellipses import Ellipse, Phantom
from medrecon.data.phantoms.mri_phantoms import shepp_logan
from medrecon.functionals import GroupL1, LeastSquares
from medrecon.geometry import Arc, FanBeam, Geometry, Grid, ParallelBeam
from medrecon.operators import Diagonal, Gradient, Radon
from medrecon.reconstructor import Reconstructor
from medrecon.reconstructors.filtered_backprojection import FilteredBackprojection
from medrecon.reconstructors.nonnegative_tv import NonnegativeTotalVariation
from medrecon.reconstructors.poisson_tv import PoissonTotalVariation
from medrecon.reconstructors.scaling import projection_unit
from medrecon.reconstructors.sirt import Sirt
from medrecon.reconstructors.subsets import view_blocks
from medrecon.reconstructors.tikhonov import Tikhonov
from tests.solvers.dense import Matrix

METHODS: dict[str, Reconstructor] = {
    "sirt": Sirt(),
    "tikhonov": Tikhonov(),
    "tv": NonnegativeTotalVariation(),
    "poisson tv": PoissonTotalVariation(),
}
every_method = pytest.mark.parametrize("name", METHODS)
GRID = Grid((96, 96), 2.5)
PARALLEL = ParallelBeam(Arc.half_turn(60), n_bins=141, spacing=1.8)
FAN = FanBeam(Arc.full_turn(90), n_bins=141, spacing=3.2, source_distance=500.0, detector_distance=400.0)
UNIT = 110.0


def head(scale: float = 0.04) -> Phantom:
    phantom = shepp_logan()
    return Phantom(tuple(replace(shape, intensity=scale * shape.intensity) for shape in phantom.shapes))


def starved() -> Phantom:
    """A body with soft inserts between two dense rods, through both of which hardly a photon comes."""
    rods = tuple(Ellipse(0.08, (0.0, x), (0.15, 0.15)) for x in (-0.5, 0.5))
    soft = tuple(
        Ellipse(value, (y, x), (0.12, 0.16))
        for value, y, x in ((0.008, 0.0, 0.0), (-0.008, 0.4, 0.1), (0.006, -0.45, -0.1), (0.008, 0.4, -0.4))
    )
    return Phantom((Ellipse(0.016, (0.0, 0.0), (0.8, 0.85)), *rods, *soft))


def textured() -> Phantom:
    """A body full of soft ellipses of all sizes, like no piecewise constant image."""
    draws = torch.rand(300, 5, generator=torch.Generator().manual_seed(1)).tolist()
    shapes = [Ellipse(0.018, (0.0, 0.0), (0.8, 0.85))]
    for a, b, c, d, e in draws:
        radius, angle, size = 0.72 * math.sqrt(a), 2 * math.pi * b, 0.02 + 0.12 * c * c
        place = radius * math.sin(angle), radius * math.cos(angle)
        shapes.append(Ellipse(0.006 * (2 * d - 1), place, (size, size * (0.4 + 0.6 * e)), angle))
    return Phantom(tuple(shapes))


@dataclass(frozen=True)
class Scan:
    y: Tensor
    A: Radon
    truth: Tensor

    def psnr(self, image: Tensor) -> float:
        error = (image - self.truth).square().mean()
        return float(10 * torch.log10((self.truth.max() - self.truth.min()) ** 2 / error))


@cache
def scan(phantom: Phantom, geometry: Geometry, photons: float | None, seed: int = 0) -> Scan:
    y = phantom_sinogram(phantom, geometry, UNIT).float()
    if photons is not None:
        y = count_photons(y, photons, torch.Generator().manual_seed(seed))
    return Scan(y, Radon(GRID, geometry), phantom_image(phantom, GRID, UNIT))


def analytic(s: Scan) -> float:
    """The better of two filters."""
    return max(s.psnr(FilteredBackprojection(window)(s.y, s.A)) for window in ("ramp", "hann"))  # type: ignore[arg-type]


GAIN = {"sirt": 2.0, "tikhonov": 0.5, "tv": 5.0}  # dB over filtered backprojection


@pytest.mark.parametrize("name", GAIN)
@pytest.mark.parametrize("geometry", [PARALLEL, FAN], ids=["60 parallel views", "90 of a fan"])
def test_gain_over_filtered_backprojection(name: str, geometry: Geometry) -> None:
    s = scan(head(), geometry, 4000.0)
    assert s.psnr(METHODS[name](s.y, s.A)) > analytic(s) + GAIN[name]


@pytest.mark.parametrize("photons", [200.0, 1000.0])
def test_the_likelihood_helps_where_photons_are_few(photons: float) -> None:
    s = scan(starved(), replace(PARALLEL, angles=Arc.half_turn(120)), photons)
    quadratic, likelihood = (
        max(s.psnr(replace(method, weight=factor * method.weight)(s.y, s.A)) for factor in (1.0, 3.0))
        for method in (NonnegativeTotalVariation(), PoissonTotalVariation(photons=photons))
    )
    assert likelihood > quadratic + 1
    assert s.psnr(PoissonTotalVariation()(s.y, s.A)) > analytic(s) + 4


@pytest.mark.parametrize(("photons", "views"), [(300.0, 120), (3000.0, 120), (30000.0, 120), (3000.0, 40)])
def test_one_default_weight_suits_every_dose(photons: float, views: int) -> None:
    s = scan(textured(), replace(PARALLEL, angles=Arc.half_turn(views)), photons)
    for method in (NonnegativeTotalVariation(), PoissonTotalVariation()):
        scores = {
            factor: s.psnr(replace(method, weight=factor * method.weight)(s.y, s.A))
            for factor in (0.1, 0.3, 1.0, 3.0, 10.0)
        }
        assert scores[1.0] > max(scores.values()) - 2.0, (method, scores)


@pytest.mark.parametrize("name", ["tv", "poisson tv"])
def test_the_default_iterations_suffice(name: str) -> None:
    s = scan(starved(), replace(PARALLEL, angles=Arc.half_turn(120)), 400.0)
    method = METHODS[name]
    assert isinstance(method, NonnegativeTotalVariation | PoissonTotalVariation)
    image, converged = method(s.y, s.A), replace(method, iterations=160)(s.y, s.A)
    assert float((image - converged).norm() / converged.norm()) < 0.03
    assert abs(s.psnr(image) - s.psnr(converged)) < 0.3


def test_total_variation_comes_to_its_minimizer() -> None:
    """Long before the default ends its objective is within a percent, and subsets get there sooner."""
    s = scan(starved(), PARALLEL, 2000.0)
    method = NonnegativeTotalVariation()
    data, D = LeastSquares(s.A, s.y), Gradient(s.A.domain)
    weight = method.weight * log_noise(s.y, s.A) * projection_unit(s.A, data.backprojection)
    g = GroupL1(D.range, weight)

    def objective(iterations: int, subsets: int) -> float:
        x = replace(method, iterations=iterations, subsets=subsets)(s.y, s.A)
        return float(data(x) + g(D(x)))

    least = objective(300, 1)
    assert objective(20, 8) < 1.01 * least
    assert objective(10, 8) < objective(10, 1)
    assert objective(300, 8) < 1.001 * least


@pytest.mark.parametrize("factor", [1.0, 10.0, 100.0])
def test_total_variation_of_a_limited_angle_does_not_run_away(factor: float) -> None:
    """Where the data hardly see a pixel its step is long, and the inner problem hard."""
    s = scan(head(), ParallelBeam(Arc(0.0, math.pi / 60, 20), n_bins=141, spacing=1.8), 3000.0)
    method = replace(NonnegativeTotalVariation(), subsets=1)
    method = replace(method, weight=factor * method.weight)
    data, D = LeastSquares(s.A, s.y), Gradient(s.A.domain)
    g = GroupL1(D.range, method.weight * log_noise(s.y, s.A) * projection_unit(s.A, data.backprojection))
    values = []
    for iterations in (30, 100, 300):
        x = replace(method, iterations=iterations)(s.y, s.A)
        values.append(float(data(x) + g(D(x))))
    assert values[1] < 1.02 * values[0]
    assert values[2] < 1.02 * values[1]


@pytest.mark.parametrize("name", ["sirt", "tv", "poisson tv"])
def test_no_value_is_negative(name: str) -> None:
    s = scan(starved(), PARALLEL, 300.0)
    assert float(FilteredBackprojection()(s.y, s.A).min()) < 0
    assert float(METHODS[name](s.y, s.A).min()) >= 0


def test_sirt_keeps_its_bounds() -> None:
    s = scan(head(), PARALLEL, 300.0)
    image = Sirt(lower=0.001, upper=0.02)(s.y, s.A)
    assert float(image.min()) >= 0.001 - 1e-9
    assert float(image.max()) <= 0.02 + 1e-9
    assert float(Sirt(lower=-math.inf)(s.y, s.A).min()) < 0


def small(generator: torch.Generator) -> tuple[Matrix, Tensor]:
    A = Matrix(torch.rand(40, 12, generator=generator, dtype=torch.float64))
    return A, torch.rand(12, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(
    "method",
    [
        Sirt(iterations=5000),
        NonnegativeTotalVariation(weight=0.0, iterations=400),
        PoissonTotalVariation(weight=0.0, iterations=3000),
    ],
    ids=lambda method: type(method).__name__,
)
def test_fixed_points_on_any_operator(generator: torch.Generator, method: Reconstructor) -> None:
    A, truth = small(generator)
    torch.testing.assert_close(method(A(truth), A), truth, rtol=0, atol=1e-4)


def test_conjugate_gradients_end_at_least_squares(generator: torch.Generator) -> None:
    A, truth = small(generator)
    noisy = A(truth) + 0.1 * torch.randn(40, generator=generator, dtype=torch.float64)
    want = torch.linalg.lstsq(A.matrix, noisy[:, None]).solution[:, 0]
    torch.testing.assert_close(Tikhonov(weight=0.0, iterations=40, tolerance=0.0)(noisy, A), want, rtol=0, atol=1e-8)


def test_the_score_vanishes_at_the_fixed_point(generator: torch.Generator) -> None:
    """Without regularization: that of the likelihood, each ray by the share of photons in its variance; at the bound it rises."""
    A, truth = small(generator)
    y = count_photons(0.5 * A(truth), 100.0, generator)
    x = PoissonTotalVariation(weight=0.0, iterations=3000, photons=100.0)(y, A)
    expected = torch.exp(-A(x))
    error = grid_error(y, A) / photon_noise(y, A)
    score = A.H((torch.exp(-y) - expected) / (1 + error * expected))
    assert float(torch.where(x > 0, score, 0).abs().max()) < 1e-4
    assert float(torch.where(x > 0, 0, score).min()) > -1e-4


def test_rays_without_a_photon_are_known_by_their_floor() -> None:
    s = scan(starved(), replace(PARALLEL, angles=Arc.half_turn(120)), 30.0)
    told, untold = (PoissonTotalVariation(photons=photons)(s.y, s.A) for photons in (30.0, None))
    rods = s.truth > 0.07
    assert float(told[rods].mean()) > float(untold[rods].mean())


def test_tolerance_stops_early() -> None:
    s = scan(starved(), PARALLEL, 2000.0)
    for method in (NonnegativeTotalVariation(), PoissonTotalVariation()):
        long, short = method(s.y, s.A), replace(method, tolerance=0.05)(s.y, s.A)
        assert 1e-6 < float((long - short).norm() / long.norm()) < 0.3


@pytest.mark.parametrize("views", [7, 29, 30, 64, 150, 151])
def test_blocks_deal_out_every_view_once(views: int) -> None:
    A = Radon(Grid((8, 8), 1.0), ParallelBeam(Arc.half_turn(views), 12, 1.0))
    y, weights = (torch.rand(A.range.shape, dtype=torch.float64) for _ in range(2))
    x = torch.rand(8, 8, dtype=torch.float64)
    whole = LeastSquares(Diagonal(weights.sqrt(), A.range) @ A, weights.sqrt() * y)
    for count in (1, 4, 8):
        blocks = view_blocks(y, A, count, weights)
        least = max(min(count, views // 15), 1)
        assert len(blocks) == (5 if (views, count) == (150, 4) else least)  # 5 divide the 75 views of a quarter turn
        torch.testing.assert_close(torch.stack([block(x) for block in blocks]).sum(), whole(x))
        torch.testing.assert_close(torch.stack([block.gradient(x) for block in blocks]).sum(0), whole.gradient(x))


def test_neighboring_blocks_lie_far_apart() -> None:
    A = Radon(Grid((8, 8), 1.0), ParallelBeam(Arc.half_turn(120), 12, 1.0))
    y = torch.arange(120.0)[:, None].expand(120, 12).contiguous()
    assert [int(block.y[0, 0]) for block in view_blocks(y, A, 8)] == [0, 4, 2, 6, 1, 5, 3, 7]


def test_the_noise_is_read_from_the_data() -> None:
    for photons in (100.0, 1000.0):
        s = scan(starved(), replace(PARALLEL, angles=Arc.half_turn(120)), photons)
        assert 1 / float(photon_noise(s.y, s.A)) == pytest.approx(photons, rel=0.2)
    blank = torch.full(s.A.range.shape, 2.0)
    noisy = blank + 0.1 * torch.randn(blank.shape, generator=torch.Generator().manual_seed(5))
    assert float(log_noise(noisy, s.A)) == pytest.approx(0.01, rel=0.1)
    assert float(log_noise(blank, s.A)) == pytest.approx(0.02**2, rel=1e-3)
    assert float(photon_noise(blank, s.A)) == pytest.approx(1e-4)


def test_smoothing_is_a_mean_of_five_bins() -> None:
    A = Radon(Grid((8, 8), 1.0), ParallelBeam((0.0, 1.0), 7, 1.0))
    y = torch.tensor([[0.0, 0, 0, 5, 0, 0, 0], [5, 0, 0, 0, 0, 0, 10]])
    want = torch.tensor([[0.0, 1, 1, 1, 1, 1, 0], [3, 2, 1, 0, 2, 4, 6]])
    torch.testing.assert_close(smoothed(y, A), want)


REFUSED = {
    "Sirt takes iterations >= 1 and subsets >= 1, got 0 and 8": lambda: Sirt(iterations=0),
    "Sirt takes iterations >= 1 and subsets >= 1, got 20 and 0": lambda: Sirt(subsets=0),
    "Sirt takes lower <= upper, got 1.0 and 0.5": lambda: Sirt(lower=1.0, upper=0.5),
    "Tikhonov takes a weight of at least 0, iterations >= 1 and tolerance >= 0, got -1": lambda: Tikhonov(weight=-1.0),
    "Tikhonov takes .* got 6.0, 20 and -0.1": lambda: Tikhonov(tolerance=-0.1),
    "NonnegativeTotalVariation takes a weight and a tolerance of at least 0, got -1": lambda: NonnegativeTotalVariation(
        -1.0
    ),
    "PoissonTotalVariation takes a weight and a tolerance of at least 0, got nan": lambda: PoissonTotalVariation(
        math.nan
    ),
    "PoissonTotalVariation takes iterations >= 1 and subsets >= 1, got 24 and 0": lambda: PoissonTotalVariation(
        subsets=0
    ),
    "PoissonTotalVariation takes photons per ray above 0, or None, got 0": lambda: PoissonTotalVariation(photons=0.0),
}


@pytest.mark.parametrize("text", REFUSED)
def test_settings_that_cannot_be_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=text):
        REFUSED[text]()


@pytest.mark.parametrize("name", ["sirt", "tv", "poisson tv"])
def test_operators_with_negative_entries_are_refused(name: str) -> None:
    A = Matrix(torch.tensor([[1.0, -2.0], [1.0, 1.0]]))
    with pytest.raises(ValueError, match="takes an operator without negative entries, such as Radon, got"):
        METHODS[name](torch.ones(2), A)
