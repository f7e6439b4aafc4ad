"""What every reconstructor promises, and every network beyond that: functions that fail for a `Case` that does not keep it."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from _pytest.mark import ParameterSet
from torch import Tensor, nn

from medrecon.operators import LinearOperator, coils_of
from medrecon.reconstructor import Reconstructor
from medrecon.spaces import root_sum_of_squares
from medrecon.weights.checkpoint import Checkpoint, load_into, read_checkpoint, write_checkpoint
from tests.contracts.anatomy import tensors, variables, with_tensors
from tests.problems import Case, Scan, relative, stacked

SINGLE, DOUBLE = 2e-5, 1e-6  # what the order of sums and the unit may change, relative to the norm
UNITS = (1e-6, 3e4)
TURN = complex(0.6, -0.8)
BLACK = 1e-30  # networks that end in a magnitude keep it above zero for its gradient


def image(method: Reconstructor, y: Tensor, A: LinearOperator) -> Tensor:
    with torch.no_grad():
        return method(y, A)


def near(found: Tensor, wanted: Tensor, tolerance: float) -> None:
    assert found.shape == wanted.shape
    assert found.dtype == wanted.dtype
    assert relative(found, wanted) < tolerance


def in_double(scan: Scan) -> Scan:
    A = with_tensors(scan.A, (tensor.detach() for tensor in variables(scan.A)))
    y, truth = (x.to(torch.promote_types(x.dtype, torch.float64)) for x in (scan.y, scan.truth))
    return Scan(truth, A, y)


def target(case: Case, scan: Scan) -> Tensor:
    """What the method would give at best."""
    if not case.magnitude:
        return scan.truth
    is_image = scan.A.domain.ndim == 2
    return scan.truth.abs() if is_image else root_sum_of_squares(scan.truth, -3)  # over coils, or sets of maps


def gives_an_image(case: Case) -> None:
    scan, method = case.scan(n=2), case.build()
    x = image(method, scan.y, scan.A)
    assert x.is_complex() == (scan.A.domain.is_complex and not case.magnitude)
    assert x.shape == target(case, scan).shape
    assert x.dtype.to_real() == torch.float32


def precise(case: Case, scan: Scan) -> tuple[Scan, float]:
    """The scan in double precision, if that can be, and what may change there."""
    is_single = "keeps double precision" in case.exempt or isinstance(case.build(), nn.Module)
    return (scan, SINGLE) if is_single else (in_double(scan), DOUBLE)


def keeps_double_precision(case: Case) -> None:
    double = in_double(case.scan(n=1))
    assert image(case.build(), double.y, double.A).dtype.to_real() == torch.float64


def single_precision_suffices(case: Case) -> None:
    """In any unit, where the method follows it."""
    scan, method = case.scan(n=1), case.build()
    double = in_double(scan)
    wanted = image(method, double.y, double.A)
    units = (1.0,) if "follows the unit" in case.exempt else (1.0, *UNITS)
    images = image(method, torch.cat([unit * scan.y for unit in units]), scan.A)
    assert images.dtype.to_real() == torch.float32
    for x, unit in zip(images, units, strict=True):
        assert relative((x / unit).to(wanted.dtype), wanted[0]) < 2e-3


def takes_batches(case: Case) -> None:
    """Over two leading axes and none, each image is what it is alone."""
    (scan, tolerance), method = precise(case, case.scan(n=4)), case.build()
    batch = image(method, scan.y.unflatten(0, (2, 2)), scan.A)
    assert batch.shape[:2] == (2, 2)
    for found, y in ((batch[0, 1], scan.y[1]), (batch[1, 0], scan.y[2])):
        near(found, image(method, y, scan.A), tolerance)


def takes_batches_of_operators(case: Case) -> None:
    scans = [case.scan(n=1, seed=seed) for seed in (0, 1)]
    if not list(tensors(scans[0].A)):
        pytest.skip("its operator holds no tensors that a batch could bring")
    (together, tolerance), method = precise(case, stacked(scans)), case.build()
    for found, scan in zip(image(method, together.y, together.A), scans, strict=True):
        alone, _ = precise(case, scan)
        near(found, image(method, alone.y[0], alone.A), tolerance)


def follows_the_unit(case: Case) -> None:
    (scan, tolerance), method = precise(case, case.scan(n=1)), case.build()
    wanted, *images = image(method, torch.cat([unit * scan.y for unit in (1.0, *UNITS)]), scan.A)
    for x, unit in zip(images, UNITS, strict=True):
        near(x / unit, wanted, tolerance)


def follows_the_phase(case: Case) -> None:
    (scan, tolerance), method = precise(case, case.scan(n=1)), case.build()
    if not scan.y.is_complex():
        pytest.skip("its data have no phase")
    wanted = image(method, scan.y, scan.A)
    near(image(method, TURN * scan.y, scan.A), TURN * wanted if wanted.is_complex() else wanted, tolerance)


def nothing_comes_of_nothing(case: Case) -> None:
    scan = case.scan(n=2)
    x = image(case.build(), torch.stack([torch.zeros_like(scan.y[0]), scan.y[1]]), scan.A)
    assert float(x[0].abs().max()) < BLACK
    assert bool(torch.isfinite(x).all())


def finite_data_give_finite_images(case: Case) -> None:
    """Noise, a single sample, the same everywhere, and an image that is nearly black."""
    scan, method = case.scan(n=1), case.build()
    y, level = scan.y, scan.y.abs().max()
    single = torch.zeros_like(y)
    single[..., y.shape[-2] // 2, y.shape[-1] // 2] = level
    noise = level * scan.A.range.random((1,), generator=torch.Generator().manual_seed(1))
    images = image(method, torch.cat([noise, single, level * torch.ones_like(y), 1e-12 * y]), scan.A)
    assert bool(torch.isfinite(images).all())


def alters_nothing(case: Case) -> None:
    scan, method = case.scan(n=2), case.build()
    held = [scan.y, *tensors(scan.A)]
    before = [tensor.clone() for tensor in held]
    weights = {name: value.clone() for name, value in method.state_dict().items()} if is_network(method) else {}
    image(method, scan.y, scan.A)
    assert all(torch.equal(one, other) for one, other in zip(held, before, strict=True)), "the scan was altered"
    after = method.state_dict() if is_network(method) else {}
    assert all(torch.equal(after[name], value) for name, value in weights.items()), "the network was altered"


def remembers_nothing(case: Case) -> None:
    """A second call, and one for another operator between, give what they give alone."""
    scan, other, method = case.scan(n=1), case.scan(n=1, seed=1), case.build()
    first = image(method, scan.y, scan.A)
    between = image(method, other.y, other.A)
    assert relative(between, first) > 1e-4, "scans too much alike to tell"
    assert torch.equal(image(method, scan.y, scan.A), first)
    assert torch.equal(image(case.build(), other.y, other.A), between)


def travels_pickled(case: Case) -> None:
    scan, method = case.scan(n=1), case.build()
    wanted = image(method, scan.y, scan.A)
    assert torch.equal(image(pickle.loads(pickle.dumps(method)), scan.y, scan.A), wanted)


def refuses_other_shapes_and_fields(case: Case) -> None:
    scan, method = case.scan(n=1), case.build()
    other_field = scan.y.real.clone() if scan.y.is_complex() else scan.y.to(torch.complex64)
    for wrong in (scan.y[..., :-1], scan.y.mT, scan.y[0, 0], other_field):
        words = f"takes {scan.A.range}, got ({', '.join(map(str, wrong.shape))})"
        with refused(re.escape(words)):
            image(method, wrong.contiguous(), scan.A)


def refuses_other_physics(case: Case) -> None:
    if case.refuses is None:
        pytest.skip("takes any operator")
    foreign, words = case.refuses
    scan = foreign(n=1)
    with refused(words):
        image(case.build(), scan.y, scan.A)


def beats_zero_filling(case: Case) -> None:
    """By a tenth of the error of `A.H y`, scaled at best; of its magnitude, where that is what the method gives.

    Images of several sets of maps are compared by the coil images that they make: where its maps are zero, an image means nothing.
    """
    scan = case.scan(n=1)
    wanted, zero_filled = target(case, scan), scan.A.H(scan.y)
    found = image(case.build(), scan.y, scan.A)
    if case.magnitude:
        zero_filled = target(case, Scan(zero_filled, scan.A, scan.y))
    elif "set" in scan.A.domain.axes:
        coils = coils_of(scan.A, "beats_zero_filling")
        wanted, zero_filled, found = coils(wanted), coils(zero_filled), coils(found)
    flat = zero_filled.flatten()
    best = torch.vdot(flat, wanted.flatten()) / torch.vdot(flat, flat) * zero_filled
    assert relative(found, wanted) < 0.9 * relative(best, wanted)


# Of networks.


def is_network(method: object) -> bool:
    return isinstance(method, nn.Module)


def network_of(case: Case) -> nn.Module:
    network = case.build()
    assert isinstance(network, nn.Module)
    return network


def learns_one_sample_by_heart(case: Case) -> None:
    """To a fifth of its first error, in 50 steps or fewer."""
    scan, network = case.scan(n=1), network_of(case)
    wanted = target(case, scan)
    adam = torch.optim.Adam(network.parameters(), 3e-3)
    errors: list[float] = []
    for _ in range(51):
        loss = (network(scan.y, scan.A) - wanted).abs().square().mean()
        errors.append(float(loss.detach()))
        if errors[-1] < 0.2 * errors[0]:
            return
        adam.zero_grad()
        loss.backward()
        adam.step()
    pytest.fail(f"after 50 steps its error is {errors[-1] / errors[0]:.2f} of the first")


def a_gradient_reaches_every_parameter(case: Case) -> None:
    scan, network = case.scan(n=1), network_of(case)
    names, parameters = zip(*network.named_parameters(), strict=True)
    loss = (network(scan.y, scan.A) - 2 * target(case, scan)).abs().square().sum()
    for name, gradient in zip(names, torch.autograd.grad(loss, parameters, allow_unused=True), strict=True):
        assert gradient is not None, name
        assert bool(torch.isfinite(gradient).all()), name
        assert bool(gradient.any()) == (name not in case.idle), name


def weights_go_to_a_file_and_back(case: Case) -> None:
    scan, network, other = case.scan(n=1), network_of(case), network_of(case)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.fill_(0.1)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        write_checkpoint(path, Checkpoint(network.state_dict(), {}))
        load_into(other, read_checkpoint(path).tensors, path.name)
    assert torch.equal(image(other, scan.y, scan.A), image(network, scan.y, scan.A))
    assert all(key.split(".")[-1] not in ("maps", "sampled") for key in network.state_dict())


def refused(words: str) -> AbstractContextManager[object]:
    return pytest.raises(ValueError, match=words)


def _named(*promises: Callable[[Case], None]) -> dict[str, Callable[[Case], None]]:
    return {promise.__name__.replace("_", " "): promise for promise in promises}


_OF_BOTH = _named(
    gives_an_image,
    takes_batches,
    takes_batches_of_operators,
    finite_data_give_finite_images,
    alters_nothing,
    remembers_nothing,
    travels_pickled,
    refuses_other_shapes_and_fields,
    refuses_other_physics,
)
OF_RECONSTRUCTORS: Mapping[str, Callable[[Case], None]] = _OF_BOTH | _named(
    keeps_double_precision,
    single_precision_suffices,
    follows_the_unit,
    follows_the_phase,
    nothing_comes_of_nothing,
    beats_zero_filling,
)
OF_NETWORKS: Mapping[str, Callable[[Case], None]] = _OF_BOTH | _named(
    learns_one_sample_by_heart, a_gradient_reaches_every_parameter, weights_go_to_a_file_and_back
)


def lines_of(cases: Mapping[str, Case], promises: Mapping[str, Callable[[Case], None]]) -> list[ParameterSet]:
    """Each case with each promise; those that it is exempt from must fail."""
    return [
        pytest.param(name, promise, id=f"{name}: {promise}", marks=_exemption(case.exempt.get(promise)))
        for name, case in cases.items()
        for promise in promises
    ]


def _exemption(reason: str | None) -> tuple[pytest.MarkDecorator, ...]:
    return () if reason is None else (pytest.mark.xfail(reason=reason, strict=True),)
