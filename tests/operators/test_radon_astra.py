"""The Radon transform beside ASTRA's `linear` projector, the same method written by others."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from medrecon.geometry import Arc, Grid, ParallelBeam, lodopab, lodopab_grid
from medrecon.operators import Radon

astra = pytest.importorskip("astra")

CASES = {
    "small": (Grid((24, 24), 1.0), ParallelBeam(Arc.half_turn(30), n_bins=37, spacing=1.0)),
    "odd": (Grid((23, 23), 0.7), ParallelBeam(Arc(0.1, 0.2, 31), n_bins=40, spacing=0.9)),
    "wide": (Grid((20, 31), 1.3), ParallelBeam(Arc.half_turn(36), n_bins=50, spacing=1.0)),
    "offset": (Grid((24, 24), 1.0), ParallelBeam(Arc.full_turn(40), n_bins=30, spacing=1.1, offset=4.3)),
    "short detector": (Grid((32, 32), 1.0), ParallelBeam(Arc.half_turn(20), n_bins=11, spacing=1.0)),
    "irregular": (Grid((24, 24), 1.0), ParallelBeam((0.3, -1.2, 2.9, 0.31), n_bins=37, spacing=1.0)),
    "lodopab": (lodopab_grid(), lodopab()),
}


def by_astra(grid: Grid, geometry: ParallelBeam) -> tuple[dict[str, Any], dict[str, Any]]:
    """ASTRA's geometries of these; its y axis points up, ours down."""
    height, width = grid.extent
    volume = astra.create_vol_geom(*grid.shape, -width / 2, width / 2, -height / 2, height / 2)
    vectors = []
    for angle in geometry.angles:
        along = np.array([math.cos(angle), -math.sin(angle)])
        ray = -math.sin(angle), -math.cos(angle)
        vectors.append([*ray, *(geometry.offset * along), *(geometry.spacing * along)])
    return volume, astra.create_proj_geom("parallel_vec", geometry.n_bins, np.array(vectors))


def error(ours: torch.Tensor, theirs: NDArray[np.float32]) -> float:
    return float(np.linalg.norm(ours.numpy() - theirs) / np.linalg.norm(theirs))


@pytest.mark.parametrize("case", CASES)
def test_it_agrees_with_astra(case: str, generator: torch.Generator) -> None:
    grid, geometry = CASES[case]
    A = Radon(grid, geometry)
    x, y = torch.rand(grid.shape, generator=generator), torch.rand(geometry.shape, generator=generator)
    volume, beam = by_astra(grid, geometry)
    projector = astra.create_projector("linear", beam, volume)
    forward, sinogram = astra.create_sino(x.numpy(), projector)
    adjoint, image = astra.create_backprojection(y.numpy(), projector)
    astra.data2d.delete([forward, adjoint])
    astra.projector.delete(projector)
    assert error(A(x), sinogram) < 1e-4
    assert error(A.H(y), image) < 1e-4
