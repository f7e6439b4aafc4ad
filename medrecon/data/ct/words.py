"""Geometries, grids and truncated projections in words."""

import math

from medrecon.coverage import coverage
from medrecon.geometry import Geometry, Grid, ParallelBeam
from medrecon.words import counted

__all__ = ["few_words", "geometry_words", "grid_words", "truncation_words"]

_FEW_VIEWS = 10  # with which hardly anything is known of an image


def geometry_words(geometry: Geometry) -> str:
    """Say a geometry in a line."""
    n_angles, n_bins = geometry.shape
    shift = f", offset by {geometry.offset:g} mm" if geometry.offset else ""
    first, last = (math.degrees(list(geometry.angles)[k]) for k in (0, -1))
    views = f"{counted(n_angles, 'view')} from {first:.4g} to {last:.4g} degrees"
    bins = f"{counted(n_bins, 'bin')} of {geometry.spacing:.4g} mm{shift}"
    if isinstance(geometry, ParallelBeam):
        return f"parallel beam: {views}, {bins}"
    distances = f"source {geometry.source_distance:g} mm and detector {geometry.detector_distance:g} mm from the center"
    return f"fan beam on a {'curved' if geometry.curved else 'flat'} detector: {views}, {bins}, {distances}"


def grid_words(grid: Grid) -> str:
    """Say a grid in a few words."""
    (ny, nx), (dy, dx) = grid.shape, grid.spacing
    pixel = f"{dy:.4g} mm" if math.isclose(dy, dx) else f"{dy:.4g} x {dx:.4g} mm"
    place = f" about (y, x) = ({grid.center[0]:g}, {grid.center[1]:g}) mm" if any(grid.center) else ""
    return f"{ny} x {nx} pixels of {pixel}{place}"


def truncation_words(geometry: Geometry, edge: float | None = None) -> str:
    """Say that the object reaches beyond the detector, and how high its `edge` is in the sinogram, of the largest values."""
    seen = (
        ""
        if edge is None
        else f"at the detector's edge they reach {100 * edge:.0f} % of the largest line integrals, and "
    )
    return (
        f"the projections are truncated: {seen}the object is wider than the field of {coverage(geometry).radius:.0f} mm around the "
        "center that is seen whole"
    )


def few_words(geometry: Geometry) -> tuple[str, ...]:
    """Say so where there are hardly any views, whatever the method."""
    n = len(geometry.angles)
    if n >= _FEW_VIEWS:
        return ()
    return (
        f"{counted(n, 'view')}: many images have such projections, whatever the method; it takes dozens of views for one",
    )
