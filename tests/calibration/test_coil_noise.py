"""Coils weighted by their noise: the covariance is undone, and brightness comes back."""

import pytest
import torch
from torch import Tensor

from medrecon.calibration import CoilNoise, Whitening
from medrecon.operators import Fourier
from medrecon.spaces import Space, root_sum_of_squares
from tests.kspace_files import simulated_scan

ALL = torch.ones(80, dtype=torch.bool)


def covariance(n_coils: int = 5, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(n_coils, n_coils, dtype=torch.complex128, generator=generator)
    return root @ root.mH + 0.1 * torch.eye(n_coils)


def white(n_coils: int, shape: tuple[int, int] = (96, 80)) -> Tensor:
    return torch.randn((n_coils, *shape), dtype=torch.complex128, generator=torch.Generator().manual_seed(1))


def coil_images(kspace: Tensor) -> Tensor:
    return Fourier(Space(("coil", "y", "x"), tuple(kspace.shape), is_complex=True)).H(kspace)


def test_noise_of_any_covariance_is_whitened() -> None:
    C = covariance()
    noise = torch.linalg.cholesky(C) @ white(5).flatten(1)
    whitened = Whitening.of(C)(noise.reshape(5, 96, 80)).flatten(1)
    found = whitened @ whitened.mH / whitened.shape[1]
    median = float(C.diagonal().real.median())
    torch.testing.assert_close(found, median * torch.eye(5, dtype=C.dtype), rtol=0, atol=0.05 * median)


def test_coils_of_one_noise_stay_as_they_are_and_the_unit_does_not_matter() -> None:
    torch.testing.assert_close(Whitening.of(7 * torch.eye(4)).matrix, torch.eye(4, dtype=torch.complex128))
    C = covariance()
    torch.testing.assert_close(Whitening.of(C).matrix, Whitening.of(1e-12 * C).matrix)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (torch.ones(3), "got (3,)"),
        (torch.ones(3, 2), "got (3, 2)"),
        (torch.tensor([[1.0, 0.5], [0.1, 1.0]]), "not Hermitian"),
        (torch.diag(torch.tensor([1.0, torch.nan])), "not finite"),
        (torch.diag(torch.tensor([1.0, 0.0])), "least eigenvalue 0"),
    ],
)
def test_what_is_no_covariance_is_refused(wrong: Tensor, words: str) -> None:
    with pytest.raises(ValueError, match="Whitening takes a Hermitian positive definite covariance") as caught:
        Whitening.of(wrong)
    assert words in str(caught.value)
    with pytest.raises(ValueError, match="takes 5 coils"):
        Whitening.of(covariance())(white(4))


@pytest.mark.parametrize("acceleration", [1, 4])
@pytest.mark.parametrize("noisy", [5.0, 50.0])
def test_whitened_images_get_their_brightness_back(acceleration: int, noisy: float) -> None:
    scan = simulated_scan(acceleration=acceleration, snr=None)
    levels = torch.tensor([1.0, 1.0, noisy, 1.0, 0.7, 1.0]) * 0.01
    noise = levels[:, None, None] * white(6).to(torch.complex64)
    whitening = Whitening.of(levels.square().diag())
    gain = whitening.gain(whitening((scan.kspace + noise) * scan.sampled), scan.sampled)
    assert gain is not None
    darker = root_sum_of_squares(coil_images(whitening(scan.kspace)), -3)
    truth = scan.truth.abs()
    inside = truth > 0.1
    error, before = ((image - truth)[inside].norm() / truth[inside].norm() for image in (gain * darker, darker))
    assert error < 0.07
    assert error < before / 2


def test_there_is_no_gain_without_calibration() -> None:
    lines = torch.arange(80) % 4 == 1
    assert Whitening.of(covariance()).gain(white(5) * lines, lines) is None


@pytest.mark.parametrize("acceleration", [1, 4])
@pytest.mark.parametrize("snr", [10.0, 30.0])
def test_levels_and_ratios_are_those_of_the_noise(acceleration: int, snr: float) -> None:
    scan = simulated_scan((128, 96), acceleration=acceleration, snr=None, n_coils=8)
    sigma = 0.7 / snr
    levels = torch.tensor([1, 1, 12, 1, 5, 1, 1.4, 0]) * sigma
    kspace = scan.kspace + levels[:, None, None] * white(8, (128, 96)).to(torch.complex64)
    kspace[7] = 0
    found = CoilNoise.of(kspace * scan.sampled, scan.sampled).levels() / sigma
    torch.testing.assert_close(found[:7], levels[:7].double() / sigma, rtol=0.2, atol=0)
    assert found[7] == pytest.approx(0.1, rel=0.2)
    ratios = CoilNoise.of(kspace * scan.sampled, scan.sampled).ratios()
    assert 6 < ratios[2] < 13
    assert 2.5 < ratios[4] < 5.5
    assert ratios[[0, 1, 3, 5, 6, 7]].max() < 2


def test_what_has_no_noise_has_no_noisy_coil() -> None:
    empty = torch.zeros(3, 40, 80, dtype=torch.complex64)
    assert torch.equal(CoilNoise.of(empty, ALL).levels(), torch.zeros(3, dtype=torch.float64))
    assert torch.equal(CoilNoise.of(empty, ALL).ratios(), torch.ones(3, dtype=torch.float64))
    few = white(3, (4, 80)).to(torch.complex64)
    few[2] *= 100
    assert torch.equal(CoilNoise.of(few[..., :8], ALL[:8]).ratios(), torch.ones(3, dtype=torch.float64))
