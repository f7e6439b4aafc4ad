from __future__ import annotations

import math
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import Tensor

from medrecon.data.ct.projections import phantom_image, phantom_sinogram
from medrecon.data.phantoms.ellipses import Ellipse, Phantom
from medrecon.data.phantoms.mri_phantoms import shepp_logan
from medrecon.geometry import Arc, FanBeam, Geometry, Grid, ParallelBeam, lodopab, lodopab_grid
from medrecon.operators import Backprojection, LinearOperator, Radon
from medrecon.operators.kernels import operations
from medrecon.operators.kernels.pixels import spacing_of
from tests.operators.kernels.dense import backprojection_matrix, joseph_matrix

SCANS: dict[str, tuple[Grid, Geometry]] = {
    "square": (Grid((13, 13), 1.0), ParallelBeam(Arc.half_turn(8), 21, 0.9)),
    "lodopab": (Grid((12, 12), 1.0), ParallelBeam(Arc(math.pi / 20, math.pi / 10, 10), 17, 1.0)),
    "exact diagonals": (Grid((8, 8), 1.0), ParallelBeam(Arc(0.0, math.pi / 4, 8), 11, 1.0)),
    "full turn": (Grid((12, 12), 1.0), ParallelBeam(Arc.full_turn(12), 17, 1.0)),
    "offset": (Grid((12, 12), 1.0), ParallelBeam(Arc.full_turn(12), 16, 1.0, offset=0.7)),
    "rectangle": (Grid((12, 9), (1.0, 0.8)), ParallelBeam(Arc.half_turn(12), 17, 1.3)),
    "any views": (Grid((12, 12), 1.0), ParallelBeam((0.1, 0.7, 2.0, 3.0, 0.0, math.pi / 4), 17, 0.4)),
    "fan": (Grid((12, 12), 1.0), FanBeam(Arc.full_turn(12), 17, 1.5, 20.0, 10.0)),
    "wide fan": (Grid((12, 12), 1.0), FanBeam(Arc.full_turn(7), 30, 1.5, 10.0, 10.0)),
    "curved, offset": (Grid((12, 11), 1.0), FanBeam(Arc(0.1, 0.2, 13), 17, 1.5, 20.0, 10.0, curved=True, offset=0.4)),
    "repeated views": (Grid((6, 6), 1.0), ParallelBeam(tuple(Arc.half_turn(4)) * 2 + (0.3,) * 3, 9, 1.0)),
    "two turns": (Grid((6, 6), 1.0), FanBeam(Arc(0.0, math.pi / 4, 16), 9, 1.5, 20.0, 10.0)),
    "off the axis": (Grid((12, 12), 1.0, (3.3, -1.4)), ParallelBeam(Arc.half_turn(12), 17, 1.0)),
    "fan, off the axis": (Grid((12, 9), (1.0, 0.8), (-2.0, 0.3)), FanBeam(Arc.full_turn(12), 17, 1.5, 20.0, 10.0)),
    "curved, off the axis": (Grid((9, 9), 1.0, (0, 5)), FanBeam(Arc(0.1, 0.2, 13), 17, 1.5, 20.0, 10.0, curved=True)),
    "one of each": (Grid((1, 1), 1.0), ParallelBeam(Arc.half_turn(8), 1, 1.0)),
    "tall": (Grid((40, 3), 1.0), ParallelBeam((math.pi / 2, 1.5, 0.0, 0.01), 40, 1.0)),
}
DISK = Phantom((Ellipse(0.25, (-30.0, 20.0), (80.0, 80.0)),))  # millimeters


@pytest.fixture(params=SCANS, ids=str)
def scan(request: pytest.FixtureRequest) -> tuple[Grid, Geometry]:
    return SCANS[request.param]


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def relative(x: Tensor, y: Tensor) -> float:
    return float((x - y).norm() / y.norm())


