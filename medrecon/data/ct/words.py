"""Geometries, grids and truncated projections in words."""

import math

from medrecon.geometry import Geometry, Grid, ParallelBeam
from medrecon.words import counted

__all__ = ["geometry_words", "grid_words", "truncation_words"]


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


def truncation_words(edge: float, geometry: Geometry) -> str:
    """Say that the object reaches beyond the detector, its edge being so high in the sinogram."""
    size = f" of {geometry.field_radius:.0f} mm"
    return (
        f"the projections are truncated: at the detector's edge they reach {100 * edge:.0f} % of the largest line integrals, so "
        f"that the object is wider than the field{size} around the center that is seen whole; values are too high towards the "
        "border of that field, and wrong beyond it, unless the projections are continued, as all methods but networks have it"
    )
