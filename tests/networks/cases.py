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
