"""Objects wider than the detector or the image, by the program: values within the field are right, and it is said what was done."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from medrecon.config.ct import CTAcquisition
from medrecon.data.ct.geometry_files import CTScan, geometry_text
from medrecon.data.ct.projections import phantom_sinogram
from medrecon.data.ct.sinograms import SinogramSample
from medrecon.data.phantoms.ellipses import Ellipse, Phantom
from medrecon.geometry import Arc, FanBeam, Geometry, Grid, ParallelBeam
from medrecon.operators import Radon
from medrecon.progress import silent
from medrecon.reconstructors import FilteredBackprojection, TotalVariation
from medrecon.scans import open_scan
from medrecon.scans.ct_extent import problem_of, search_grid
from medrecon.weights.learned import LearnedReconstructor
from tests.program import images, medrecon
from tests.scans.test_ct_checks import sampled

DISK = Phantom((Ellipse(0.02, (0.0, 0.0), (40.0, 40.0)), Ellipse(0.02, (-10.0, 18.0), (8.0, 8.0))))
SHORT: dict[str, Geometry] = {
    "parallel": ParallelBeam(Arc.half_turn(180), 80, 0.7),
    "fan": FanBeam(Arc.full_turn(240), 82, 1.2, 200.0, 150.0),
}
WIDE = ParallelBeam(Arc.half_turn(180), 160, 0.7)
GRID = Grid((96, 96), 0.8)


def reconstructed(folder: Path, geometry: Geometry, grid: Grid, *options: str) -> tuple[torch.Tensor, str]:
    """The image and what was said."""
    stack, said = stack_of((DISK,), folder, geometry, grid, *options)
    return stack[0], said


def stack_of(
    phantoms: Sequence[Phantom], folder: Path, geometry: Geometry, grid: Grid, *options: str
) -> tuple[torch.Tensor, str]:
    """The images of a file of several slices, and what was said."""
    sinograms = torch.stack([phantom_sinogram(one, geometry).float() for one in phantoms])
    np.save(folder / "s.npy", sinograms.numpy())
    (folder / "s.yaml").write_text(geometry_text(CTScan(geometry, grid)))
    done = medrecon("reconstruct", folder / "s.npy", "-o", folder / "x.h5", "--overwrite", *options)
    assert done.status == 0
    return images(folder / "x.h5"), done.out


def notes_of(said: str) -> list[str]:
    return [line for line in said.splitlines() if line.startswith("note: ")]


def disk(radius: float) -> Phantom:
    return Phantom((Ellipse(0.02, (0.0, 0.0), (radius, radius)),))


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
    (note,) = notes_of(said)
    assert "the projections are truncated: the object is wider than the field of 28 mm" in note
    assert "they were continued to where the object seems to end" in note
    assert "mostly right to 1 or 2 %" in note


def test_a_whole_object_on_a_small_image(tmp_path: Path) -> None:
    small = Grid((48, 48), 0.8)
    image, said = reconstructed(tmp_path, WIDE, small, "--method", "tv")
    assert tuple(image.shape) == small.shape
    y, x = (torch.from_numpy(axis) for axis in small.coordinates())
    inside = (torch.hypot(y[:, None], x) < 12) & (torch.hypot(y[:, None] + 10, x - 18) > 11)
    assert float(image[inside].mean()) == pytest.approx(0.02, rel=0.005)
    assert (
        "the object is wider than the image, which was computed as the middle of a larger one that holds the object"
        in said
    )
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
        assert ("draws streaks of so few; an object as wide as the image, 112 pixels, takes about 176 " in said) == few
    _, said = reconstructed(tmp_path, WIDE, grid, "--views", "7", "--method", "tv")
    assert "streaks" not in said


COARSE = ParallelBeam(Arc.half_turn(60), 80, 1.4)
SMALL = Grid((32, 32), 1.2)


@pytest.mark.parametrize("radii", [(10.0, 40.0), (40.0, 10.0), (40.0, 34.0)])
def test_an_image_does_not_depend_on_the_slices_beside_it(tmp_path: Path, radii: tuple[float, ...]) -> None:
    stack, said = stack_of([disk(radius) for radius in radii], tmp_path, COARSE, SMALL, "--method", "tv")
    assert len(notes_of(said)) == 1
    for radius, image in zip(radii, stack, strict=True):
        alone, _ = stack_of([disk(radius)], tmp_path, COARSE, SMALL, "--method", "tv")
        assert torch.allclose(image, alone[0], atol=1e-6)
        assert float(image[14:18, 14:18].mean()) == pytest.approx(0.02, rel=0.01)


def samples_of(*radii: float) -> list[SinogramSample]:
    return [replace(sampled(phantom_sinogram(disk(radius), COARSE), COARSE), grid=SMALL) for radius in radii]


def test_slices_that_are_posed_together_get_the_grid_of_the_widest() -> None:
    for radii in ((10.0, 40.0), (40.0, 10.0)):
        problem = problem_of(samples_of(*radii), TotalVariation(), torch.device("cpu"), cut=False)
        assert problem.A.domain.shape[-1] * SMALL.spacing[0] >= 80
        assert problem.shape == SMALL.shape
        assert "wider than the image" in problem.notes[0]


def test_the_rays_that_miss_the_image_are_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    applied: list[torch.Size] = []
    forward = Radon.__call__

    def counted(self: Radon, x: torch.Tensor) -> torch.Tensor:
        applied.append(x.shape)
        return forward(self, x)

    monkeypatch.setattr(Radon, "__call__", counted)
    rare = replace(COARSE, spacing=1.39)
    for radius in (10.0, 40.0, 34.0):
        search_grid(replace(sampled(phantom_sinogram(disk(radius), rare), rare), grid=SMALL), TotalVariation())
    assert len(applied) == 1


def test_a_stack_says_once_what_was_done(tmp_path: Path) -> None:
    phantoms = [disk(radius) for radius in (34.0, 37.0, 40.0)]
    short = ParallelBeam(Arc.half_turn(60), 40, 1.4)
    assert len(notes_of(stack_of(phantoms, tmp_path, short, SMALL)[1])) == 1
    assert len(notes_of(stack_of(phantoms, tmp_path, COARSE, SMALL, "--method", "sirt")[1])) == 1
    assert len(notes_of(stack_of(phantoms, tmp_path, COARSE, SMALL, "--views", "5")[1])) == 1


def test_the_time_of_continuing_projections_counts(tmp_path: Path) -> None:
    stack_of([disk(40.0)], tmp_path, ParallelBeam(Arc.half_turn(60), 40, 1.4), SMALL)
    scan = open_scan(tmp_path / "s.npy", CTAcquisition()).checked(range(1), silent)
    (posed,) = scan.problems(FilteredBackprojection(), torch.device("cpu"))
    assert posed.seconds > 0


def test_a_network_is_told_of_in_one_note() -> None:
    unused: Any = None
    network = LearnedReconstructor(torch.nn.Linear(1, 1), unused, unused)
    short = ParallelBeam(Arc.half_turn(60), 40, 1.4)
    one = sampled(phantom_sinogram(disk(40.0), short), short)
    (note,) = problem_of([one], network, torch.device("cpu"), cut=True).notes
    assert "networks take them as they are: values are too high towards the border of that field" in note
    assert "continued" not in note
    assert problem_of([one], network, torch.device("cpu"), cut=False).notes == ()
