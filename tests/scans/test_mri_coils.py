"""Scans of many coils from the file to the image: compressed and said, and not for networks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.program import medrecon, simulate

MASK = ("--mask", "equispaced-fraction", "--acceleration", "3", "--center-fraction", "0.25")


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate(tmp_path_factory.mktemp("coils") / "many.h5", size=(48, 40), slices=2, coils=30)


def told(scan: Path, folder: Path, *options: object) -> dict[str, Any]:
    done = medrecon("reconstruct", scan, "-o", folder / "o.h5", "--json", folder / "o.json", *MASK, *options)
    assert done.status == 0, done.err
    said: dict[str, Any] = json.loads((folder / "o.json").read_text())
    return said


def test_many_coils_are_compressed_and_that_is_said_once(scan: Path, tmp_path: Path) -> None:
    said = told(scan, tmp_path, "--method", "sense")
    assert said["coils"] == 30
    assert 8 < said["virtual_coils"] < 30
    assert said["signal_lost"] < 5e-4
    assert sum("30 coils are compressed" in note for note in said["notes"]) == 1


def test_so_many_as_are_asked_for(scan: Path, tmp_path: Path) -> None:
    said = told(scan, tmp_path, "--method", "wavelet", "--coils", "2")
    assert said["virtual_coils"] == 2
    assert "30 coils are compressed into 2, as --coils asks, which loses more than 1% of the signal" in said["notes"]
    assert told(scan, tmp_path, "--method", "rss", "--coils", "4", "--overwrite")["virtual_coils"] == 4


@pytest.mark.parametrize(
    "options",
    [("--method", "sense", "--coils", "all"), ("--method", "rss"), ("--method", "varnet")],
)
def test_all_coils_where_they_are_asked_for_and_for_networks(scan: Path, tmp_path: Path, options: tuple[str]) -> None:
    said = told(scan, tmp_path, *options)
    assert "virtual_coils" not in said
    assert not any("compressed" in note for note in said["notes"])


def test_a_network_gets_virtual_coils_only_where_told_to(scan: Path, tmp_path: Path) -> None:
    said = told(scan, tmp_path, "--method", "varnet", "--coils", "12")
    assert any("trained with coils that were not compressed" in note for note in said["notes"])


@pytest.mark.parametrize(
    ("coils", "complaint"),
    [
        ("40", "has 30 coils, and --coils asks for 40; take fewer, or all"),
        ("0", "--coils should be greater than or equal to 1, got 0"),
        ("many", "--coils should be a valid integer"),
    ],
)
def test_counts_that_cannot_be_are_refused(scan: Path, tmp_path: Path, coils: str, complaint: str) -> None:
    done = medrecon("reconstruct", scan, "-o", tmp_path / "o.h5", "--coils", coils)
    assert done.status == 2
    assert complaint in done.complaint


def test_they_are_an_option_of_mri(tmp_path: Path) -> None:
    sinogram = tmp_path / "ct.h5"
    assert medrecon("simulate", sinogram, "--modality", "ct", "--size", 16, "--views", 12).status == 0
    done = medrecon("reconstruct", sinogram, "-o", tmp_path / "o.h5", "--coils", 4)
    assert done.status == 2
    assert "--coils is an option of MRI" in done.complaint


def test_grappa_runs_from_the_file_to_the_image_and_names_the_mask_that_it_lacks(scan: Path, tmp_path: Path) -> None:
    regular = ("--mask", "equispaced", "--acceleration", "2", "--center-fraction", "0.3")
    call = ("reconstruct", scan, "-o", tmp_path / "o.h5", "--json", tmp_path / "o.json", "--method", "grappa")
    assert medrecon(*call, *regular).status == 0
    said = json.loads((tmp_path / "o.json").read_text())
    assert said["virtual_coils"] < 30
    assert said["parameters"] == {"weight": 0.01}
    assert said["metrics"]["psnr"] > 25
    done = medrecon(*call, "--overwrite", "--mask", "random", "--acceleration", "3", "--seed", "1")
    assert done.status == 2
    assert "slice 0: Grappa takes every second to eighth line, got irregular ones; take sense" in done.complaint
