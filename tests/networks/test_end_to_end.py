"""The end-to-end VarNet, against that of the fastmri package with the same weights."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from fastmri.data.subsample import EquispacedMaskFractionFunc, RandomMaskFunc
from fastmri.models import VarNet
from torch import Tensor

from medrecon.networks import EndToEndVarNet, NormalizedUNet, SensitivityNetwork, UNet, fastmri_varnet
from medrecon.networks.sensitivities import calibration_block
from medrecon.operators import CoilMaps, LinearOperator, Mask, factor_of
from tests.problems import coils, disks, lines, maps, mri, relative


def random_lines(n: int) -> Tensor:
    return peer_mask(RandomMaskFunc([0.2], [3]), n)


def equispaced_lines(n: int) -> Tensor:
    return peer_mask(EquispacedMaskFractionFunc([0.15], [4]), n)


def peer_mask(function: RandomMaskFunc | EquispacedMaskFractionFunc, n: int) -> Tensor:
    function.rng = np.random.RandomState(1)
    return function((1, 1, n, 2), seed=(1, 2, 3))[0].reshape(-1).bool()


MASKS: dict[str, Callable[[int], Tensor]] = {"random": random_lines, "equispaced": equispaced_lines}


def measured(A: LinearOperator, n: int = 2) -> Tensor:
    shape, n_coils = A.domain.shape[-2:], A.domain.shape[0]
    truth = disks((shape[0], shape[1]), n)
    image = torch.polar(truth, truth.cumsum(-1) / 20)
    noise = A.domain.random((n,), generator=torch.Generator().manual_seed(5))
    return 1e-3 * A(maps(n_coils, (shape[0], shape[1])) * image[:, None] + 0.02 * noise)


def peer(**sizes: int) -> VarNet:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = VarNet(**{"num_cascades": 3, "chans": 4, "pools": 2, "sens_chans": 3, "sens_pools": 2} | sizes)
        for cascade in network.cascades:
            torch.nn.init.uniform_(cascade.dc_weight, 0.5, 1.5)
    return network


def peer_image(network: VarNet, y: Tensor, sampled: Tensor, n_lines: int | None = None) -> Tensor:
    mask = sampled[None, None, None, :, None].expand(y.shape[0], -1, -1, -1, -1)
    image: Tensor = network(torch.view_as_real(y), mask, n_lines)
    return image


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize(
    ("n_coils", "shape"), [(1, (32, 32)), (2, (40, 36)), (3, (33, 47)), (2, (48, 37)), (2, (37, 64))]
)
def test_equals_the_peer(mask: str, n_coils: int, shape: tuple[int, int]) -> None:
    sampled = MASKS[mask](shape[1])
    A = coils(n_coils, shape, sampled)
    y = measured(A)
    theirs = peer()
    ours = fastmri_varnet(theirs.state_dict())
    with torch.no_grad():
        want, found = peer_image(theirs, y, sampled), ours(y, A)
        assert found.shape == (2, *shape)
        assert relative(found, want) < 1e-5
        exact, again = theirs.double(), ours.double()
        precise = y.to(torch.complex128)
        assert relative(again(precise, A), peer_image(exact, precise, sampled)) < 1e-11


@pytest.mark.parametrize("shape", [(40, 36), (33, 47)])
@pytest.mark.parametrize("n_lines", [1, 2, 4, 5])
def test_equals_the_peer_with_a_given_number_of_lines(shape: tuple[int, int], n_lines: int) -> None:
    sampled = random_lines(shape[1])
    A = coils(2, shape, sampled)
    y, theirs = measured(A), peer()
    ours = fastmri_varnet(theirs.state_dict())
    ours.sensitivities.n_lines = n_lines
    with torch.no_grad():
        assert relative(ours(y, A), peer_image(theirs, y, sampled, n_lines)) < 1e-5


def test_a_full_scan_gives_all_lines_to_the_maps_where_the_peer_takes_one() -> None:
    sampled = torch.ones(36, dtype=torch.bool)
    A = coils(2, (40, 36), sampled)
    y, theirs = measured(A), peer()
    with torch.no_grad():
        found = fastmri_varnet(theirs.state_dict())(y, A)
        assert relative(found, peer_image(theirs, y, sampled, 36)) < 1e-5
        assert relative(found, peer_image(theirs, y, sampled)) > 1e-3


def test_gradients_equal_the_peers() -> None:
    sampled = equispaced_lines(36)
    A = coils(2, (40, 36), sampled)
    y, theirs = measured(A).to(torch.complex128), peer().double()
    ours = fastmri_varnet(theirs.state_dict()).double()
    for image, network in ((peer_image(theirs, y, sampled), theirs), (ours(y, A), ours)):
        image.square().sum().backward()
        assert all(weight.grad is not None for weight in network.parameters())
    sizes = [[float(w.grad.norm()) for w in network.parameters() if w.grad is not None] for network in (theirs, ours)]
    assert sorted(sizes[0]) == pytest.approx(sorted(sizes[1]), rel=1e-8)
    for cascade, wanted in zip(ours.cascades, theirs.cascades, strict=True):
        assert torch.allclose(cascade.step.grad, wanted.dc_weight.grad, rtol=1e-8)


@pytest.mark.parametrize("sampled", [lines(18), lines(20)[:, None], torch.rand(20, 18).round().bool()])
def test_the_short_form_is_the_cascade_as_written(sampled: Tensor) -> None:
    """Also for rows, and for points around a full center."""
    if sampled.ndim == 2:
        sampled = sampled.expand(20, 18).clone()
        sampled[8:12, 7:11] = True
    A = coils(3, (20, 18), sampled)
    y = measured(A)
    network = EndToEndVarNet.of_sizes(3, 4, 2, 3, 2)
    with torch.no_grad():
        S = CoilMaps(network.sensitivities(y, A))
        mask, fourier = A.factors
        k = y
        for cascade in network.cascades:
            k = k - cascade.step * mask(k - y) - fourier(S(cascade.network(S.H(fourier.H(k)))))
        want = torch.linalg.vector_norm(fourier.H(k), dim=-3)
        assert relative(network(y, A), want) < 1e-5


def test_maps_have_unit_root_sum_of_squares() -> None:
    A = coils(3, (20, 18), lines(18))
    with torch.no_grad():
        found = SensitivityNetwork(NormalizedUNet(UNet(2, 2, 3, 2)))(measured(A), A)
    assert torch.allclose(torch.linalg.vector_norm(found, dim=-3), torch.ones(2, 20, 18))


def test_published_size() -> None:
    with torch.device("meta"):
        network = EndToEndVarNet.of_sizes()
    assert sum(weight.numel() for weight in network.parameters()) == 29_936_966
    assert len(network.state_dict()) == 324


def test_batches_of_masks_and_images_give_what_a_loop_gives() -> None:
    sampled = torch.stack([lines(18), lines(18, 6, 3)])
    together = coils(2, (20, 18), sampled[:, None, :])
    y = measured(together)
    network = EndToEndVarNet.of_sizes(2, 4, 2, 3, 2)
    with torch.no_grad():
        batch = network(y, together)
        for image, kspace, one in zip(batch, y, sampled, strict=True):
            assert relative(image, network(kspace, coils(2, (20, 18), one))) < 1e-5


def test_a_black_slice_gives_a_black_image_and_finite_gradients() -> None:
    A = coils(2, (20, 18), lines(18))
    y = measured(A)
    y[1] = 0
    network = EndToEndVarNet.of_sizes(2, 4, 2, 3, 2)
    image = network(y, A)
    assert float(image[1].detach().abs().max()) == 0
    image.sum().backward()
    assert all(bool(torch.isfinite(weight.grad).all()) for weight in network.parameters() if weight.grad is not None)


@pytest.mark.parametrize("switch", ["recompute", "channels_last"])
def test_switches_change_nothing(switch: str) -> None:
    A = coils(2, (20, 18), lines(18))
    y = measured(A)
    network = EndToEndVarNet.of_sizes(2, 4, 2, 3, 2)
    want = network(y, A)
    wanted = torch.autograd.grad(want.sum(), list(network.parameters()))
    if switch == "recompute":
        network.recompute = True
    else:
        network = network.to(memory_format=torch.channels_last)
    found = network(y, A)
    assert relative(found.detach(), want.detach()) < 1e-5
    for one, other in zip(torch.autograd.grad(found.sum(), list(network.parameters())), wanted, strict=True):
        assert torch.allclose(one, other, rtol=1e-2, atol=1e-4 * float(other.abs().max()))


def test_autocast_stays_near() -> None:
    A = coils(2, (20, 18), lines(18))
    y = measured(A)
    network = EndToEndVarNet.of_sizes(2, 4, 2, 3, 2)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        low = network(y, A)
    with torch.no_grad():
        assert low.dtype == torch.float32
        assert 0 < relative(low, network(y, A)) < 0.05


def test_the_center_of_the_mask() -> None:
    def block(sampled: Tensor, n_lines: int | None = None) -> list[int]:
        A = coils(1, (4, sampled.shape[-1]), sampled)
        return calibration_block(factor_of(A, Mask, "test"), n_lines).reshape(-1).nonzero().flatten().tolist()

    assert block(torch.tensor([1, 0, 1, 1, 1, 1, 0, 1, 0, 0]).bool()) == [4, 5]
    assert block(torch.tensor([1, 0, 0, 1, 1, 1, 1, 0, 0, 0]).bool()) == [3, 4, 5, 6]
    assert block(torch.tensor([1, 0, 0, 0, 0, 1, 0, 1, 0, 0]).bool()) == [5]
    assert block(torch.tensor([1, 0, 1, 1, 1, 1, 1, 1, 0, 0]).bool(), 2) == [4, 5]


@pytest.mark.parametrize("sampled", [torch.arange(18) < 4, (torch.arange(18) < 4) & (torch.arange(20)[:, None] < 5)])
def test_a_mask_without_a_center_is_refused(sampled: Tensor) -> None:
    A = coils(2, (20, 18), sampled)
    with pytest.raises(ValueError, match="leaves out the center of k-space"):
        EndToEndVarNet.of_sizes(1, 2, 1, 2, 1)(measured(A), A)


def test_other_operators_are_refused_in_words() -> None:
    scan = mri()
    with pytest.raises(ValueError, match=r"takes Mask @ Fourier of coil images .* got Mask @ Fourier @ CoilMaps"):
        EndToEndVarNet.of_sizes(1, 2, 1, 2, 1)(scan.y, scan.A)
    with pytest.raises(ValueError, match="one network a cascade"):
        EndToEndVarNet([], SensitivityNetwork(NormalizedUNet(UNet(2, 2, 2, 1))))
    with pytest.raises(ValueError, match="n_lines of at least 1"):
        SensitivityNetwork(NormalizedUNet(UNet(2, 2, 2, 1)), 0)
