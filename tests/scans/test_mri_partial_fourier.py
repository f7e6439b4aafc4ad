"""Partial Fourier from the file to the image."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from medrecon.data.mri.fastmri import FastMRIFile
from medrecon.data.mri.fastmri_header import make_header
from medrecon.data.mri.writing import write_fastmri
from medrecon.problem import full_reconstruction
from tests.program import images, medrecon, simulate


@pytest.fixture(scope="module")
def one_sided(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Tensor]:
    """A file that lacks the last 14 of 40 lines, and the image of all."""
    folder = tmp_path_factory.mktemp("partial")
    sample = FastMRIFile(simulate(folder / "full.h5", size=(48, 40), snr=200))[0]
    sampled = torch.arange(40) < 26
    path = folder / "partial.h5"
    write_fastmri(path, [sample.kspace * sampled], header=make_header((96, 40), (48, 40)), mask=sampled)
    return path, full_reconstruction(sample)


@pytest.mark.parametrize("method", ["rss", "sense"])
def test_the_other_side_makes_a_better_image_and_is_told(
    one_sided: tuple[Path, Tensor], tmp_path: Path, method: str
) -> None:
    path, truth = one_sided
    errors = {}
    for how in ("zero", "homodyne", "pocs"):
        call = ("reconstruct", path, "-o", tmp_path / f"{how}.h5", "--json", tmp_path / f"{how}.json")
        done = medrecon(*call, "--method", method, "--partial-fourier", how)
        assert done.status == 0, done.err
        errors[how] = float((images(tmp_path / f"{how}.h5")[0] - truth).norm() / truth.norm())
        notes = json.loads((tmp_path / f"{how}.json").read_text())["notes"]
        told = f"lines 26 to 39 of 40 were not acquired: {how} makes them of the other side of k-space"
        assert (told in notes) == (how != "zero")
    assert errors["homodyne"] < 0.8 * errors["zero"]
    assert errors["pocs"] < 0.8 * errors["zero"]


def test_what_cannot_be_is_refused(one_sided: tuple[Path, Tensor], tmp_path: Path) -> None:
    path, _ = one_sided
    call = ("reconstruct", path, "-o", tmp_path / "o.h5", "--partial-fourier", "pocs")
    assert "takes scans as they were acquired; leave --mask out" in medrecon(*call, "--mask", "random").complaint
    full = simulate(tmp_path / "full.h5")
    done = medrecon("reconstruct", full, "-o", tmp_path / "o.h5", "--partial-fourier", "homodyne")
    assert done.status == 2
    assert "slice 0: --partial-fourier homodyne: partial Fourier takes more lines of one side" in done.complaint
