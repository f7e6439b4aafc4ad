"""A file whose object is wider than its field: two sets of maps from the file to the image, said once."""

from pathlib import Path

import pytest
from torch import Tensor

from medrecon.data.mri.fastmri_header import make_header
from medrecon.data.mri.writing import write_fastmri
from medrecon.results import SliceResult
from medrecon.workflows import reconstruct_file
from tests.kspace_files import wrapped_sample
from tests.settings import mri


def write(path: Path, width: float) -> tuple[Path, Tensor]:
    """A file of two slices, and the root sum of squares of the full scan of the first."""
    sample = wrapped_sample(width)
    write_fastmri(
        path,
        [sample.kspace, 0.5 * sample.kspace],
        header=make_header(sample.matrix, sample.matrix),
        mask=sample.sampled,
    )
    assert sample.target is not None
    return path, sample.target


def error(image: Tensor, target: Tensor) -> float:
    scale = (image * target).sum() / image.square().sum()
    return float((scale * image - target).norm() / target.norm())


@pytest.mark.parametrize(("method", "most"), [("wavelet", 0.08), ("tv", 0.08), ("varnet", 0.08), ("sense", 0.12)])
def test_an_object_wider_than_its_field_is_seen_and_told_of_once(tmp_path: Path, method: str, most: float) -> None:
    source, target = write(tmp_path / "wrapped.h5", 1.3)
    seen: list[SliceResult] = []
    settings = mri(method).model_copy(update={"check": True})
    report = reconstruct_file(source, tmp_path / "out.h5", settings, watch=seen.append).report
    assert report.shape == target.shape
    assert sum("two sets of coil maps" in note for note in report.notes) == 1
    assert error(seen[0].image, target) < most
    residual = seen[0].residual
    assert (residual is None) == (method == "varnet")
    if residual is not None:
        assert tuple(residual.shape) == tuple(target.shape)
    assert report.trust is not None
    assert report.trust.held_out is not None
    assert report.trust.held_out < 0.5


def test_one_within_its_field_is_told_nothing(tmp_path: Path) -> None:
    source, _ = write(tmp_path / "sound.h5", 0.85)
    report = reconstruct_file(source, None, mri("sense")).report
    assert not any("two sets" in note for note in report.notes)
