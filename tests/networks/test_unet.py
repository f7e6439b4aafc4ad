"""The U-Net and its normalized form, against those of the fastmri package."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from fastmri.models import Unet
from fastmri.models.varnet import NormUnet
from torch import Tensor, nn

from medrecon.networks import Normalization, NormalizedUNet, Residual, UNet, fastmri_unet
from medrecon.networks.channels import from_channels, to_channels
from tests.problems import disks, relative

SIZES = [(32, 32), (37, 22), (16, 47), (50, 33)]


def count(network: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


@pytest.mark.parametrize(("features", "parameters"), [(32, 7_756_097), (256, 496_372_225)])
def test_published_numbers_of_parameters(features: int, parameters: int) -> None:
    with torch.device("meta"):
        assert count(UNet(1, 1, features, 4)) == parameters


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 2])
def test_equals_the_peer(size: tuple[int, int], channels: int, generator: torch.Generator) -> None:
    peer = Unet(channels, channels, chans=4, num_pool_layers=3)
    ours = fastmri_unet(peer.state_dict())
    x = torch.randn((2, channels, *size), generator=generator)
    with torch.no_grad():
        assert relative(ours(x), peer(x)) < 1e-5
    peer, ours, x = peer.double(), ours.double(), x.double()
    want = torch.autograd.grad(peer(x).square().sum(), list(peer.parameters()))
    found = torch.autograd.grad(ours(x).square().sum(), list(ours.parameters()))
    sizes = [sorted(float(gradient.norm()) for gradient in gradients) for gradients in (found, want)]
    assert sizes[0] == pytest.approx(sizes[1], rel=1e-8)


@pytest.mark.parametrize("size", [(33, 47), (64, 16), (20, 37)])
def test_the_normalized_form_equals_the_peer(size: tuple[int, int], generator: torch.Generator) -> None:
    peer = NormUnet(4, 2)
    ours = NormalizedUNet(fastmri_unet(peer.unet.state_dict()))
    x = torch.randn((3, *size), generator=generator, dtype=torch.complex64) * 1e-4 + (2 - 1j)
    with torch.no_grad():
        want = torch.view_as_complex(peer(torch.view_as_real(x)[:, None]))[:, 0]
        assert relative(ours(x), want) < 1e-5


def test_it_works_channels_last_on_the_cpu() -> None:
    x = torch.randn(1, 2, 32, 32)
    seen: list[bool] = []
    network = UNet(2, 2, 4, 2)
    network.bottom.register_forward_hook(
        lambda *given: seen.append(given[2].is_contiguous(memory_format=torch.channels_last))
    )
    network(x)
    assert seen == [True]


@pytest.mark.parametrize("shape", [(1, 2, 32), (1, 3, 32, 32), (1, 2, 4, 32), (1, 2, 8, 8)])
def test_what_does_not_fit_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"UNet takes|UNet with 3 poolings takes images of at least 16 x 8"):
        UNet(2, 2, 4, 3)(torch.zeros(shape))


def test_sizes_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1, got 1, 1, 0, 4"):
        UNet(1, 1, 0)
    with pytest.raises(ValueError, match="1 to 2 channels"):
        NormalizedUNet(UNet(1, 2, 4))
    with pytest.raises(ValueError, match=r"a margin of at least 0, got .* and -1"):
        NormalizedUNet(UNet(1, 1, 4), margin=-1)
    with pytest.raises(ValueError, match="limit above 0"):
        Normalization(limit=0.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64, torch.float64, torch.complex128])
@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_channels_and_back(dtype: torch.dtype, batch: tuple[int, ...], generator: torch.Generator) -> None:
    x = torch.randn((*batch, 5, 4), generator=generator, dtype=dtype)
    channels = to_channels(x)
    assert channels.shape[1:] == (2 if dtype.is_complex else 1, 5, 4)
    assert torch.equal(from_channels(channels, x), x)
    assert torch.equal(from_channels(to_channels(x.conj()), x), x.conj())


def test_normalization_and_back(generator: torch.Generator) -> None:
    x = 4 * torch.randn((3, 2, 30, 20), generator=generator, dtype=torch.float64) + 9
    normal, moments = Normalization()(x)
    assert torch.allclose(normal.mean((2, 3)), torch.zeros(3, 2, dtype=torch.float64), atol=1e-12)
    assert torch.allclose(normal.std((2, 3)), torch.ones(3, 2, dtype=torch.float64))
    assert torch.allclose(Normalization().undo(normal, moments), x)
    limited, _ = Normalization(limit=1.5)(x)
    assert float(limited.abs().max()) == 1.5
    shrunk, _ = Normalization(eps=4.0)(x)
    assert torch.allclose(shrunk * (moments.std + 4), x - moments.mean)


@pytest.mark.parametrize("size", [(33, 47), (20, 37)])
def test_any_size_comes_back_and_no_padding_is_seen(size: tuple[int, int]) -> None:
    """The identity survives padding and cropping wherever the picture lies."""

    class Same(UNet):
        def forward(self, x: Tensor) -> Tensor:
            assert x.shape[-2] % 16 == x.shape[-1] % 16 == 0
            return x

    x = disks(size, 2) + 1
    assert relative(NormalizedUNet(Same(1, 1, 2, 1))(x), x) < 1e-6
    assert relative(Residual(NormalizedUNet(Same(1, 1, 2, 1)))(x), 2 * x) < 1e-6


class Blur(UNet):
    """A mean of 3x3, padded by zeros as convolutions are."""

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 3, stride=1, padding=1)


@pytest.mark.parametrize("size", [(33, 47), (3, 20)])
def test_with_a_margin_no_edge_is_a_place_of_its_own(size: tuple[int, int]) -> None:
    """Zeros come in at the edge of what is padded, and a margin keeps them away from the image, however small that is."""
    x = disks(size, 2) + torch.linspace(1, 2, size[1])
    mirrored = F.avg_pool2d(F.pad(x[:, None], (1, 1, 1, 1), mode="reflect"), 3, stride=1)[:, 0]
    assert relative(NormalizedUNet(Blur(1, 1, 2, 1), margin=4)(x), mirrored) < 1e-6
    published = NormalizedUNet(Blur(1, 1, 2, 1))(x)
    assert relative(published[:, 1:-1, 1:-1], mirrored[:, 1:-1, 1:-1]) < 1e-6
    assert relative(published, mirrored) > 1e-3


def test_a_change_knows_nothing_of_the_brightness_it_is_added_to() -> None:
    x = disks((20, 24), 2)
    network = NormalizedUNet(UNet(1, 1, 3, 2), change=True)
    with torch.no_grad():
        assert relative(network(x + 5.0), network(x)) < 1e-4
        assert relative(network(3 * x), 3 * network(x)) < 1e-4
        nn.init.zeros_(network.unet.last.weight)
        nn.init.zeros_(network.unet.last.bias)
        assert torch.equal(Residual(network)(x), x)


def test_a_multiple_of_one_pads_nothing() -> None:
    unet = UNet(1, 1, 3, 2)
    x = disks((21, 18))
    normal, moments = Normalization()(x[:, None])
    with torch.no_grad():
        want = Normalization().undo(unet(normal), moments)[:, 0]
        assert relative(NormalizedUNet(unet, multiple=1)(x), want) < 1e-6


def test_large_images_are_taken_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    network = NormalizedUNet(UNet(2, 2, 3, 2))
    x = torch.polar(disks((24, 20), 5), disks((24, 20), 5)).reshape(5, 1, 24, 20)
    sizes: list[int] = []
    network.unet.register_forward_pre_hook(lambda _, given: sizes.append(given[0].shape[0]))
    with torch.no_grad():
        together = network(x)
        monkeypatch.setattr("medrecon.networks.normalized._TOGETHER", 1000)
        apart = network(x)
    assert sizes == [5, 2, 2, 1]
    assert relative(apart, together) < 1e-6


def test_an_empty_image_stays_empty() -> None:
    x = torch.zeros((2, 32, 32), dtype=torch.complex64, requires_grad=True)
    out = NormalizedUNet(UNet(2, 2, 3, 2))(x)
    assert float(out.detach().abs().max()) == 0
    out.abs().sum().backward()
    assert x.grad is not None
    assert bool(torch.isfinite(x.grad).all())
