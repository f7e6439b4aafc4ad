"""How samples and files print: one line of facts, and no tensor."""

from pathlib import Path

import pytest
import torch

from medrecon import FastMRIFile, LoDoPaB, SinogramFile, lodopab, lodopab_grid, open_sinograms, poisson_mask
from medrecon.data.ct.lodopab import write_lodopab
from medrecon.data.mri.masks import random_mask
from tests.program import simulate
from tests.sinogram_files import write_scan


def test_mri(tmp_path: Path) -> None:
    file = FastMRIFile(simulate(tmp_path / "scan.h5", slices=2))
    assert repr(file) == f"FastMRIFile({tmp_path}/scan.h5: (slice=2, coil=4, ky=96, kx=40), image 48 x 40, no target)"
    assert repr(file[1]) == (
        "KSpaceSample(scan.h5, slice 1: (coil=4, ky=96, kx=40), image 48 x 40, acceleration 1.00, no target)"
    )


def test_ct(tmp_path: Path) -> None:
    file = SinogramFile(write_scan(tmp_path / "ct.h5", slices=3, photons=4000))
    scan = "ParallelBeam, image 40 x 48, 4000 photons per ray, target"
    assert repr(file) == f"SinogramFile({tmp_path}/ct.h5: (slice=3, angle=60, detector=64), {scan})"
    assert repr(file[2]) == f"SinogramSample(ct.h5, slice 2: (angle=60, detector=64), {scan})"


def test_lodopab(tmp_path: Path) -> None:
    pair = torch.zeros(lodopab().shape), torch.zeros(lodopab_grid().shape)
    write_lodopab(tmp_path, "test", [pair] * 2)
    facts = "(sample=2, angle=1000, detector=513), ParallelBeam, image 362 x 362, 4096 photons per ray, target)"
    assert repr(LoDoPaB(tmp_path, "test")) == f"LoDoPaB({tmp_path}, test: {facts}"
    file = tmp_path / "observation_test_000.hdf5"
    assert repr(open_sinograms(file)) == f"LoDoPaBFile({file}: {facts}"


@pytest.mark.parametrize("mask", [random_mask(64, 4, 0.08, 0), poisson_mask((32, 32), 4, (8, 8), 0)])
def test_masks(mask: object) -> None:
    assert "tensor" not in repr(mask)
    assert "true acceleration" in repr(mask)
