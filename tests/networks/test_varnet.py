"""The variational network with exact steps: what it is before it has learned anything, and where its steps lead."""

import pytest
import torch
from torch import Tensor, nn

from medrecon.networks import ProximalVarNet
from medrecon.networks.implicit import ConjugateGradients
from medrecon.networks.scaling import norm
from tests.networks.cases import SCANS, image_network
from tests.problems import ct, relative

_EXACT = ConjugateGradients(200, 1e-7)


class _Zero(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)


@pytest.mark.parametrize("name", SCANS)
def test_silent_networks_leave_regularized_least_squares(name: str) -> None:
    scan = SCANS[name]()
    with torch.no_grad():
        x = ProximalVarNet([_Zero()], _EXACT)(scan.y, scan.A)
        squared = norm(scan.A, torch.device("cpu")) ** 2
        first = 0.01 * squared  # the weights that are learned, as they begin
        start = _solved(scan.A.gram, scan.A.H(scan.y), first)
        want = _solved(scan.A.gram, scan.A.H(scan.y) + 0.05 * squared * start, 0.05 * squared)
    assert relative(x, want) < 1e-3


def test_a_large_weight_keeps_what_the_network_says_and_a_small_one_the_data() -> None:
    scan = ct()

    class Off(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x - 1.0  # so that the step starts from an image of ones

    with torch.no_grad():
        kept = ProximalVarNet([Off()], _EXACT, weight=1e4)(scan.y, scan.A)
        fitted = ProximalVarNet([Off()], _EXACT, weight=1e-4)(scan.y, scan.A)
    assert relative(kept, torch.ones_like(kept)) < 1e-3
    assert relative(scan.A(fitted), scan.y) < 0.01


def test_no_cascade_is_refused() -> None:
    with pytest.raises(ValueError, match="one network a cascade, got none"):
        ProximalVarNet([])


def test_every_cascade_has_weights_of_its_own() -> None:
    network = ProximalVarNet([image_network(1) for _ in range(3)])
    assert len({id(step) for step in network.steps}) == 3
    assert sum("log_weight" in name for name, _ in network.named_parameters()) == 4  # and that of the first image


def _solved(gram: object, b: Tensor, weight: float) -> Tensor:
    """`(gram + weight)^-1 b`, with the whole matrix."""
    assert callable(gram)
    n = b[0].numel()
    unit = torch.eye(n, dtype=b.dtype).reshape(n, *b.shape[-2:])
    matrix = gram(unit).reshape(n, n).mT + weight * torch.eye(n, dtype=b.dtype)
    return torch.linalg.solve(matrix, b.reshape(-1, n).mT).mT.reshape(b.shape)
