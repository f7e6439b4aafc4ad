"""Objects wider than the detector, or than the image: the problem of which a method finds the right values within the field."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from medrecon.coverage import angular_cells, bend_noise, truncation
from medrecon.data.ct.sinograms import SinogramSample
from medrecon.data.ct.words import few_words, truncation_words
from medrecon.geometry import Geometry, Grid, clear_radius, require_outside
from medrecon.operators import Radon
from medrecon.problem import Problem, ct_problem, radon
from medrecon.reconstructor import Reconstructor
from medrecon.reconstructors import FilteredBackprojection, extrapolate
from medrecon.weights.learned import LearnedReconstructor
from medrecon.words import counted

__all__ = ["is_cut", "measured_bins", "problem_of", "search_grid", "warm_up_extrapolation"]

_SEEN = 0.05  # of the largest integrals: where an object is
_CLEARLY = 1.5  # standard deviations of noise
_SOME = 8  # views
_SPARSE = 8  # times too few views: streaks as large as the object's contrast


def is_cut(sample: SinogramSample) -> bool:
    """Whether the object reaches beyond the detector."""
    return truncation(sample.sinogram, sample.geometry).truncated


def warm_up_extrapolation(sample: SinogramSample) -> None:
    """Continue some views of a sample that is cut off, so that what is timed after it has its loops compiled."""
    some = slice(None, None, max(1, len(sample.sinogram) // _SOME))
    with suppress(ValueError, ArithmeticError):
        extrapolate(sample.sinogram[some], sample.geometry[some])


def search_grid(sample: SinogramSample, reconstruct: Reconstructor) -> Grid:
    """The grid that a method takes for an object that the detector sees whole.

    It is that of the image but for methods that search for the image whose projections they are: where the object is wider, such
    get one that holds it, of which the image is the middle.
    """
    is_search = not isinstance(reconstruct, LearnedReconstructor | FilteredBackprojection)
    if is_search and _is_beside(sample):
        return _holding(sample.grid, sample.geometry, _radius(sample))
    return sample.grid


def problem_of(
    samples: Sequence[SinogramSample], reconstruct: Reconstructor, device: torch.device, *, cut: bool
) -> Problem:
    """The problem that a method takes of samples of one geometry; `cut` says of a single one whether the detector cuts it off.

    A network takes the projections as they are. Else those that are cut off are continued (`extrapolate`), on a grid that holds the
    object, of which the image that was asked for is the middle. Others take the largest `search_grid`. Notes are the same for all
    slices of a file.
    """
    grid = samples[0].grid
    if isinstance(reconstruct, LearnedReconstructor):
        as_they_are = (f"{truncation_words(samples[0].geometry)}; {_OF_NETWORKS}",) if cut else ()
        return replace(ct_problem(samples, device=device), notes=(*as_they_are, *few_words(samples[0].geometry)))
    is_analytic = isinstance(reconstruct, FilteredBackprojection)
    notes = (_few_views(samples) if is_analytic else ()) or few_words(samples[0].geometry)
    if cut:
        notes = (f"{truncation_words(samples[0].geometry)}; {_CONTINUED}", *notes)
        samples = [_continued(one) for one in samples]
        larger = _holding(grid, samples[0].geometry, max(_radius(one) for one in samples))
    else:
        larger = max((search_grid(one, reconstruct) for one in samples), key=lambda one: one.shape)
        notes = notes if larger == grid else (_WIDER, *notes)
    if larger != grid:
        samples = [replace(one, grid=larger, target=None) for one in samples]
    problem = ct_problem(samples, device=device)
    return replace(problem, shape=grid.shape, notes=notes)


def _few_views(samples: Sequence[SinogramSample]) -> tuple[str, ...]:
    """Say so where views are by far too few for filtered backprojection: Kak & Slaney, ch. 5.1.1 (1988)."""
    first, step = samples[0], angular_cells(samples[0].geometry).step
    pixel = min(first.grid.spacing)
    across = 2 * max(_radius(one) for one in samples) / pixel
    if not math.pi / step < round(math.pi / 2 * across) / _SPARSE:
        return ()
    side = max(first.grid.extent) / pixel
    return (
        f"{counted(len(first.geometry.angles), 'view')}: filtered backprojection draws streaks of so few; an object as wide as the "
        f"image, {side:.0f} pixels, takes about {math.pi / 2 * side:.0f} over half a turn, and tv does with fewer",
    )


_OF_NETWORKS = (
    "networks take them as they are: values are too high towards the border of that field, and wrong beyond it; other methods "
    "continue the projections"
)
_CONTINUED = (
    "they were continued to where the object seems to end: values within that field are mostly right to 1 or 2 %, those beyond it "
    "are little more than an outline"
)
_WIDER = "the object is wider than the image, which was computed as the middle of a larger one that holds the object"


def measured_bins(sample: SinogramSample, A: Radon) -> slice:
    """The bins of the range of `A` that were measured."""
    shift = float(sample.geometry.positions()[0] - A.geometry.positions()[0]) / sample.geometry.spacing
    return slice(round(shift), round(shift) + sample.geometry.n_bins)


def _continued(sample: SinogramSample) -> SinogramSample:
    """The sample as if the detector had seen the whole object."""
    sinogram, geometry = extrapolate(sample.sinogram, sample.geometry)
    return replace(sample, sinogram=sinogram, geometry=geometry)


def _is_beside(sample: SinogramSample) -> bool:
    """Whether rays that miss the image met the object, as blocks of some views and bins tell, so that noise does not count."""
    y, missed = sample.sinogram, _missed(sample.grid, sample.geometry)
    block = max(1, len(y) // 20), min(4, y.shape[1])
    means, shares = (avg_pool2d(values[None], block)[0] for values in (y * missed, missed.to(y.dtype)))
    if not bool((shares == 1).any()):
        return False
    noise = bend_noise(y.diff(n=2, dim=-1)[missed[:, 1:-1]].double().numpy())
    return float(means[shares == 1].max()) > max(_SEEN * float(y[:: block[0]].quantile(0.99)), _CLEARLY * noise)


@lru_cache(maxsize=4)
def _missed(grid: Grid, geometry: Geometry) -> Tensor:
    """Rays `(angle, detector)` that miss the image."""
    return radon(grid, geometry)(torch.ones(grid.shape)) == 0


def _radius(sample: SinogramSample) -> float:
    """Distance from the center of the outermost rays that met the object, millimeters."""
    y, views = sample.sinogram, max(1, len(sample.sinogram) // 20)
    groups = torch.stack([part.mean(0) for part in torch.split(y, views)]).amax(0)
    distances = abs(sample.geometry.rays().bins[:, 2])
    met = (groups > _SEEN * groups.max()).numpy()
    return float(distances[met].max(initial=0.0)) + sample.geometry.spacing


def _holding(grid: Grid, geometry: Geometry, radius: float) -> Grid:
    """A grid about the middle of another that holds a circle about the axis, as far as the source leaves room."""
    larger = grid.covering(min(radius, clear_radius(geometry)))
    try:
        require_outside(geometry, larger)
    except ValueError:
        return grid
    return larger
