"""Precision, compilation and layout of trained networks where they reconstruct: what they may change, and what they may not."""

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import pytest
import torch
from torch import Tensor, nn
from torch._inductor.exc import InvalidCxxCompiler

from medrecon.benchmark import Workers, run_benchmark
from medrecon.benchmark.schedule import make_schedule
from medrecon.config import LearnedSettings
from medrecon.data.ct.sinogram_files import SinogramFile
from medrecon.data.mri.fastmri import FastMRIFile
from medrecon.errors import InputError
from medrecon.modality import Modality
from medrecon.networks import UNet, compile_unets
from medrecon.operators import LinearOperator, Radon
from medrecon.problem import Problem, ct_problem, remove_oversampling
from medrecon.scans.mri_posing import pose
from medrecon.weights.learned import LearnedReconstructor
from medrecon.workflows import build_reconstructor
from medrecon.workflows.training import train_network
from tests import settings as taken
from tests.benchmark.settings import ct, mri
from tests.program import close, images, medrecon, simulate
from tests.sinogram_files import write_scan
from tests.training.runs import TINY, TINY_CT, settings

SMALL = {"features": 4, "pools": 1}
NETWORKS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "varnet": (TINY, {"kind": "varnet", "cascades": 2, **SMALL}),
    "unet": (TINY_CT, {"kind": "unet", "initial": "fbp", **SMALL}),
    "primal-dual": (TINY_CT, {"kind": "primal-dual", "iterations": 2, "features": 4, "initial": "fbp"}),
}

#: torch itself calls what it has deprecated when it compiles.
WARNS = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    short = {"data__train": 1, "data__validation": 1, "training__max_steps": 1}
    for name, (values, network) in NETWORKS.items():
        train_network(settings(values, network=network, **short), folder / name)
    return {name: folder / name / "best.safetensors" for name in NETWORKS}


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate(tmp_path_factory.mktemp("mri") / "scan.h5")


