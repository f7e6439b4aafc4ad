"""Files that hold one side of k-space more than the other, where no header says so."""

from pathlib import Path

import h5py
import pytest
import torch
from torch import Tensor

from medrecon.data.formats import open_kspace
from medrecon.data.mri.fastmri_header import FastMRIHeader
from medrecon.data.mri.noise import add_noise
from medrecon.data.mri.one_sided import off_center
from medrecon.data.mri.receivers import draw_receiver, simulate_scan
from medrecon.data.mri.writing import write_fastmri
from medrecon.data.phantoms.mri_phantoms import brain
from medrecon.scans.mri_inspection import inspect_kspace

SHAPE = (112, 96)


def scan(n_coils: int = 4, snr: float | None = None, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    image = brain().image(SHAPE).float()
    receiver = draw_receiver(generator, n_coils=n_coils)
    kspace, _ = simulate_scan(image / image[image > 0].mean(), receiver, generator, oversampling=1)
    return kspace if snr is None else add_noise(kspace, snr, generator)


def written(folder: Path, kspace: Tensor, *, header: bool = False) -> Path:
    path = folder / "a.h5"
    if header:
        size = kspace.shape[-2], kspace.shape[-1]
        write_fastmri(path, [kspace.contiguous()], header=FastMRIHeader((*size, 1), (*size, 1)))
    else:
        with h5py.File(path, "w") as file:
            file["kspace"] = kspace[None].numpy()
    return path


@pytest.mark.parametrize("axis", [-2, -1])
@pytest.mark.parametrize("eighths", [5, 6])
@pytest.mark.parametrize("at_start", [True, False])
@pytest.mark.parametrize("header", [True, False])
def test_what_was_acquired_is_put_at_its_place(
    tmp_path: Path, axis: int, eighths: int, at_start: bool, header: bool
) -> None:
    whole = scan()
    n = whole.shape[axis]
    kept = n * eighths // 8
    file = open_kspace(written(tmp_path, whole.narrow(axis, n - kept if at_start else 0, kept), header=header))
    padded = torch.zeros_like(whole)
    first = n - kept if at_start else 0
    padded.narrow(axis, first, kept).copy_(whole.narrow(axis, first, kept))
    assert file.shape[-2:] == SHAPE
    assert torch.equal(file[0].kspace, padded)
    assert any("was not acquired, and is filled with zeros" in note for note in file.notes)
    found = inspect_kspace(file)
    assert [finding.name for finding in found.findings] == ["partial-fourier" if axis == -1 else "asymmetric-echo"]
    assert found.problems == ()


@pytest.mark.parametrize("axis", [-2, -1])
@pytest.mark.parametrize("share", [3 / 16, -3 / 16, 7 / 16])
def test_rolled_k_space_is_rolled_back(tmp_path: Path, axis: int, share: float) -> None:
    whole = scan()
    by = round(share * whole.shape[axis])
    found = inspect_kspace(open_kspace(written(tmp_path, whole.roll(by, axis))))
    [finding] = found.findings
    assert finding.name == "peak-off-center"
    assert "partial Fourier" not in finding.text
    assert found.kspace == SHAPE


@pytest.mark.parametrize("rolled", [True, False])
def test_where_noise_hides_which_of_both_it_is_both_are_said(tmp_path: Path, rolled: bool) -> None:
    whole = scan(1, 4.0)
    kspace = whole[..., 8:].roll(12, -1) if rolled else whole[..., 12:]
    off = off_center(kspace, -1)
    assert off is not None
    assert not off.is_one_sided
    assert off.may_be_one_sided
    [finding] = inspect_kspace(open_kspace(written(tmp_path, kspace))).findings
    assert finding.name == "peak-off-center"
    assert "if the side beyond was not acquired (partial Fourier)" in finding.text


@pytest.mark.parametrize("n_coils", [1, 8])
@pytest.mark.parametrize("snr", [5.0, None])
def test_whole_k_space_is_taken_as_it_is(tmp_path: Path, n_coils: int, snr: float | None) -> None:
    whole = scan(n_coils, snr)
    for kspace in (whole, whole.roll(3, -1), torch.fft.ifft(whole, dim=-2), whole.movedim(0, -1)):
        assert open_kspace(written(tmp_path, kspace)).shape[-2:] == kspace.shape[-2:]
