"""Getting simulated sets: the projector handed in is LoDoPaB-CT's."""

from pathlib import Path

import pytest
import torch

from medrecon.data.ct.projections import phantom_image, phantom_sinogram
from medrecon.data.phantoms.ellipses import Ellipse, Phantom
from medrecon.data.sets.lodopab_small import Projector, simulate, simulation_grid
from medrecon.geometry import lodopab, lodopab_grid
from medrecon.workflows import preparation


def test_the_projector_gives_line_integrals_along_the_rays_of_lodopab(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    handed: list[Projector] = []

    def fetch(name: str, progress: object, *, project: Projector, pip: object, packed: Path | None) -> Path:
        assert name == "lodopab-small"
        assert callable(progress)
        assert callable(pip)
        assert packed is None
        handed.append(project)
        return tmp_path

    monkeypatch.setattr(preparation, "fetch", fetch)
    assert preparation.prepare("lodopab-small") == tmp_path
    (project,) = handed
    disk = Phantom((Ellipse(center=(-30.0, 20.0), semi_axes=(80.0, 80.0), angle=0.0, intensity=0.02),))
    expected = phantom_sinogram(disk, lodopab()).float()
    exact = project(phantom_image(disk, simulation_grid())[None])[0]
    assert float((exact - expected).norm() / expected.norm()) < 1.5e-3

    image = phantom_image(disk, lodopab_grid())
    noisy = simulate(image, project, torch.Generator().manual_seed(1))
    dense = expected > 1
    chi_squared = ((noisy - expected) ** 2 * 4096 * torch.exp(-expected))[dense].mean()
    assert float(chi_squared) == pytest.approx(1, abs=0.05)
