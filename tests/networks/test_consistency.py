"""Layers that bring an image nearer to its measurements."""

from collections.abc import Callable

import pytest
import torch

from medrecon.networks import Consistent, GradientStep, ProximalStep, ReplaceMeasured
from medrecon.networks.implicit import ConjugateGradients
from medrecon.operators import operator_norm
from medrecon.reconstructors import ZeroFilled
from tests.problems import Scan, coils, ct, lines, mri, relative

every_scan = pytest.mark.parametrize("make", [mri, ct])


def error(scan: Scan, x: torch.Tensor) -> float:
    return float((scan.A(x) - scan.y).norm())


@every_scan
def test_a_gradient_step_is_the_formula_and_descends(make: Callable[[], Scan], generator: torch.Generator) -> None:
    scan = make()
    x = scan.A.domain.random((1,), generator=generator)
    layer = GradientStep(0.7)
    with torch.no_grad():
        moved = layer(x, scan.y, scan.A)
    bound = scan.A.norm_bound
    assert bound is not None
    assert relative(x - moved, 0.7 / bound**2 * scan.A.H(scan.A(x) - scan.y)) < 1e-4
    assert error(scan, moved) < error(scan, x)


@every_scan
def test_a_true_image_stays(make: Callable[[], Scan]) -> None:
    scan = make()
    for layer in (GradientStep(), ProximalStep(0.1), *([ReplaceMeasured()] if make is mri else [])):
        with torch.no_grad():
            assert relative(layer(scan.truth, scan.y, scan.A), scan.truth) < 1e-4


@every_scan
def test_a_small_weight_trusts_the_data_and_a_large_one_the_image(
    make: Callable[[], Scan], generator: torch.Generator
) -> None:
    scan = make()
    x = scan.truth + 0.3 * scan.A.domain.random((1,), generator=generator)
    with torch.no_grad():
        near = ProximalStep(1e-4, ConjugateGradients(200))(x, scan.y, scan.A)
        far = ProximalStep(1e4)(x, scan.y, scan.A)
    assert error(scan, near) < 0.05 * error(scan, x)
    assert relative(far, x) < 1e-3


def test_measured_samples_are_replaced_and_others_kept(generator: torch.Generator) -> None:
    sampled = lines(9)
    A = coils(2, (8, 9), sampled)
    fourier = A.factors[1]
    x, measured = (A.domain.random((3,), generator=generator) for _ in range(2))
    k = fourier(ReplaceMeasured()(x, A(measured), A))
    assert torch.allclose(k[..., sampled], A(measured)[..., sampled], atol=1e-5)
    assert torch.allclose(k[..., ~sampled], fourier(x)[..., ~sampled], atol=1e-5)


def test_for_sense_the_replaced_coil_images_are_combined(generator: torch.Generator) -> None:
    scan = mri()
    x = scan.A.domain.random((1,), generator=generator)
    mask, fourier, maps = scan.A.factors
    k = fourier(maps(x))
    want = maps.H(fourier.H(k - mask(k) + scan.y))
    assert relative(ReplaceMeasured()(x, scan.y, scan.A), want) < 1e-5


def test_there_is_nothing_to_replace_in_a_sinogram() -> None:
    scan = ct()
    with pytest.raises(ValueError, match=r"norm of at most 1 .* take GradientStep or ProximalStep"):
        ReplaceMeasured()(scan.truth, scan.y, scan.A)


def test_a_layer_comes_after_any_reconstructor() -> None:
    scan = mri()
    network = Consistent(ZeroFilled(), ProximalStep(1e-3, ConjugateGradients(60)))
    with torch.no_grad():
        x = network(scan.y, scan.A)
    assert error(scan, x) < 0.1 * error(scan, ZeroFilled()(scan.y, scan.A))


def test_the_bound_is_that_of_the_operator() -> None:
    scan = mri()
    assert operator_norm(scan.A) <= scan.A.norm_bound * (1 + 1e-4)  # type: ignore[operator]


def test_a_weight_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="weight above 0"):
        ProximalStep(0.0)
