import dataclasses
import json
from pathlib import Path

import h5py
import pytest
import torch

from medrecon.data.mri.fastmri_header import make_header
from medrecon.data.mri.writing import write_fastmri
from medrecon.errors import InputError
from medrecon.scans.mri_inspection import Inspection, inspect_kspace, kspace_lines

KY, KX, COILS, SIGMA = 128, 84, 5, 0.02
HEADER = make_header((KY, KX), (64, 64), padding=(4, 80), acquisition="AXT2", pixel=0.5)


def scan(seed: int = 0, sigma: float = SIGMA, angle: float = 0.6, blur: float = 0.0) -> torch.Tensor:
    """A slanted rectangle, its edges as sharp as can be unless blurred, seen by coils, in noise: `(coil, ky, kx)`."""
    y, x = torch.meshgrid(torch.linspace(-2, 2, KY), torch.linspace(-1.3, 1.3, KX), indexing="ij")
    u, v = x * torch.cos(torch.tensor(angle)) + y * torch.sin(torch.tensor(angle)), y - 0.3 * x
    place = torch.arange(COILS) / COILS * 2 * torch.pi
    maps = torch.exp(-((x - place.cos()[:, None, None]) ** 2) - (y - place.sin()[:, None, None]) ** 2)
    coil_images = maps * (u.abs() < 0.5) * (v.abs() < 0.7) * torch.exp(1j * place)[:, None, None]
    axes = (-2, -1)
    kspace = torch.fft.fftshift(torch.fft.fft2(torch.fft.ifftshift(coil_images, dim=axes), norm="ortho"), dim=axes)
    kspace = kspace * torch.exp(-blur * (x**2 + y**2))
    noise = torch.randn(2, COILS, KY, KX, generator=torch.Generator().manual_seed(seed))
    kspace = (kspace + sigma * torch.complex(noise[0], noise[1])).to(torch.complex64)
    kspace[..., :4] = 0
    kspace[..., 80:] = 0
    return kspace


def inspect(path: Path, *slices: torch.Tensor, mask: torch.Tensor | None = None) -> Inspection:
    write_fastmri(path, slices, header=HEADER, mask=mask, overwrite=True)
    return inspect_kspace(path)


def test_a_sound_file_is_told_in_full(tmp_path: Path) -> None:
    found = inspect(tmp_path / "a.h5", *(scan(s) for s in range(3)))
    assert (found.slices, found.coils, found.kspace, found.dtype) == (3, COILS, (KY, KX), "complex64")
    assert (found.matrix, found.oversampling, found.field_of_view) == ((64, 64), 2.0, (32.0, 32.0))
    assert (found.padding, found.target, found.has_mask, found.has_header) == ((4, 80), None, False, True)
    assert found.sampling is not None
    assert (found.sampling.fully_sampled, found.sampling.true_acceleration, found.sampling.lines) == (True, 1.0, 76)
    assert (found.problems, found.notes) == ((), ())
    text = "\n".join(kspace_lines(found))
    for words in (
        "3 slices, 5 coils, k-space 128 x 84",
        "image 64 x 64",
        "oversampled 2x",
        "32 x 32 mm",
        "lines 0 to 3 and 80 to 83 are zero-filled",
        "fully sampled: 76 of 76 lines",
        "nothing wrong",
    ):
        assert words in text


def test_plain_values_go_to_json_and_back(tmp_path: Path) -> None:
    found = inspect(tmp_path / "a.h5", scan(), torch.zeros(COILS, KY, KX) * 1j)
    values = json.loads(json.dumps(dataclasses.asdict(found), allow_nan=False))
    assert values["slices"] == 2
    assert values["sampling"]["true_acceleration"] == 1.0
    assert len(values["reports"]) == 2


@pytest.mark.parametrize("sigma", [0.02, 0.1])
@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e-25, 1e4])
def test_noise_is_measured(tmp_path: Path, sigma: float, scale: float) -> None:
    found = inspect(tmp_path / "a.h5", *(scan(s, sigma, blur=2.0) * scale for s in range(3)))
    assert found.noise == pytest.approx(sigma * scale, rel=0.05)


def test_noise_is_measured_on_few_lines_too(tmp_path: Path) -> None:
    mask = torch.arange(KX) % 8 == 0
    found = inspect(tmp_path / "a.h5", scan(blur=2.0), mask=mask)
    assert found.noise == pytest.approx(SIGMA, rel=0.2)


