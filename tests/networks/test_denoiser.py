"""The denoiser: no unit, any size and field, each image on its own, and it learns."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from medrecon.networks import DenoiserUNet
from tests.problems import disks


def _network(seed: int = 0, features: tuple[int, ...] = (4, 6, 8)) -> DenoiserUNet:
    """One whose last convolution is not zero, as after training."""
    torch.manual_seed(seed)
    network = DenoiserUNet(features, blocks=1)
    nn.init.normal_(network.last.weight, std=0.1)
    return network.double()


def _images(*shape: int, is_complex: bool = True) -> Tensor:
    dtype = torch.complex128 if is_complex else torch.float64
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=dtype)


@pytest.mark.parametrize("factor", [1e-9, 0.3, 7.0, 1e9])
@pytest.mark.parametrize("is_complex", [True, False])
def test_it_knows_no_unit(factor: float, is_complex: bool) -> None:
    network, x = _network(), _images(2, 21, 18, is_complex=is_complex)
    sigma = torch.tensor([0.1, 0.4], dtype=torch.float64)
    torch.testing.assert_close(network(factor * x, factor * sigma) / factor, network(x, sigma), rtol=1e-9, atol=1e-9)


def test_it_begins_as_the_identity_and_every_parameter_learns() -> None:
    x = _images(2, 16, 16)
    fresh = DenoiserUNet((4, 6)).double()
    assert torch.equal(fresh(x, 0.3), x)
    network = _network()
    network(x, 0.3).abs().square().sum().backward()
    assert all(float(weight.grad.abs().max()) > 0 for weight in network.parameters() if weight.grad is not None)
    assert all(weight.grad is not None for weight in network.parameters())
    assert not any(name.endswith("bias") for name, _ in network.named_parameters())


@pytest.mark.parametrize("shape", [(16, 16), (17, 23), (3, 5), (1, 40)])
def test_images_of_any_size_and_leading_axes_are_denoised_one_by_one(shape: tuple[int, int]) -> None:
    network, x = _network(), _images(2, 3, *shape)
    sigma = torch.tensor([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]], dtype=torch.float64)
    together = network(x, sigma)
    assert together.shape == x.shape
    for i in range(2):
        for j in range(3):
            torch.testing.assert_close(together[i, j], network(x[i, j], sigma[i, j]))
    torch.testing.assert_close(network(x, 0.2)[1, 1], network(x[1, 1], 0.2))


def test_a_real_image_is_a_complex_one_without_an_imaginary_part() -> None:
    network, x = _network(), _images(2, 12, 10, is_complex=False)
    torch.testing.assert_close(network(x, 0.2), network(x.to(torch.complex128), 0.2).real)


def test_it_learns_to_take_noise_off() -> None:
    torch.manual_seed(2)
    network = DenoiserUNet((8, 12), blocks=1)
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    clean = disks((32, 32), 4)

    def error(sigma: float) -> Tensor:
        return (network(clean + sigma * torch.randn_like(clean), sigma) - clean).square().mean() / sigma**2

    for step in range(160):
        optimizer.zero_grad()
        error(0.05 if step % 2 else 0.3).backward()
        optimizer.step()
    with torch.no_grad():
        assert float(error(0.05)) < 0.6
        assert float(error(0.3)) < 0.35


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match=r"two levels at least, and features and blocks of at least 1, got \(4,\), 1"):
        DenoiserUNet((4,), 1)
    with pytest.raises(ValueError, match=r"features and blocks of at least 1, got \(4, 0\), 1"):
        DenoiserUNet((4, 0), 1)
    with pytest.raises(ValueError, match=r"takes a sigma of shape \(3,\), got \(2,\)"):
        _network()(_images(3, 8, 8), torch.ones(2))
