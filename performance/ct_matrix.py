"""The matrix of Joseph's method in `torch.sparse_csr`: what the CT operators are compared with where it fits in memory."""

from __future__ import annotations

import math
import time
import warnings
from typing import Any

import numpy as np
import torch
from ct_peers import Call, Peer, Scene
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array, vstack

from medrecon.geometry import Geometry, Grid

LIMIT = 6e9  # bytes beyond which no matrix is built


def matrix(scene: Scene) -> Peer | None:
    """The matrix of Joseph's method and its transpose in `torch.sparse_csr`, where they fit; a batch is columns."""
    shape = scene.geometry.shape
    if 2 * 2 * 8 * math.prod(shape) * max(scene.grid.shape) * 0.75 > LIMIT:
        return None
    start = time.perf_counter()
    A, transposed = joseph_matrix(scene.grid, scene.geometry)
    seconds = time.perf_counter() - start
    parts = [part for each in (A, transposed) for part in (each.values(), each.col_indices(), each.crow_indices())]
    size = sum(part.nbytes for part in parts) / 2**30
    x, y = (
        torch.from_numpy(np.ascontiguousarray(data.reshape(scene.batch, -1).T))
        for data in (scene.images(), scene.sinograms())
    )
    return Peer(
        "CSR matrix",
        {
            "forward": Call(lambda: A @ x, lambda y: y.T.reshape(scene.batch, *shape).numpy()),
            "adjoint": Call(lambda: transposed @ y, lambda x: x.T.reshape(scene.batch, *scene.grid.shape).numpy()),
        },
        scene.geometry,
        notes=[
            f"CSR matrix, {scene.name}: built in {seconds:.0f} s; with its transpose {size:.1f} GiB in {A.values().dtype} "
            f"and {A.col_indices().dtype}."
        ],
    )


def joseph_matrix(grid: Grid, geometry: Geometry) -> tuple[torch.Tensor, torch.Tensor]:
    """The matrix of `Radon(grid, geometry)` and its transpose, sparse CSR in float32 and int32, view by view by NumPy."""
    rays = geometry.rays()
    blocks = [csr_array(_view(grid, view, rays.bins)) for view in rays.views]
    A = vstack(blocks, format="csr", dtype=np.float32)
    both = []
    for each in (A, A.T.tocsr()):
        rows, columns = (torch.from_numpy(part.astype(np.int32, copy=False)) for part in (each.indptr, each.indices))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "sparse CSR tensor support is in beta state"
            both.append(torch.sparse_csr_tensor(rows, columns, torch.from_numpy(each.data), size=each.shape))
    return both[0], both[1]


def _view(grid: Grid, view: NDArray[np.float64], bins: NDArray[np.float64]) -> Any:
    """The rows of the matrix that belong to a view."""
    (ny, nx), (dy, dx) = grid.shape, grid.spacing
    y, x = grid.coordinates()
    c, s = view[0] * bins[:, 0] - view[1] * bins[:, 1], view[1] * bins[:, 0] + view[0] * bins[:, 1]
    by_rows = abs(c) * dy >= abs(s) * dx
    parts = []
    for chosen, (a, b), steps, (along, across), count, strides in (
        (by_rows, (c, s), (dy, dx), (y, x), nx, (nx, 1)),
        (~by_rows, (s, c), (dx, dy), (x, y), ny, (1, nx)),
    ):
        rows = np.flatnonzero(chosen)[:, None]
        if not rows.size:
            continue
        a_chosen, b_chosen = a[chosen][:, None], b[chosen][:, None]
        place = ((bins[chosen, 2][:, None] - along * b_chosen) / a_chosen - across[0]) / steps[1]
        lower = np.floor(place).astype(np.int32)
        weight = np.broadcast_to(steps[0] / abs(a_chosen), place.shape)
        for index, part in ((lower, 1 - (place - lower)), (lower + 1, place - lower)):
            kept = (index >= 0) & (index < count)
            columns = np.arange(len(along), dtype=np.int32) * strides[0] + index * strides[1]
            parts.append((np.broadcast_to(rows, place.shape)[kept], columns[kept], (weight * part)[kept]))
    row, column, value = (np.concatenate(each) for each in zip(*parts, strict=True))
    return coo_array((value.astype(np.float32), (row, column)), shape=(len(bins), ny * nx))