@pytest.fixture(scope="module")
def sinograms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scan(tmp_path_factory.mktemp("ct") / "scan.h5", slices=1)


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend that takes the graph as it is, so that no compiler is needed."""
    monkeypatch.setattr("medrecon.weights.learned.compile_unets", partial(compile_unets, backend="eager"))


def method(name: str, weights: Mapping[str, Path], **switches: object) -> Any:
    made = taken.mri if name == "varnet" else taken.ct
    return made(name, weights=str(weights[name]), **switches).method


def reconstructor(name: str, weights: Mapping[str, Path], **switches: object) -> LearnedReconstructor:
    modality = Modality.MRI if name == "varnet" else Modality.CT
    made = build_reconstructor(method(name, weights, **switches), modality)
    assert isinstance(made, LearnedReconstructor)
    return made


def problem(name: str, weights: Mapping[str, Path], scan: Path, sinograms: Path) -> Problem:
    if name == "varnet":
        return pose(remove_oversampling(FastMRIFile(scan)[0]), reconstructor(name, weights))
    return ct_problem(list(SinogramFile(sinograms)))


@pytest.mark.parametrize("name", NETWORKS)
def test_half_precision_is_of_the_convolutions_alone(
    weights: Mapping[str, Path], scan: Path, sinograms: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    posed = problem(name, weights, scan, sinograms)
    whole = reconstructor(name, weights)(posed.y, posed.A)
    half = reconstructor(name, weights, precision="bf16")
    convolved, projected = set[torch.dtype](), set[torch.dtype]()
    for module in half.network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda _module, _args, out: convolved.add(out.dtype))
    forward = Radon._forward

    def seen(A: Radon, x: Tensor) -> Tensor:
        sinogram = forward(A, x)
        projected.add(sinogram.dtype)
        return sinogram

    monkeypatch.setattr(Radon, "_forward", seen)
    image = half(posed.y, posed.A)
    assert convolved == {torch.bfloat16}
    assert projected <= {torch.float32}
    assert image.dtype == whole.dtype
    assert close(image, whole, 0.05)
    assert not close(image, whole, 1e-6)
    assert not torch.is_autocast_enabled("cpu")
    assert all(parameter.dtype == torch.float32 for parameter in half.network.parameters())


@WARNS
@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("name", ["varnet", "unet"])
def test_compiled_networks_give_the_same_image(
    weights: Mapping[str, Path], scan: Path, sinograms: Path, name: str
) -> None:
    posed = problem(name, weights, scan, sinograms)
    compiled = reconstructor(name, weights, compile=True)
    unets = [module for module in compiled.network.modules() if isinstance(module, UNet)]
    assert all(unet._compiled_call_impl is not None for unet in unets)
    assert close(compiled(posed.y, posed.A), reconstructor(name, weights)(posed.y, posed.A), 1e-4)
    both = reconstructor(name, weights, compile=True, precision="bf16")(posed.y, posed.A)
    assert close(both, reconstructor(name, weights, precision="bf16")(posed.y, posed.A), 0.02)


@pytest.mark.parametrize("name", NETWORKS)
def test_channels_last_changes_no_image(weights: Mapping[str, Path], scan: Path, sinograms: Path, name: str) -> None:
    posed = problem(name, weights, scan, sinograms)
    last = reconstructor(name, weights, channels_last=True)
    kernels = [weight for weight in last.network.parameters() if weight.ndim == 4]
    assert all(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels)
    assert not all(kernel.is_contiguous() for kernel in kernels)
    assert close(last(posed.y, posed.A), reconstructor(name, weights)(posed.y, posed.A), 1e-4)


@WARNS
@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--set", "precision=bf16"), "bf16"),
        (("--set", "compile=true"), "fp32, compiled"),
        (("--set", "precision=fp32"), None),
    ],
)
def test_the_program_says_how_the_network_was_run(
    weights: Mapping[str, Path], scan: Path, tmp_path: Path, options: tuple[str, ...], words: str | None
) -> None:
    plain, out, report = tmp_path / "plain.h5", tmp_path / "o.h5", tmp_path / "r.json"
    chosen = ("--weights", weights["varnet"])
    assert medrecon("reconstruct", scan, "-o", plain, *chosen).status == 0
    done = medrecon("reconstruct", scan, "-o", out, *chosen, *options, "--json", report)
    assert (done.status, done.err) == (0, "")
    told = [line for line in json.loads(report.read_text())["notes"] if "was run in" in line]
    assert told == ([] if words is None else [f"the network was run in {words}"])
    with h5py.File(out) as file:
        assert file.attrs["execution"] == ("fp32" if words is None else words)
    assert close(images(out), images(plain), 0.05 if words == "bf16" else 1e-4)
    assert torch.equal(images(out), images(plain)) == (words is None)


@pytest.mark.parametrize("emulated", [True, False])
def test_a_processor_without_bfloat16_is_noted(
    weights: Mapping[str, Path], scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, emulated: bool
) -> None:
    monkeypatch.setattr("medrecon.scans.learned_notes.emulates_bfloat16", lambda _device: emulated)
    call = ("reconstruct", scan, "--overwrite", "-o", tmp_path / "o.h5", "--weights", weights["varnet"])
    assert ("leave out precision" in medrecon(*call, "--set", "precision=bf16").out) == emulated
    assert "leave out precision" not in medrecon(*call).out


def test_classical_methods_may_stand_beside_it(weights: Mapping[str, Path], scan: Path, tmp_path: Path) -> None:
    page = tmp_path / "r.html"
    call = ("reconstruct", scan, "-o", tmp_path / "o.h5", "--method", "varnet", "--weights", weights["varnet"])
    done = medrecon(*call, "--set", "precision=bf16", "--report", page, "--compare", "zero-filled")
    assert (done.status, done.err) == (0, "")
    assert page.is_file()


@pytest.mark.parametrize(
    ("source", "arguments", "words"),
    [
        ("mri", ("--method", "tv", "--precision", "bf16"), "--precision: the method tv has no precision"),
        ("mri", ("--compile",), "--compile: the method wavelet has no compile"),
        ("ct", ("--method", "fbp", "--compile"), "--compile: the method fbp has no compile"),
        ("ct", ("--method", "fbp", "--precision", "fp32"), "--precision: the method fbp has no precision"),
        ("mri", ("--weights", "varnet", "--precision", "int8"), "'int8' is not one of 'fp32', 'bf16', 'fp16'"),
        (
            "mri",
            ("--weights", "varnet", "--set", "precision=fp16"),
            "takes a GPU, and this is the CPU; take bf16 or fp32",
        ),
        (
            "ct",
            ("--weights", "primal-dual", "--set", "compile=true"),
            "compile: compiles U-Nets, and the primal-dual network of",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    weights: Mapping[str, Path],
    scan: Path,
    sinograms: Path,
    tmp_path: Path,
    source: str,
    arguments: tuple[str, ...],
    words: str,
) -> None:
    given = [weights.get(text, text) if arguments[k - 1] == "--weights" else text for k, text in enumerate(arguments)]
    out = tmp_path / "o.h5"
    done = medrecon("reconstruct", scan if source == "mri" else sinograms, "-o", out, *given)
    assert done.status == 2
    assert words in done.complaint
    assert not out.exists()


class Uncompiled(nn.Module):
    """What torch says where nothing compiles."""

    def forward(self, _y: Tensor, _A: LinearOperator, /) -> Tensor:
        raise InvalidCxxCompiler


def test_a_machine_without_a_compiler_is_told_in_words(
    weights: Mapping[str, Path], scan: Path, sinograms: Path
) -> None:
    posed = problem("varnet", weights, scan, sinograms)
    broken = replace(reconstructor("varnet", weights), network=Uncompiled())
    with pytest.raises(InputError, match="compile: the network cannot be compiled here"):
        broken(posed.y, posed.A)


def entry(name: str, weights: Mapping[str, Path], **switches: object) -> dict[str, Any]:
    kind = "varnet" if name == "mri" else "unet"
    return {"name": "network", "method": {"kind": kind, "weights": str(weights[kind]), **switches}}


@WARNS
@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("modality", ["mri", "ct"])
def test_switches_at_their_defaults_leave_keys_of_journals_as_they_were(
    weights: Mapping[str, Path], modality: str
) -> None:
    build = mri if modality == "mri" else ct

    def keys(**switches: object) -> frozenset[str]:
        plan = make_schedule(build([entry(modality, weights, **switches)]))
        return frozenset(case.key for case in plan.cases)

    plain = make_schedule(build([entry(modality, weights)])).cases[0].entry.method
    assert isinstance(plain, LearnedSettings)
    for mode in ("json", "python"):
        assert plain.model_dump(mode=mode) == {"kind": plain.kind, "weights": plain.weights}
    assert plain.given() == {"weights": plain.weights}
    assert keys(precision="fp32", compile=False, channels_last=False) == keys()
    others: list[dict[str, object]] = [{}, {"precision": "bf16"}, {"compile": True}, {"channels_last": True}]
    assert len(frozenset.union(*(keys(**other) for other in others))) == len(others) * len(keys())
    changed = plain.model_copy(update={"compile": True})
    assert changed.model_dump(mode="json")["compile"] is True
    assert type(plain).model_validate_json(changed.model_dump_json()) == changed


def test_an_entry_of_a_benchmark_may_name_them(weights: Mapping[str, Path], tmp_path: Path) -> None:
    half = {**entry("mri", weights, precision="bf16"), "name": "half"}
    done = run_benchmark(mri([entry("mri", weights), half]), tmp_path, Workers(0))
    assert all(row.done for row in done.rows)
    plain, other = done.rows[:2]
    assert other.nmse != plain.nmse
    assert other.nmse == pytest.approx(plain.nmse, rel=0.05)
    summary = (tmp_path / "summary.md").read_text()
    assert f"network (weights {weights['varnet']})" in summary
    assert f"half (weights {weights['varnet']}, run bf16)" in summary
    assert run_benchmark(mri([entry("mri", weights)]), tmp_path, Workers(0)).kept == 2


def test_refused_by_a_benchmark_before_anything_runs(weights: Mapping[str, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="precision fp16: takes a GPU"):
        run_benchmark(mri([entry("mri", weights, precision="fp16")]), tmp_path / "out", Workers(0))
    assert not (tmp_path / "out").exists()
