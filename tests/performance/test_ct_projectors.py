"""The benchmark of the CT operators, where it can be wrong without being seen: whether all packages project the same disk."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from medrecon.geometry import Arc, FanBeam, Geometry, Grid, ParallelBeam

FOLDER = Path(__file__).resolve().parent.parent.parent / "performance"
GEOMETRIES = {
    "parallel": ParallelBeam(Arc(0.05, 0.2, 15), n_bins=93, spacing=4.0),
    "fan": FanBeam(Arc.full_turn(18), 93, 7.0, 500.0, 400.0),
}


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    monkeypatch.syspath_prepend(FOLDER)
    return {name: importlib.import_module(name) for name in ("ct_peers", "ct_matrix", "ct_projectors")}


@pytest.fixture(params=[64, 65], ids=["even", "odd"])
def grid(request: pytest.FixtureRequest) -> Grid:
    return Grid((request.param, request.param), 256 / request.param)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # of ITK and of DeepInverse
@pytest.mark.parametrize("peer", ["medrecon", "astra", "rtk", "scikit_image", "deep_inverse", "matrix"])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_all_packages_project_the_same_disks(
    modules: dict[str, ModuleType], grid: Grid, geometry: str, peer: str
) -> None:
    scene = modules["ct_peers"].Scene(geometry, grid, GEOMETRIES[geometry], batch=2)
    with torch.no_grad():
        package = getattr(modules["ct_matrix" if peer == "matrix" else "ct_peers"], peer)(scene)
        if package is None:
            pytest.skip(f"{peer} is not installed, or has no {geometry} beam")
        errors = modules["ct_projectors"].error_of(scene, package)
    assert errors["forward"] < 0.03  # pixels of 4 mm; half a pixel of shift would be .05
    assert errors["adjoint"] < 1e-3
    assert errors.get("fbp", 0.0) < 0.06


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_the_matrix_is_that_of_the_operator(modules: dict[str, ModuleType], geometry: str) -> None:
    scene = modules["ct_peers"].Scene(geometry, Grid((40, 52), (4.0, 3.0)), GEOMETRIES[geometry], batch=2)
    found = {
        package.name: {name: call.read(call.run()) for name, call in package.calls.items() if name != "fbp"}
        for package in (modules["ct_peers"].medrecon(scene), modules["ct_matrix"].matrix(scene))
    }
    for operation, expected in found["medrecon"].items():
        np.testing.assert_allclose(found["CSR matrix"][operation], expected, rtol=1e-4, atol=1e-4)


def test_what_was_aimed_at_is_judged(modules: dict[str, ModuleType]) -> None:
    goals_met: Any = modules["ct_projectors"].goals_met
    assert goals_met("forward", 1, {"ASTRA": 25.0, "RTK": 1.0}) == "20x ASTRA: met"
    assert goals_met("adjoint", 8, {"ASTRA": 19.9, "CSR matrix": 1.0}) == "20x ASTRA: not met; 1x CSR matrix: met"
    assert goals_met("fbp", 8, {"ASTRA": 1.0}) == ""
    assert goals_met("forward", 1, {}) == ""


def test_pairs_are_alternating_and_their_ratio_is_a_median(
    modules: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    benchmark: Any = modules["ct_projectors"]
    order: list[str] = []
    monkeypatch.setattr(benchmark, "seconds", lambda run: run())
    times = {"ours": iter([1.0, 1.0, 2.0]), "theirs": iter([10.0, 40.0, 60.0])}

    def run(who: str) -> float:
        order.append(who)
        return next(times[who])

    found = benchmark.compare(lambda: run("ours"), lambda: run("theirs"), 2, 3)
    assert order == ["ours", "theirs"] * 3
    assert (found.ours, found.theirs, found.ratio) == (0.5, 20.0, 30.0)


def geometry_of(scan: str, modules: dict[str, ModuleType]) -> Geometry:
    scene: Any = modules["ct_projectors"].SCANS[scan]
    kept: Geometry = scene.geometry
    return kept


def test_the_scans_are_those_that_are_named(modules: dict[str, ModuleType]) -> None:
    sparse, full = geometry_of("sparse", modules), geometry_of("lodopab", modules)
    assert sparse.shape == (60, 513)
    assert full.shape == (1000, 513)
    np.testing.assert_allclose(list(sparse.angles), (np.arange(60) + 0.5) * np.pi / 60)
    assert geometry_of("fan", modules).shape == geometry_of("parallel", modules).shape == (720, 736)
