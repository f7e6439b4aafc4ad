"""The learned primal-dual reconstruction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from medrecon.networks.channels import from_channels, laid_out, n_channels, to_channels
from medrecon.networks.execution import in_full_precision, stage
from medrecon.networks.scaling import norm
from medrecon.networks.unet import UNet
from medrecon.operators import LinearOperator
from medrecon.reconstructor import Reconstructor

__all__ = ["LearnedPrimalDual", "PrimalDualSize"]


@dataclass(frozen=True)
class PrimalDualSize:
    """Iterations, memories on either side, and the convolutions of each step; the default is that published for LoDoPaB-CT.

    `dual_features`, on the side of the measurements, are as many as `features` unless given. With `primal_pools` the steps on the
    side of the image are U-Nets of so many poolings in place of `n_layers` convolutions.
    """

    n_iterations: int = 10
    n_primal: int = 5
    n_dual: int = 5
    features: int = 64
    n_layers: int = 3
    dual_features: int | None = None
    primal_pools: int | None = None

    def __post_init__(self) -> None:
        numbers = (self.n_iterations, self.n_primal, self.n_dual, self.features, self.dual_features or self.features)
        if min(numbers) < 1 or 0 in (self.dual_features, self.primal_pools) or self.n_layers < 2:
            raise ValueError(f"PrimalDualSize takes numbers of at least 1, and 2 layers or more, got {self}")


class LearnedPrimalDual(nn.Module):
    """An unrolled primal-dual iteration whose two proximal steps are small networks with memories, over any operator.

    With `K = A / |A|` and `g = y / |A|`, each iteration adds `dual_k(h, K f_2, g)` to the memories `h` on the side of the
    measurements, then `primal_k(f, K.H h_1)` to the memories `f` on the side of the image; the image is `f_1`. Each network is
    `n_layers` 3x3 convolutions with PReLU between. Data should be of the order of 1: nothing is normalized but the operator.
    Images are `(..., y, x)`; further axes of the measurements than the last two (coils) go through the dual networks one by one.
    Adler & Öktem, IEEE Trans Med Imaging 37:1322 (2018).

    Parameters
    ----------
    size
        how many of everything.
    n_channels
        1 for operators between real spaces, 2 between complex ones.
    initial
        the reconstruction that all primal memories start with, called as `initial(y, A)`; None for zeros.
    recompute
        keep only the memories between iterations for the gradient.
    identity
        the last layer of each step starts at zero, so that the untrained network gives `initial`; by the published start the
        steps add noise.

    Raises
    ------
    ValueError
        if `n_channels` is not 1 or 2; when called, if it does not fit the operator.
    """

    def __init__(
        self,
        size: PrimalDualSize | None = None,
        n_channels: int = 1,
        initial: Reconstructor | None = None,
        *,
        recompute: bool = False,
        identity: bool = False,
    ) -> None:
        super().__init__()
        if n_channels not in (1, 2):
            raise ValueError(f"LearnedPrimalDual takes n_channels 1 (real) or 2 (complex), got {n_channels}")
        self.size = PrimalDualSize() if size is None else size
        self.n_channels, self.initial, self.recompute = n_channels, initial, recompute
        count = range(self.size.n_iterations)
        self.dual = nn.ModuleList(_dual_step(self.size, n_channels) for _ in count)
        self.primal = nn.ModuleList(_primal_step(self.size, n_channels) for _ in count)
        if identity:
            for step in (*self.dual, *self.primal):
                last = step.last if isinstance(step, UNet) else cast(nn.Sequential, step)[-1]
                for parameter in last.parameters():
                    nn.init.zeros_(parameter)

    def forward(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        self._require(y, A)
        scale, c = 1 / norm(A, y.device), self.n_channels
        image = A.H(y) if self.initial is None else in_full_precision(self.initial, y, A)
        zeros = torch.zeros_like(image) if self.initial is None else image
        measured = to_channels(scale * y)
        f = to_channels(zeros).repeat(1, self.size.n_primal, 1, 1)
        h = torch.zeros_like(measured).repeat(1, self.size.n_dual, 1, 1)
        seen = slice(c, 2 * c) if self.size.n_primal > 1 else slice(0, c)
        for dual, primal in zip(self.dual, self.primal, strict=True):

            def iterate(
                f: Tensor = f, h: Tensor = h, dual: nn.Module = dual, primal: nn.Module = primal
            ) -> tuple[Tensor, Tensor]:
                forward = to_channels(scale * A(from_channels(f[:, seen], zeros)))
                h = h + _through(dual, h, forward, measured)
                back = to_channels(scale * A.H(from_channels(h[:, :c], y)))
                return f + _through(primal, f, back), h

            f, h = stage(iterate, recompute=self.recompute)
        return from_channels(f[:, :c], zeros)

    def _require(self, y: Tensor, A: LinearOperator) -> None:
        A.range.require(y, "LearnedPrimalDual")
        if A.domain.is_complex != A.range.is_complex or n_channels(y) != self.n_channels:
            raise ValueError(
                f"LearnedPrimalDual with n_channels={self.n_channels} takes an operator between "
                f"{'complex' if self.n_channels == 2 else 'real'} spaces, got {A.domain} to {A.range}"
            )


def _through(step: nn.Module, *parts: Tensor) -> Tensor:
    """What the network of a step makes of these channels, in their precision."""
    weight = next(parameter for parameter in step.parameters() if parameter.ndim == 4)
    update: Tensor = step(laid_out(torch.cat(parts, dim=1), weight))
    return update.to(parts[0].dtype)


def _dual_step(size: PrimalDualSize, channels: int) -> nn.Module:
    n_in, n_out = channels * (size.n_dual + 2), channels * size.n_dual
    return _convolutions(n_in, n_out, size.dual_features or size.features, size.n_layers)


def _primal_step(size: PrimalDualSize, channels: int) -> nn.Module:
    n_in, n_out = channels * (size.n_primal + 1), channels * size.n_primal
    if size.primal_pools is not None:
        return UNet(n_in, n_out, size.features, size.primal_pools)
    return _convolutions(n_in, n_out, size.features, size.n_layers)


def _convolutions(n_in: int, n_out: int, features: int, n_layers: int) -> nn.Sequential:
    """The convolutions of one step; at first the PReLU is a ReLU, and biases are 0."""
    widths = [n_in, *[features] * (n_layers - 1), n_out]
    layers: list[nn.Module] = []
    for i in range(n_layers):
        convolution = nn.Conv2d(widths[i], widths[i + 1], 3, padding=1)
        nn.init.xavier_uniform_(convolution.weight)
        nn.init.zeros_(convolution.bias) if convolution.bias is not None else None
        layers.append(convolution)
        if i < n_layers - 1:
            layers.append(nn.PReLU(features, init=0.0))
    return nn.Sequential(*layers)
