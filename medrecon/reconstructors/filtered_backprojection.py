"""Analytic reconstruction of CT: filtered backprojection."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from medrecon.geometry import Geometry, Grid, ParallelBeam
from medrecon.operators import Backprojection, Diagonal, LinearOperator, Radon
from medrecon.reconstructors.ramp import Window, ramp_filter
from medrecon.reconstructors.redundancy import ray_weights

__all__ = ["FilteredBackprojection"]

_WIDEST = math.radians(80)  # of a fan that is extended to the corners of the image


@dataclass(frozen=True)
class FilteredBackprojection:
    """`x = B F W y`: the rays weighted, every view filtered by a windowed ramp, and backprojected.

    For parallel beams at any angles, and fans with flat or curved detectors: full turns, short scans (Parker's weights), offset
    detectors. Values are those of the object, in 1/mm, where every line is measured (see `medrecon.coverage`). It is linear, and
    gradients flow through it; `operator` gives it as an operator with an adjoint.
    Kak & Slaney, Principles of Computerized Tomographic Imaging, ch. 3 (1988).

    Parameters
    ----------
    window
        by what the ramp is multiplied.
    frequency_scaling
        the share of the detector's frequencies that pass, in (0, 1]: the window ends there.

    Raises
    ------
    ValueError
        for a scaling that is not in (0, 1]; when called, for an operator that is not a `Radon`, or data not of its range.
    """

    window: Window = Window.RAMP
    frequency_scaling: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "window", Window(self.window))
        if not 0 < self.frequency_scaling <= 1:
            raise ValueError(
                f"FilteredBackprojection takes a frequency_scaling above 0 and up to 1, got {self.frequency_scaling}"
            )

    def __call__(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        if not isinstance(A, Radon):
            raise ValueError(
                f"FilteredBackprojection inverts a Radon transform alone, got {A}: give it the line integrals and their Radon"
            )
        A.range.require(y, type(self).__name__)
        return _prepared(self, A.grid, A.geometry, y.device)(y)

    def operator(self, grid: Grid, geometry: Geometry) -> LinearOperator:
        """Filtered backprojection as a linear operator, from sinograms `(..., angle, detector)` to images `(..., y, x)`."""
        return _operator(self, grid, geometry, torch.device("cpu"))


def _prepared(method: FilteredBackprojection, grid: Grid, geometry: Geometry, device: torch.device) -> LinearOperator:
    return _operator(method, grid, geometry, device)


# What `torch.compiler.disable` does, without its import of two seconds: the operator is prepared outside a compiled graph.
_prepared._torchdynamo_disable = True  # type: ignore[attr-defined]


@lru_cache(maxsize=8)
def _operator(method: FilteredBackprojection, grid: Grid, geometry: Geometry, device: torch.device) -> LinearOperator:
    before, after = _bins_beyond(grid, geometry)
    seen = replace(
        geometry,
        n_bins=before + geometry.n_bins + after,
        offset=geometry.offset + (after - before) / 2 * geometry.spacing,
    )
    ramp = ramp_filter(geometry, method.window, method.frequency_scaling, before=before, after=after)
    weights = torch.from_numpy(ray_weights(geometry))
    with torch.inference_mode(False):  # what is kept may meet a gradient later
        if weights.numel() == 1:  # one number for all rays goes into the filter
            A = Backprojection(grid, seen) @ replace(ramp, response=weights.reshape(()) * ramp.response)
        else:
            A = Backprojection(grid, seen) @ ramp @ Diagonal(weights, ramp.domain)
        return A.to(device)


def _bins_beyond(grid: Grid, geometry: Geometry) -> tuple[int, int]:
    """Bins to add at either end so that every pixel meets the filtered views: a ramp does not end where the detector does."""
    y, x = grid.coordinates()
    radius = math.hypot(abs(y[[0, -1]]).max(), abs(x[[0, -1]]).max())
    places = geometry.positions()
    reach = radius
    if not isinstance(geometry, ParallelBeam):
        angle = min(math.asin(min(radius / geometry.source_distance, 1.0)), _WIDEST)
        reach = geometry.source_to_detector * (angle if geometry.curved else math.tan(angle))
    reach = min(reach, 2 * float(abs(places[[0, -1]]).max()))
    missing = (reach + places[0]) / geometry.spacing, (reach - places[-1]) / geometry.spacing
    before, after = (max(0, math.ceil(bins - 1e-6)) for bins in missing)
    return before, after
