from pathlib import Path

import pytest
import torch

from medrecon.data.mri.fastmri import FastMRIFile
from medrecon.data.mri.fastmri_header import EncodingLimits, FastMRIHeader, parse_header, write_header
from medrecon.data.mri.writing import write_fastmri
from medrecon.problem import full_reconstruction
from medrecon.scans.mri_inspection import inspect_kspace
from tests.kspace_files import simulated_scan

SHAPES = [(96, 80), (65, 57)]


def written(path: Path, kspace: torch.Tensor, header: FastMRIHeader, mask: torch.Tensor | None = None) -> FastMRIFile:
    write_fastmri(path, [kspace], header=header, mask=mask, overwrite=True)
    return FastMRIFile(path)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("axis", [-2, -1])
@pytest.mark.parametrize("at_end", [True, False])
@pytest.mark.parametrize("encoded_alike", [True, False])
@pytest.mark.parametrize("minimum", [0, 3])
def test_what_was_acquired_alone_is_placed_by_the_headers_center(
    tmp_path: Path, shape: tuple[int, int], axis: int, at_end: bool, encoded_alike: bool, minimum: int
) -> None:
    whole, n = simulated_scan(shape, acceleration=1, n_coils=3).kspace, shape[axis]
    quarter = n // 4
    first = quarter if at_end else 0
    kept = whole.narrow(axis, first, n - quarter)
    limits = EncodingLimits(minimum, minimum + n - quarter - 1, minimum + n // 2 - first)
    header = FastMRIHeader(
        (*(shape if encoded_alike else (kept.shape[-2], kept.shape[-1])), 1),
        (*shape, 1),
        limits=limits if axis == -1 else None,
        readout_limits=limits if axis == -2 else None,
    )
    file = written(tmp_path / "a.h5", kept, header)
    sample = file[0]
    padded = whole.clone()
    padded.narrow(axis, 0 if at_end else n - quarter, quarter).zero_()
    if encoded_alike:
        assert torch.equal(sample.kspace, padded)
    n_now = sample.kspace.shape[axis]
    assert torch.equal(sample.kspace.select(axis, n_now // 2), padded.select(axis, n // 2))
    assert sample.fully_sampled
    found = inspect_kspace(file)
    assert [finding.name for finding in found.findings] == ["partial-fourier" if axis == -1 else "asymmetric-echo"]


def test_a_mask_lies_on_the_lines_that_are_stored(tmp_path: Path) -> None:
    kept = simulated_scan((48, 40), acceleration=1, n_coils=2).kspace[..., 10:]
    mask = torch.arange(30) % 3 == 1
    mask[6:14] = True
    header = FastMRIHeader((48, 40, 1), (48, 40, 1), limits=EncodingLimits(0, 29, 10))
    sample = written(tmp_path / "a.h5", kept, header, mask)[0]
    assert torch.equal(sample.sampled[10:], mask)
    assert not bool(sample.sampled[:10].any())
    points = mask.expand(48, 30).clone()
    points[3, 4] = not points[3, 4]
    sample = written(tmp_path / "a.h5", kept, header, points)[0]
    assert torch.equal(sample.sampled[:, 10:], points)


def test_a_center_that_the_energy_contradicts_is_told(tmp_path: Path) -> None:
    whole = simulated_scan((48, 40), acceleration=1, n_coils=2).kspace
    file = written(tmp_path / "a.h5", whole, FastMRIHeader((48, 40, 1), (48, 40, 1), limits=EncodingLimits(0, 39, 8)))
    assert "center of k-space is line 8 of 40, and the energy peaks at 20: the middle is taken" in file.notes[0]
    assert torch.equal(full_reconstruction(file[0]), full_reconstruction(replace_limits(tmp_path, whole)[0]))


@pytest.mark.parametrize("said", [15, 25, 3])
def test_lines_of_a_part_are_placed_by_their_peak_where_the_header_has_their_number_alone(
    tmp_path: Path, said: int
) -> None:
    kept = simulated_scan((48, 40), acceleration=1, n_coils=2).kspace[..., 10:]
    header = FastMRIHeader((48, 40, 1), (48, 40, 1), limits=EncodingLimits(0, 29, said))
    file = written(tmp_path / "a.h5", kept, header)
    assert f"line {said} of 30, and the energy peaks at 10: the peak is taken" in file.notes[0]
    assert torch.equal(file[0].kspace[..., 10:], kept)


def replace_limits(tmp_path: Path, whole: torch.Tensor) -> FastMRIFile:
    return written(tmp_path / "b.h5", whole, FastMRIHeader((48, 40, 1), (48, 40, 1)))


def test_limits_of_both_axes_are_written_and_read() -> None:
    header = FastMRIHeader(
        (96, 80, 1), (96, 80, 1), limits=EncodingLimits(0, 59, 20), readout_limits=EncodingLimits(4, 75, 28)
    )
    assert parse_header(write_header(header)) == header
