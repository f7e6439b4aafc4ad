"""Learned primal-dual, against the iteration as published."""

import pytest
import torch

from medrecon.networks import LearnedPrimalDual, PrimalDualSize
from medrecon.operators import LinearOperator
from medrecon.reconstructors import FilteredBackprojection, Window
from tests.problems import Scan, ct, mri, relative


def test_published_number_of_parameters() -> None:
    """Of the reference for LoDoPaB-CT: PReLU with a slope a channel, no normalization."""
    assert sum(weight.numel() for weight in LearnedPrimalDual().parameters()) == 874_980


@pytest.mark.parametrize("initial", [None, FilteredBackprojection(Window.HANN, 0.7)])
def test_it_is_the_published_iteration(initial: FilteredBackprojection | None) -> None:
    scan = ct(n=2)
    size = PrimalDualSize(n_iterations=3, n_primal=3, n_dual=2, features=5)
    network, A = LearnedPrimalDual(size, 1, initial), scan.A
    assert A.norm_bound is not None
    scale = 1 / A.norm_bound
    first = torch.zeros_like(scan.truth) if initial is None else initial(scan.y, A)
    f, h = first[:, None].repeat(1, 3, 1, 1), torch.zeros(2, 2, *A.range.shape)
    with torch.no_grad():
        for dual, primal in zip(network.dual, network.primal, strict=True):
            h = h + dual(torch.cat((h, scale * A(f[:, 1:2]), scale * scan.y[:, None]), 1))
            f = f + primal(torch.cat((f, scale * A.H(h[:, :1])), 1))
        assert relative(network(scan.y, A), f[:, 0]) < 1e-5


def test_one_memory_is_enough() -> None:
    for scan in (ct(), mri()):
        network = LearnedPrimalDual(PrimalDualSize(2, 1, 1, 4, 2), scan.n_channels)
        assert network(scan.y, scan.A).shape == scan.truth.shape


@pytest.mark.parametrize(("scan", "channels"), [(ct(), 2), (mri(), 1)])
def test_channels_that_do_not_fit_are_refused(scan: Scan, channels: int) -> None:
    with pytest.raises(ValueError, match=f"n_channels={channels} takes an operator between"):
        LearnedPrimalDual(PrimalDualSize(1, 1, 1, 2), channels)(scan.y, scan.A)


def test_sizes_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="2 layers or more"):
        PrimalDualSize(n_layers=1)
    with pytest.raises(ValueError, match=r"1 .real. or 2"):
        LearnedPrimalDual(n_channels=3)
    with pytest.raises(ValueError, match="of at least 1"):
        PrimalDualSize(dual_features=0)
    with pytest.raises(ValueError, match="of at least 1"):
        PrimalDualSize(primal_pools=0)


@pytest.mark.parametrize(
    "size", [PrimalDualSize(2, 3, 2, 5), PrimalDualSize(2, 3, 2, 5, dual_features=3, primal_pools=2)]
)
@pytest.mark.parametrize("scan", [ct(), mri()])
def test_with_identity_it_begins_as_its_initial_image_and_learns(size: PrimalDualSize, scan: Scan) -> None:
    def initial(y: torch.Tensor, A: LinearOperator) -> torch.Tensor:
        return 0.5 * A.H(y)

    network = LearnedPrimalDual(size, scan.n_channels, initial, identity=True)
    assert torch.equal(network(scan.y, scan.A), initial(scan.y, scan.A))
    (network(scan.y, scan.A) - scan.truth).abs().square().sum().backward()
    assert any(bool(weight.grad.abs().max() > 0) for weight in network.parameters() if weight.grad is not None)


def test_either_side_has_its_own_features() -> None:
    network = LearnedPrimalDual(PrimalDualSize(1, features=7, dual_features=3))
    widths = [step[0].out_channels for step in (network.dual[0], network.primal[0])]  # type: ignore[index]
    assert widths == [3, 7]
