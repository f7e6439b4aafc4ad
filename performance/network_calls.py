"""The end-to-end VarNet of this package and of fastMRI on one scan: the same weights, as calls that can be timed.

fastMRI: Zbontar et al., arXiv:1811.08839 (2018); Sriram et al., End-to-end variational networks, MICCAI (2020).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from ct_peers import optional
from torch import Tensor, nn

from medrecon.data.mri.birdcage import birdcage_maps, normalize_maps
from medrecon.data.mri.masks import equispaced_fraction_mask
from medrecon.data.phantoms.mri_phantoms import brain
from medrecon.networks import EndToEndVarNet, fastmri_varnet, read_fastmri_weights
from medrecon.operators import Fourier, LinearOperator, Mask
from medrecon.spaces import Space

Call = Callable[[], Any]
_GENTLE = 0.1


@dataclass(frozen=True)
class Size:
    """Coils, y and x of the scans; cascades, features and poolings of the network and of that of the coil maps."""

    inference: tuple[int, int, int] = (15, 640, 368)
    training: tuple[int, int, int] = (8, 320, 320)
    cascades: int = 12
    features: int = 18
    pools: int = 4
    sensitivity_features: int = 8
    sensitivity_pools: int = 4


SMALL = Size((3, 64, 48), (2, 48, 64), 2, 4, 2, 3, 2)


@dataclass(frozen=True, eq=False)
class Scan:
    """One slice: k-space at 4x, its operator, and the image that was measured."""

    y: Tensor
    A: LinearOperator
    sampled: Tensor
    truth: Tensor


def simulate(shape: tuple[int, int, int], seed: int = 1) -> Scan:
    """A head in a birdcage, with noise, in the small numbers that scanners store."""
    image = brain().image(shape[1:])
    image = (image / image.max()).to(torch.complex64)
    fourier = Fourier(Space(("coil", "y", "x"), shape, is_complex=True))
    sampled = equispaced_fraction_mask(shape[2], 4.0, 0.08, seed).sampled
    A = Mask(sampled, fourier.range) @ fourier
    noise = torch.randn(shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed))
    y = A(normalize_maps(birdcage_maps(shape[0], shape[1:])) * image) + 0.002 * sampled * noise
    return Scan(1e-4 * y[None], A, sampled.reshape(-1), 1e-4 * image.abs()[None])


def fastmri_network(size: Size, weights: Path | None) -> Any:
    """`fastmri.models.VarNet` with the weights of a file, or of a seed; None where the package is absent.

    The weights of a seed are fastMRI's own, but for the last convolution of each cascade, which is a tenth: so that a cascade
    corrects the image, as a trained one does, and does not put noise in its place.
    """
    models = optional("fastmri.models")
    if models is None:
        return None
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = models.VarNet(
            size.cascades, size.sensitivity_features, size.sensitivity_pools, size.features, size.pools
        )
    if weights is not None:
        network.load_state_dict(read_fastmri_weights(weights))
        return network
    with torch.no_grad():
        for cascade in network.cascades:
            for parameter in cascade.model.unet.up_conv[-1][1].parameters():
                parameter.mul_(_GENTLE)
    return network


@dataclass(frozen=True, eq=False)
class Pair:
    """Both networks with the same weights, each from a scan to `(1, y, x)`."""

    theirs: Any
    ours: EndToEndVarNet

    @classmethod
    def of_size(cls, size: Size, weights: Path | None = None) -> Pair | None:
        theirs = fastmri_network(size, weights)
        return None if theirs is None else cls(theirs, fastmri_varnet(theirs.state_dict()))

    def apply(self, who: str, scan: Scan) -> Tensor:
        if who == "fastmri":
            mask = scan.sampled[None, None, None, :, None]
            image: Tensor = self.theirs(torch.view_as_real(scan.y), mask)
            return image
        return self.ours(scan.y, scan.A)  # type: ignore[no-any-return]


def inference(pair: Pair, who: str, scan: Scan) -> Call:
    """`who` is `fastmri`, `medrecon` or `medrecon bfloat16`."""
    low, device = who.endswith("bfloat16"), scan.y.device.type

    def call() -> Tensor:
        with torch.inference_mode(), torch.autocast(device, dtype=torch.bfloat16, enabled=low):
            return pair.apply(who.split()[0], scan)

    return call


def training_step(pair: Pair, who: str, scan: Scan) -> Call:
    """Forward, backward and Adam; `who` is `fastmri`, `medrecon` or `medrecon recompute`. Gives the image."""
    network = pair.theirs if who == "fastmri" else pair.ours
    step = adam_step(network, lambda: pair.apply(who.split()[0], scan), scan.truth)

    def call() -> Tensor:
        pair.ours.recompute = who.endswith("recompute")
        with torch.enable_grad():
            return step()

    return call


def adam_step(network: nn.Module, apply: Callable[[], Tensor], truth: Tensor) -> Callable[[], Tensor]:
    """One step of training towards `truth` in L1, which changes the weights hardly at all."""
    adam = torch.optim.Adam(network.parameters(), 1e-9)
    scale = 1 / float(truth.max())

    def step() -> Tensor:
        adam.zero_grad()
        image = apply()
        loss = (scale * (image - truth)).abs().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
        return image.detach()

    return step
