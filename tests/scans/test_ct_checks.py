"""Checks of sinograms: each tells what is wrong, and says nothing of sound data."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from medrecon.data.ct.attenuation import AttenuationUnit
from medrecon.data.ct.geometry_files import CTScan, default_grid, geometry_text
from medrecon.data.ct.photons import count_photons
from medrecon.data.ct.projections import phantom_sinogram
from medrecon.data.ct.sinograms import SinogramSample
from medrecon.data.phantoms.ellipses import Ellipse, Phantom
from medrecon.geometry import Arc, FanBeam, Geometry, ParallelBeam
from medrecon.scans.ct_checks import sinogram_findings
from tests.program import medrecon

#: A body of water off the center, with bone and gas in it; it ends 43 mm from the center.
BODY = Phantom(
    (
        Ellipse(0.02, (2.0, -3.0), (32.0, 40.0), 0.2),
        Ellipse(0.03, (-14.0, 18.0), (6.0, 6.0)),
        Ellipse(-0.02, (12.0, -10.0), (4.0, 8.0)),
    )
)
DISK = Phantom((Ellipse(0.02, (0.0, 0.0), (40.0, 40.0)),))

HALF = ParallelBeam(Arc.half_turn(180), 128, 0.75)
FULL = ParallelBeam(Arc(0.3, 2 * math.pi / 150, 150), 150, 0.7)
FEW = ParallelBeam(Arc.half_turn(60), 64, 1.5)
FLAT = FanBeam(Arc.full_turn(240), 160, 1.2, 200.0, 150.0)
CURVED = FanBeam(Arc.full_turn(180), 128, 1.5, 250.0, 150.0, curved=True)
SHORT = FanBeam(Arc(0.2, math.radians(230) / 200, 200), 160, 1.2, 200.0, 150.0)
OFFSET = FanBeam(Arc.full_turn(240), 120, 1.2, 200.0, 150.0, offset=36.0)
GEOMETRIES: list[Geometry] = [HALF, FULL, FEW, FLAT, CURVED, SHORT, OFFSET]


def sampled(sinogram: Tensor, geometry: Geometry) -> SinogramSample:
    return SinogramSample(
        sinogram=sinogram.float(),
        geometry=geometry,
        grid=default_grid(geometry),
        target=None,
        unit=AttenuationUnit.PER_MM,
        photons=None,
        name="s.h5",
        index=0,
    )


def measured(geometry: Geometry, phantom: Phantom = BODY, photons: float | None = None) -> Tensor:
    clean = phantom_sinogram(phantom, geometry)
    return clean if photons is None else count_photons(clean, photons, torch.Generator().manual_seed(4)).double()


def found(sinogram: Tensor, geometry: Geometry) -> dict[str, str]:
    return {finding.name: finding.text for finding in sinogram_findings(sampled(sinogram, geometry))}


def saved(folder: Path, sinogram: Tensor, geometry: Geometry) -> tuple[object, ...]:
    np.save(folder / "s.npy", sinogram.float().numpy())
    (folder / "s.yaml").write_text(geometry_text(CTScan(geometry, default_grid(geometry))))
    return "reconstruct", folder / "s.npy", "-o", folder / "x.h5"


@pytest.mark.parametrize("photons", [None, 1e6, 1e4, 300.0])
@pytest.mark.parametrize("phantom", [BODY, DISK])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_nothing_is_found_in_sound_data(geometry: Geometry, phantom: Phantom, photons: float | None) -> None:
    assert found(measured(geometry, phantom, photons), geometry) == {}


@pytest.mark.parametrize("geometry", [HALF, FEW, FLAT, CURVED])
@pytest.mark.parametrize(("blank", "name"), [(1.0, "transmission"), (0.93, "transmission"), (2e4, "opaque")])
def test_transmission_and_counts_are_no_line_integrals(geometry: Geometry, blank: float, name: str) -> None:
    for phantom in (BODY, DISK):
        passed = blank * torch.exp(-measured(geometry, phantom))
        assert list(found(passed, geometry)) == [name]
        noisy = torch.poisson(2000 * passed / blank, torch.Generator().manual_seed(1)) / 2000 * blank
        assert list(found(noisy, geometry)) == [name]


def test_a_lost_sign_is_noticed() -> None:
    assert list(found(-measured(HALF, photons=1e4), HALF)) == ["negative"]


def test_a_problem_is_refused_unless_it_is_accepted_by_name(tmp_path: Path) -> None:
    command = saved(tmp_path, torch.exp(-measured(FEW)), FEW)
    refused = medrecon(*command)
    assert refused.status == 2
    assert "give -log(I / I0); --accept transmission reconstructs it all the same" in refused.complaint
    taken = medrecon(*command, "--accept", "transmission")
    assert taken.status == 0
    assert "give -log(I / I0)" in taken.out
    assert "truncated" not in taken.out


@pytest.mark.parametrize("views", [90, 128])
def test_swapped_axes_with_as_many_bins_as_views(views: int) -> None:
    for geometry in (
        ParallelBeam(Arc.half_turn(views), views, 96 / views),
        FanBeam(Arc.full_turn(views), views, 192 / views, 200.0, 150.0),
    ):
        assert list(found(measured(geometry, photons=2e4).T, geometry)) == ["swapped-axes"]
        assert found(measured(geometry, photons=2e4), geometry) == {}


def test_the_middle_of_a_wide_object_is_truncated_and_not_swapped() -> None:
    geometry = replace(HALF, n_bins=60, angles=Arc.half_turn(60))
    assert list(found(measured(geometry), geometry)) == ["truncated"]
