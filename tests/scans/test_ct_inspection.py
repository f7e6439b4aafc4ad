"""What is said of a file of sinograms, of faults that were put there."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from medrecon.data.ct.geometry_files import CTScan, geometry_text
from medrecon.data.ct.sinogram_files import SinogramFile, write_sinograms
from medrecon.data.ct.words import geometry_words, grid_words
from medrecon.geometry import Arc, FanBeam, Grid
from medrecon.scans.ct_inspection import SinogramInspection, dead_bins, inspect_sinograms, sinogram_lines
from tests.sinogram_files import GEOMETRY, SCAN, sinograms, write_scan


def inspected(path: Path) -> SinogramInspection:
    found = inspect_sinograms(SinogramFile(path))
    json.dumps(asdict(found))
    return found


def saved(folder: Path, values: torch.Tensor, scan: CTScan = SCAN) -> Path:
    np.save(folder / "s.npy", values.numpy())
    (folder / "s.yaml").write_text(geometry_text(scan))
    return folder / "s.npy"


def test_a_sound_file(tmp_path: Path) -> None:
    found = inspected(write_scan(tmp_path / "s.h5", slices=2, photons=2e4))
    assert (found.sinograms, found.shape, found.complete, found.problems) == (2, (60, 64), True, ())
    assert (found.arc, found.needed_arc, found.photons, found.target) == (180, 180, 2e4, True)
    assert found.estimated_photons == pytest.approx(2e4, rel=0.5)
    text = "\n".join(sinogram_lines(found))
    for words in (
        "CT, 2 sinograms of 60 x 64 (angle, detector)",
        "parallel beam: 60 views from 0 to 177 degrees, 64 bins of 2 mm",
        "coverage: 60 views over half a turn",
        "whole within 64.0 mm of the center; image of 40 x 48 pixels of 2 mm",
        "dose: 20000 photons per ray, as the file says",
        "photons per ray\n",
        "target: there is one; images are given back in 1/mm",
        "nothing wrong was found",
    ):
        assert words in text


def test_a_clean_scan_has_no_noise(tmp_path: Path) -> None:
    found = inspected(saved(tmp_path, torch.zeros(60, 64)))
    assert (found.noise, found.estimated_photons) == (None, None)
    assert "noise: none to speak of" in sinogram_lines(found)


def test_truncation_is_noted_with_what_it_does(tmp_path: Path) -> None:
    scan = replace(SCAN, geometry=replace(GEOMETRY, n_bins=24))
    write_sinograms(tmp_path / "s.h5", sinograms(scan), scan)
    found = inspected(tmp_path / "s.h5")
    assert found.problems == ()
    (problem,) = found.notes
    assert problem.startswith("the projections are truncated: at the detector's edge they reach ")
    assert "field of 24 mm" in problem
    assert "values are too high" in problem


def test_missing_views_are_noted_once(tmp_path: Path) -> None:
    scan = replace(SCAN, geometry=GEOMETRY[:30])
    write_sinograms(tmp_path / "s.h5", sinograms(scan), scan)
    found = inspected(tmp_path / "s.h5")
    assert (found.complete, found.scan) == (False, "limited arc")
    assert "90.0 of the 180.0 degrees needed" in found.notes[0]
    assert "\n".join(sinogram_lines(found)).count("90.0 of the 180.0 degrees needed") == 1


def test_dead_bins_within_the_object_are_named_and_empty_ones_beside_it_are_not(tmp_path: Path) -> None:
    clean = sinograms()[0]
    assert float(clean[:, 0].abs().max()) == 0
    assert dead_bins(clean) == ()
    broken = clean.clone()
    broken[:, 30] = 0
    broken[:, 33] = 1.5
    broken[:, 62] = 0.25
    assert dead_bins(broken) == (30, 33, 62)
    found = inspected(saved(tmp_path, broken))
    assert any(problem.startswith("dead bins: 30, 33, 62; they draw rings") for problem in found.notes)
    broken[:, 40] = torch.nan
    assert dead_bins(broken) == (30, 33, 40, 62)
    found = inspected(saved(tmp_path, broken))
    faults = " ".join((*found.problems, *found.notes))
    assert "slice 0: the line integrals are not all finite (60 NaN" in faults
    assert "dead bins: 30, 33, 40, 62" in faults
    assert dead_bins(torch.full((3, 4), torch.nan)) == (0, 1, 2, 3)
    assert dead_bins(torch.tensor([[0.0, torch.nan, 1.0]])) == (1,)


def test_counts_are_no_line_integrals(tmp_path: Path) -> None:
    found = inspected(saved(tmp_path, 1000 * sinograms()[0]))
    assert "are these counts? they should be -log(I / I0)" in found.problems[-1]


def test_some_of_many_sinograms_are_looked_at(tmp_path: Path) -> None:
    found = inspected(saved(tmp_path, torch.zeros(50, 60, 64)))
    assert [report.index for report in found.reports] == [k * 50 // 16 for k in range(16)]
    assert "50 sinograms of 60 x 64 (angle, detector); 16 of them looked at" in sinogram_lines(found)[1]


def test_geometries_and_grids_in_words() -> None:
    fan = FanBeam(Arc.full_turn(4), 20, 0.4, 410.66, 143.08, curved=True, offset=-1.5)
    assert geometry_words(fan) == (
        "fan beam on a curved detector: 4 views from 0 to 270 degrees, 20 bins of 0.4 mm, offset by -1.5 mm, source 410.66 mm and "
        "detector 143.08 mm from the center"
    )
    assert grid_words(Grid((3, 4), (1.0, 2.0))) == "3 x 4 pixels of 1 x 2 mm"
