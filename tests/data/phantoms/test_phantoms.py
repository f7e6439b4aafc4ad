import math

import numpy as np
import pytest
import skimage.data
import skimage.transform
import torch
from torch import Tensor

from medrecon.data.phantoms.ellipses import Ellipse, Ellipsoid, Phantom, coordinates
from medrecon.data.phantoms.mri_phantoms import brain, brain_volume, shepp_logan, shepp_logan_volume


def transform(image: Tensor) -> Tensor:
    axes = tuple(range(image.ndim))
    return torch.fft.fftshift(torch.fft.fftn(torch.fft.ifftshift(image, dim=axes), norm="ortho", dim=axes), dim=axes)


def inverse(kspace: Tensor) -> Tensor:
    axes = tuple(range(kspace.ndim))
    return torch.fft.fftshift(torch.fft.ifftn(torch.fft.ifftshift(kspace, dim=axes), norm="ortho", dim=axes), dim=axes)


def low_frequencies(phantom: Phantom, shape: tuple[int, ...], times: int, extent: tuple[float, ...] | None) -> Tensor:
    """The k-space of the phantom drawn `times` finer, without the loss by its pixels' size, at the scan's size."""
    fine = tuple(times * n for n in shape)
    kspace = transform(phantom.image(fine, extent).to(torch.complex128))
    kspace = kspace[tuple(slice(f // 2 - n // 2, f // 2 - n // 2 + n) for f, n in zip(fine, shape, strict=True))]
    for axis, (f, n) in enumerate(zip(fine, shape, strict=True)):
        pixel = torch.sinc((torch.arange(n, dtype=torch.float64) - n // 2) / f)
        kspace = kspace / pixel.reshape([-1 if i == axis else 1 for i in range(len(shape))])
    return kspace / math.sqrt(times ** len(shape))


ELLIPSE = Phantom((Ellipse(1.5, (-0.3, 0.2), (0.5, 0.15), 0.6),))
ELLIPSOID = Phantom((Ellipsoid(1.5, (0.25, -0.3, 0.2), (0.3, 0.5, 0.15), 0.6),))


@pytest.mark.parametrize("shape", [(48, 48), (33, 50)])
@pytest.mark.parametrize("extent", [None, (2.0, 1.0), (1.1, 1.3)])
@pytest.mark.parametrize("phantom", [ELLIPSE, shepp_logan()], ids=["ellipse", "shepp-logan"])
def test_closed_form_equals_an_oversampled_transform(
    phantom: Phantom, shape: tuple[int, int], extent: tuple[float, ...] | None
) -> None:
    expected, kspace = low_frequencies(phantom, shape, 16, extent), phantom.kspace(shape, extent)
    assert kspace.dtype == torch.complex64
    assert float((kspace - expected).norm() / expected.norm()) < 1e-3
    # and sample by sample at high frequencies too, where the samples are small
    torch.testing.assert_close(kspace.to(torch.complex128), expected, rtol=0, atol=2e-4 * float(expected.abs().max()))


def test_closed_form_of_the_brain() -> None:
    expected, kspace = low_frequencies(brain(), (32, 32), 12, None), brain().kspace((32, 32))
    assert float((kspace - expected).norm() / expected.norm()) < 2e-3


@pytest.mark.parametrize("shape", [(12, 16, 20), (11, 10, 13)])
@pytest.mark.parametrize("phantom", [ELLIPSOID, shepp_logan_volume()], ids=["ellipsoid", "shepp-logan"])
def test_closed_form_in_3d(phantom: Phantom, shape: tuple[int, int, int]) -> None:
    expected, kspace = low_frequencies(phantom, shape, 5, None), phantom.kspace(shape)
    assert float((kspace - expected).norm() / expected.norm()) < 5e-3


def test_dc_is_the_area_and_the_volume() -> None:
    # sum of pixels / sqrt(N) = area / (pixel area sqrt(N))
    area = 1.5 * math.pi * 0.5 * 0.15
    assert ELLIPSE.kspace((40, 30))[20, 15].real == pytest.approx(area / 4 * math.sqrt(1200), rel=1e-5)
    volume = 1.5 * 4 / 3 * math.pi * 0.3 * 0.5 * 0.15
    assert ELLIPSOID.kspace((8, 10, 12))[4, 5, 6].real == pytest.approx(volume / 8 * math.sqrt(960), rel=1e-5)
    assert float(ELLIPSE.image((400, 300)).sum()) == pytest.approx(area / 4 * 120000, rel=1e-3)
    assert float(ELLIPSOID.image((80, 100, 90)).sum()) == pytest.approx(volume / 8 * 720000, rel=3e-3)


@pytest.mark.parametrize("drawn", ["image", "kspace"])
@pytest.mark.parametrize("extent", [(1.0, 1.0), (2.0, 1.25)])
def test_an_off_center_ellipse_lies_where_it_says(drawn: str, extent: tuple[float, float]) -> None:
    shape = (161, 120)
    phantom = Phantom((Ellipse(2.0, (-0.4, 0.25), (0.3, 0.1), 0.0),))
    image = phantom.image(shape, extent) if drawn == "image" else inverse(phantom.kspace(shape, extent)).real
    y, x = (coordinates(n, e).float() for n, e in zip(shape, extent, strict=True))
    mass = image.sum()
    # a quarter from the top, right of the middle: small row, large column
    tolerance = 1e-3 if drawn == "image" else 1e-2
    assert float((image.sum(1) * y).sum() / mass) == pytest.approx(-0.4, abs=tolerance)
    assert float((image.sum(0) * x).sum() / mass) == pytest.approx(0.25, abs=tolerance)
    if drawn == "image":  # an ellipse's variance along an axis is its squared semi-axis over four
        assert float((image.sum(1) * (y + 0.4) ** 2).sum() / mass) == pytest.approx(0.3**2 / 4, rel=0.02)
        assert float((image.sum(0) * (x - 0.25) ** 2).sum() / mass) == pytest.approx(0.1**2 / 4, rel=0.05)
    row = round(-0.4 / (2 * extent[0] / shape[0])) + shape[0] // 2
    column = round(0.25 / (2 * extent[1] / shape[1])) + shape[1] // 2
    assert float(image[row, column]) == pytest.approx(2, abs=0.15)
    assert float(image[-1 - row, column]) == pytest.approx(0, abs=0.1)


def test_a_turned_ellipse_leans_from_x_to_y() -> None:
    long_along_x = Phantom((Ellipse(1.0, (0.0, 0.0), (0.1, 0.6), math.pi / 6),))
    end = (0.5 * math.sin(math.pi / 6), 0.5 * math.cos(math.pi / 6))
    for image in (long_along_x.image((200, 200)), inverse(long_along_x.kspace((200, 200))).real):
        below_right = (round(end[0] * 100) + 100, round(end[1] * 100) + 100)
        above_right = (round(-end[0] * 100) + 100, round(end[1] * 100) + 100)
        assert float(image[below_right]) == pytest.approx(1, abs=0.15)
        assert float(image[above_right]) == pytest.approx(0, abs=0.1)


def test_image_pixels_are_means() -> None:
    fine = ELLIPSE.image((240, 240))
    # pixel i of the coarse grid covers 2 e / n around its center: five of the finer ones, two on each side
    coarse = ELLIPSE.image((48, 48))
    blocks = torch.nn.functional.avg_pool2d(fine.roll((2, 2), (0, 1))[None, None], 5)[0, 0]
    torch.testing.assert_close(coarse, blocks, rtol=0, atol=1.5 / 16)  # eight subsamples along an edge
    assert float((coarse - blocks).abs().mean()) < 1e-3
    assert 0 < int(((coarse > 0) & (coarse < 1.5)).sum()) < 150


def test_shepp_logan_is_the_known_picture() -> None:
    picture = skimage.transform.resize(skimage.data.shepp_logan_phantom(), (200, 200), anti_aliasing=True)
    ours = shepp_logan().image((200, 200)).numpy()

    def likeness(image: np.ndarray) -> float:
        return float(np.corrcoef(image.ravel(), picture.ravel())[0, 1])

    assert likeness(ours) > 0.94
    inside = (slice(40, 160), slice(60, 140))

    def inner_likeness(image: np.ndarray) -> float:
        return float(np.corrcoef(image[inside].ravel(), picture[inside].ravel())[0, 1])

    assert inner_likeness(ours) > 0.9
    assert inner_likeness(ours) > inner_likeness(ours[::-1]) + 0.3
    assert inner_likeness(ours) > inner_likeness(ours[:, ::-1]) + 0.1
    assert (ours.min(), ours.max()) == (pytest.approx(0, abs=1e-6), pytest.approx(1, abs=1e-6))


@pytest.mark.parametrize("volume", [shepp_logan_volume(), brain_volume()], ids=["shepp-logan", "brain"])
def test_a_section_is_a_slice_of_the_volume(volume: Phantom) -> None:
    drawn = volume.image((48, 32, 40))
    for index in (14, 24, 31):
        section = volume.section(float(coordinates(48)[index]))
        assert section is not None
        assert section.ndim == 2
        error = (section.image((32, 40)) - drawn[index]).abs()
        assert float(error.mean()) < 0.02  # the pixels of the volume are means along z too
    assert volume.section(1.5) is None


def test_brain_looks_like_a_brain() -> None:
    image = brain().image((256, 256))
    assert torch.equal(image, brain_volume().section(0.0).image((256, 256)))  # type: ignore[union-attr]
    tissue = {(150, 70): 0.42, (110, 128 - 14): 1.0, (100, 128 + 4): 0.6, (14, 128): 0.5, (20, 128): 0.06}
    for (y, x), intensity in tissue.items():
        assert float(image[y, x]) == pytest.approx(intensity, abs=0.02), (y, x)
    assert float(image.min()) > -1e-6
    assert float(image.max()) < 1.05
    left, right = image[:, 1:128].flip(1), image[:, 129:]
    assert float((left - right).abs().sum()) > 10  # the lesions tell left from right
    assert float((image[1:] - image[1:].flip(0)).abs().sum()) > 10


def test_refusals() -> None:
    with pytest.raises(ValueError, match="Ellipse takes semi-axes above zero"):
        Ellipse(1.0, (0.0, 0.0), (0.1, 0.0))
    with pytest.raises(ValueError, match="Ellipsoid takes semi-axes above zero"):
        Ellipsoid(1.0, (0.0, 0.0, 0.0), (0.1, -0.1, 0.1))
    with pytest.raises(ValueError, match="Phantom takes at least one"):
        Phantom(())
    with pytest.raises(ValueError, match=r"Phantom.image takes 2 sizes and extents, got \(4, 4, 4\)"):
        shepp_logan().image((4, 4, 4))
    with pytest.raises(ValueError, match=r"Phantom.kspace takes 3 sizes and extents"):
        shepp_logan_volume().kspace((4, 4, 4), (1.0, 1.0))
