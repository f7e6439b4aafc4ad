import re

import pytest
import torch

from medrecon.calibration import calibration_region, estimate_maps, low_resolution_maps
from medrecon.errors import InputError
from tests.calibration.test_espirit import distance, inside


def center_lines(n: int, width: int) -> torch.Tensor:
    mask = torch.zeros(n, dtype=torch.bool)
    mask[n // 2 - width // 2 : n // 2 - width // 2 + width] = True
    return mask


@pytest.mark.parametrize(("n", "width"), [(80, 1), (80, 2), (80, 29), (81, 30), (81, 81), (80, 80)])
def test_region_of_lines(n, width):
    kspace = torch.zeros(2, 3, 64, n, dtype=torch.complex64)
    mask = center_lines(n, width)
    assert calibration_region(kspace, mask) == (64, width)
    lone = mask.clone()
    lone[0] = True
    assert calibration_region(kspace, lone) == (64, width)
    assert calibration_region(kspace, mask.expand(64, n)) == (64, width)


def test_region_is_centered_and_stops_at_the_first_gap():
    kspace = torch.zeros(3, 16, 20, dtype=torch.complex64)
    mask = torch.ones(20, dtype=torch.bool)
    mask[7] = False
    assert calibration_region(kspace, mask) == (16, 5)


def test_region_of_a_rectangle_among_scattered_samples():
    kspace = torch.zeros(3, 60, 50, dtype=torch.complex64)
    mask = torch.rand(60, 50, generator=torch.Generator().manual_seed(1)) < 0.3
    mask[30 - 7 : 30 + 8, 25 - 5 : 25 + 5] = True
    mask[30 - 8, 20:30:2], mask[30 + 8, 20:30:2], mask[:, 19], mask[:, 30] = False, False, False, False
    mask[22, :] = False
    mask[38, :] = False
    assert calibration_region(kspace, mask) == (15, 10)


def test_no_region_without_the_dc_sample():
    kspace = torch.zeros(3, 16, 20, dtype=torch.complex64)
    mask = torch.ones(20, dtype=torch.bool)
    mask[10] = False
    assert calibration_region(kspace, mask) == (0, 0)
    assert calibration_region(kspace, mask.expand(16, 20)) == (0, 0)


def test_region_refuses_a_mask_that_does_not_fit():
    kspace = torch.zeros(3, 16, 20, dtype=torch.complex64)
    with pytest.raises(ValueError, match=r"\(kx=20,\) or \(ky=16, kx=20\).*got torch.bool \(16,\)"):
        calibration_region(kspace, torch.ones(16, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"got torch.float32 \(20,\)"):
        calibration_region(kspace, torch.ones(20))


def test_low_resolution_maps_are_near_the_truth_and_of_unit_length(scan):
    kspace, truth, body = scan()
    maps = low_resolution_maps(kspace, center_lines(80, 20))
    assert torch.allclose(torch.linalg.vector_norm(maps, dim=0), torch.ones(()), atol=1e-4)
    assert distance(maps, truth)[body].quantile(0.9) < 0.1
    crude = low_resolution_maps(kspace, center_lines(80, 4))
    assert distance(maps, truth)[body].mean() < 0.5 * distance(crude, truth)[body].mean()


def test_low_resolution_maps_of_batches_scales_and_empty_slices(scan):
    kspace, _, body = scan()
    mask = center_lines(80, 10)
    batch = low_resolution_maps(torch.stack([kspace, 1e-6 * kspace, 0 * kspace]), mask)
    assert torch.allclose(batch[0], low_resolution_maps(kspace, mask), atol=1e-5)
    assert (batch[0] - batch[1])[:, body].abs().max() < 1e-4
    assert not batch[2].any()


def test_maps_use_measured_lines_alone(scan):
    kspace = scan(noise=0.01)[0]
    for width in (5, 8, 15, 29):
        mask = center_lines(80, width)
        mask[::5] = True
        assert torch.equal(estimate_maps(kspace * mask, mask).maps, estimate_maps(kspace.where(mask, 7.0), mask).maps)


@pytest.mark.parametrize(
    ("width", "method", "words"),
    [
        (24, "espirit", None),
        (12, "espirit", None),
        (9, "espirit", "96 x 9.*4 x 4 kernel"),
        (5, "low-resolution", "96 x 5"),
    ],
)
def test_picks_the_method_that_the_lines_allow(scan, width, method, words):
    kspace, truth, body = scan(noise=0.01)
    estimate = estimate_maps(kspace, center_lines(80, width))
    assert estimate.method == method
    if words is None:
        assert estimate.message is None
    else:
        assert re.search(words, estimate.message)
    assert distance(estimate.maps, truth)[body].mean() < (0.05 if method == "espirit" else 0.3)


@pytest.mark.parametrize("width", [6, 8, 10, 12])
def test_espirit_with_few_lines_beats_low_resolution(scan, width):
    kspace, truth, body = scan(noise=0.01)
    mask = center_lines(80, width)
    ours, theirs = estimate_maps(kspace, mask).maps, low_resolution_maps(kspace, mask)
    assert distance(ours, truth)[body].mean() < distance(theirs, truth)[body].mean()


def test_survives_heavy_noise(scan):
    kspace, truth, body = scan(4, noise=0.5)
    mask = torch.ones(80, dtype=torch.bool)
    estimate = estimate_maps(kspace, mask).maps
    assert inside(estimate)[body].float().mean() > 0.95
    assert (
        distance(estimate, truth)[body].mean() < 0.7 * distance(low_resolution_maps(kspace, mask), truth)[body].mean()
    )


@pytest.mark.parametrize("width", [0, 3])
def test_no_calibration_lines_is_the_users_error(scan, width):
    mask = center_lines(80, width)
    mask[::7] = True
    mask[40] = width > 0
    with pytest.raises(InputError, match=r"center of k-space is \d+ x \d+ .*need at least 4 x 4.*rss"):
        estimate_maps(scan()[0], mask)
