"""Losses agree with the metrics, and have the gradients of what they compute."""

import pytest
import torch

from medrecon import metrics
from medrecon.training.losses import L1Loss, MSELoss, SSIMLoss, WeightedSum


def pair(n: int = 2, seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    target = torch.rand((n, 16, 13), generator=generator, dtype=dtype)
    return target + 0.1 * torch.randn(target.shape, generator=generator, dtype=dtype), target


@pytest.mark.parametrize("brightness", [1.0, 1e-5, 700.0])
def test_ssim_is_that_of_the_metrics_with_a_range_for_each_image(brightness: float) -> None:
    x, y = (brightness * image for image in pair())
    ranges = y.amax(dim=(-2, -1)) * torch.tensor([1.0, 0.5])
    wanted = [metrics.ssim(a, b, data_range=float(r)) for a, b, r in zip(x, y, ranges, strict=True)]
    assert float(SSIMLoss()(x, y, ranges)) == pytest.approx(1 - sum(wanted) / 2, abs=1e-9)


def test_ssim_in_float32_on_a_bright_flat_image() -> None:
    x, y = pair()
    x, y = 0.01 * x + 30, 0.01 * y + 30
    wanted = 1 - metrics.ssim(x, y, data_range=1.0)
    assert float(SSIMLoss()(x.float(), y.float(), torch.ones(2))) == pytest.approx(wanted, rel=2e-2)


def test_ssim_of_equal_images_is_zero_and_small_images_are_refused() -> None:
    _, y = pair()
    assert float(SSIMLoss()(y, y, torch.ones(2))) == pytest.approx(0, abs=1e-12)
    with pytest.raises(ValueError, match="at least 7 x 7"):
        SSIMLoss()(y[..., :6], y[..., :6], torch.ones(2))


@pytest.mark.parametrize("loss", [L1Loss(), MSELoss(), SSIMLoss()])
def test_gradients(loss: L1Loss | MSELoss | SSIMLoss) -> None:
    x, y = (image[:1, :8, :8] for image in pair())
    assert torch.autograd.gradcheck(lambda x: loss(x, y, torch.ones(1)), x.requires_grad_())


def test_a_sum_weighs_its_terms() -> None:
    x, y = pair()
    together = WeightedSum(((2.0, L1Loss()), (0.5, MSELoss())))(x, y, torch.ones(2))
    assert float(together) == pytest.approx(2 * float((x - y).abs().mean()) + 0.5 * float((x - y).square().mean()))
    with pytest.raises(ValueError, match="at least one term"):
        WeightedSum(())
