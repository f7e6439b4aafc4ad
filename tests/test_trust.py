"""What measurements that were held back say of a reconstruction: in JSON, in the file, and as the first note."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import pytest

from medrecon.reconstructors import TotalVariation
from medrecon.results import Trust
from tests.program import medrecon

MASK = ("--mask", "equispaced-fraction", "--acceleration", "3", "--center-fraction", "0.2")


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trust") / "scan.h5"
    assert medrecon("simulate", path, "--size", "48x64", "--coils", "4", "--slices", "2").status == 0
    return path


@pytest.fixture(scope="module")
def sinogram(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trust") / "sinogram.h5"
    options = ("--modality", "ct", "--size", "32", "--views", "30", "--photons", "5000")
    assert medrecon("simulate", path, *options).status == 0
    return path


def told(source: Path, folder: Path, *options: object) -> tuple[dict[str, Any], dict[str, Any]]:
    done = medrecon("reconstruct", source, "-o", folder / "o.h5", "--json", folder / "o.json", *options)
    assert done.status == 0, done.err
    with h5py.File(folder / "o.h5") as file:
        return json.loads((folder / "o.json").read_text()), dict(file.attrs)


@pytest.mark.parametrize("asked", [("--weight", "auto"), ("--set", "weight=auto")], ids=["option", "set"])
def test_an_automatic_weight_is_stated_with_what_was_tried(scan: Path, tmp_path: Path, asked: tuple[str, str]) -> None:
    said, attributes = told(scan, tmp_path, "--method", "tv", "--iterations", 8, *MASK, *asked)
    tried = dict(said["trust"]["weights"])
    assert TotalVariation().weight in tried
    assert len(tried) >= 3
    assert said["trust"]["held_out"] == min(tried.values())
    assert attributes["weight"] == said["parameters"]["weight"]
    assert min(tried) <= said["parameters"]["weight"] <= max(tried)


def test_of_line_integrals_too(sinogram: Path, tmp_path: Path) -> None:
    said, _ = told(sinogram, tmp_path, "--method", "tv", "--weight", "auto")
    assert said["parameters"]["weight"] > 0
    assert 0 < said["trust"]["held_out"] < 0.1


def test_a_weight_is_a_number_or_auto(scan: Path, tmp_path: Path) -> None:
    done = medrecon("reconstruct", scan, "-o", tmp_path / "o.h5", "--method", "tv", "--weight", "much")
    assert done.status == 2
    assert "--weight should be a valid number, unable to parse string as a number, got much" in done.complaint


def test_a_network_is_held_against_a_classical_method(scan: Path, tmp_path: Path) -> None:
    said, _ = told(scan, tmp_path, "--method", "varnet", "--check", *MASK)
    trust = said["trust"]
    assert set(trust["others"]) == {"wavelet"}
    worse = trust["held_out"] > 1.2 * trust["others"]["wavelet"]
    assert trust["instead"] == ("wavelet" if worse else None)
    assert said["notes"][0].startswith("do not trust this image") == worse


def test_other_methods_are_checked_when_that_is_asked(scan: Path, tmp_path: Path) -> None:
    said, _ = told(scan, tmp_path, "--method", "tv", "--iterations", 4, *MASK)
    assert "trust" not in said
    said, _ = told(scan, tmp_path, "--method", "tv", "--iterations", 4, "--check", "--overwrite", *MASK)
    assert 0 < said["trust"]["held_out"] < 1
    said, _ = told(scan, tmp_path, "--method", "tv", "--weight", "1e-6", "--check", "--overwrite", *MASK)
    assert said["trust"]["held_out"] > 0


def test_the_method_that_predicts_best_is_taken_and_all_are_stated(sinogram: Path, tmp_path: Path) -> None:
    said, attributes = told(sinogram, tmp_path, "--method", "auto")
    errors = {said["method"]: said["trust"]["held_out"], **said["trust"]["others"]}
    assert set(errors) == {"fbp", "tv-poisson", "primal-dual"}
    assert said["method"] == attributes["method"] == min(errors, key=errors.__getitem__)
    assert not said["notes"] or not said["notes"][0].startswith("do not trust")


def test_an_automatic_method_has_no_options(scan: Path, tmp_path: Path) -> None:
    done = medrecon("reconstruct", scan, "-o", tmp_path / "o.h5", "--method", "auto", "--weight", "1")
    assert done.status == 2
    assert "--weight is an option of one method, and --method auto tries several; leave it out" in done.complaint


def test_coil_images_predict_nothing(scan: Path, tmp_path: Path) -> None:
    said, _ = told(scan, tmp_path, "--method", "rss", "--check", *MASK)
    assert said["trust"]["held_out"] is None


@pytest.mark.parametrize(
    ("trust", "text"),
    [
        (Trust(0.5), None),
        (Trust(None), None),
        (Trust(3.2), "do not trust this image: tv predicts measurements that it was not shown with an error of 3.2, where a "
         "black image has 1; take another method or weight"),
        (Trust(0.5, {"wavelet": 0.3}, instead="wavelet"), "do not trust this image: tv predicts measurements that it was not "
         "shown with an error of 0.5, and wavelet with 0.3; take --method wavelet"),
    ],
)  # fmt: skip
def test_the_warning(trust: Trust, text: str | None) -> None:
    assert trust.notes("tv") == (() if text is None else (text,))