@pytest.mark.parametrize("batch", [(), (1,), (3,), (2, 3), (37,)])
def test_radon_is_josephs_method(
    scan: tuple[Grid, Geometry], batch: tuple[int, ...], generator: torch.Generator
) -> None:
    A, matrix = Radon(*scan), torch.from_numpy(joseph_matrix(*scan))
    x = A.domain.random(batch, generator=generator, dtype=torch.float64)
    y = A.range.random(batch, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(A(x).flatten(-2), x.flatten(-2) @ matrix.T, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(A.H(y).flatten(-2), y.flatten(-2) @ matrix, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("batch", [(), (3,)])
def test_backprojection_is_by_definition(
    scan: tuple[Grid, Geometry], batch: tuple[int, ...], generator: torch.Generator
) -> None:
    A, matrix = Backprojection(*scan), torch.from_numpy(backprojection_matrix(*scan))
    x = A.domain.random(batch, generator=generator, dtype=torch.float64)
    y = A.range.random(batch, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(A(x).flatten(-2), x.flatten(-2) @ matrix.T, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(A.H(y).flatten(-2), y.flatten(-2) @ matrix, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("kind", [Radon, Backprojection])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.usefixtures("two_threads")
def test_same_bits_for_any_batch_number_of_threads_and_run(
    scan: tuple[Grid, Geometry],
    kind: type[LinearOperator],
    dtype: torch.dtype,
    generator: torch.Generator,
) -> None:
    A = kind(*scan)  # type: ignore[call-arg]
    for B in (A, A.H):
        x = B.domain.random((5,), generator=generator, dtype=dtype)
        want = B(x)
        assert torch.equal(B(x), want)
        assert torch.equal(torch.stack([B(each) for each in x]), want)
        torch.set_num_threads(1)
        assert torch.equal(B(x), want)
        torch.set_num_threads(2)


@pytest.mark.usefixtures("two_threads")
def test_several_threads_of_a_program_may_call() -> None:
    A = Radon(*SCANS["fan"])
    x = A.domain.random(generator=torch.Generator().manual_seed(0))
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: A.gram(x), range(32)))
    assert all(torch.equal(result, results[0]) for result in results)


@pytest.mark.parametrize("geometry", [lodopab(), FanBeam(Arc.full_turn(360), 513, 1.0, 300.0, 200.0)])
def test_dot_product_in_single_precision(geometry: Geometry, generator: torch.Generator) -> None:
    A = Radon(lodopab_grid(), geometry)
    x, y = A.domain.random(generator=generator), A.range.random(generator=generator)
    Ax, AHy = A(x).double(), A.H(y).double()
    difference = (Ax * y).sum() - (x * AHy).sum()
    assert abs(float(difference)) <= 1e-6 * float(Ax.norm() * y.norm())


def test_disk_at_lodopabs_geometry() -> None:
    got = Radon(lodopab_grid(), lodopab())(phantom_image(DISK, lodopab_grid()))
    assert relative(got, phantom_sinogram(DISK, lodopab())) <= 3.0e-3


@pytest.mark.parametrize(
    "geometry",
    [
        ParallelBeam(Arc.half_turn(90), 367, 0.5, offset=3.0),
        FanBeam(Arc.full_turn(90), 300, 1.0, 250.0, 150.0),
        FanBeam(Arc.full_turn(90), 300, 1.0, 250.0, 150.0, curved=True, offset=-7.0),
    ],
)
def test_ellipses_against_the_closed_form(geometry: Geometry) -> None:
    phantom, error = shepp_logan(), []
    for n in (128, 512):
        grid = Grid((n, n), 120.0 / n)
        got = Radon(grid, geometry)(phantom_image(phantom, grid, unit=60.0))
        error.append(relative(got, phantom_sinogram(phantom, geometry, unit=60.0)))
    assert error[1] < 9e-3
    assert error[1] < error[0] / 3  # converges with the pixels


def test_symmetries(generator: torch.Generator) -> None:
    geometry = ParallelBeam(Arc.half_turn(12), 41, 1.0)
    A = Radon(Grid((25, 25), 1.0), geometry)
    x = A.domain.random(generator=generator, dtype=torch.float64)
    y = A(x)
    # A quarter turn of the image, from x towards y, shifts the angles by a quarter turn.
    turned = A(x.T.flip(-1))
    torch.testing.assert_close(turned[6:], y[:6])
    torch.testing.assert_close(turned[:6], y[6:].flip(-1))
    # A half turn flips every view.
    torch.testing.assert_close(A(x.flip(-1, -2)), y.flip(-1))
    # A shift by a pixel along x shifts the view at angle 0 by a bin, and not that at a right angle.
    inner = torch.zeros_like(x)
    inner[5:20, 5:20] = x[5:20, 5:20]
    shifted, still = A(inner.roll(1, -1)), A(inner)
    torch.testing.assert_close(shifted[0], still[0].roll(1, -1))
    torch.testing.assert_close(shifted[6], still[6])


def test_parallel_beam_is_the_fan_of_a_far_source(generator: torch.Generator) -> None:
    grid, parallel = Grid((33, 33), 1.0), ParallelBeam(Arc(0.01, 0.3, 20), 51, 0.9, offset=0.2)
    far = [FanBeam(parallel.angles, 51, 0.9, 1e9, 0.0, curved=curved, offset=0.2) for curved in (False, True)]
    for kind in (Radon, Backprojection):
        A = kind(grid, parallel)
        x = A.domain.random(generator=generator, dtype=torch.float64)
        for geometry in far:
            assert relative(kind(grid, geometry)(x), A(x)) < 1e-6


def test_operations_satisfy_torch(generator: torch.Generator) -> None:
    grid, geometry = SCANS["curved, offset"]
    rays = geometry.rays()
    views, bins, detector = (
        torch.from_numpy(rays.views),
        torch.from_numpy(rays.bins),
        list(operations.detector_line(geometry)),
    )
    image = torch.randn((2, *grid.shape), generator=generator, requires_grad=True)
    sinogram = torch.randn((2, *geometry.shape), generator=generator, requires_grad=True)
    spacing, shape = list(spacing_of(grid)), list(grid.shape)
    torch.library.opcheck(operations.joseph, (image, views, bins, spacing, detector))
    torch.library.opcheck(operations.joseph_adjoint, (sinogram, views, bins, shape, spacing, detector))
    torch.library.opcheck(operations.backproject, (sinogram, views, bins, shape, spacing, detector))
    torch.library.opcheck(operations.backproject_adjoint, (image, views, bins, spacing, detector))


def test_graph_of_a_compiled_function_holds_the_projector(generator: torch.Generator) -> None:
    A = Radon(*SCANS["lodopab"])
    x = A.domain.random(generator=generator).requires_grad_()

    def loss(x: Tensor) -> Tensor:
        return (A(x) - 1).square().sum() + A.H(A(x)).sum()

    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), loss(x))
    (got,), (want,) = torch.autograd.grad(compiled(x), x), torch.autograd.grad(loss(x), x)
    torch.testing.assert_close(got, want)


@pytest.mark.parametrize("kind", [Radon, Backprojection])
def test_autocast_keeps_single_precision(kind: type[LinearOperator], generator: torch.Generator) -> None:
    A = kind(*SCANS["lodopab"])  # type: ignore[call-arg]
    x = A.domain.random(generator=generator)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(A(x), A(x.clone()))
        half = A(x.bfloat16())
    assert half.dtype == torch.float32
    assert torch.equal(half, A(x.bfloat16().float()))


def test_half_precision_is_refused_in_words() -> None:
    A = Radon(*SCANS["lodopab"])
    with pytest.raises(ValueError, match=r"Radon takes float32 or float64, got torch\.float16"):
        A(torch.zeros(A.domain.shape, dtype=torch.float16))


def test_what_does_not_fit_is_refused() -> None:
    A = Radon(*SCANS["lodopab"])
    with pytest.raises(ValueError, match=r"takes \(\.\.\., y=12, x=12\) real, got \(12, 11\) real"):
        A(torch.zeros(12, 11))
    with pytest.raises(ValueError, match="lies inside the image"):
        Radon(Grid((64, 64), 1.0), FanBeam(Arc.full_turn(8), 9, 1.0, 20.0, 20.0))
    assert "Radon(grid=Grid(shape=(12, 12)" in repr(A)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # a fork beside threads: what data loaders do
def test_a_forked_process_projects_too() -> None:
    A = Radon(*SCANS["fan"])
    x = A.domain.random(generator=torch.Generator().manual_seed(0))
    want = A(x)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        got = pool.submit(_projected, A, x.numpy()).result(timeout=120)
    assert np.array_equal(got, want.numpy())


def _projected(A: Radon, x: np.ndarray) -> np.ndarray:
    torch.set_num_threads(2)
    return A(torch.from_numpy(x)).numpy()
