from dataclasses import replace

import numpy as np
import pytest
import torch

from medrecon.functionals import GroupL1, LeastSquares
from medrecon.operators import Fourier, Gradient, Identity, sense
from medrecon.reconstructor import Reconstructor
from medrecon.reconstructors import RootSumOfSquares, Sense, TotalVariation, WaveletSparsity, ZeroFilled
from medrecon.reconstructors.scaling import intensity, relative_noise, sparsity_unit
from medrecon.spaces import image_space
from tests.kspace_files import simulated_scan

METHODS: dict[str, Reconstructor] = {
    "zero-filled": ZeroFilled(),
    "rss": RootSumOfSquares(),
    "sense": Sense(),
    "wavelet": WaveletSparsity(iterations=40),
    "tv": TotalVariation(),
}
ITERATIVE = ("sense", "wavelet", "tv")
every_method = pytest.mark.parametrize("name", METHODS)


@every_method
def test_a_full_scan_without_noise_comes_back(name: str) -> None:
    scan = simulated_scan(acceleration=1, snr=None)
    method = METHODS[name]
    if isinstance(method, Sense | WaveletSparsity | TotalVariation):
        method = replace(method, weight=0.0)
    image = method(scan.y, scan.A)
    want = scan.truth.abs() if name == "rss" else scan.truth
    assert float((image - want).norm() / want.norm()) < 1e-4


def quality(name: str) -> float:
    scan = simulated_scan(acceleration=2)
    return scan.psnr(METHODS[name](scan.y, scan.A))


FLOOR = {"sense": 3.0, "wavelet": 5.0, "tv": 6.5}  # dB over zero filling


@pytest.mark.parametrize("name", ITERATIVE)
def test_quality_over_zero_filling(name: str) -> None:
    assert quality(name) > quality("zero-filled") + FLOOR[name]


def test_sparsity_beats_least_squares() -> None:
    assert min(quality("wavelet"), quality("tv")) > quality("sense") + 1


@pytest.mark.parametrize("name", ["wavelet", "tv"])
@pytest.mark.parametrize("snr", [10.0, 30.0, 100.0])
def test_one_default_weight_suits_every_noise(name: str, snr: float) -> None:
    scan = simulated_scan(snr=snr, seed=3)
    method = METHODS[name]
    assert isinstance(method, WaveletSparsity | TotalVariation)
    scores = {
        factor: scan.psnr(replace(method, weight=factor * method.weight)(scan.y, scan.A))
        for factor in (1 / 16, 1 / 4, 1.0, 4.0, 16.0)
    }
    assert scores[1.0] > max(scores.values()) - 2.0, scores


@pytest.mark.parametrize("shape", [(70, 54), (49, 33)])
def test_wavelets_take_sizes_that_no_power_of_two_divides(shape: tuple[int, int]) -> None:
    scan = simulated_scan(shape)
    image = WaveletSparsity(iterations=30)(scan.y, scan.A)
    assert tuple(image.shape) == shape
    assert scan.psnr(image) > scan.psnr(ZeroFilled()(scan.y, scan.A)) + 2


@pytest.mark.parametrize("name", ITERATIVE)
def test_volumes(name: str, generator: torch.Generator) -> None:
    z, y, x = torch.meshgrid(*3 * [torch.arange(16.0)], indexing="ij")
    truth = torch.exp(-((z - 7) ** 2 + (y - 9) ** 2 + (x - 6) ** 2) / 12).to(torch.complex64)
    corners = torch.tensor([[0.0, 0.0, 0.0], [0.0, 15.0, 15.0], [15.0, 0.0, 15.0], [15.0, 15.0, 0.0]])[
        ..., None, None, None
    ]
    distance = (torch.stack((z, y, x)) - corners).square().sum(1)
    maps = torch.polar(torch.exp(-distance / 150), distance / 100)
    maps = maps / torch.linalg.vector_norm(maps, dim=0)
    sampled = torch.rand(16, 16, 16, generator=generator) < 0.6
    A = sense(sampled, maps, ndim=3)
    image = METHODS[name](A(truth), A)
    before = float((A.H(A(truth)) - truth).norm() / truth.norm())
    assert float((image - truth).norm() / truth.norm()) < 0.7 * before


def test_total_variation_minimizes_its_objective_further_than_sigpy() -> None:
    from sigpy.mri.app import TotalVariationRecon

    scan = simulated_scan()
    data, D = LeastSquares(scan.A, scan.y), Gradient(scan.A.domain)
    weight = 0.003
    g = GroupL1(D.range, weight)
    method = TotalVariation(weight=float(weight / sparsity_unit(scan.y, scan.A, data.backprojection)), iterations=60)
    theirs = TotalVariationRecon(scan.y.numpy(), scan.maps.numpy(), weight, max_iter=200, show_pbar=False).run()
    ours, sigpy = method(scan.y, scan.A), torch.from_numpy(np.asarray(theirs))
    assert float(data(ours) + g(D(ours))) < 1.001 * float(data(sigpy) + g(D(sigpy)))


def test_the_noise_is_estimated() -> None:
    for snr in (10.0, 30.0):
        clean, noisy = simulated_scan(snr=None), simulated_scan(snr=snr)
        sigma = float((noisy.kspace - clean.kspace).abs().square().mean().sqrt())
        scale = intensity(noisy.A.H(noisy.y), noisy.A)
        assert float(relative_noise(noisy.y, noisy.A, scale) * scale) == pytest.approx(sigma, rel=0.3)


def test_an_operator_that_is_not_masked_kspace_has_no_noise_to_read() -> None:
    x = torch.ones(8, 8, dtype=torch.complex64)
    A = Identity(image_space((8, 8)))
    assert float(relative_noise(x, A, torch.tensor(1.0))) == 0
    assert float(sparsity_unit(x, A, x)) == pytest.approx(1.0)


def test_tolerance_stops_early() -> None:
    scan = simulated_scan()
    long, short = (Sense(iterations=200, tolerance=tolerance)(scan.y, scan.A) for tolerance in (0.0, 1e-3))
    assert 0 < float((long - short).norm() / long.norm()) < 0.1


def test_total_variation_comes_to_the_same_minimum_at_any_threshold() -> None:
    scan = simulated_scan()
    low, high = (TotalVariation(threshold=threshold, iterations=200)(scan.y, scan.A) for threshold in (0.05, 0.2))
    assert float((low - high).norm() / low.norm()) < 2e-3
    assert float(TotalVariation(weight=0.0, iterations=5)(scan.y, scan.A).abs().max()) > 0
    with pytest.raises(ValueError, match="threshold above 0, got 0"):
        TotalVariation(threshold=0.0)(scan.y, scan.A)


@pytest.mark.parametrize("method", [Sense, WaveletSparsity, TotalVariation])
def test_negative_weights_are_refused(method: type[Sense | WaveletSparsity | TotalVariation]) -> None:
    with pytest.raises(ValueError, match="weight of at least 0, got -1"):
        method(weight=-1.0)


def test_root_sum_of_squares_refuses_what_has_no_coils() -> None:
    fourier = Fourier(image_space((8, 8)))
    y = torch.ones(8, 8, dtype=torch.complex64)
    with pytest.raises(ValueError, match="multi-coil"):
        RootSumOfSquares()(y, fourier)
    with pytest.raises(ValueError, match="one Fourier in it, got Identity"):
        RootSumOfSquares()(y, Identity(image_space((8, 8))))
