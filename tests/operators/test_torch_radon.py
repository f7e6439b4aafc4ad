"""`TorchRadon` against `Radon`: through the package where it is installed, and through a stand-in of its two interfaces.

The stand-in is ours, and written from the package's documented conventions: it shows that lengths, angles, orientation and order of
arguments are handed over as those say, and nothing about what the package computes.
"""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from medrecon.geometry import Arc, FanBeam, Geometry, Grid, ParallelBeam
from medrecon.operators import torch_radon as module
from medrecon.operators.torch_radon import TorchRadon

from .kernels.dense import joseph_matrix

installed = importlib.util.find_spec("torch_radon") is not None
GRID = Grid((32, 32), 0.7)
GEOMETRIES = {
    "parallel": ParallelBeam(Arc(0.2, 0.4, 9), n_bins=45, spacing=0.65),
    "fan": FanBeam(Arc(0.2, 0.65, 9), 45, 1.1, 60.0, 40.0),
}


def _blob(grid: Grid) -> Tensor:
    """Smooth, and unlike its mirror images."""
    y, x = (torch.from_numpy(axis) for axis in np.meshgrid(*grid.coordinates(), indexing="ij"))
    near = torch.exp(-((x - 3) ** 2 + (y + 4) ** 2) / 8)
    return (near + 0.5 * torch.exp(-((x + 2) ** 2 / 12 + (y - 1) ** 2 / 5))).to(torch.float32)


def _near(A: TorchRadon, device: str) -> None:
    """Forward and adjoint agree with Joseph's matrix as two discretisations do, on smooth data."""
    matrix = torch.from_numpy(joseph_matrix(A.grid, A.geometry))
    x = torch.stack([_blob(A.grid), 2 * _blob(A.grid)])
    y = A(x.to(device)).cpu()
    expected = (x.double().flatten(1) @ matrix.T).reshape(y.shape)
    assert y.dtype == torch.float32
    assert (y - expected).norm() < 2e-2 * expected.norm()
    back = A.H(y.to(device)).cpu()
    transposed = (y.double().flatten(1) @ matrix).reshape(back.shape)
    assert (back - transposed).norm() < 5e-2 * transposed.norm()
    ahead, behind = (y.double() * y).sum(), (x.double() * back).sum()
    assert abs(ahead - behind) < 1e-2 * ahead


@pytest.mark.skipif(not (installed and torch.cuda.is_available()), reason="torch_radon and a CUDA card are needed")
@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)
def test_agrees_with_josephs_matrix(geometry: Geometry) -> None:
    _near(TorchRadon(GRID, geometry), "cuda")


@pytest.mark.parametrize("interface", ["first", "second"])
@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)
def test_hands_over_lengths_angles_and_orientation(
    monkeypatch: pytest.MonkeyPatch, interface: str, geometry: Geometry
) -> None:
    monkeypatch.setitem(sys.modules, "torch_radon", _stand_in(interface))
    monkeypatch.setattr(module, "_require_card", lambda _: None)
    _near(TorchRadon(GRID, geometry), "cpu")


@pytest.mark.skipif(installed, reason="torch_radon is installed")
def test_says_what_is_missing() -> None:
    with pytest.raises(ImportError, match=r"TorchRadon needs the package torch_radon.*Radon computes the same"):
        TorchRadon(GRID, GEOMETRIES["parallel"])


@pytest.mark.parametrize(
    ("grid", "geometry", "message"),
    [
        (Grid((32, 30), 1.0), GEOMETRIES["parallel"], "square grids of square pixels"),
        (Grid((32, 32), (1.0, 1.1)), GEOMETRIES["parallel"], "square grids of square pixels"),
        (Grid((30, 30), 1.0), GEOMETRIES["parallel"], "multiple of 16 pixels, got 30"),
        (GRID, ParallelBeam((0.0,), 45, 1.0, offset=2.0), "centered detector, got an offset of 2 mm"),
        (GRID, FanBeam((0.0,), 45, 1.0, 60.0, 40.0, curved=True), "got a curved one; use Radon"),
        (GRID, ParallelBeam(Arc.half_turn(5000), 45, 1.0), "up to 4096 views, got 5000"),
    ],
)
def test_refuses_what_the_package_cannot_do(
    monkeypatch: pytest.MonkeyPatch, grid: Grid, geometry: Geometry, message: str
) -> None:
    monkeypatch.setitem(sys.modules, "torch_radon", _stand_in("first"))
    with pytest.raises(ValueError, match=message):
        TorchRadon(grid, geometry)


