"""Each promise is seen to be broken: for every one there is a method made wrong in one way, for which it fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor, nn

from medrecon.networks import VarNet
from medrecon.operators import LinearOperator
from medrecon.reconstructor import Reconstructor
from medrecon.reconstructors import FilteredBackprojection, Sense, ZeroFilled
from tests.contracts.anatomy import tensors
from tests.contracts.promises import OF_NETWORKS, OF_RECONSTRUCTORS
from tests.networks.cases import CASES, image_network, seeded
from tests.problems import Case
from tests.reconstructors.cases import RECONSTRUCTORS

SENSE, FBP, VARNET = RECONSTRUCTORS["sense"], RECONSTRUCTORS["filtered backprojection"], CASES["varnet, mri"]
Call = Callable[[Tensor, LinearOperator], Tensor]


@dataclass(frozen=True)
class Changed:
    """Another method's call."""

    call: Call

    def __call__(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        return self.call(y, A)


def changed(call: Call, case: Case = SENSE) -> Case:
    return replace(case, build=lambda: Changed(call))


def drops_a_batch_axis(y: Tensor, A: LinearOperator) -> Tensor:
    return Sense()(y.reshape(-1, *A.range.shape), A)


def mixes_the_batch(y: Tensor, A: LinearOperator) -> Tensor:
    x = Sense()(y, A)
    return x - 0.01 * x.mean(0, keepdim=True) if y.ndim > A.range.ndim else x


def takes_the_first_maps(y: Tensor, A: LinearOperator) -> Tensor:
    x = Sense()(y, A)
    return x[:1].expand_as(x)


def forgets_the_unit(y: Tensor, A: LinearOperator) -> Tensor:
    """Soft thresholding by a number that suits one unit."""
    x = Sense()(y, A)
    return x * (1 - 0.01 / x.abs().clamp_min(0.01))


def forgets_the_phase(y: Tensor, A: LinearOperator) -> Tensor:
    x = Sense()(y, A)
    return torch.complex(x.real.clamp_min(0), x.imag)


def alters_the_data(y: Tensor, A: LinearOperator) -> Tensor:
    x = Sense()(y, A)
    y[..., 0] = 0
    return x


def alters_the_operator(y: Tensor, A: LinearOperator) -> Tensor:
    x = Sense()(y, A)
    list(tensors(A))[-1].mul_(1.5)
    return x


def adds_a_floor(y: Tensor, A: LinearOperator) -> Tensor:
    return Sense()(y, A) + 1e-3


def divides_by_zero(y: Tensor, A: LinearOperator) -> Tensor:
    x = Sense()(y, A)
    return x / (y.abs().std(dim=(-3, -2, -1), keepdim=True) > 1e-9)[..., 0]


def gives_a_magnitude(y: Tensor, A: LinearOperator) -> Tensor:
    return Sense()(y, A).abs()


def rounds_to_single(y: Tensor, A: LinearOperator) -> Tensor:
    return Sense()(y, A).to(torch.complex64)


def loses_digits(y: Tensor, A: LinearOperator) -> Tensor:
    x = Sense()(y, A)
    return x if y.dtype == torch.complex128 else x + 0.01 * x.roll(1, -1)


def crops_what_does_not_fit(y: Tensor, A: LinearOperator) -> Tensor:
    whole = torch.zeros((*y.shape[:-1], A.range.shape[-1]), dtype=y.dtype)
    whole[..., : y.shape[-1]] = y
    return Sense()(whole, A)


def backprojects_anything(y: Tensor, A: LinearOperator) -> Tensor:
    return A.H(y) if y.is_complex() else FilteredBackprojection()(y, A)


class WarmStart:
    """Mixes in what it gave before."""

    def __init__(self) -> None:
        self.last: Tensor | float = 0.0

    def __call__(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        x = Sense()(y, A)
        mixed, self.last = x + 0.1 * self.last, x
        return mixed


class StaleOperator:
    """Keeps the first operator that it met."""

    def __init__(self) -> None:
        self.A: LinearOperator | None = None

    def __call__(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        self.A = A if self.A is None else self.A
        return Sense()(y, self.A)


class ForgetsWhenPickled:
    def __init__(self) -> None:
        self.method: Reconstructor = Sense()

    def __call__(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        return self.method(y, A)

    def __getstate__(self) -> dict[str, object]:
        return {"method": ZeroFilled()}


class Network(nn.Module):
    """A small variational network with one parameter more, and one number that is none."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.level = VarNet([image_network(2)]), nn.Parameter(torch.ones(()))
        self.number = float(torch.rand((), generator=GENERATOR))

    def forward(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        image: Tensor = self.inner(y, A)
        return image


class Unseen(Network):
    """In which no gradient reaches a parameter that takes part."""

    def forward(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        return self.level.detach() * super().forward(y, A)


class Silent(Network):
    """In which the gradient of one parameter is zero."""

    def forward(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        return super().forward(y, A) + 0 * self.level


class Unsaved(Network):
    """Which depends on what its state does not hold."""

    def forward(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        return self.number * super().forward(y, A)


class Frozen(Network):
    """Whose images do not follow its parameters."""

    def forward(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        return A.H(y) + 1e-6 * self.level


class Counts(Network):
    """Which alters its own weights."""

    def forward(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        with torch.no_grad():
            self.level.add_(1.0)
        return super().forward(y, A)


GENERATOR = torch.Generator().manual_seed(1)


def network(kind: type[Network]) -> Case:
    return replace(VARNET, build=lambda: seeded(kind))


OF_METHODS: list[tuple[str, Case]] = [
    ("gives an image", changed(gives_a_magnitude)),
    ("keeps double precision", changed(rounds_to_single)),
    ("single precision suffices", changed(loses_digits)),
    ("takes batches", changed(drops_a_batch_axis)),
    ("takes batches", changed(mixes_the_batch)),
    ("takes batches of operators", changed(takes_the_first_maps)),
    ("follows the unit", changed(forgets_the_unit)),
    ("follows the phase", changed(forgets_the_phase)),
    ("nothing comes of nothing", changed(adds_a_floor)),
    ("finite data give finite images", changed(divides_by_zero)),
    ("alters nothing", changed(alters_the_data)),
    ("alters nothing", changed(alters_the_operator)),
    ("remembers nothing", replace(SENSE, build=WarmStart)),
    ("remembers nothing", replace(SENSE, build=StaleOperator)),
    ("travels pickled", replace(SENSE, build=ForgetsWhenPickled)),
    ("refuses other shapes and fields", changed(crops_what_does_not_fit)),
    ("refuses other physics", changed(backprojects_anything, FBP)),
    ("beats zero filling", changed(ZeroFilled())),
]
OF_LEARNED: list[tuple[str, Case]] = [
    ("alters nothing", network(Counts)),
    ("learns one sample by heart", network(Frozen)),
    ("a gradient reaches every parameter", network(Unseen)),
    ("a gradient reaches every parameter", network(Silent)),
    ("weights go to a file and back", network(Unsaved)),
]


def test_every_promise_has_a_mutant() -> None:
    tried = {promise for promise, _ in (*OF_METHODS, *OF_LEARNED)}
    assert tried == OF_RECONSTRUCTORS.keys() | OF_NETWORKS.keys()


@pytest.mark.parametrize(("promise", "mutant"), OF_METHODS)
def test_a_method_made_wrong_is_found(promise: str, mutant: Case) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        OF_RECONSTRUCTORS[promise](mutant)


@pytest.mark.parametrize(("promise", "mutant"), OF_LEARNED)
def test_a_network_made_wrong_is_found(promise: str, mutant: Case) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        OF_NETWORKS[promise](mutant)
