"""LoDoPaB's protocol against scikit-image, which its authors use."""

import math

import pytest
import torch

from medrecon.evaluation import MeanScore, image_range


def images() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    target = torch.rand((3, 20, 24), generator=generator) * torch.tensor([0.2, 0.5, 0.9])[:, None, None] + 0.05
    return target + 0.02 * torch.randn(target.shape, generator=generator), target


@pytest.mark.parametrize("full", [False, True])
def test_means_over_images_of_what_scikit_image_gives(full: bool) -> None:
    measure = pytest.importorskip("skimage.metrics")
    prediction, target = images()
    score, psnrs, ssims = MeanScore(), [], []
    for one, wanted in zip(prediction, target, strict=True):
        data_range = 1.0 if full else image_range(wanted)
        score = score.add(one, wanted, data_range=data_range)
        a, b = wanted.double().numpy(), one.double().numpy()
        psnrs.append(measure.peak_signal_noise_ratio(a, b, data_range=data_range))
        ssims.append(measure.structural_similarity(a, b, data_range=data_range))
    assert score.psnr == pytest.approx(sum(psnrs) / 3, rel=1e-9)
    assert score.ssim == pytest.approx(sum(ssims) / 3, rel=1e-9)


def test_edges() -> None:
    _, target = images()
    assert MeanScore().add(target[0], target[0], data_range=1.0).psnr == math.inf
    assert image_range(target[2]) == float(target[2].max() - target[2].min())
    with pytest.raises(ValueError, match="no images yet"):
        MeanScore().ssim  # noqa: B018
    with pytest.raises(ValueError, match="positive data_range"):
        MeanScore().add(target[0], target[0], data_range=0.0)
