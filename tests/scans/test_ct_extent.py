"""Objects wider than the detector or the image, by the program: values within the field are right, and it is said what was done."""

from pathlib import Path

import numpy as np
import pytest
import torch

from medrecon.data.ct.geometry_files import CTScan, geometry_text
from medrecon.data.ct.projections import phantom_sinogram
from medrecon.data.phantoms.ellipses import Ellipse, Phantom
from medrecon.geometry import Arc, FanBeam, Geometry, Grid, ParallelBeam
from tests.program import images, medrecon

DISK = Phantom((Ellipse(0.02, (0.0, 0.0), (40.0, 40.0)), Ellipse(0.02, (-10.0, 18.0), (8.0, 8.0))))
SHORT: dict[str, Geometry] = {
    "parallel": ParallelBeam(Arc.half_turn(180), 80, 0.7),
    "fan": FanBeam(Arc.full_turn(240), 82, 1.2, 200.0, 150.0),
}
WIDE = ParallelBeam(Arc.half_turn(180), 160, 0.7)
GRID = Grid((96, 96), 0.8)


def reconstructed(folder: Path, geometry: Geometry, grid: Grid, *options: str) -> tuple[torch.Tensor, str]:
    """The image and what was said."""
    np.save(folder / "s.npy", phantom_sinogram(DISK, geometry).float().numpy())
    (folder / "s.yaml").write_text(geometry_text(CTScan(geometry, grid)))
    done = medrecon("reconstruct", folder / "s.npy", "-o", folder / "x.h5", "--overwrite", *options)
    assert done.status == 0
    return images(folder / "x.h5")[0], done.out


def body(image: torch.Tensor, grid: Grid = GRID) -> float:
    """The mean within 24 mm, but for the insert."""
    y, x = (torch.from_numpy(axis) for axis in grid.coordinates())
    r, insert = torch.hypot(y[:, None], x), torch.hypot(y[:, None] + 10, x - 18)
    return float(image[(r < 24) & (insert > 11)].mean())


@pytest.mark.parametrize("kind", SHORT)
@pytest.mark.parametrize("method", ["fbp", "tv", "tv-poisson", "sirt", "tikhonov"])
def test_a_short_detector(tmp_path: Path, kind: str, method: str) -> None:
    image, said = reconstructed(tmp_path, SHORT[kind], GRID, "--method", method)
    assert tuple(image.shape) == GRID.shape
    assert body(image) == pytest.approx(0.02, rel=0.0125)
    assert "the projections are truncated: at the detector's edge they reach 7" in said
    assert "the truncated projections were continued to 4" in said
    assert "mostly right to 1 or 2 %" in said


def test_a_whole_object_on_a_small_image(tmp_path: Path) -> None:
    small = Grid((48, 48), 0.8)
    image, said = reconstructed(tmp_path, WIDE, small, "--method", "tv")
    assert tuple(image.shape) == small.shape
    y, x = (torch.from_numpy(axis) for axis in small.coordinates())
    inside = (torch.hypot(y[:, None], x) < 12) & (torch.hypot(y[:, None] + 10, x - 18) > 11)
    assert float(image[inside].mean()) == pytest.approx(0.02, rel=0.005)
    assert "the object is wider than the image; the image was computed as the middle of one of 102 x 102 pixels" in said
    _, said = reconstructed(tmp_path, WIDE, small)
    assert "note: " not in said


def test_an_image_off_the_axis(tmp_path: Path) -> None:
    for method in ("fbp", "tv"):
        image, _ = reconstructed(tmp_path, WIDE, Grid((64, 64), 0.5, center=(-10.0, 18.0)), "--method", method)
        assert float(image[24:40, 24:40].mean()) == pytest.approx(0.04, rel=0.01)


def test_nothing_is_said_of_a_whole_object(tmp_path: Path) -> None:
    for method in ("fbp", "tv", "sirt"):
        _, said = reconstructed(tmp_path, WIDE, Grid((112, 112), 0.8), "--method", method)
        assert "note: " not in said


def test_the_report_of_a_short_detector(tmp_path: Path) -> None:
    _, said = reconstructed(tmp_path, SHORT["parallel"], GRID, "--report", str(tmp_path / "r.html"))
    assert "continued" in said
    assert "continued" in (tmp_path / "r.html").read_text()


def test_far_too_few_views_for_filtered_backprojection(tmp_path: Path) -> None:
    grid = Grid((112, 112), 0.8)
    for views, few in ((1, True), (7, True), (60, False)):
        _, said = reconstructed(tmp_path, WIDE, grid, "--views", str(views))
        assert ("draws streaks of so few; an object of " in said) == few
    _, said = reconstructed(tmp_path, WIDE, grid, "--views", "7", "--method", "tv")
    assert "streaks" not in said
