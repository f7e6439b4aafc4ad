"""Nothing is left without its contracts: classes are walked, and what has no line is named here, with the reason."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest
from torch import nn

import medrecon
import medrecon.functionals
from medrecon.config import METHODS, LearnedSettings, Method
from medrecon.config.benchmark import CustomMethodSettings
from medrecon.config.methods import DiffusionSettings, PlugAndPlaySettings
from medrecon.errors import InputError
from medrecon.functionals import LeastSquares
from medrecon.networks import Denoising, SensitivityNetwork
from medrecon.operators import LinearOperator, Radon
from medrecon.operators.fourier import _Dft
from medrecon.operators.torch_radon import TorchRadon
from medrecon.reconstructors import DiffusionSampler, PlugAndPlay
from medrecon.weights.learned import LearnedReconstructor
from tests.catalogue import FUNCTIONALS, OPERATORS, Sizes
from tests.contracts.anatomy import parts
from tests.methods import Modality, build, every_method
from tests.networks.cases import CASES
from tests.reconstructors.cases import RECONSTRUCTORS

WITHOUT_A_LINE: dict[type, str] = {
    TorchRadon: "needs a CUDA card and computes in single precision, with an adjoint that is only near (test_torch_radon.py)",
    _Dft: "what Fourier runs, and no composition shows: each of its lines tries it",
    LeastSquares: "smooth, and has no proximal map (test_functionals.py, test_solvers.py)",
    SensitivityNetwork: "gives coil maps and no image; a part of EndToEndVarNet",
    Denoising: "takes an image with white noise, behind a Diagonal, and no scan (test_noisy_images.py)",
}
#: Methods that are no network but take one, which knows of no scan.
DENOISING: dict[type, type] = {PlugAndPlaySettings: PlugAndPlay, DiffusionSettings: DiffusionSampler}
ROOT = Path(medrecon.__file__).parent


def classes(within: str, naming: str = "") -> Iterator[type]:
    """All classes of the modules of a package whose text has this name in it; others need not be imported."""
    for file in sorted((ROOT / within).rglob("*.py")):
        if naming not in file.read_text(encoding="utf-8"):
            continue
        module = importlib.import_module(".".join(("medrecon", *file.relative_to(ROOT).with_suffix("").parts)))
        for value in vars(module).values():
            if inspect.isclass(value) and value.__module__ == module.__name__:
                yield value


def takes_y_and_A(kind: type, method: str) -> bool:
    call = getattr(kind, method, None)
    return callable(call) and list(inspect.signature(call).parameters)[:3] == ["self", "y", "A"]


def require_lines(kinds: set[type], listed: set[type]) -> None:
    missing = kinds - listed - WITHOUT_A_LINE.keys()
    assert not missing, f"no line in a catalogue, and no reason why not, for {missing}"


def test_every_operator_has_a_line() -> None:
    found = {kind for kind in classes("", "(LinearOperator)") if issubclass(kind, LinearOperator)}
    assert TorchRadon in found
    listed = {type(part) for make in OPERATORS.values() for part in parts(make(Sizes.small()))}
    require_lines({kind for kind in found if not inspect.isabstract(kind)}, listed)


def test_every_functional_has_a_line() -> None:
    public = {getattr(medrecon.functionals, name) for name in medrecon.functionals.__all__}
    listed = {type(make().f) for make in FUNCTIONALS.values()}
    kinds = {kind for kind in public if inspect.isclass(kind) and not getattr(kind, "_is_protocol", False)}
    require_lines(kinds, listed)


def test_every_reconstructor_has_a_line() -> None:
    found = {
        kind for kind in classes("reconstructors") if dataclasses.is_dataclass(kind) and takes_y_and_A(kind, "__call__")
    }
    assert len(found) > 5
    require_lines(found, {type(case.build()) for case in RECONSTRUCTORS.values()})


def test_every_network_has_a_line() -> None:
    found = {kind for kind in classes("networks") if issubclass(kind, nn.Module) and takes_y_and_A(kind, "forward")}
    assert SensitivityNetwork in found
    require_lines(found, {type(case.build()) for case in CASES.values()})


def test_nothing_has_a_reason_and_a_line() -> None:
    listed = {type(case.build()) for case in (*RECONSTRUCTORS.values(), *CASES.values())}
    assert not WITHOUT_A_LINE.keys() & listed


def what(method: object) -> object:
    """The class of a reconstructor, of a learned one the kind of its network."""
    return method.weights.settings.network.kind if isinstance(method, LearnedReconstructor) else type(method)


def of(modality: Modality) -> set[object]:
    """What there are lines for."""
    return {
        what(case.build())
        for case in RECONSTRUCTORS.values()
        if isinstance(case.scan(n=1).A, Radon) == (modality is Modality.CT)
    }


@pytest.mark.parametrize("modality", Modality)
def test_every_method_has_a_line(modality: Modality) -> None:
    lines = of(modality)
    for method, takes in every_method():
        if takes != modality:
            continue
        try:
            made = build(method(), modality)
        except InputError:
            if not issubclass(method, LearnedSettings):
                raise
            continue  # no weights of it come with the package
        assert what(made) in lines, f"no line in tests/reconstructors/cases.py for {method.__name__} of {modality}"


def test_every_kind_of_learned_method_has_a_line() -> None:
    lines = of(Modality.MRI) | of(Modality.CT)
    for method in {method for method, _ in every_method() if issubclass(method, LearnedSettings)}:
        kinds = {DENOISING[method]} if method in DENOISING else set(method.networks)
        assert kinds & lines, f"no line in tests/reconstructors/cases.py for {method.__name__}"


def test_every_method_that_is_declared_is_in_the_union() -> None:
    """A settings class that is forgotten in `MethodSettings` would be no method, and nobody would be told."""
    declared = {
        kind for kind in classes("config", "Method") if issubclass(kind, Method) and "kind" in kind.__annotations__
    }
    assert declared - {Method, CustomMethodSettings} == set(METHODS.values()), (
        "MethodSettings lacks a method, or has one twice"
    )
