"""What measurements that were held back say of a reconstruction: in JSON, in the file, and as the first note."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import pytest
import torch

from medrecon.operators import Identity
from medrecon.problem import Problem
from medrecon.reconstructors import TotalVariation
from medrecon.results import Trust
from medrecon.scans import ct
from medrecon.spaces import image_space
from medrecon.workflows.trust import with_phase
from tests.program import medrecon
from tests.test_learned import NETWORKS, trained

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
    weight = said["parameters"]["weight"]
    if weight in tried:
        assert said["trust"]["held_out"] == pytest.approx(tried[weight])
    assert min(tried.values()) <= said["trust"]["held_out"] <= max(tried.values())
    assert said["trust"]["seconds"] > 0
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


def test_a_network_is_held_against_a_classical_method_unless_that_is_not_wanted(scan: Path, tmp_path: Path) -> None:
    said, _ = told(scan, tmp_path, "--method", "varnet", *MASK)
    trust = said["trust"]
    assert set(trust["others"]) == {"wavelet"}
    assert trust["instead"] in (None, "wavelet")
    assert trust["seconds"] > 0
    assert said["notes"][0].startswith("do not trust this image") == trust["is_worse"]
    said, _ = told(scan, tmp_path, "--method", "varnet", "--no-check", "--overwrite", *MASK)
    assert "trust" not in said


def test_a_network_that_falls_behind_is_warned_of_first(tmp_path: Path) -> None:
    """Learned primal-dual on pixels sixteen times as wide as it was trained on: a decibel below tv-poisson."""
    path = tmp_path / "sinogram.h5"
    options = ("--modality", "ct", "--size", "32", "--views", "240", "--photons", "5000")
    assert medrecon("simulate", path, *options).status == 0
    said, _ = told(path, tmp_path, "--method", "primal-dual")
    other, _ = told(path, tmp_path, "--method", "tv-poisson", "--overwrite")
    assert said["metrics"]["psnr"] < other["metrics"]["psnr"] - 0.5
    assert (said["trust"]["is_worse"], said["trust"]["instead"]) == (True, "tv-poisson")
    assert said["notes"][0].startswith("do not trust this image: primal-dual predicts")
    assert said["notes"][0].endswith("take --method tv-poisson")
    assert "trust" not in other


def test_a_check_that_fails_says_why_and_stops_nothing(
    sinogram: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("takes more\nviews")

    monkeypatch.setattr(ct, "hold_out", fail)
    said, _ = told(sinogram, tmp_path, "--method", "primal-dual")
    assert said["trust"]["held_out"] is None
    assert said["notes"][0] == "how far to trust the image is not known: takes more views"


def test_a_scan_of_which_nothing_can_be_held_back_says_so(sinogram: Path, tmp_path: Path) -> None:
    said, _ = told(sinogram, tmp_path, "--method", "primal-dual", "--views", 4)
    assert said["notes"][0] == (
        "how far to trust the image is not known: the scan has fewer than five lines or views that can be held back"
    )


def test_a_network_that_gives_a_magnitude_predicts_with_a_phase_from_elsewhere(scan: Path, tmp_path: Path) -> None:
    """The end-to-end network takes coil images, estimates its maps and combines what it gives."""
    weights = trained(tmp_path / "run", *NETWORKS["e2e"][:2], **NETWORKS["e2e"][2])
    said, _ = told(scan, tmp_path, "--weights", weights, *MASK)
    assert 0 < said["trust"]["held_out"] < 10
    assert said["trust"]["others"]["wavelet"] < 1


def test_the_magnitude_keeps_its_values_and_takes_the_phase_of_the_other_which_stands_around_it() -> None:
    space = image_space((6, 8))
    guide = torch.randn(6, 8, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    magnitude = torch.rand(4, 6, generator=torch.Generator().manual_seed(1)) + 0.5
    x = with_phase(magnitude, guide, Problem(guide, Identity(space), (6, 8)))
    torch.testing.assert_close(x[1:5, 1:7].abs(), magnitude)
    torch.testing.assert_close(x[1:5, 1:7].angle(), guide[1:5, 1:7].angle())
    x[1:5, 1:7] = guide[1:5, 1:7]
    assert torch.equal(x, guide)


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


def test_an_image_without_phase_predicts_nothing_and_that_is_said(scan: Path, tmp_path: Path) -> None:
    said, _ = told(scan, tmp_path, "--method", "rss", "--check", *MASK)
    assert said["trust"]["held_out"] is None
    assert (
        said["notes"][0] == "how far to trust the image is not known: rss gives an image without the phase of k-space"
    )


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (Trust(0.5), None),
        (Trust(None), None),
        (Trust(1.02), None),
        (Trust(None, unknown="of that"), "how far to trust the image is not known: of that"),
        (Trust(3.2, is_worse=True), "do not trust this image: tv predicts measurements that it was not shown with an error of "
         "3.2, where a black image has 1; take another method or weight"),
        (Trust(0.5, {"wavelet": 0.3}, instead="wavelet", is_worse=True), "do not trust this image: tv predicts measurements that "
         "it was not shown with an error of 0.5, and wavelet with 0.3; take --method wavelet"),
    ],
)  # fmt: skip
def test_the_warning(found: Trust, text: str | None) -> None:
    assert found.notes("tv") == (() if text is None else (text,))
