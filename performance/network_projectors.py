"""Learned primal-dual on the projectors of other packages: each as an operator whose gradient is its own adjoint."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from ct_peers import Scene, optional
from torch import Tensor

from medrecon.geometry import Arc, Geometry, ParallelBeam
from medrecon.operators import LinearOperator, Radon
from medrecon.spaces import Space

Map = Callable[[Tensor], Tensor]


class _Linear(torch.autograd.Function):
    """`there(x)`, with the gradient `back`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, there: Map, back: Map) -> Tensor:
        ctx.back = back
        return there(x.detach())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return ctx.back(gradient.contiguous()), None, None


@dataclass(frozen=True, eq=False, repr=False)
class Projector(LinearOperator):
    """A projector and its adjoint of another package, on the grid and the rays of `like`, whose norm it takes."""

    like: Radon
    project: Map
    backproject: Map

    @property
    def domain(self) -> Space:
        return self.like.domain

    @property
    def range(self) -> Space:
        return self.like.range

    def _forward(self, x: Tensor) -> Tensor:
        y: Tensor = _Linear.apply(x, self.project, self.backproject)  # type: ignore[no-untyped-call]
        return y

    def _adjoint(self, y: Tensor) -> Tensor:
        x: Tensor = _Linear.apply(y, self.backproject, self.project)  # type: ignore[no-untyped-call]
        return x

    def _norm_bound(self) -> float | None:
        return self.like.norm_bound


@dataclass(frozen=True, eq=False)
class Rival:
    """A package's projector, ours on the same rays, and how far the results of one network on the two may differ."""

    name: str
    A: LinearOperator
    ours: Radon
    tolerance: float


def rivals(scene: Scene) -> Iterator[Rival]:
    """The packages that are installed."""
    for make in (astra, deep_inverse):
        rival = make(scene)
        if rival is not None:
            yield rival


def astra(scene: Scene) -> Rival | None:
    """ASTRA's CPU projector `linear`, which is Joseph's method too, on the arrays of the tensors."""
    toolbox = optional("astra")
    if toolbox is None:
        return None
    ours = Radon(scene.grid, scene.geometry)
    height, width = scene.grid.extent
    volume = toolbox.create_vol_geom(*scene.grid.shape, -width / 2, width / 2, -height / 2, height / 2)
    angles, geometry = -np.array(list(scene.geometry.angles)), scene.geometry
    beam = toolbox.create_proj_geom("parallel", geometry.spacing, geometry.n_bins, angles)
    projector = toolbox.create_projector("linear", beam, volume)

    def run(algorithm: str, image: Any, sinogram: Any) -> None:
        settings = toolbox.astra_dict(algorithm)
        settings["ProjectorId"] = projector
        settings["ProjectionDataId"] = toolbox.data2d.link("-sino", beam, sinogram)
        name = "VolumeDataId" if algorithm == "FP" else "ReconstructionDataId"
        settings[name] = toolbox.data2d.link("-vol", volume, image)
        number = toolbox.algorithm.create(settings)
        toolbox.algorithm.run(number)
        toolbox.algorithm.delete(number)
        toolbox.data2d.delete([settings["ProjectionDataId"], settings[name]])

    def project(x: Tensor) -> Tensor:
        y = torch.zeros(*x.shape[:-2], *ours.range.shape)
        for image, sinogram in zip(_flat(x.contiguous()), _flat(y), strict=True):
            run("FP", image, sinogram)
        return y

    def backproject(y: Tensor) -> Tensor:
        x = torch.zeros(*y.shape[:-2], *ours.domain.shape)
        for image, sinogram in zip(_flat(x), _flat(y.contiguous()), strict=True):
            run("BP", image, sinogram)
        return x

    return Rival("ASTRA", Projector(ours, project, backproject), ours, 1e-3)


def _flat(x: Tensor) -> Any:
    return x.view(-1, *x.shape[-2:]).numpy()


def deep_inverse(scene: Scene) -> Rival | None:
    """DeepInverse's `Tomography`, which turns the image and sums its columns: bins of one pixel across the diagonal."""
    physics, given, step = optional("deepinv.physics"), scene.geometry, scene.grid.spacing[0]
    size = scene.grid.shape[0]
    diagonal = math.ceil(math.sqrt(2) * size)
    if physics is None or not isinstance(given.angles, Arc):
        return None
    if (diagonal - size) % 2:
        print(f"DeepInverse is left out: its {diagonal} bins lie half a pixel beside the center of {size} pixels")
        return None
    turned = Arc(-given.angles.first, -given.angles.step, given.angles.count)
    geometry: Geometry = ParallelBeam(turned, diagonal, step)
    degrees = torch.tensor(np.rad2deg(list(given.angles)), dtype=torch.float32)
    A = physics.Tomography(degrees, size, normalize=False, parallel_computation=False)

    def project(x: Tensor) -> Tensor:
        y: Tensor = A.A(x.reshape(-1, 1, size, size)).detach()
        return step * y.mT.reshape(*x.shape[:-2], *y.shape[:-3:-1]).contiguous()

    def backproject(y: Tensor) -> Tensor:
        with torch.enable_grad():  # it differentiates its projector
            x: Tensor = A.A_adjoint(y.mT.reshape(-1, 1, y.shape[-1], y.shape[-2]).contiguous()).detach()
        return step * x.reshape(*y.shape[:-2], size, size)

    return Rival(
        "DeepInverse", Projector(Radon(scene.grid, geometry), project, backproject), Radon(scene.grid, geometry), 0.1
    )
