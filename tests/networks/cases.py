"""Every network, built tiny; one line gives it all of its contract tests (`tests/contracts/promises.py`)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from medrecon.networks import (
    Consistent,
    EndToEndVarNet,
    GradientStep,
    LearnedPrimalDual,
    MeasuredRootSumOfSquares,
    MoDL,
    NormalizedUNet,
    PostProcess,
    PrimalDualSize,
    ProximalStep,
    ProximalVarNet,
    ReplaceMeasured,
    Residual,
    UNet,
    VarNet,
)
from medrecon.networks.implicit import ConjugateGradients
from medrecon.reconstructors import FilteredBackprojection, Sense, WaveletSparsity, ZeroFilled
from tests.problems import Case, Scan, coil_images, ct, mri

SCANS: dict[str, Callable[..., Scan]] = {"mri": mri, "ct": ct}


def image_network(n_channels: int, features: int = 6, *, change: bool = False) -> NormalizedUNet:
    return NormalizedUNet(UNet(n_channels, n_channels, features, 2), change=change)


def _initial(scan: Scan) -> ZeroFilled | FilteredBackprojection:
    return ZeroFilled() if scan.n_channels == 2 else FilteredBackprojection()


def _post(scan: Scan, **_: bool) -> nn.Module:
    return PostProcess(_initial(scan), Residual(image_network(scan.n_channels, change=True)))


_SOLVER = ConjugateGradients(iterations=5)

NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "post-processor": _post,
    "post-processor, gradient step": lambda scan: Consistent(_post(scan), GradientStep()),
    "post-processor, exact": lambda scan: Consistent(_post(scan), ProximalStep(0.1, _SOLVER)),
    "varnet": lambda scan, **switch: VarNet([image_network(scan.n_channels) for _ in range(3)], **switch),
    "proximal varnet": lambda scan, **switch: ProximalVarNet(
        [image_network(scan.n_channels) for _ in range(2)], _SOLVER, 0.1, **switch
    ),
    "proximal varnet behind wavelets": lambda scan, **switch: ProximalVarNet(
        [image_network(scan.n_channels)], _SOLVER, 0.1, initial=WaveletSparsity(iterations=6), **switch
    ),
    "post-processor of least squares": lambda scan: PostProcess(
        Sense() if scan.n_channels == 2 else WaveletSparsity(weight=0.0, iterations=6),
        Residual(image_network(scan.n_channels, change=True)),
    ),
    "modl": lambda scan, **switch: MoDL(
        Residual(image_network(scan.n_channels, change=True)), ProximalStep(0.1, _SOLVER), 2, **switch
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


_OF_ONE_PHYSICS: dict[str, Case] = {
    "end-to-end varnet": Case(
        build=lambda: seeded(lambda: EndToEndVarNet.of_sizes(2, 6, 2, 3, 2)),
        scan=coil_images,
        magnitude=True,
        refuses=(mri, "EndToEndVarNet takes Mask @ Fourier of coil images"),
        idle={"cascades.0.step": "k-space begins as the measurements: there is nothing to put back, as published"},
    ),
    "varnet, measured": Case(
        build=lambda: seeded(lambda: MeasuredRootSumOfSquares(VarNet([image_network(2)]), noise_floor=True)),
        scan=mri,
        magnitude=True,
        refuses=(ct, "NormalizedUNet of 2"),
    ),
    "post-processor, measured samples replaced": Case(
        build=lambda: seeded(lambda: Consistent(_post(mri()), ReplaceMeasured())),
        scan=mri,
        refuses=(ct, "NormalizedUNet of 2"),
    ),
}


def seeded(make: Callable[[], nn.Module]) -> nn.Module:
    """The network with the weights of one seed."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return make()


def built(name: str, scan: Scan, **switch: bool) -> nn.Module:
    return seeded(lambda: NETWORKS[name](scan, **switch))


def _of_both(name: str, scan: str) -> Case:
    foreign = ct if scan == "mri" else mri
    words = "(NormalizedUNet of|LearnedPrimalDual with|FilteredBackprojection inverts) "
    return Case(build=lambda: built(name, SCANS[scan]()), scan=SCANS[scan], refuses=(foreign, words))


CASES: dict[str, Case] = {
    **{f"{name}, {scan}": _of_both(name, scan) for name in NETWORKS for scan in SCANS},
    **_OF_ONE_PHYSICS,
}
