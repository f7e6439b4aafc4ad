"""An object wider than its field shows two sets of coil maps; one within its field shows one, bit for bit as ever."""

import importlib
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from medrecon import load
from medrecon.calibration import espirit, espirit_sets, estimate_maps
from medrecon.data.mri.fastmri import KSpaceSample
from medrecon.problem import Problem, sense_problem
from medrecon.reconstructor import Reconstructor
from medrecon.reconstructors import Sense, TotalVariation, WaveletSparsity, ZeroFilled
from tests.kspace_files import wrapped_sample

module = importlib.import_module("medrecon.calibration.espirit")


def _error(problem: Problem, reconstruct: Reconstructor) -> float:
    """Of the image at its best scale."""
    image, target = problem.display_image(reconstruct(problem.y, problem.A)), problem.target
    assert target is not None
    scale = (image * target).sum() / image.square().sum()
    return float((scale * image - target).norm() / target.norm())


@pytest.mark.parametrize(("width", "n_coils", "snr"), [(1.2, 4, 50.0), (1.3, 8, 50.0), (1.5, 12, 20.0)])
def test_an_object_wider_than_its_field_has_two(width: float, n_coils: int, snr: float) -> None:
    sample = wrapped_sample(width, 128, n_coils=n_coils, snr=snr)
    estimate = estimate_maps(sample.kspace, sample.sampled, most_sets=2)
    assert tuple(estimate.maps.shape) == (2, *sample.kspace.shape)
    assert estimate.message is not None
    assert "calibration shows two sets of coil maps" in estimate.message
    first, second = estimate.maps
    assert torch.equal(first, estimate_maps(sample.kspace, sample.sampled).maps)
    length = torch.linalg.vector_norm(second, dim=0)
    assert float(length.max()) < 1 + 1e-4
    assert 0.05 < float((length > 0.5).float().mean()) < 0.9


def test_sets_are_orthogonal() -> None:
    maps, second = espirit_sets(wrapped_sample(1.3).kspace)
    assert second is not None
    both = (torch.linalg.vector_norm(second, dim=0) > 0) & (torch.linalg.vector_norm(maps, dim=0) > 0)
    assert float(both.float().mean()) > 0.05
    assert float((maps.conj() * second).sum(0).abs().max()) < 1e-4


@pytest.mark.parametrize("method", [Sense(), WaveletSparsity(), TotalVariation(), load("varnet_brain_small")])
def test_two_sets_halve_the_error_where_one_does_not_do(method: Reconstructor) -> None:
    sample = wrapped_sample(1.3)
    two, one = sense_problem(sample), sense_problem(sample, most_sets=1)
    assert two.A.domain.axes == ("set", "y", "x")
    assert one.A.domain.axes == ("y", "x")
    assert [note for note in two.notes if "two sets" in note] == list(two.notes)
    assert not one.notes
    assert _error(two, method) < 0.7 * _error(one, method)


@pytest.mark.parametrize("width", [0.8, 0.9])
@pytest.mark.parametrize(("n_coils", "snr"), [(4, 100.0), (8, 30.0), (20, 15.0)])
def test_one_within_its_field_has_one_as_ever(width: float, n_coils: int, snr: float) -> None:
    sample = wrapped_sample(width, n_coils=n_coils, snr=snr)
    estimate = estimate_maps(sample.kspace, sample.sampled, most_sets=2)
    assert estimate.message is None
    assert torch.equal(estimate.maps, estimate_maps(sample.kspace, sample.sampled).maps)


def test_a_sound_scan_is_spared_the_second_eigenvectors(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(matrices: Tensor, vector: Tensor) -> tuple[Tensor, Tensor]:
        raise AssertionError(f"solved {tuple(matrices.shape)} beside {tuple(vector.shape)}")

    monkeypatch.setattr(module, "leading_eigenpair_beside", refuse)
    sound, wrapped = wrapped_sample(0.85), wrapped_sample(1.3)
    assert estimate_maps(sound.kspace, sound.sampled, most_sets=2).maps.ndim == 3
    with pytest.raises(AssertionError, match="beside"):
        estimate_maps(wrapped.kspace, wrapped.sampled, most_sets=2)


def test_slices_are_looked_at_one_by_one() -> None:
    wrapped = wrapped_sample(1.3).kspace
    maps, second = espirit_sets(torch.stack((wrapped, 0 * wrapped)))
    assert second is not None
    assert second[0].any()
    assert not second[1].any()
    assert torch.equal(maps[0], espirit(wrapped))


def _few(width: float, lines: int) -> KSpaceSample:
    """Every sixth line, and so many in the middle."""
    sample = wrapped_sample(width)
    n = sample.sampled.shape[0]
    first = n // 2 - lines // 2
    sampled = sample.sampled & ((torch.arange(n) - first) % 3 == 0)
    sampled[first : first + lines] = True
    return replace(sample, kspace=sample.kspace * sampled, sampled=sampled)


@pytest.mark.parametrize("lines", [8, 9, 10, 11])
def test_few_calibration_lines_show_two_as_well(lines: int) -> None:
    wrapped, sound = _few(1.3, lines), _few(0.9, lines)
    two, one = sense_problem(wrapped), sense_problem(wrapped, most_sets=1)
    assert two.A.domain.axes == ("set", "y", "x")
    assert "; ".join(two.notes).count("kernel") == 1
    assert sense_problem(sound).A.domain.axes == ("y", "x")
    for method in (Sense(), TotalVariation(iterations=8)):
        assert _error(two, method) < 0.95 * _error(one, method)
        assert _error(two, method) < _error(two, ZeroFilled())


def test_hardly_any_calibration_lines_never_ask_for_two() -> None:
    sample = _few(1.3, 6)
    assert estimate_maps(sample.kspace, sample.sampled, most_sets=2).maps.ndim == 3


def test_the_image_is_that_of_the_coil_images() -> None:
    """Where its maps are zero an image means nothing, and is not shown."""
    problem = sense_problem(wrapped_sample(1.3))
    x = problem.A.domain.random(generator=torch.Generator().manual_seed(0))
    coil_images = problem.A.factors[-1](x)
    torch.testing.assert_close(problem.display_image(x), torch.linalg.vector_norm(coil_images, dim=0))
