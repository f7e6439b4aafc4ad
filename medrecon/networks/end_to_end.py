"""The end-to-end variational network: from multi-coil k-space to an image, coil maps included."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self, cast

import torch
from torch import Tensor, nn

from medrecon.networks.execution import stage
from medrecon.networks.normalized import NormalizedUNet
from medrecon.networks.sensitivities import SensitivityNetwork
from medrecon.networks.unet import UNet
from medrecon.networks.varnet import Cascade
from medrecon.operators import CoilMaps, Fourier, LinearOperator, Mask
from medrecon.spaces import root_sum_of_squares

__all__ = ["EndToEndVarNet"]


class EndToEndVarNet(nn.Module):
    """Multi-coil k-space to the root-sum-of-squares image: real `(..., y, x)`, not cropped.

    With the coil maps `S` of the sensitivity network and `A = M F`, each cascade changes k-space by

        `k <- k - step_k M (k - y) - F S network_k(S.H F.H k)`, from `k = y`, zero where nothing was sampled.

    k-space is linear in what the networks gave. So all that is kept is `z`, their sum, and `d`, what data consistency has put back
    of it; with the SENSE operator `B = A S`, and maps of unit root sum of squares, the same cascades are

        `z, d <- z + network_k(B.H y - z + B.H B d), d + step_k (z - d)`,

    images without coils, and the gram of SENSE transforms along the undersampled axes alone. At the end the coil images are
    `A.H y - S z + A.H A S d`. Calibration lines and coils are found in `A`. A black slice gives a black image.
    Sriram et al., End-to-end variational networks for accelerated MRI reconstruction, MICCAI (2020).

    Parameters
    ----------
    networks
        one a cascade, from complex images `(..., y, x)` to complex images.
    sensitivities
        the network that gives the coil maps.
    recompute
        keep only the images between cascades for the gradient: less memory, more time, the same gradients.

    Raises
    ------
    ValueError
        if there is no network; when called, for an operator that is not `Mask @ Fourier` of coil images, a `y` not of its range,
        or a mask without calibration lines.
    """

    def __init__(
        self, networks: Iterable[nn.Module], sensitivities: SensitivityNetwork, *, recompute: bool = False
    ) -> None:
        super().__init__()
        self.cascades = nn.ModuleList(Cascade(network) for network in networks)
        self.sensitivities, self.recompute = sensitivities, recompute
        if not self.cascades:
            raise ValueError("EndToEndVarNet takes one network a cascade, got none")

    @classmethod
    def of_sizes(
        cls,
        n_cascades: int = 12,
        features: int = 18,
        n_pools: int = 4,
        sensitivity_features: int = 8,
        sensitivity_pools: int = 4,
    ) -> Self:
        """The published form, of U-Nets of these sizes; the numbers of the fastMRI leaderboard are the default."""
        maps = SensitivityNetwork(NormalizedUNet(UNet(2, 2, sensitivity_features, sensitivity_pools)))
        return cls((NormalizedUNet(UNet(2, 2, features, n_pools)) for _ in range(n_cascades)), maps)

    def forward(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        _require_coil_images(A)
        A.range.require(y, type(self).__name__)
        coils = CoilMaps(stage(lambda: self.sensitivities(y, A), recompute=self.recompute))
        B = A @ coils
        start = B.H(y)
        z = d = torch.zeros_like(start)
        for number, cascade in enumerate(cast(Iterable[Cascade], self.cascades)):

            def unroll(
                z: Tensor = z, d: Tensor = d, cascade: Cascade = cascade, number: int = number
            ) -> tuple[Tensor, Tensor]:
                seen = start - z + B.gram(d) if number > 1 else start - z  # before, `d` is zero
                return z + cascade.network(seen), d + cascade.step * (z - d)

            z, d = stage(unroll, recompute=self.recompute)
        images = A.H(y) - coils(z) + A.gram(coils(d))
        return root_sum_of_squares(images, A.domain.dim("coil"))


def _require_coil_images(A: LinearOperator) -> None:
    if [type(factor) for factor in A.factors] != [Mask, Fourier] or A.domain.axes != ("coil", "y", "x"):
        raise ValueError(
            f"EndToEndVarNet takes Mask @ Fourier of coil images (..., coil, y, x), got {A} on {A.domain}; it estimates the "
            f"coil maps itself (see coil_problem), and VarNet takes operators that hold them"
        )
