"""The CUDA kernels of CT: run here by Triton's interpreter, against dense matrices, and compiled for a GPU that need not be there.

Triton decides when it is imported whether it interprets, so that another process does.
"""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from medrecon.geometry import Arc, FanBeam, Geometry, Grid, ParallelBeam
from medrecon.operators.kernels.operations import detector_line
from medrecon.operators.kernels.pixels import spacing_of

from .dense import backprojection_matrix, joseph_matrix

pytestmark = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")

Array = NDArray[Any]
Apply = Callable[[str, Array, Grid, Geometry], Array]

EIGHTHS = tuple(k * np.pi / 4 for k in range(5))  # 0, 45, 90, 135, 180 degrees
SQUARE, OBLONG = Grid((9, 9), 1.0), Grid((7, 10), (1.3, 0.8))
CASES = {
    "parallel": (OBLONG, ParallelBeam(Arc(0.1, 0.7, 5), n_bins=17, spacing=0.9)),
    "parallel with offset": (SQUARE, ParallelBeam(Arc.half_turn(5), n_bins=12, spacing=1.1, offset=0.37)),
    "exact angles": (SQUARE, ParallelBeam(EIGHTHS, n_bins=13, spacing=1.0)),
    "exact angles, oblong": (OBLONG, ParallelBeam(EIGHTHS, n_bins=13, spacing=1.0)),
    "fine bins": (OBLONG, ParallelBeam(Arc.half_turn(4), n_bins=20, spacing=0.21)),
    "coarse bins": (SQUARE, ParallelBeam(Arc.half_turn(5), n_bins=4, spacing=4.3)),
    "one bin": (OBLONG, ParallelBeam(Arc.half_turn(5), n_bins=1, spacing=1.0, offset=0.2)),
    "one pixel": (Grid((1, 1), (1.0, 2.0)), ParallelBeam(Arc.half_turn(5), n_bins=5, spacing=0.5)),
    "off the axis": (Grid(OBLONG.shape, OBLONG.spacing, (2.3, -3.1)), ParallelBeam(Arc(0.1, 0.7, 5), 17, 0.9)),
    "flat fan, off the axis": (
        Grid(SQUARE.shape, SQUARE.spacing, (-1.2, 4.0)),
        FanBeam(Arc.full_turn(7), 14, 2.1, 30.0, 25.0),
    ),
    "curved, off the axis": (
        Grid(OBLONG.shape, OBLONG.spacing, (3.0, 0.4)),
        FanBeam(Arc.full_turn(7), 14, 2.1, 30.0, 25.0, curved=True),
    ),
    "flat fan": (OBLONG, FanBeam(Arc.full_turn(7), 14, 2.1, 30.0, 25.0, offset=0.8)),
    "flat fan, exact angles": (SQUARE, FanBeam(EIGHTHS, 13, 2.0, 20.0, 20.0)),
    "curved fan": (OBLONG, FanBeam(Arc.full_turn(7), 14, 2.1, 30.0, 25.0, curved=True, offset=-0.8)),
    "wide curved fan": (SQUARE, FanBeam(Arc.full_turn(6), 9, 3.0, 9.0, 0.0, curved=True)),
    "source at the edge": (SQUARE, FanBeam(Arc.full_turn(6), 12, 3.0, 6.5, 6.5)),
    "fan of three bins": (SQUARE, FanBeam(Arc.full_turn(6), 3, 18.0, 9.0, 10.0)),
    "pixels behind the source": (Grid((3, 24), (1.0, 2.0)), FanBeam((0.3, 0.6, -0.5), 12, 3.0, 10.0, 9.0)),
    "curved, pixels behind": (Grid((3, 24), (1.0, 2.0)), FanBeam((0.3, 0.6, -0.5), 12, 3.0, 10.0, 9.0, curved=True)),
}


