"""The statistical reconstruction of low-dose CT: the likelihood of the photon counts, with total variation."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from medrecon.calibration.sinogram_noise import grid_error, photon_noise, smoothed
from medrecon.operators import LinearOperator
from medrecon.reconstructors.nonnegative_tv import require_settings, total_variation
from medrecon.reconstructors.scaling import projection_unit, require_line_integrals
from medrecon.solvers import State, run

__all__ = ["PoissonTotalVariation"]

_PASSES = 8  # between two looks at the likelihood
_LARGEST = 30.0  # a line integral beyond which single precision counts no photons


@dataclass(frozen=True)
class PoissonTotalVariation:
    """`argmin sum(exp(-A x) + c A x) + weight * unit * TV(x)` over `x >= 0`; `c = exp(-y)` are the photons counted, of those sent.

    The sum is the negative logarithm of the likelihood of Poisson counts, over the photons sent along a ray. It is minimized by
    Fisher scoring: its quadratic model about `l = A x`,

        <w (A x - v), A x - v> / 2,    w = exp(-l),    v = l + 1 - c exp(l),

    first with `l` the data smoothed along the detector and `v = y`, is solved for eight iterations at a time as in
    `NonnegativeTotalVariation`. To the variance of the photons, `1 / w` over those sent, the `grid_error` is added, which would
    else rule where they are many. `unit` is one over the photons sent, as the noise in `y` tells them, times `projection_unit`: one
    `weight` means the same at every dose and number of views. `photons`, those sent along each ray, only tells which rays met none,
    where data have a floor instead of infinity; without it the floor is believed.

    Sauer & Bouman, IEEE Trans Signal Process 41:534 (1993); Elbakri & Fessler, IEEE Trans Med Imaging 21:89 (2002).

    Raises
    ------
    ValueError
        if the weight or tolerance is negative, there is less than one iteration or subset, or no photon;
        when called, for complex spaces, or data not of the range of `A`.
    """

    weight: float = 1.25
    iterations: int = 24
    tolerance: float = 0.0
    subsets: int = 8
    photons: float | None = None

    def __post_init__(self) -> None:
        require_settings(type(self).__name__, self.weight, self.iterations, self.tolerance, self.subsets)
        if self.photons is not None and not 0 < self.photons < math.inf:
            raise ValueError(f"PoissonTotalVariation takes photons per ray above 0, or None, got {self.photons}")

    def __call__(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        require_line_integrals(y, A, type(self).__name__)
        b = A.H(y)
        noise = photon_noise(y, A)
        weight = self.weight * noise * projection_unit(A, b)
        error = torch.as_tensor(A.range.expand(grid_error(y, A) / noise))
        states = self._states(y, A, torch.zeros_like(b), weight, error)
        return run(states, max_iterations=self.iterations, tolerance=self.tolerance).x

    def _states(self, y: Tensor, A: LinearOperator, x: Tensor, weight: Tensor, error: Tensor) -> Iterator[State]:
        counts = self._counts(y)
        target, expected = y, smoothed(torch.exp(-y), A)
        done = 0
        while done < self.iterations:
            subsets = self.subsets if done < self.iterations // 2 else 1
            passes = min(_PASSES, self.iterations - done)
            weights = expected / (1 + error * expected)
            for state in total_variation(target, A, x, weight, subsets=subsets, iterations=passes, weights=weights):
                x = state.x
                yield state
            done += passes
            line = A(x).clamp_max(_LARGEST)
            expected = torch.exp(-line)
            target = line + 1 - counts / expected

    def _counts(self, y: Tensor) -> Tensor:
        """Photons counted, of those sent; none where fewer than half a one would have been."""
        counts = torch.exp(-y)
        return counts if self.photons is None else torch.where(counts * self.photons < 0.5, 0.0, counts)
