"""A network on SENSE that ends in coil images which agree with the data."""

import pytest
import torch
from torch import Tensor, nn

from medrecon.calibration import measured_root_sum_of_squares, measurement_noise
from medrecon.networks import MeasuredRootSumOfSquares
from medrecon.operators import LinearOperator, sense
from tests.networks.cases import NETWORKS, built
from tests.problems import ct, lines, maps, mri, relative


@pytest.mark.parametrize("name", list(NETWORKS))
def test_it_is_the_network_with_the_data_put_back(name: str) -> None:
    scan = mri()
    network = built(name, scan)
    found = MeasuredRootSumOfSquares(network)(scan.y, scan.A)
    assert not found.is_complex()
    assert found.shape == scan.truth.shape
    assert torch.equal(found, measured_root_sum_of_squares(network(scan.y, scan.A), scan.y, scan.A))


def test_the_noise_floor_is_that_of_the_measurements() -> None:
    scan = mri()
    network = built("varnet", scan)
    found = MeasuredRootSumOfSquares(network, noise_floor=True)(scan.y, scan.A)
    noise = measurement_noise(scan.y, scan.A)
    assert bool((noise > 0).all())
    assert torch.equal(found, measured_root_sum_of_squares(network(scan.y, scan.A), scan.y, scan.A, noise))


def test_a_full_scan_needs_no_network() -> None:
    scan = mri()
    A = sense(torch.ones(scan.truth.shape[-1], dtype=torch.bool), maps(3, (20, 18)))
    network = MeasuredRootSumOfSquares(built("varnet", scan))
    with torch.no_grad():
        assert relative(network(A(scan.truth), A), scan.truth.abs()) < 1e-5


class Zeros(nn.Module):
    """No image, but one that asks for a gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.zeros(()))

    def forward(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        return self.level * A.H(y)


def test_a_black_scan_gives_a_black_image_and_no_gradient() -> None:
    for noise_floor in (False, True):
        inner, A = Zeros(), sense(lines(18), maps(3, (20, 18)))
        image = MeasuredRootSumOfSquares(inner, noise_floor=noise_floor)(
            torch.zeros(3, 20, 18, dtype=torch.complex64), A
        )
        image.sum().backward()
        assert float(image.detach().abs().max()) < 1e-36
        assert inner.level.grad == 0


def test_ct_is_refused() -> None:
    scan = ct()
    with pytest.raises(ValueError, match="measured_root_sum_of_squares"):
        MeasuredRootSumOfSquares(lambda y, A: A.H(y))(scan.y, scan.A)
