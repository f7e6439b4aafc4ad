import math

import numpy as np
import pytest
import torch
from torch import Tensor

from medrecon.metrics import nmse, psnr, ssim


def golden() -> tuple[Tensor, Tensor]:
    z, y, x = torch.meshgrid(
        torch.arange(3.0, dtype=torch.float64),
        torch.arange(32.0, dtype=torch.float64),
        torch.arange(32.0, dtype=torch.float64),
        indexing="ij",
    )
    target = (x / 5).sin() * (y / 7).cos() + 1.5 + 0.2 * z
    return target + 0.05 * (3 * x + 2 * y + z).sin(), target


def test_golden_values() -> None:
    prediction, target = golden()
    peak = float(target.max())
    assert nmse(prediction, target) == pytest.approx(3.932341932428309e-4, rel=1e-12)
    assert psnr(prediction, target, data_range=peak) == pytest.approx(38.27924961974062, rel=1e-12)
    assert ssim(prediction, target, data_range=peak) == pytest.approx(0.9859031589922717, rel=1e-10)


def test_agrees_with_fastmri_and_scikit_image(generator: torch.Generator) -> None:
    from fastmri import evaluate
    from skimage.metrics import structural_similarity

    target = torch.rand(4, 40, 33, generator=generator, dtype=torch.float64)
    prediction = target + 0.1 * torch.randn(4, 40, 33, generator=generator, dtype=torch.float64)
    x, t = prediction.numpy(), target.numpy()
    peak = float(target.max())
    assert nmse(prediction, target) == pytest.approx(float(evaluate.nmse(t, x)), abs=1e-6)
    assert psnr(prediction, target, data_range=peak) == pytest.approx(float(evaluate.psnr(t, x)), abs=1e-6)
    assert ssim(prediction, target, data_range=peak) == pytest.approx(float(evaluate.ssim(t, x)[0]), abs=1e-6)
    slices = [structural_similarity(a, b, data_range=peak) for a, b in zip(t, x, strict=True)]
    assert ssim(prediction, target, data_range=peak) == pytest.approx(float(np.mean(slices)), abs=1e-6)


def test_equal_images() -> None:
    image = golden()[1]
    assert nmse(image, image) == 0
    assert psnr(image, image, data_range=1.0) == math.inf
    assert ssim(image, image, data_range=1.0) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("prediction", "target", "message"),
    [
        (torch.ones(8, 8), torch.ones(8, 9), "one shape"),
        (torch.ones(8, 8, dtype=torch.complex64), torch.ones(8, 8), "real"),
    ],
)
def test_bad_input_is_refused(prediction: Tensor, target: Tensor, message: str) -> None:
    for metric in (lambda: nmse(prediction, target), lambda: psnr(prediction, target, data_range=1.0)):
        with pytest.raises(ValueError, match=message):
            metric()


def test_bad_ranges_and_sizes_are_refused() -> None:
    image = torch.ones(8, 8)
    with pytest.raises(ValueError, match="positive data_range"):
        psnr(image, image, data_range=0.0)
    with pytest.raises(ValueError, match="at least 7 x 7"):
        ssim(image[:5], image[:5], data_range=1.0)
    with pytest.raises(ValueError, match="not zero everywhere"):
        nmse(image, torch.zeros(8, 8))
