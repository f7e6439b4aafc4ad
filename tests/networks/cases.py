"""Small scans of both modalities, and every network that takes them, built tiny."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from medrecon.geometry import Arc, Grid, ParallelBeam
from medrecon.networks import (
    Consistent,
    GradientStep,
    LearnedPrimalDual,
    MoDL,
    NormalizedUNet,
    PostProcess,
    PrimalDualSize,
    ProximalStep,
    ProximalVarNet,
    Residual,
    UNet,
    VarNet,
)
from medrecon.networks.implicit import ConjugateGradients
from medrecon.operators import Fourier, LinearOperator, Mask, Radon, sense
from medrecon.reconstructors import FilteredBackprojection, Sense, WaveletSparsity, ZeroFilled
from medrecon.spaces import Space


@dataclass(frozen=True, eq=False)
class Scan:
    truth: Tensor
    A: LinearOperator

    @property
    def y(self) -> Tensor:
        return self.A(self.truth)

    @property
    def n_channels(self) -> int:
        return 2 if self.truth.is_complex() else 1


def disks(shape: tuple[int, int], n: int = 1) -> Tensor:
    """`n` pictures of two disks, each a little brighter and elsewhere: `(n, y, x)`."""
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, size) for size in shape), indexing="ij")
    moved = torch.arange(n)[:, None, None] * 0.1
    large = (y.square() + x.square() < 0.7).float() * (1 + moved)
    return large + 0.5 * ((y - 0.2).square() + (x + 0.3 - moved).square() < 0.1)


def maps(n_coils: int, shape: tuple[int, int]) -> Tensor:
    """Smooth maps of unit root sum of squares."""
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, size) for size in shape), indexing="ij")
    angles = 2 * torch.pi * torch.arange(n_coils)[:, None, None] / n_coils
    magnitude = torch.exp(-(y - angles.sin()).square() - (x - angles.cos()).square())
    unscaled = torch.polar(magnitude, angles + 0.5 * x)
    return unscaled / torch.linalg.vector_norm(unscaled, dim=0)


def lines(n: int, center: int = 4, every: int = 2) -> Tensor:
    sampled = torch.zeros(n, dtype=torch.bool)
    sampled[::every] = True
    sampled[n // 2 - center // 2 : n // 2 - center // 2 + center] = True
    return sampled


def mri(shape: tuple[int, int] = (20, 18), n: int = 1) -> Scan:
    truth = disks(shape, n)
    return Scan(torch.polar(truth, 0.3 * truth), sense(lines(shape[1]), maps(3, shape)))


def ct(shape: tuple[int, int] = (20, 18), n: int = 1) -> Scan:
    grid = Grid(shape, 1.0)
    return Scan(disks(shape, n), Radon(grid, ParallelBeam(Arc.half_turn(12), n_bins=27, spacing=1.0)))


def coils(n_coils: int, shape: tuple[int, int], sampled: Tensor) -> LinearOperator:
    """`Mask @ Fourier` of coil images."""
    fourier = Fourier(Space(("coil", "y", "x"), (n_coils, *shape), is_complex=True))
    return Mask(sampled, fourier.range) @ fourier


SCANS: dict[str, Callable[..., Scan]] = {"mri": mri, "ct": ct}


def image_network(n_channels: int, features: int = 6, *, change: bool = False) -> NormalizedUNet:
    return NormalizedUNet(UNet(n_channels, n_channels, features, 2), change=change)


def _initial(scan: Scan) -> ZeroFilled | FilteredBackprojection:
    return ZeroFilled() if scan.n_channels == 2 else FilteredBackprojection()


def _post(scan: Scan, **_: bool) -> nn.Module:
    return PostProcess(_initial(scan), Residual(image_network(scan.n_channels, change=True)))


_SOLVER = ConjugateGradients(iterations=12)

NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "post-processor": _post,
    "post-processor, gradient step": lambda scan: Consistent(_post(scan), GradientStep()),
    "post-processor, exact": lambda scan: Consistent(_post(scan), ProximalStep(0.1, _SOLVER)),
    "varnet": lambda scan, **switch: VarNet([image_network(scan.n_channels) for _ in range(3)], **switch),
    "proximal varnet": lambda scan, **switch: ProximalVarNet(
        [image_network(scan.n_channels) for _ in range(2)], _SOLVER, 0.1, **switch
    ),
    "proximal varnet behind wavelets": lambda scan, **switch: ProximalVarNet(
        [image_network(scan.n_channels)], _SOLVER, 0.1, initial=WaveletSparsity(iterations=20), **switch
    ),
    "post-processor of least squares": lambda scan: PostProcess(
        Sense() if scan.n_channels == 2 else WaveletSparsity(weight=0.0, iterations=20),
        Residual(image_network(scan.n_channels, change=True)),
    ),
    "modl": lambda scan, **switch: MoDL(
        Residual(image_network(scan.n_channels, change=True)), ProximalStep(0.1, _SOLVER), 3, **switch
    ),
    "learned primal-dual": lambda scan, **switch: LearnedPrimalDual(
        PrimalDualSize(n_iterations=3, features=12), scan.n_channels, _initial(scan), **switch
    ),
    "learned primal-dual with U-Nets": lambda scan, **switch: LearnedPrimalDual(
        PrimalDualSize(2, features=6, dual_features=4, primal_pools=2), scan.n_channels, _initial(scan), **switch
    ),
}
UNROLLED = (
    "varnet",
    "proximal varnet",
    "proximal varnet behind wavelets",
    "modl",
    "learned primal-dual",
    "learned primal-dual with U-Nets",
)


def built(name: str, scan: Scan, **switch: bool) -> nn.Module:
    """The network of that name, with the weights of one seed."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return NETWORKS[name](scan, **switch)


def relative(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())
