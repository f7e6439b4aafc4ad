"""What every network promises, on a scan of MRI (complex) and of CT (real)."""

import pytest
import torch
from torch import Tensor, nn

from medrecon.networks import NormalizedUNet, VarNet, compile_unets
from tests.networks.cases import NETWORKS, SCANS, UNROLLED, built, image_network
from tests.problems import ct, mri, relative

every_network = pytest.mark.parametrize("name", NETWORKS)
every_scan = pytest.mark.parametrize("scan", SCANS)
unrolled = pytest.mark.parametrize("name", UNROLLED)


def gradients(network: nn.Module, x: Tensor) -> list[Tensor]:
    found = torch.autograd.grad(x.abs().square().sum(), list(network.parameters()))
    return list(found)


@every_network
@every_scan
@pytest.mark.parametrize("shape", [(20, 18), (17, 23)])
def test_a_batch_gives_what_a_loop_gives_at_any_size(name: str, scan: str, shape: tuple[int, int]) -> None:
    case = SCANS[scan](shape, 3)
    network = built(name, case)
    with torch.no_grad():
        batch = network(case.y, case.A)
        alone = torch.stack([network(y, case.A) for y in case.y])
    assert batch.shape == case.truth.shape
    assert relative(batch, alone) < 2e-5


@every_network
@every_scan
def test_the_result_is_the_same_with_and_without_gradients(name: str, scan: str) -> None:
    case = SCANS[scan]()
    network = built(name, case)
    kept = case.y.clone()
    with_graph = network(case.y, case.A)
    with torch.inference_mode():
        without = network(kept, case.A)
    assert relative(without, with_graph.detach()) < 1e-5
    assert torch.equal(kept, case.y)


@unrolled
@every_scan
def test_recomputing_changes_no_gradient(name: str, scan: str) -> None:
    case = SCANS[scan]()
    network, thrifty = built(name, case), built(name, case, recompute=True)
    for plain, again in zip(
        gradients(network, network(case.y, case.A)), gradients(thrifty, thrifty(case.y, case.A)), strict=True
    ):
        assert torch.allclose(plain, again, rtol=1e-4, atol=1e-6 * float(plain.abs().max()))


def kept_for_the_gradient(network: nn.Module) -> int:
    case = mri((40, 36))
    sizes: dict[int, int] = {}

    def keep(x: Tensor) -> Tensor:
        sizes[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        network(case.y, case.A)
    return sum(sizes.values())


def test_recomputing_keeps_less() -> None:
    networks = [VarNet([image_network(2) for _ in range(6)], recompute=switch) for switch in (False, True)]
    plain, thrifty = (kept_for_the_gradient(network) for network in networks)
    assert thrifty < 0.2 * plain


@every_network
@every_scan
def test_channels_last_weights_change_nothing(name: str, scan: str) -> None:
    case = SCANS[scan]()
    network = built(name, case)
    with torch.no_grad():
        want = network(case.y, case.A)
        found = network.to(memory_format=torch.channels_last)(case.y, case.A)
    assert relative(found, want) < 1e-5


@every_network
@every_scan
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_stays_near_and_keeps_the_precision_outside(name: str, scan: str, dtype: torch.dtype) -> None:
    case = SCANS[scan]()
    network = built(name, case)
    want = network(case.y, case.A)
    with torch.autocast("cpu", dtype=dtype):
        found = network(case.y, case.A)
    assert found.dtype == want.dtype
    assert 0 < relative(found.detach(), want.detach()) < (0.05 if dtype == torch.bfloat16 else 0.01)
    for plain, low in zip(gradients(network, want), gradients(network, found), strict=True):
        assert plain.dtype == low.dtype == torch.float32


@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # of torch's own tracing
@pytest.mark.parametrize("name", ["post-processor", "varnet"])
def test_compiled_unets_give_the_same_image_and_gradients(name: str) -> None:
    case = mri()
    network, compiled = built(name, case), built(name, case)
    assert compile_unets(compiled, backend="aot_eager") == (3 if name == "varnet" else 1)
    assert list(compiled.state_dict()) == list(network.state_dict())
    want, found = network(case.y, case.A), compiled(case.y, case.A)
    assert relative(found.detach(), want.detach()) < 1e-5
    for plain, again in zip(gradients(network, want), gradients(compiled, found), strict=True):
        assert torch.allclose(plain, again, rtol=1e-3, atol=1e-5 * float(plain.abs().max()))
    torch.compiler.reset()


def test_what_cannot_be_compiled_is_named() -> None:
    with pytest.raises(ValueError, match="Linear without one"):
        compile_unets(nn.Linear(1, 1))


@pytest.mark.parametrize("name", ["varnet", "modl"])
def test_the_field_must_fit(name: str) -> None:
    network = built(name, mri())
    case = ct()
    with pytest.raises(ValueError, match=r"2 channel\(s\) got a real image, which needs a UNet\(1, 1"):
        network(case.y, case.A)


def test_a_unit_of_intensity_does_not_matter_to_a_varnet() -> None:
    case = mri()
    network = built("varnet", case)
    assert isinstance(network.cascades[0].network, NormalizedUNet)
    with torch.no_grad():
        assert relative(network(1e-5 * case.y, case.A) / 1e-5, network(case.y, case.A)) < 1e-4
