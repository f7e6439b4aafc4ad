"""Objects wider than the detector, or than the image: the problem of which a method finds the right values within the field."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch.nn.functional import avg_pool2d

from medrecon.coverage import angular_cells, coverage, truncation
from medrecon.data.ct.sinograms import SinogramSample
from medrecon.geometry import FanBeam, Geometry, Grid, require_outside
from medrecon.operators import Radon
from medrecon.problem import Problem, ct_problem
from medrecon.reconstructor import Reconstructor
from medrecon.reconstructors import FilteredBackprojection, extrapolate
from medrecon.weights.learned import LearnedReconstructor
from medrecon.words import counted

__all__ = ["is_cut", "measured_bins", "problem_of"]

_SEEN = 0.05  # of the largest integrals: where an object is
_CLEARLY = 1.5  # standard deviations of noise
_BEND = 0.6745 * math.sqrt(6)  # the median of second differences of white noise
_SPARSE = 8  # times too few views: streaks as large as the object's contrast
_AWAY = 0.7  # of the distance of the source: how far the corners of an image may reach


def is_cut(sample: SinogramSample) -> bool:
    """Whether the object reaches beyond the detector."""
    return truncation(sample.sinogram, sample.geometry).truncated


def problem_of(
    samples: Sequence[SinogramSample], reconstruct: Reconstructor, device: torch.device, *, cut: bool
) -> Problem:
    """The problem that a method takes of samples of one geometry; `cut` says of a single one whether the detector cuts it off.

    A network takes the projections as they are. Else those that are cut off are continued (`extrapolate`), on a grid that holds the
    object, of which the image that was asked for is the middle. Methods that search for the image whose projections they are get
    such a grid, too, where an object that is seen whole is wider than the image.
    """
    first, grid = samples[0], samples[0].grid
    if isinstance(reconstruct, LearnedReconstructor):
        return replace(ct_problem(samples, device=device), notes=(_OF_NETWORKS,) if cut else ())
    is_analytic = isinstance(reconstruct, FilteredBackprojection)
    few = _few_views(first) if is_analytic else ()
    if not cut and (is_analytic or not _is_beside(first)):
        return replace(ct_problem(samples, device=device), notes=few)
    whole = [_continued(one) if cut else one for one in samples]
    larger = _holding(grid, whole[0].geometry, max(_radius(one) for one in whole))
    problem = ct_problem([replace(one, grid=larger, target=None) for one in whole], device=device)
    ny, nx = larger.shape
    words = f"; the image was computed as the middle of one of {ny} x {nx} pixels, which holds the object"
    note = _continued_words(whole[0]) if cut else "the object is wider than the image"
    return replace(problem, shape=grid.shape, notes=(note + (words if larger != grid else ""), *few))


def _few_views(sample: SinogramSample) -> tuple[str, ...]:
    """Say so where views are by far too few for filtered backprojection: Kak & Slaney, ch. 5.1.1 (1988)."""
    across = 2 * _radius(sample) / min(sample.grid.spacing)
    step, needed = angular_cells(sample.geometry).step, round(math.pi / 2 * across)
    if not math.pi / step < needed / _SPARSE:
        return ()
    return (
        f"{counted(len(sample.geometry.angles), 'view')}: filtered backprojection draws streaks of so few; an object of "
        f"{across:.0f} pixels across takes about {needed} over half a turn, and tv does with fewer",
    )


_OF_NETWORKS = (
    "networks take truncated projections as they are: values are too high towards the border of the field, and wrong beyond it; "
    "other methods continue the projections"
)


def measured_bins(sample: SinogramSample, A: Radon) -> slice:
    """The bins of the range of `A` that were measured."""
    shift = float(sample.geometry.positions()[0] - A.geometry.positions()[0]) / sample.geometry.spacing
    return slice(round(shift), round(shift) + sample.geometry.n_bins)


def _continued_words(sample: SinogramSample) -> str:
    return (
        f"the truncated projections were continued to {coverage(sample.geometry).radius:.0f} mm from the center, where the object "
        "seems to end: values within the field are mostly right to 1 or 2 %, those beyond it are little more than an outline"
    )


def _continued(sample: SinogramSample) -> SinogramSample:
    """The sample as if the detector had seen the whole object."""
    sinogram, geometry = extrapolate(sample.sinogram, sample.geometry)
    return replace(sample, sinogram=sinogram, geometry=geometry)


def _is_beside(sample: SinogramSample) -> bool:
    """Whether rays that miss the image met the object, as blocks of some views and bins tell, so that noise does not count."""
    y, missed = sample.sinogram, Radon(sample.grid, sample.geometry)(torch.ones(sample.grid.shape)) == 0
    block = max(1, len(y) // 20), min(4, y.shape[1])
    means, shares = (avg_pool2d(values[None], block)[0] for values in (y * missed, missed.to(y.dtype)))
    if not bool((shares == 1).any()):
        return False
    noise = (y.diff(n=2, dim=-1).abs()[missed[:, 1:-1]].median() / _BEND) if bool(missed[:, 1:-1].any()) else 0.0
    return float(means[shares == 1].max()) > max(_SEEN * float(y[:: block[0]].quantile(0.99)), _CLEARLY * float(noise))


def _radius(sample: SinogramSample) -> float:
    """Distance from the center of the outermost rays that met the object, millimeters."""
    y, views = sample.sinogram, max(1, len(sample.sinogram) // 20)
    groups = torch.stack([part.mean(0) for part in torch.split(y, views)]).amax(0)
    distances = abs(sample.geometry.rays().bins[:, 2])
    met = (groups > _SEEN * groups.max()).numpy()
    return float(distances[met].max(initial=0.0)) + sample.geometry.spacing


def _holding(grid: Grid, geometry: Geometry, radius: float) -> Grid:
    """A grid about the middle of another that holds a circle about the axis, as far as the source leaves room."""
    if isinstance(geometry, FanBeam):
        radius = min(radius, _AWAY * geometry.source_distance)
    larger = grid.covering(radius)
    try:
        require_outside(geometry, larger)
    except ValueError:
        return grid
    return larger
