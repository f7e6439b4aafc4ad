from dataclasses import replace
from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor

from medrecon.data.mri.fastmri import KSpaceSample
from medrecon.data.mri.masks import SamplingMask, equispaced_fraction_mask
from medrecon.errors import InputError
from medrecon.metrics import psnr
from medrecon.operators import Fourier, Mask, factor_of
from medrecon.problem import (
    Problem,
    coil_problem,
    crop_readout,
    full_reconstruction,
    remove_oversampling,
    sense_problem,
    undersample,
)
from medrecon.reconstructors import RootSumOfSquares, Sense
from medrecon.solvers import conjugate_gradient, run
from medrecon.spaces import Space
from tests.kspace_files import simulated_scan

SHAPE = (64, 56)


def oversampled(n_coils: int = 6, *, snr: float | None = 60.0) -> KSpaceSample:
    """A scan of a (64, 56) image whose readout, along ky, is oversampled twice."""
    scan = simulated_scan(SHAPE, acceleration=1, snr=snr, n_coils=n_coils)
    image = Fourier(Space(("coil", "y", "x"), tuple(scan.kspace.shape), is_complex=True)).H(scan.kspace)
    padded = torch.nn.functional.pad(image, (0, 0, SHAPE[0] // 2, SHAPE[0] // 2))
    kspace = Fourier(Space(("coil", "y", "x"), tuple(padded.shape), is_complex=True))(padded)
    lines = torch.ones(SHAPE[1], dtype=torch.bool)
    return KSpaceSample(kspace, lines, None, SHAPE, "scan.h5", 0, None, 2.0, (0, SHAPE[1]))


def test_the_full_reconstruction_is_the_image_at_its_place() -> None:
    truth = simulated_scan(SHAPE, acceleration=1, snr=None).truth.abs()
    image = full_reconstruction(oversampled(snr=None))
    assert tuple(image.shape) == SHAPE
    torch.testing.assert_close(image, truth, rtol=0, atol=1e-5)


def test_removing_the_oversampling_keeps_what_is_shown() -> None:
    sample = oversampled()
    less = remove_oversampling(sample)
    assert tuple(less.kspace.shape[-2:]) == SHAPE
    assert less.oversampling == pytest.approx(1.0)
    torch.testing.assert_close(full_reconstruction(less), full_reconstruction(sample), rtol=0, atol=1e-5)


def test_a_band_is_that_part_of_the_scan() -> None:
    sample = remove_oversampling(oversampled())
    sample = replace(sample, target=full_reconstruction(sample))
    assert sample.target is not None
    band = crop_readout(sample, 10, 24)
    assert (band.matrix, tuple(band.kspace.shape[-2:])) == ((24, SHAPE[1]), (24, SHAPE[1]))
    torch.testing.assert_close(full_reconstruction(band), full_reconstruction(sample)[10:34], rtol=0, atol=1e-5)
    assert band.target is not None
    assert torch.equal(band.target, sample.target[10:34])


def test_a_band_of_an_undersampled_scan_folds_as_the_whole_does() -> None:
    sample, mask = remove_oversampling(oversampled()), equispaced_fraction_mask(SHAPE[1], 4, 0.1, 0)
    whole, band = (coil_problem(undersample(each, mask)) for each in (sample, crop_readout(sample, 10, 24)))
    images = whole.A.H(whole.y)[..., 10:34, :].abs()
    torch.testing.assert_close(band.A.H(band.y).abs(), images, rtol=0, atol=1e-5)


def test_bands_that_cannot_be_are_refused() -> None:
    sample = remove_oversampling(oversampled())
    with pytest.raises(ValueError, match="call remove_oversampling first"):
        crop_readout(oversampled(), 0, 8)
    with pytest.raises(ValueError, match="rows within 0 to 64, got 60 to 70"):
        crop_readout(sample, 60, 10)


def test_undersampling_keeps_the_lines_of_the_mask() -> None:
    sample = remove_oversampling(oversampled())
    mask = equispaced_fraction_mask(SHAPE[1], 4, 0.1, 0)
    less = undersample(sample, mask)
    assert torch.equal(less.kspace[..., mask.sampled], sample.kspace[..., mask.sampled])
    assert not less.kspace[..., ~mask.sampled].any()
    assert less.true_acceleration == pytest.approx(mask.acceleration)


def test_points_are_undersampled_on_the_whole_grid(generator: torch.Generator) -> None:
    sample = remove_oversampling(oversampled())
    points = torch.rand(SHAPE, generator=generator) < 0.4
    points[24:40, 20:36] = True
    less = undersample(sample, SamplingMask(points, "points"))
    problem = sense_problem(less)
    assert torch.equal(factor_of(problem.A, Mask, "test").pattern, points)


def test_a_mask_of_another_width_is_refused() -> None:
    with pytest.raises(InputError, match=r"scan.h5: the mask is \(50,\), but k-space is"):
        undersample(oversampled(), equispaced_fraction_mask(50, 4, 0.1, 0))


def test_sense_on_maps_from_the_calibration_lines() -> None:
    sample = oversampled()
    less = undersample(sample, equispaced_fraction_mask(SHAPE[1], 3, 0.25, 0))
    problem, coils = sense_problem(less), coil_problem(less)
    target = full_reconstruction(sample)
    image = problem.display_image(Sense()(problem.y, problem.A))
    zero_filled = coils.display_image(RootSumOfSquares()(coils.y, coils.A))
    peak = float(target.max())
    assert psnr(image, target, data_range=peak) > psnr(zero_filled, target, data_range=peak) + 1


def test_one_coil_needs_no_calibration() -> None:
    sample = oversampled(n_coils=1)
    lines = torch.zeros(SHAPE[1], dtype=torch.bool)
    lines[::2] = True
    problem = sense_problem(undersample(sample, SamplingMask(lines, "no center")))
    assert problem.maps_origin == "uniform"
    assert problem.A.domain.shape == SHAPE


def test_several_coils_without_calibration_lines_are_refused_with_the_place() -> None:
    sample = replace(oversampled(), slice_index=7)
    lines = torch.zeros(SHAPE[1], dtype=torch.bool)
    lines[1::2] = True
    with pytest.raises(InputError, match=r"scan.h5, slice 7: .*sample more central lines, use .*rss"):
        sense_problem(undersample(sample, SamplingMask(lines, "no center")))


def test_a_problem_prints_as_facts() -> None:
    scan = simulated_scan(SHAPE, acceleration=1)
    sample = replace(oversampled(), target=scan.truth.abs())
    assert repr(sense_problem(sample)) == (
        "Problem(y (coil=6, ky=64, kx=56) complex = A x, x (..., y=64, x=56) complex, on cpu, shown 64 x 56, target, maps espirit)"
    )
    assert repr(coil_problem(oversampled())).endswith(
        "x (..., coil=6, y=64, x=56) complex, on cpu, shown 64 x 56, no target)"
    )


def panels(figure: Figure) -> dict[str, Tensor]:
    """The images of a figure by their titles."""
    shown = {axes.get_title(loc="left"): axes.images for axes in figure.axes if axes.get_title(loc="left")}
    return {title: torch.as_tensor(image.get_array()) for title, (image,) in shown.items()}


def test_a_figure_shows_image_target_and_difference() -> None:
    sample = replace(remove_oversampling(oversampled()), target=simulated_scan(SHAPE, acceleration=1).truth.abs())
    problem = sense_problem(sample)
    x = Sense()(problem.y, problem.A)
    found = panels(problem.show(x, title="SENSE"))
    assert list(found) == ["target", "reconstruction", "|difference|"]
    assert sample.target is not None
    torch.testing.assert_close(found["target"], sample.target)
    torch.testing.assert_close(found["reconstruction"], x.abs())
    torch.testing.assert_close(found["|difference|"], (x.abs() - sample.target).abs())
    batch = torch.stack([x, 2 * x])
    torch.testing.assert_close(panels(problem.show(batch, index=1))["reconstruction"], 2 * x.abs())
    with pytest.raises(IndexError):
        problem.show(batch, index=2)


def test_coil_images_are_shown_combined() -> None:
    sample = oversampled()
    problem = coil_problem(sample)
    found = panels(problem.show(problem.A.H(problem.y)))
    assert list(found) == ["reconstruction"]
    torch.testing.assert_close(found["reconstruction"], full_reconstruction(sample))
    torch.testing.assert_close(
        panels(problem.show(full_reconstruction(sample)))["reconstruction"], full_reconstruction(sample)
    )


def test_a_figure_is_shown_by_a_notebook_and_written(tmp_path: Path) -> None:
    problem = sense_problem(oversampled())
    x = problem.A.H(problem.y)
    assert problem.show(x)._repr_png_().startswith(b"\x89PNG")
    for name, start in (("x.png", b"\x89PNG"), ("x.pdf", b"%PDF")):
        problem.save(tmp_path / name, x)
        assert (tmp_path / name).read_bytes().startswith(start)


def least_squares(problem: Problem) -> Tensor:
    A, b = problem.A, problem.A.H(problem.y)
    return run(conjugate_gradient(A.gram, b, b), max_iterations=20).x


def test_the_noise_of_coils_weighs_them_and_given_maps_see_the_same_image() -> None:
    scan = simulated_scan(SHAPE, acceleration=3, snr=None)
    levels = torch.tensor([1.0, 1, 12, 1, 1, 1])
    noise = torch.randn(scan.kspace.shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    kspace = (scan.kspace + 0.01 * levels[:, None, None] * noise) * scan.sampled
    sample = replace(KSpaceSample.full(kspace, None, SHAPE, "scan.h5"), sampled=scan.sampled)
    weighted = sense_problem(sample, maps=scan.maps, noise_covariance=levels.square().diag())
    plain = sense_problem(sample, maps=scan.maps)
    errors = [float((least_squares(p) - scan.truth).norm()) for p in (weighted, plain)]
    assert errors[0] < errors[1] / 2
    assert weighted.gain is None
    sets = torch.stack([scan.maps, torch.zeros_like(scan.maps)])
    of_sets = sense_problem(sample, maps=sets, noise_covariance=levels.square().diag())
    shown = of_sets.display_image(torch.stack([scan.truth, torch.zeros_like(scan.truth)]))
    assert float(shown.sum() / scan.truth.abs().sum()) == pytest.approx(1, abs=0.03)
    estimated = sense_problem(sample, noise_covariance=levels.square().diag())
    image = estimated.display_image(Sense()(estimated.y, estimated.A))
    assert float((image - scan.truth.abs()).norm()) < errors[1] / 2
    with pytest.raises(ValueError, match="takes 5 coils"):
        coil_problem(sample, noise_covariance=torch.eye(5))