@pytest.fixture(scope="module")
def apply() -> Iterator[Apply]:
    """`apply(name, x, grid, geometry)`: a host function run by the interpreter."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), initializer=_interpret) as pool:
        yield lambda *arguments: pool.submit(_apply, *arguments).result()


def _interpret() -> None:
    os.environ["TRITON_INTERPRET"] = "1"
    torch.set_num_threads(1)


def _apply(name: str, x: Array, grid: Grid, geometry: Geometry, device: str = "cpu") -> Array:
    from medrecon.operators.kernels import interpolated_triton, joseph_triton

    rays, line = geometry.rays(), detector_line(geometry)
    given, views, bins = (torch.from_numpy(array).to(device) for array in (x, rays.views, rays.bins))
    pixels, beams = (8, 8), (4, 8)
    match name:
        case "joseph":
            y = joseph_triton.forward(given, views, bins, spacing_of(grid), line, beams)
        case "joseph adjoint":
            y = joseph_triton.adjoint(given, views, bins, grid.shape, spacing_of(grid), line, pixels)
        case "backprojection":
            y = interpolated_triton.forward(given, views, grid.shape, spacing_of(grid), line, pixels)
        case _:
            y = interpolated_triton.adjoint(given, views, geometry.n_bins, spacing_of(grid), line, beams)
    return y.cpu().numpy()


def _random(shape: tuple[int, ...], dtype: str, seed: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def _distance(x: Array, reference: Array) -> float:
    return float(np.linalg.norm(x - reference) / np.linalg.norm(reference))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(
    ("transform", "matrix_of"), [("joseph", joseph_matrix), ("backprojection", backprojection_matrix)]
)
def test_equals_the_dense_matrix_and_its_transpose(
    apply: Apply, name: str, transform: str, matrix_of: Callable[[Grid, Geometry], Array]
) -> None:
    grid, geometry = CASES[name]
    matrix = matrix_of(grid, geometry)
    taken, given = (grid.shape, geometry.shape) if transform == "joseph" else (geometry.shape, grid.shape)
    x, y = _random((2, *taken), "float64", 1), _random((2, *given), "float64", 2)

    forward = apply(transform, x, grid, geometry)
    adjoint = apply(f"{transform} adjoint", y, grid, geometry)

    assert forward.shape == y.shape
    assert adjoint.shape == x.shape
    assert _distance(forward.reshape(2, -1), x.reshape(2, -1) @ matrix.T) < 1e-12
    assert _distance(adjoint.reshape(2, -1), y.reshape(2, -1) @ matrix) < 1e-12


@pytest.mark.parametrize(("name", "batch"), [("parallel", 1), ("parallel", 5), ("flat fan", 3), ("curved fan", 1)])
@pytest.mark.parametrize(
    ("transform", "matrix_of"), [("joseph", joseph_matrix), ("backprojection", backprojection_matrix)]
)
def test_float32(
    apply: Apply, name: str, batch: int, transform: str, matrix_of: Callable[[Grid, Geometry], Array]
) -> None:
    grid, geometry = CASES[name]
    taken, given = (grid.shape, geometry.shape) if transform == "joseph" else (geometry.shape, grid.shape)
    x, y = _random((batch, *taken), "float32", 3), _random((batch, *given), "float32", 4)

    forward = apply(transform, x, grid, geometry)
    adjoint = apply(f"{transform} adjoint", y, grid, geometry)

    assert forward.dtype == adjoint.dtype == np.float32
    reference = x.reshape(batch, -1).astype(np.float64) @ matrix_of(grid, geometry).T
    assert _distance(forward.reshape(batch, -1), reference) < 1e-6
    ahead, back = np.vdot(forward.astype(np.float64), y), np.vdot(x, adjoint.astype(np.float64))
    assert abs(ahead - back) < 1e-6 * float(np.linalg.norm(forward) * np.linalg.norm(y))


@pytest.mark.parametrize("transform", ["joseph", "backprojection adjoint"])
def test_every_run_gives_the_same_bits_and_a_batch_those_of_its_images(apply: Apply, transform: str) -> None:
    grid, geometry = CASES["flat fan"][0], CASES["flat fan"][1][:3]
    images = _random((3, *grid.shape), "float32", 5)
    once, again = apply(transform, images, grid, geometry), apply(transform, images, grid, geometry)
    assert np.array_equal(once, again)
    assert np.array_equal(once[2:], apply(transform, images[2:], grid, geometry))


@pytest.mark.parametrize(
    "geometry",
    [
        ParallelBeam((0.3, 2.0, 2.5), n_bins=7, spacing=0.9, offset=0.1),
        FanBeam((0.3, 2.0, 2.5), 7, 1.9, 21.0, 19.0),
        FanBeam((0.3, 2.0, 2.5), 7, 1.9, 21.0, 19.0, curved=True),
    ],
    ids=["parallel", "flat", "curved"],
)
def test_both_directions_see_the_same_weights_to_the_last_bit(apply: Apply, geometry: Geometry) -> None:
    grid = Grid((4, 5), (1.0, 1.1))
    images = np.eye(20, dtype=np.float32).reshape(20, *grid.shape)
    sinograms = np.eye(21, dtype=np.float32).reshape(21, *geometry.shape)

    joseph = apply("joseph", images, grid, geometry).reshape(20, 21)
    transposed = apply("joseph adjoint", sinograms, grid, geometry).reshape(21, 20)
    assert np.count_nonzero(joseph) > 50
    assert np.array_equal(joseph, transposed.T)

    back = apply("backprojection", sinograms, grid, geometry).reshape(21, 20)
    transposed = apply("backprojection adjoint", images, grid, geometry).reshape(20, 21)
    assert np.count_nonzero(back) > 50
    assert np.array_equal(back, transposed.T)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA card here")
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(
    ("transform", "matrix_of"), [("joseph", joseph_matrix), ("backprojection", backprojection_matrix)]
)
def test_on_a_card(name: str, transform: str, matrix_of: Callable[[Grid, Geometry], Array]) -> None:
    grid, geometry = CASES[name]
    matrix = matrix_of(grid, geometry)
    taken, given = (grid.shape, geometry.shape) if transform == "joseph" else (geometry.shape, grid.shape)
    for dtype, tolerance in (("float64", 1e-12), ("float32", 1e-6)):
        x, y = _random((5, *taken), dtype, 1), _random((5, *given), dtype, 2)
        forward = _apply(transform, x, grid, geometry, "cuda").reshape(5, -1)
        adjoint = _apply(f"{transform} adjoint", y, grid, geometry, "cuda").reshape(5, -1)
        assert _distance(forward, x.reshape(5, -1).astype("float64") @ matrix.T) < tolerance
        assert _distance(adjoint, y.reshape(5, -1).astype("float64") @ matrix) < tolerance


@pytest.mark.parametrize("kernel", ["joseph", "joseph adjoint", "backprojection", "backprojection adjoint"])
def test_compiles_for_a_gpu(kernel: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    from triton import compile
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from medrecon.operators.kernels import interpolated_triton, joseph_triton

    module = joseph_triton if kernel.startswith("joseph") else interpolated_triton
    function = module._adjoint if kernel.endswith("adjoint") else module._forward
    constants = {
        "PARALLEL": False,
        "CURVED": True,
        "KIND": 2,
        "VIEWS": 8,
        "BINS": 32,
        "ROWS": 16,
        "COLUMNS": 16,
        "BATCH": 4,
    }
    pointers = {"image", "sinogram", "lines", "frames", "edges"}
    names = function.arg_names
    types = {name: "*fp32" if name in pointers else "constexpr" if name in constants else "i32" for name in names}
    source = ASTSource(
        function, types, constexprs={(names.index(name),): constants[name] for name in names if name in constants}
    )
    compiled = compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": 4, "enable_fp_fusion": False})
    assert compiled.asm["cubin"]
