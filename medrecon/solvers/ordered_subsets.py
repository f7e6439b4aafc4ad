"""Accelerated proximal gradients with a step a pixel, over all rays at once or subset after subset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import torch
from torch import Tensor

from medrecon.functionals import L1, Box, GroupL1, LeastSquares, Zero
from medrecon.operators.differences import Gradient
from medrecon.operators.linear import LinearOperator
from medrecon.operators.norm import operator_norm
from medrecon.solvers.sirt import row_sums
from medrecon.solvers.state import State, relative

__all__ = ["ordered_subsets"]

_LATER, _MOST_INNER = 10, 30  # passes after which there is one inner iteration more, up to so many
_LEAST_CURVATURE = 0.01  # of the largest: what the data hardly see takes no step beyond a hundred times the shortest


def ordered_subsets(
    blocks: Sequence[LeastSquares],
    g: Box | Zero,
    f: L1 | GroupL1,
    K: LinearOperator,
    x: Tensor,
    *,
    inner_iterations: int = 3,
) -> Iterator[State]:
    """Minimize `sum_b |A_b x - y_b|^2 / 2 + g(x) + f(K x)` for operators without negative entries.

        x_new = prox(z - C B grad_b(z)),    z = x_new + (t - 1) / t_new (x_new - x),    C = 1 / sum_b A_b.H A_b 1

    The step `C` of each pixel majorises the data, and a block stands for all `B` of them, by its share of the measurements. The
    proximal map of `g + f K` in the metric of `C` is a few accelerated steps on its dual, from where the last one ended, and one
    more every ten passes, so that its errors do not add up. With one block the momentum restarts where it leads uphill, and what
    is left converges even if the map is not exact. With many it is about as many times faster, ends in a small cycle about the
    minimizer, and diverges where a block has too few rays to stand for all. One state a pass over all blocks, its criterion
    `|x_k - x_{k-1}| / |x_k|`.

    Erdogan & Fessler, Phys Med Biol 44:2835 (1999); Beck & Teboulle, IEEE Trans Image Process 18:2419 (2009); Kim, Ramani &
    Fessler, IEEE Trans Med Imaging 34:167 (2015).

    Raises
    ------
    ValueError
        if there is no block, no inner iteration, or an operator has negative entries.
    """
    if not blocks or inner_iterations < 1:
        raise ValueError(
            f"ordered_subsets takes at least one block and inner_iterations >= 1, got {len(blocks)} and {inner_iterations}"
        )
    curvature = torch.zeros((), dtype=x.dtype, device=x.device)
    for data in blocks:
        curvature = curvature + data.A.H(row_sums(data.A, x, "ordered_subsets"))
    largest = curvature.amax(g.space.dims, keepdim=True)
    step = 1 / curvature.clamp_min(_LEAST_CURVATURE * largest).clamp_min(torch.finfo(x.dtype).tiny)
    return _iterate(blocks, _Proximal.of(g, f, K, step), step, x, inner_iterations)


@dataclass(frozen=True)
class _Proximal:
    """`argmin_x |x - z|^2 / (2 step) + g(x) + f(K x)` by the dual: `p` there and back."""

    g: Box | Zero
    f: L1 | GroupL1
    K: LinearOperator
    step: Tensor
    sigma: Tensor

    @classmethod
    def of(cls, g: Box | Zero, f: L1 | GroupL1, K: LinearOperator, step: Tensor) -> _Proximal:
        return cls(g, f, K, step, _dual_step(K, step))

    def primal(self, z: Tensor, p: Tensor) -> Tensor:
        return self.g.prox(torch.addcmul(z, self.step, self.K.H(p), value=-1), 1.0)

    def __call__(self, z: Tensor, p: Tensor, iterations: int) -> tuple[Tensor, Tensor]:
        momentum, ahead = 1.0, p
        for _ in range(iterations):
            new = self.f.project(torch.addcmul(ahead, self.sigma, self.K(self.primal(z, ahead))))
            grown = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
            ahead = torch.lerp(p, new, 1 + (momentum - 1) / grown)
            p, momentum = new, grown
        return self.primal(z, p), p


def _dual_step(K: LinearOperator, step: Tensor) -> Tensor:
    """`sigma` with `|sigma^(1/2) K step^(1/2)| <= 1`: for a gradient as long at each pixel as it and its neighbors let it be."""
    if not isinstance(K, Gradient):
        norm = operator_norm(K, device=step.device) if K.norm_bound is None else K.norm_bound
        return torch.as_tensor(K.range.expand(1 / (norm**2 * step.amax(K.domain.dims))))
    longest = step.clone()
    for dim in K.domain.dims:
        near = longest.narrow(dim, 0, step.shape[dim] - 1)
        near.copy_(torch.maximum(near, step.narrow(dim, 1, step.shape[dim] - 1)))
    return (1 / (4 * K.domain.ndim * longest)).unsqueeze(-K.range.ndim)


def _iterate(
    blocks: Sequence[LeastSquares], proximal: _Proximal, step: Tensor, x: Tensor, inner_iterations: int
) -> Iterator[State]:
    space = proximal.g.space
    sizes = [data.y[(0,) * (data.y.ndim - data.A.range.ndim)].numel() for data in blocks]
    shares = [sum(sizes) / size for size in sizes]
    p = torch.zeros_like(proximal.K(x))
    ahead = x
    momentum = torch.ones(space.batch_shape(x), dtype=x.dtype, device=x.device)
    last = torch.full_like(momentum, torch.inf)
    for done in count():
        start, inner = x, min(inner_iterations + done // _LATER, max(inner_iterations, _MOST_INNER))
        for data, share in zip(blocks, shares, strict=True):
            slope = data.gradient(ahead)
            new, p = proximal(torch.addcmul(ahead, step, slope, value=-share), p, inner)
            move = new - x
            if len(blocks) == 1:
                value = 0.5 * space.inner(ahead, slope - data.backprojection) + proximal.f(proximal.K(ahead))
                uphill = (space.inner((ahead - new) / step, move) > 0) | (value > last)
                momentum, last = torch.where(uphill, 1.0, momentum), value
            grown = (1 + (1 + 4 * momentum**2).sqrt()) / 2
            ahead = torch.addcmul(new, torch.as_tensor(space.expand((momentum - 1) / grown)), move)
            x, momentum = new, grown
        yield State(x, relative(space, space.norm(x - start), x))
