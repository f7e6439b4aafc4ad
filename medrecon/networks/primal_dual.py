"""The learned primal-dual reconstruction."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from medrecon.networks.channels import from_channels, laid_out, n_channels, to_channels
from medrecon.networks.execution import stage
from medrecon.networks.scaling import Method, norm
from medrecon.operators import LinearOperator

__all__ = ["LearnedPrimalDual", "PrimalDualSize"]


@dataclass(frozen=True)
class PrimalDualSize:
    """Iterations, memories on either side, and the convolutions of each step; the default is that published for LoDoPaB-CT."""

    n_iterations: int = 10
    n_primal: int = 5
    n_dual: int = 5
    features: int = 64
    n_layers: int = 3

    def __post_init__(self) -> None:
        if min(self.n_iterations, self.n_primal, self.n_dual, self.features) < 1 or self.n_layers < 2:
            raise ValueError(f"PrimalDualSize takes numbers of at least 1, and 2 layers or more, got {self}")


class LearnedPrimalDual(nn.Module):
    """An unrolled primal-dual iteration whose two proximal steps are small networks with memories, over any operator.

    With `K = A / |A|` and `g = y / |A|`, each iteration adds `dual_k(h, K f_2, g)` to the memories `h` on the side of the
    measurements, then `primal_k(f, K.H h_1)` to the memories `f` on the side of the image; the image is `f_1`. Each network is
    `n_layers` 3x3 convolutions with PReLU between. Data should be of the order of 1: nothing is normalised but the operator.
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

    Raises
    ------
    ValueError
        if `n_channels` is not 1 or 2; when called, if it does not fit the operator.
    """

    def __init__(
        self,
        size: PrimalDualSize | None = None,
        n_channels: int = 1,
        initial: Method | None = None,
        *,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        if n_channels not in (1, 2):
            raise ValueError(f"LearnedPrimalDual takes n_channels 1 (real) or 2 (complex), got {n_channels}")
        self.size = PrimalDualSize() if size is None else size
        self.n_channels, self.initial, self.recompute = n_channels, initial, recompute
        n_primal, n_dual = self.size.n_primal, self.size.n_dual
        count = range(self.size.n_iterations)
        self.dual = nn.ModuleList(_step(n_dual + 2, n_dual, self.size, n_channels) for _ in count)
        self.primal = nn.ModuleList(_step(n_primal + 1, n_primal, self.size, n_channels) for _ in count)

    def forward(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        self._require(y, A)
        scale, c = 1 / norm(A, y.device), self.n_channels
        image = A.H(y) if self.initial is None else self.initial(y, A)
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


def _step(n_in: int, n_out: int, size: PrimalDualSize, channels: int) -> nn.Sequential:
    """The convolutions of one step; at first the PReLU is a ReLU, and biases are 0."""
    widths = [channels * n_in, *[size.features] * (size.n_layers - 1), channels * n_out]
    layers: list[nn.Module] = []
    for i in range(size.n_layers):
        convolution = nn.Conv2d(widths[i], widths[i + 1], 3, padding=1)
        nn.init.xavier_uniform_(convolution.weight)
        nn.init.zeros_(convolution.bias) if convolution.bias is not None else None
        layers.append(convolution)
        if i < size.n_layers - 1:
            layers.append(nn.PReLU(size.features, init=0.0))
    return nn.Sequential(*layers)