def test_undersampling_is_described(tmp_path: Path) -> None:
    mask = torch.arange(KX) % 4 == 2
    mask[38:46] = True
    found = inspect(tmp_path / "a.h5", scan(), mask=mask)
    assert found.sampling is not None
    kept = int(mask[4:80].sum())
    assert not found.sampling.fully_sampled
    assert (found.sampling.lines, found.sampling.true_acceleration) == (kept, 76 / kept)
    assert (found.sampling.calibration, found.sampling.spacing) == (9, 4)  # the line at 46 is of the grid, and adjoins
    text = "\n".join(kspace_lines(found))
    assert f"undersampled: {kept} of 76 lines, true acceleration {76 / kept:.2f}, 9 calibration lines" in text
    assert "as its mask says" in text


def test_points_and_changing_patterns_are_described(tmp_path: Path) -> None:
    draws = torch.rand(2, KY, KX, generator=torch.Generator().manual_seed(0))
    keep = draws < 0.3
    keep[:, 60:68, 38:46] = True
    found = inspect(tmp_path / "a.h5", scan() * keep[0], scan() * keep[1])
    assert found.sampling is not None
    assert found.sampling.points
    assert found.sampling.varies
    assert found.sampling.calibration == (8, 8)
    assert "calibration 8 x 8" in "\n".join(kspace_lines(found))


def test_bad_slices_are_reported_and_the_others_read(tmp_path: Path) -> None:
    broken = scan()
    broken[1, 2, 30] = torch.nan
    found = inspect(tmp_path / "a.h5", scan(), broken, torch.zeros_like(broken), scan(1))
    assert [bool(report.problem) for report in found.reports] == [False, True, True, False]
    assert any("slice 1" in p and "NaN" in p for p in found.problems)
    assert any("slice 2" in p and "zero everywhere" in p for p in found.problems)
    assert found.sampling is not None
    assert sum(line.startswith("PROBLEM: ") for line in kspace_lines(found)) == 2


def test_a_file_of_zeros_is_reported_as_a_whole(tmp_path: Path) -> None:
    found = inspect(tmp_path / "a.h5", *(torch.zeros(COILS, KY, KX) * 1j for _ in range(30)))
    assert (found.sampling, found.noise) == (None, None)
    assert len(found.problems) == 2
    assert "no slice of 30 can be used" in found.problems[1]
    assert kspace_lines(found)


def test_a_silent_coil_is_named(tmp_path: Path) -> None:
    slices = [scan(s) for s in range(3)]
    for kspace in slices:
        kspace[3] = 0
    slices[1][0] = 0
    problems = inspect(tmp_path / "a.h5", *slices).problems
    assert len(problems) == 2
    assert problems[0].startswith("coil 0 is silent in slice 1;")
    assert problems[1].startswith("coil 3 is silent in every slice;")


@pytest.mark.parametrize("factor", [30.0, 1e-3])
def test_a_slice_of_another_scale_is_named(tmp_path: Path, factor: float) -> None:
    slices = [scan(s) for s in range(5)]
    slices[3] *= factor
    problems = inspect(tmp_path / "a.h5", *slices).problems
    assert len(problems) == 1
    assert problems[0].startswith("slice 3 has ")


def test_end_slices_may_be_faint(tmp_path: Path) -> None:
    strength = (0.1, 0.5, 1.0, 1.0, 0.4, 0.1)
    assert inspect(tmp_path / "a.h5", *(scan(s) * f for s, f in enumerate(strength))).problems == ()


@pytest.mark.parametrize("sigma", [0.0, 1e-3, SIGMA])
@pytest.mark.parametrize("angle", [0.0, 0.1, 0.8, 1.5])
def test_edges_are_no_spikes_and_spikes_are(tmp_path: Path, sigma: float, angle: float) -> None:
    kspace = scan(0, sigma, angle)
    assert inspect(tmp_path / "a.h5", kspace).reports[0].spikes == 0
    kspace[:, 20, 30] += 5.0
    found = inspect(tmp_path / "a.h5", kspace)
    assert found.reports[0].spikes == 1
    assert "1 spike in k-space, in slice 0" in found.problems[0]


def test_assumptions_are_told(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["kspace"] = scan()[None].numpy()
    found = inspect_kspace(tmp_path / "a.h5")
    assert not found.has_header
    assert any(line.startswith("note: no header") for line in kspace_lines(found))


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_text("no")
    with pytest.raises(InputError, match="not an HDF5 file"):
        inspect_kspace(tmp_path / "a.h5")
