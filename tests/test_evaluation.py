import math

import pytest
import torch

from medrecon.evaluation import VolumeScore
from medrecon.metrics import nmse, psnr, ssim


def volume() -> tuple[torch.Tensor, torch.Tensor]:
    z, x, y = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in (3, 32, 32)), indexing="ij")
    target = torch.sin(x / 5) * torch.cos(y / 7) + 1.5 + 0.2 * z
    return target + 0.05 * torch.sin(3 * x + 2 * y + z), target


def test_slice_by_slice_gives_the_figures_of_the_fastmri_package() -> None:
    prediction, target = volume()
    score = VolumeScore(float(target.max()))
    for one, wanted in zip(prediction, target, strict=True):
        score = score.add(one, wanted)
    assert score.nmse == pytest.approx(3.932341932428309e-4, rel=1e-12)
    assert score.psnr == pytest.approx(38.27924961974062, rel=1e-12)
    assert score.ssim == pytest.approx(0.9859031589922717, rel=1e-9)


def test_it_is_what_the_metrics_give_for_the_whole_volume() -> None:
    generator = torch.Generator().manual_seed(1)
    target = torch.rand((4, 9, 12), generator=generator) * torch.arange(1, 5)[:, None, None]
    prediction = target + 0.1 * torch.rand((4, 9, 12), generator=generator)
    score = VolumeScore(2.5)
    for one, wanted in zip(prediction, target, strict=True):
        score = score.add(one, wanted)
    assert score.psnr == pytest.approx(psnr(prediction, target, data_range=2.5))
    assert score.ssim == pytest.approx(ssim(prediction, target, data_range=2.5))
    assert score.nmse == pytest.approx(nmse(prediction, target))


def test_adding_makes_a_new_score() -> None:
    empty = VolumeScore(1.0)
    image = torch.ones((8, 8))
    assert empty.add(image, image).psnr == math.inf
    assert empty.slices == 0


def test_refusals() -> None:
    with pytest.raises(ValueError, match="positive data_range, got 0"):
        VolumeScore(0.0)
    with pytest.raises(ValueError, match="no slices yet"):
        VolumeScore(1.0).psnr  # noqa: B018
    with pytest.raises(ValueError, match="at least 7 x 7"):
        VolumeScore(1.0).add(torch.ones((6, 9)), torch.ones((6, 9)))
