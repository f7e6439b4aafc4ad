"""The variational network: gradient descent on the data, unrolled, with a network beside each step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn

from medrecon.networks.consistency import ProximalStep, gradient
from medrecon.networks.execution import in_full_precision, stage
from medrecon.networks.implicit import ConjugateGradients
from medrecon.networks.scaling import norm
from medrecon.operators import LinearOperator
from medrecon.reconstructor import Reconstructor

__all__ = ["Cascade", "ProximalVarNet", "VarNet"]

_START = 0.01  # weight of the first image against the data


class Cascade(nn.Module):
    """The learned part of a cascade: a network from images to images, and the step of the data term."""

    def __init__(self, network: nn.Module, step: float = 1.0) -> None:
        super().__init__()
        self.network = network
        self.step = nn.Parameter(torch.tensor([step]))


class VarNet(nn.Module):
    """`x <- x - step_k A.H (A x - y) / |A|^2 - network_k(x)` from `x = A.H y / |A|^2`, over any operator.

    Images are those of the domain of `A`, real or complex, with any leading axes; so must the networks take them.
    Hammernik et al., Learning a variational network, Magn Reson Med 79:3055 (2018).

    Parameters
    ----------
    networks
        one a cascade, from `(..., y, x)` to `(..., y, x)`, such as `NormalizedUNet(UNet(2, 2, 18))` for complex images.
    recompute
        keep only the images between cascades for the gradient: less memory, more time, the same gradients.

    Raises
    ------
    ValueError
        if there is no network; when called, if `y` is not of the range of `A`.
    """

    def __init__(self, networks: Iterable[nn.Module], *, recompute: bool = False) -> None:
        super().__init__()
        self.cascades = nn.ModuleList(Cascade(network) for network in networks)
        self.recompute = recompute
        if not self.cascades:
            raise ValueError("VarNet takes one network a cascade, got none")

    def forward(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        squared = norm(A, y.device) ** 2
        b = A.H(y)
        x = b / squared
        for cascade in cast(Iterable[Cascade], self.cascades):

            def descend(x: Tensor = x, cascade: Cascade = cascade) -> Tensor:
                moved: Tensor = x - cascade.step / squared * gradient(x, b, A) - cascade.network(x)
                return moved

            x = stage(descend, recompute=self.recompute)
        return x


class ProximalVarNet(nn.Module):
    """`x <- (A.H A + mu_k)^-1 (A.H y + mu_k (x - network_k(x)))` from `x = initial(y, A)`, over any operator.

    The variational network with the exact data-consistency step of MoDL, and a network and a weight a cascade: where coils must
    unfold what a mask has folded, one gradient step a cascade goes a small part of the way.
    Hammernik et al., Magn Reson Med 79:3055 (2018); Aggarwal et al., MoDL, IEEE Trans Med Imaging 38:394 (2019).

    Parameters
    ----------
    networks
        one a cascade, from `(..., y, x)` to `(..., y, x)`.
    solver
        the conjugate gradients of a step.
    weight
        the first `mu_k / |A|^2` of every cascade; it is learned.
    initial
        any reconstructor without parameters; None for SENSE, `(A.H A + mu_0)^-1 A.H y` with a `mu_0` that is learned.
    recompute
        keep only the images between cascades for the gradient.

    Raises
    ------
    ValueError
        if there is no network; when called, if `y` is not of the range of `A`.
    """

    def __init__(
        self,
        networks: Iterable[nn.Module],
        solver: ConjugateGradients | None = None,
        weight: float = 0.05,
        *,
        initial: Reconstructor | None = None,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        self.initial = initial
        if initial is None:
            self.start = ProximalStep(_START, solver)
        self.networks = nn.ModuleList(networks)
        self.steps = nn.ModuleList(ProximalStep(weight, solver) for _ in self.networks)
        self.recompute = recompute
        if not self.networks:
            raise ValueError("ProximalVarNet takes one network a cascade, got none")

    def forward(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        b = A.H(y)
        x = (
            self.start.solve(torch.zeros_like(b), b, A)
            if self.initial is None
            else in_full_precision(self.initial, y, A)
        )
        for network, step in zip(self.networks, cast(Iterable[ProximalStep], self.steps), strict=True):

            def improve(x: Tensor = x, network: nn.Module = network, step: ProximalStep = step) -> Tensor:
                return step.solve(x - network(x), b, A)

            x = stage(improve, recompute=self.recompute)
        return x
