"""Compressed sensing with sparse wavelet coefficients."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count

from torch import Tensor

from medrecon.calibration import maps_error
from medrecon.functionals import L1, LeastSquares, UnitaryPrecomposition
from medrecon.operators import Crop, LinearOperator, Roll, Wavelet
from medrecon.reconstructors.scaling import doubt, sparsity_unit
from medrecon.solvers import run, scheduled_proximal_gradient
from medrecon.solvers.state import State
from medrecon.spaces import Space

__all__ = ["WaveletSparsity"]

_MEAN_OF = 8  # iterates, and so shifted bases, that the result is a mean of


@dataclass(frozen=True)
class WaveletSparsity:
    """`argmin |A x - y|^2 / 2 + weight * unit * |W x|_1` by FISTA, its basis shifted at every iteration.

    The shifts (cycle spinning) follow a fixed low-discrepancy sequence, and the result is the mean of the last iterates, so that
    no position of the wavelets is preferred. `unit` is `sparsity_unit`: one `weight` means the same on every scan. An image whose
    sizes `2**levels` does not divide is embedded in a larger one of which `A` sees the center. As far as its coil maps are off, the
    scan is doubted (see `LeastSquares`).

    Lustig, Donoho & Pauly, Magn Reson Med 58:1182 (2007); Coifman & Donoho, Translation-invariant de-noising (1995).
    """

    weight: float = 0.001
    iterations: int = 100
    tolerance: float = 0.0
    wavelet: str = "haar"
    levels: int = 4

    def __post_init__(self) -> None:
        if self.weight < 0:
            raise ValueError(f"WaveletSparsity takes a weight of at least 0, got {self.weight}")

    def __call__(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        return self.solve(y, A, maps_error(y, A))

    def solve(self, y: Tensor, A: LinearOperator, misfit: Tensor) -> Tensor:
        """The image, where coil maps have the error `misfit`, of shape `batch`; of 0 they are taken for exact."""
        crop = _divisible(A.domain, 2**self.levels)
        data = LeastSquares(A @ crop, y, doubt(y, A, misfit))
        threshold = self.weight * sparsity_unit(y, A, crop(data.backprojection), misfit)
        W = Wavelet(crop.domain, self.wavelet, self.levels)
        bases = (W @ Roll(crop.domain, shifts) for shifts in _shifts(crop.domain, 2**self.levels))
        schedule = (UnitaryPrecomposition(L1(basis.range, threshold), basis) for basis in bases)
        states = _running_mean(scheduled_proximal_gradient(data, schedule, data.backprojection))
        return crop(run(states, max_iterations=self.iterations, tolerance=self.tolerance).x)


def _divisible(space: Space, divisor: int) -> Crop:
    """The crop from the smallest larger space whose spatial sizes `divisor` divides."""
    spatial = [dim in space.spatial_dims for dim in space.dims]
    larger = tuple(
        -(-size // divisor) * divisor if place else size for size, place in zip(space.shape, spatial, strict=True)
    )
    return Crop(replace(space, shape=larger), space.shape)


def _shifts(space: Space, period: int) -> Iterator[tuple[int, ...]]:
    """Shifts that fill `[0, period)^ndim` evenly: the additive recurrence of the generalized golden ratio.

    They are of the spatial axes, the last of a space; the others stay.
    """
    ndim = len(space.spatial_dims)
    rest = (0,) * (space.ndim - ndim)
    ratio = 2.0
    for _ in range(64):
        ratio = (1 + ratio) ** (1 / (ndim + 1))
    for k in count():
        yield rest + tuple(int(period * ((0.5 + k * ratio ** -(axis + 1)) % 1)) for axis in range(ndim))


def _running_mean(states: Iterator[State]) -> Iterator[State]:
    """The states, each with the mean of the last iterates in place of its own."""
    recent: deque[Tensor] = deque()
    total: Tensor | None = None
    for state in states:
        recent.append(state.x)
        total = state.x if total is None else total + state.x
        if len(recent) > _MEAN_OF:
            total = total - recent.popleft()
        yield replace(state, x=total / len(recent))
