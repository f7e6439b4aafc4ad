"""Slices and coils that stand in each other's place, and those that do not."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from medrecon.config.mri import MRIAcquisition
from medrecon.data.formats import open_kspace
from medrecon.data.mri.birdcage import birdcage_maps, normalize_maps
from medrecon.data.mri.fastmri_header import make_header
from medrecon.data.mri.writing import write_fastmri
from medrecon.data.phantoms.mri_phantoms import brain_volume
from medrecon.errors import InputError
from medrecon.findings import Severity
from medrecon.operators import Fourier
from medrecon.progress import silent
from medrecon.scans.mri import KSpaceScan
from medrecon.scans.mri_inspection import inspect_kspace
from medrecon.spaces import Space

SHAPE = (96, 80)


def scan(heights: list[float], n_coils: int, noise: float = 0.004) -> Tensor:
    """K-space `(slice, coil, ky, kx)` of sections of a head at these heights."""
    sections = [brain_volume().section(height) for height in heights]
    images = torch.stack([section.image(SHAPE) for section in sections if section is not None])
    coils = normalize_maps(birdcage_maps(n_coils, SHAPE)) * (images / images.max())[:, None]
    kspace = Fourier(Space(("coil", "y", "x"), tuple(coils.shape[1:]), is_complex=True))(coils.to(torch.complex64))
    return kspace + noise * torch.randn(
        kspace.shape, dtype=kspace.dtype, generator=torch.Generator().manual_seed(len(heights))
    )


def written(folder: Path, kspace: Tensor) -> Path:
    write_fastmri(folder / "a.h5", kspace.contiguous(), header=make_header(SHAPE, SHAPE))
    return folder / "a.h5"


@pytest.mark.parametrize("n_coils", [2, 8, 16])
@pytest.mark.parametrize("heights", [[-0.3, 0.1], [-0.35, -0.1, 0.2], [-0.3 + 0.06 * k for k in range(11)]])
@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_coils_that_stand_before_slices_are_refused(
    tmp_path: Path, n_coils: int, heights: list[float], noise: float
) -> None:
    path = written(tmp_path, scan(heights, n_coils, noise).swapaxes(0, 1))
    [finding] = inspect_kspace(open_kspace(path)).findings
    assert (finding.name, finding.severity) == ("coils-as-slices", Severity.PROBLEM)
    assert f"{n_coils} coils of {len(heights)} slices" in finding.text
    assert "write numpy.swapaxes(kspace, 0, 1)" in finding.text
    with pytest.raises(InputError, match="--accept coils-as-slices"):
        KSpaceScan.of(open_kspace(path), MRIAcquisition()).checked(range(n_coils), silent)


@pytest.mark.parametrize("n_coils", [2, 8])
@pytest.mark.parametrize("step", [0.0, 0.01, 0.06])
@pytest.mark.parametrize("n_slices", [2, 9])
@pytest.mark.parametrize("noise", [0.0, 0.02, 0.2])
def test_nothing_is_said_of_slices_of_coils(
    tmp_path: Path, n_coils: int, step: float, n_slices: int, noise: float
) -> None:
    path = written(tmp_path, scan([step * (k - n_slices // 2) for k in range(n_slices)], n_coils, noise))
    assert inspect_kspace(open_kspace(path)).findings == ()


@pytest.mark.parametrize("coils_first", [True, False])
def test_a_bottle_without_anatomy_says_nothing(tmp_path: Path, coils_first: bool) -> None:
    """Each slice is seen through sensitivities of its own, so that smooth factors set slices apart as they do coils."""
    maps = birdcage_maps(12, SHAPE)
    y, x = (torch.linspace(-1, 1, n) for n in SHAPE)
    bottle = ((y[:, None] / 0.8) ** 2 + (x / 0.7) ** 2 < 1).to(torch.complex64)
    slices = torch.stack([maps[k : k + 6] * bottle for k in range(4)])
    kspace = Fourier(Space(("coil", "y", "x"), tuple(slices.shape[1:]), is_complex=True))(slices)
    assert (
        inspect_kspace(open_kspace(written(tmp_path, kspace.swapaxes(0, 1) if coils_first else kspace))).findings == ()
    )


def test_a_few_slices_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = open_kspace(written(tmp_path, scan([0.02 * k for k in range(12)], 2)))
    asked: list[int] = []
    read = type(opened).__getitem__
    monkeypatch.setattr(type(opened), "__getitem__", lambda self, index: asked.append(index) or read(self, index))
    KSpaceScan.of(opened, MRIAcquisition()).checked(range(1), silent)
    assert sorted(set(asked)) == [0, 3, 7, 11]
