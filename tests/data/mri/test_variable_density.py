import math
import time

import numpy as np
import pytest
import sigpy.mri
import torch
from scipy.spatial import cKDTree

from medrecon.data.mri.variable_density import gaussian_mask, poisson_mask, radial_mask


@pytest.mark.parametrize("width", [31, 64, 368])
@pytest.mark.parametrize("acceleration", [1, 2, 4, 7.3])
def test_gaussian_keeps_the_number_of_lines_asked_for(width: int, acceleration: float) -> None:
    mask = gaussian_mask(width, acceleration, 0.08, 3)
    assert int(mask.sampled.sum()) == round(width / acceleration)
    n_center = round(0.08 * width)
    assert isinstance(mask.calibration, int)
    assert mask.calibration >= n_center
    assert torch.equal(mask.sampled, gaussian_mask(width, acceleration, 0.08, 3).sampled)
    assert acceleration == 1 or not torch.equal(mask.sampled, gaussian_mask(width, acceleration, 0.08, 4).sampled)


def test_gaussian_lines_follow_the_density() -> None:
    total = torch.stack([gaussian_mask(240, 8, 0.04, seed).sampled for seed in range(400)]).double().mean(0)
    distance = (torch.arange(240) - 120).abs()
    near, middle, far = (
        total[(distance >= low) & (distance < high)].mean() for low, high in ((10, 30), (40, 60), (90, 120))
    )
    assert near > 1.5 * middle > 4 * far > 0


def test_gaussian_keeps_the_center_alone_where_it_holds_all_lines() -> None:
    assert gaussian_mask(100, 20, 0.1, 0).sampled.nonzero().flatten().tolist() == list(range(45, 55))
    assert int(gaussian_mask(5, 100, 0.0, 0).sampled.sum()) == 1


@pytest.mark.parametrize("shape", [(64, 64), (81, 50), (128, 64)])
@pytest.mark.parametrize("acceleration", [1.0, 1.5, 3.0, 4.0, 8.0])
def test_poisson_meets_the_acceleration_and_keeps_the_center(shape: tuple[int, int], acceleration: float) -> None:
    mask = poisson_mask(shape, acceleration, (8, 8), (1, 2))
    assert int(mask.sampled.sum()) == round(math.prod(shape) / acceleration)
    assert isinstance(mask.calibration, tuple)
    assert min(mask.calibration) >= 8
    assert torch.equal(mask.sampled, poisson_mask(shape, acceleration, (8, 8), (1, 2)).sampled)
    assert acceleration == 1 or not torch.equal(mask.sampled, poisson_mask(shape, acceleration, (8, 8), 5).sampled)


def nearest(sampled: np.ndarray, low: float, high: float) -> np.ndarray:
    """Distances to the nearest neighbor of samples whose scaled distance from DC is between low and high."""
    points = np.argwhere(sampled)
    half = np.array(sampled.shape) / 2
    radius = np.linalg.norm((points - half) / half, axis=1)
    distances = cKDTree(points).query(points, k=2)[0][:, 1]
    return distances[(radius > low) & (radius < high)]


def test_poisson_distances_grow_outwards_and_exceed_those_of_random_points() -> None:
    sampled = poisson_mask((256, 256), 8, (24, 24), 0).sampled.numpy()
    inner, outer = nearest(sampled, 0.3, 0.4), nearest(sampled, 0.85, 1.0)
    assert inner.min() >= math.sqrt(2)
    assert outer.min() >= 2.5
    assert np.median(outer) > 1.4 * np.median(inner)
    peer = np.abs(sigpy.mri.poisson((256, 256), 8, calib=(24, 24), seed=0)) > 0
    for low, high in ((0.3, 0.4), (0.5, 0.6), (0.8, 0.95)):
        assert nearest(sampled, low, high).min() >= nearest(peer, low, high).min() - 1e-9


def test_poisson_leaves_no_hole() -> None:
    sampled = poisson_mask((128, 128), 6, (16, 16), 0).sampled.numpy()
    y, x = np.mgrid[:128, :128]
    holes = cKDTree(np.argwhere(sampled)).query(np.stack((y.ravel(), x.ravel()), axis=1))[0]
    assert holes.max() < 8
    assert (holes > 4.5).mean() < 0.01


def test_poisson_takes_little_work() -> None:
    seconds = []
    for seed in range(3):
        start = time.process_time()
        poisson_mask((256, 256), 8, (24, 24), seed)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 1


@pytest.mark.parametrize("n_samples", [65, 66])
def test_poisson_with_hardly_more_than_the_center(n_samples: int) -> None:
    assert int(poisson_mask((32, 32), 1024 / n_samples, (8, 8), 0).sampled.sum()) == n_samples


@pytest.mark.parametrize("shape", [(64, 64), (81, 50), (128, 40)])
@pytest.mark.parametrize("acceleration", [1.0, 2.0, 4.0, 8.0])
def test_radial_is_as_near_as_a_spoke(shape: tuple[int, int], acceleration: float) -> None:
    mask = radial_mask(shape, acceleration, 0)
    assert abs(int(mask.sampled.sum()) - math.prod(shape) / acceleration) <= max(shape) / 2
    assert bool(mask.sampled[shape[0] // 2, shape[1] // 2])
    assert not acceleration > 1 or not torch.equal(mask.sampled, radial_mask(shape, acceleration, 1).sampled)


def test_radial_spokes_pass_through_dc_and_to_the_border() -> None:
    mask = radial_mask((65, 65), 20, 0).sampled
    assert torch.equal(mask, mask.flip(0, 1))  # a line through the center is its own mirror image
    y, x = torch.meshgrid(torch.arange(65) - 32, torch.arange(65) - 32, indexing="ij")
    rings = torch.maximum(y.abs(), x.abs())
    counts = [int(mask[rings == r].sum()) for r in (10, 20, 32)]
    assert min(counts) > 0
    assert max(counts) - min(counts) <= 2  # each spoke crosses each square ring twice


def test_refusals() -> None:
    with pytest.raises(ValueError, match=r"poisson_mask takes a calibration of at most 64 samples .* 16 x 16 = 256"):
        poisson_mask((32, 32), 16, (16, 16), 0)
    with pytest.raises(ValueError, match=r"poisson_mask takes a calibration no larger than \(8, 8\)"):
        poisson_mask((8, 8), 2, (9, 2), 0)
    with pytest.raises(ValueError, match="poisson_mask takes an acceleration of at least 1"):
        poisson_mask((8, 8), 0.9, (2, 2), 0)
    with pytest.raises(ValueError, match="radial_mask takes a shape"):
        radial_mask((0, 8), 2, 0)
    with pytest.raises(ValueError, match="gaussian_mask takes a center fraction"):
        gaussian_mask(32, 4, 2, 0)
