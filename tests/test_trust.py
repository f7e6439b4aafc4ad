"""What measurements that were held back say of a reconstruction: in JSON, in the file, and as the first note."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor

from medrecon.config.ct import CTAcquisition
from medrecon.data.ct.geometry_files import CTScan, geometry_text
from medrecon.data.ct.projections import phantom_sinogram
from medrecon.data.phantoms.ellipses import Ellipse, Phantom
from medrecon.geometry import Arc, Grid, ParallelBeam
from medrecon.held_out import hold_out
from medrecon.operators import Identity, LinearOperator
from medrecon.problem import Problem
from medrecon.progress import silent
from medrecon.reconstructors import (
    AutomaticWeight,
    FilteredBackprojection,
    PoissonTotalVariation,
    Sirt,
    TotalVariation,
    WaveletSparsity,
)
from medrecon.results import Trust
from medrecon.scans import Scan, ct, mri, open_scan
from medrecon.spaces import image_space
from medrecon.workflows import trust
from medrecon.workflows.trust import with_phase
from tests.program import images, medrecon
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
    weight, error = said["parameters"]["weight"], said["trust"]["held_out"]
    assert error == pytest.approx(tried.get(weight, error))
    assert 0.999 * min(tried.values()) < error <= max(tried.values())
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
    """Learned primal-dual on pixels sixteen times as wide as it was trained on: half a decibel and more below tv-poisson."""
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


@dataclass(frozen=True)
class Spoiled:
    """Another method's image, of another brightness, with noise."""

    brightness: float
    noise: float

    def __call__(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        x = PoissonTotalVariation(iterations=4)(y, A)
        noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
        return self.brightness * x + self.noise * x.max() * noise


def test_the_method_that_is_taken_is_never_warned_of_for_another_that_was_tried(
    sinogram: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Line integrals hardly see noise that an image shows: without the ramp the noisy one would be taken, and then warned of."""
    made = {"fbp": Spoiled(1.0, 0.05), "tv-poisson": Spoiled(1.05, 0.0), "primal-dual": Spoiled(0.0, 0.0)}
    monkeypatch.setattr(trust, "build_reconstructor", lambda method, *_, **__: made[method.kind])
    said, _ = told(sinogram, tmp_path, "--method", "auto")
    assert said["method"] == "tv-poisson"
    assert not said["trust"]["is_worse"]
    assert said["trust"]["held_out"] < said["trust"]["others"]["fbp"]
    assert said["trust"]["others"]["primal-dual"] == pytest.approx(1.0)


def wide_scan(folder: Path, geometry: ParallelBeam, grid: Grid) -> Path:
    """The sinogram of a disk of water, 80 mm across, to be shown on a smaller grid."""
    body = Phantom((Ellipse(0.02, (0.0, 0.0), (40.0, 40.0)), Ellipse(0.02, (0.0, 5.0), (3.0, 3.0))))
    np.save(folder / "s.npy", phantom_sinogram(body, geometry).float().numpy())
    (folder / "s.yaml").write_text(geometry_text(CTScan(geometry, grid)))
    return folder / "s.npy"


CUT_OFF = (ParallelBeam(Arc.half_turn(90), 56, 1.0), Grid((44, 44), 1.2))
WIDE = (ParallelBeam(Arc.half_turn(90), 112, 1.0), Grid((32, 32), 1.2))


def test_each_method_is_tried_on_the_problem_that_it_takes_of_an_object_wider_than_its_image(tmp_path: Path) -> None:
    said, _ = told(wide_scan(tmp_path, *WIDE), tmp_path, "--method", "auto")
    errors = {said["method"]: said["trust"]["held_out"], **said["trust"]["others"]}
    assert set(errors) == {"fbp", "tv-poisson", "primal-dual"}
    assert max(errors.values()) < 0.02


def test_a_network_on_an_object_wider_than_its_image_is_not_blamed_for_what_lies_beside_it(tmp_path: Path) -> None:
    said, _ = told(wide_scan(tmp_path, *WIDE), tmp_path, "--method", "primal-dual", "--photons", 4096, "--seed", 0)
    assert not said["trust"]["is_worse"]


def test_a_network_that_is_too_bright_where_the_detector_cuts_the_object_off_is_warned_of(tmp_path: Path) -> None:
    """By a fifth within the field, where classical methods, of continued projections, are right to a percent."""
    source = wide_scan(tmp_path, *CUT_OFF)
    said, _ = told(source, tmp_path, "--method", "primal-dual", "--photons", 4096, "--seed", 0)
    middle = (slice(0, 1), slice(10, 34), slice(10, 18))
    assert float(images(tmp_path / "o.h5")[middle].mean()) > 0.022
    assert said["trust"]["instead"] == "tv-poisson"
    assert said["notes"][0].startswith("do not trust this image: primal-dual predicts")
    told(source, tmp_path, "--method", "tv-poisson", "--photons", 4096, "--seed", 0, "--overwrite")
    assert float(images(tmp_path / "o.h5")[middle].mean()) == pytest.approx(0.02, rel=0.02)


def opened(source: Path, views: int | None = None) -> Scan:
    return open_scan(source, CTAcquisition(views=views)).checked(range(1), silent)


def test_what_is_held_back_was_measured_and_what_is_continued_is_so_from_the_rest_alone(tmp_path: Path) -> None:
    source, cpu, methods = wide_scan(tmp_path, *CUT_OFF), torch.device("cpu"), (FilteredBackprojection(), Sirt())
    first, second = opened(source).held_out(methods, cpu)
    assert first is not None
    assert second is not None
    assert first.held_y.shape[-2:] == (18, 56)
    assert first.y.shape[-1] > 56
    assert torch.equal(first.held_y, second.held_y)
    y = np.load(source)
    views = [k for k, view in enumerate(y) if any(np.array_equal(view, one) for one in first.held_y[0].numpy())]
    y[views] *= 0.9  # whatever was held back, the rest is the same
    np.save(source, y)
    (again,) = opened(source).held_out(methods[:1], cpu)
    assert again is not None
    assert torch.equal(again.y, first.y)
    assert not torch.equal(again.held_y, first.held_y)


def test_an_object_that_is_seen_whole_is_held_back_as_its_problem_is(sinogram: Path) -> None:
    scan, cpu, method = opened(sinogram), torch.device("cpu"), Sirt()
    problem = next(iter(scan.problems(method, cpu))).problem
    (found,), wanted = scan.held_out([method], cpu), hold_out(problem.y, problem.A)
    assert found is not None
    assert wanted is not None
    assert torch.equal(found.y, wanted.y)
    assert torch.equal(found.held_y, wanted.held_y)
    x = method(found.y, found.A)
    assert torch.equal(found.held_A(x), wanted.held_A(x))


@dataclass(frozen=True)
class NoisyAtAnyWeight:
    """An image drowned in noise: in half as much at four times the weight."""

    weight: float = 1.0
    iterations: int = 1

    def __call__(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        return Spoiled(1.0, 3.0 if self.weight == 4.0 else 6.0)(y, A)


def test_an_automatic_weight_is_stated_with_its_own_error_and_warned_of(
    sinogram: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = NoisyAtAnyWeight()
    monkeypatch.setattr(
        trust,
        "build_reconstructor",
        lambda settings, *_, **__: (
            AutomaticWeight(method) if settings.weight == "auto" else NoisyAtAnyWeight(settings.weight)
        ),
    )
    said, _ = told(sinogram, tmp_path, "--method", "tv", "--weight", "auto", "--check")
    weight, found = said["parameters"]["weight"], said["trust"]
    assert weight > 1.0
    assert len(found["weights"]) >= 3
    assert found["seconds"] > 0
    assert found["is_worse"]
    assert found["held_out"] > 1
    assert said["notes"][0].startswith("do not trust this image: tv predicts")
    checked, _ = told(sinogram, tmp_path, "--method", "tv", "--weight", weight, "--check", "--overwrite")
    assert found["held_out"] == pytest.approx(checked["trust"]["held_out"])


def test_an_automatic_weight_says_where_nothing_can_be_held_back_and_keeps_its_own(
    sinogram: Path, tmp_path: Path
) -> None:
    said, _ = told(sinogram, tmp_path, "--method", "tv", "--weight", "auto", "--views", 4)
    assert said["notes"][0] == (
        "how far to trust the image is not known: the scan has fewer than five lines or views that can be held back; the weight is "
        "the method's own"
    )
    own, _ = told(sinogram, tmp_path, "--method", "tv", "--views", 4, "--overwrite")
    assert said["parameters"]["weight"] == own["parameters"]["weight"]


def test_lines_that_only_the_network_cannot_leave_out_are_told(
    scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = trained(tmp_path / "run", *NETWORKS["e2e"][:2], **NETWORKS["e2e"][2])
    monkeypatch.setattr(mri, "hold_out", lambda y, A: None if "coil" in A.domain.axes else hold_out(y, A))
    said, _ = told(scan, tmp_path, "--weights", weights, *MASK)
    assert said["notes"][0] == f"how far to trust the image is not known: {trust._FEW}"


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
        (Trust(0.50004, {"wavelet": 0.5}, instead="wavelet", is_worse=True), "do not trust this image: tv predicts measurements "
         "that it was not shown with an error of 0.50004, and wavelet with 0.5; take --method wavelet"),
        (Trust(1.0002, is_worse=True), "do not trust this image: tv predicts measurements that it was not shown with an error of "
         "1.0002, where a black image has 1; take another method or weight"),
    ],
)  # fmt: skip
def test_the_warning(found: Trust, text: str | None) -> None:
    assert found.notes("tv") == (() if text is None else (text,))


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (Trust(None, unknown="of that"), None),
        (Trust(0.5), "error in what was held back of the middle slice: 0.5 by tv, 1 by a black image"),
        (Trust(0.50004, {"wavelet": 0.5, "varnet": 0.7}), "error in what was held back of the middle slice: 0.5 by wavelet, "
         "0.50004 by tv, 0.7 by varnet, 1 by a black image"),
        (Trust(0.5, weights=((0.25, 0.7), (1.0, 0.5), (4.0, 0.6))), "error in what was held back of the middle slice: 0.5 by tv, "
         "1 by a black image; 3 weights tried, 0.25 to 4"),
    ],
)  # fmt: skip
def test_what_was_found_stands_in_a_line(found: Trust, text: str | None) -> None:
    assert found.words("tv") == text


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (("--method", "tv", "--weight", "auto"), " weights tried, "),
        (("--method", "auto"), " by primal-dual"),
        (("--method", "sirt", "--check"), " by sirt, 1 by a black image\n"),
    ],
    ids=["weight", "method", "check"],
)
def test_the_console_says_what_was_found_and_the_page_too(
    sinogram: Path, tmp_path: Path, asked: tuple[str, ...], told: str
) -> None:
    done = medrecon("reconstruct", sinogram, "-o", tmp_path / "o.h5", "--report", tmp_path / "r.html", *asked)
    assert done.status == 0, done.err
    (line,) = (line for line in done.out.splitlines(keepends=True) if line.startswith("error in what was held back"))
    assert told in line
    assert line.strip() in (tmp_path / "r.html").read_text()
    plain = medrecon("reconstruct", sinogram, "-o", tmp_path / "p.h5", "--method", "fbp")
    assert "held back" not in plain.out


def test_a_network_that_begins_with_its_rival_runs_it_once(
    scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, _ = told(scan, tmp_path, "--method", "varnet", "--no-check", *MASK)
    count, solve = [0], WaveletSparsity.solve

    def counted(self: WaveletSparsity, y: Tensor, A: LinearOperator, misfit: Tensor) -> Tensor:
        count[0] += 1
        return solve(self, y, A, misfit)

    monkeypatch.setattr(WaveletSparsity, "solve", counted)
    said, _ = told(scan, tmp_path, "--method", "varnet", "--overwrite", *MASK)
    assert count[0] == 1 + said["slices"]
    assert said["metrics"] == plain["metrics"]
    monkeypatch.setattr(trust, "maps_error", lambda *_: torch.ones(()))
    apart, _ = told(scan, tmp_path, "--method", "varnet", "--overwrite", *MASK)
    assert count[0] == 3 + 2 * said["slices"]
    assert said["trust"]["held_out"] == apart["trust"]["held_out"]
    assert said["trust"]["others"]["wavelet"] == pytest.approx(apart["trust"]["others"]["wavelet"], rel=0.1)