def test_refuses_tensors_that_are_not_on_a_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_radon", _stand_in("first"))
    with pytest.raises(ValueError, match="takes tensors on a CUDA card, got one on cpu"):
        TorchRadon(GRID, GEOMETRIES["parallel"])(torch.zeros(32, 32))


class _Projector:
    """`x cos(a) - y sin(a) = s`, y growing with the row, in pixels; a fan's source is at `R (sin(a), cos(a))`."""

    def __init__(self, side: int, angles: Any, count: int, spacing: float, distances: tuple[float, ...] = ()) -> None:
        self.side, self.angles, self.distances = side, np.asarray(angles, dtype=np.float64), distances
        self.places, self.spacing = (np.arange(count) - (count - 1) / 2) * spacing, spacing

    def forward(self, x: Tensor) -> Tensor:
        out = [[self._integrals(image, angle) for angle in self.angles] for image in x.double().numpy()]
        return torch.from_numpy(np.array(out)).to(x.dtype)

    def backward(self, y: Tensor) -> Tensor:
        rows, columns = (axis - (self.side - 1) / 2 for axis in np.mgrid[: self.side, : self.side])
        out = np.zeros((len(y), self.side, self.side))
        for image, sinogram in zip(out, y.double().numpy(), strict=True):
            for angle, view in zip(self.angles, sinogram, strict=True):
                place, magnified = columns * np.cos(angle) - rows * np.sin(angle), 1.0
                if self.distances:
                    depth = self.distances[0] - columns * np.sin(angle) - rows * np.cos(angle)
                    magnified = sum(self.distances) / depth
                image += magnified * np.interp(place * magnified, self.places, view, 0, 0) / self.spacing
        return torch.from_numpy(out).to(y.dtype)

    def _integrals(self, image: np.ndarray, angle: float) -> np.ndarray:
        """By steps of a tenth of a pixel along each ray."""
        from scipy.ndimage import map_coordinates

        across = np.array([np.cos(angle), -np.sin(angle)])  # (x, y)
        outward = np.array([np.sin(angle), np.cos(angle)])
        ends = self.places[:, None] * across
        if self.distances:
            start, ends = self.distances[0] * outward, ends - self.distances[1] * outward
        else:
            start, ends = ends + self.side * outward, ends - self.side * outward
        along = np.linspace(0, 1, 10 * round(2 * self.side))[:, None, None]
        x, y = np.moveaxis(start + along * (ends - start) + (self.side - 1) / 2, -1, 0)
        lengths = np.linalg.norm(ends - start, axis=-1)
        return map_coordinates(image, [y, x], order=1).mean(0) * lengths


def _stand_in(interface: str) -> ModuleType:
    package = ModuleType("torch_radon")
    names: dict[str, Any]
    if interface == "first":

        def fan(resolution, angles, source_distance, det_distance, det_count, det_spacing):  # type: ignore[no-untyped-def]
            return _Projector(resolution, angles, det_count, det_spacing, (source_distance, det_distance))

        names = {"Radon": _Projector, "RadonFanbeam": fan}
    else:
        names = {
            "ParallelBeam": lambda count, angles, spacing, volume: _Projector(volume.side, angles, count, spacing),
            "FanBeam": lambda count, angles, source, detector, spacing, volume: _Projector(
                volume.side, angles, count, spacing, (source, detector)
            ),
            "volumes": SimpleNamespace(Volume2D=_Volume),
        }
    for name, value in names.items():
        setattr(package, name, value)
    return package


class _Volume:
    def set_size(self, height: int, width: int) -> None:
        assert height == width
        self.side = height
