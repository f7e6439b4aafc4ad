"""Reconstruction by trained weights, from the command line and as objects."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import h5py
import pytest
import torch
from torch import Tensor
from torch.nn import Module

from medrecon.data.ct.attenuation import MU_MAX
from medrecon.data.ct.sinogram_files import SinogramFile
from medrecon.data.mri.fastmri import FastMRIFile
from medrecon.data.mri.masks import equispaced_fraction_mask, equispaced_mask, mask_seed
from medrecon.modality import Modality
from medrecon.networks.data_normalization import AdjointMaximum, Constant
from medrecon.problem import ct_problem, remove_oversampling, undersample
from medrecon.scans.mri_posing import pose
from medrecon.weights.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from medrecon.weights.learned import LearnedReconstructor
from medrecon.weights.networks import load_network
from medrecon.workflows import build_reconstructor
from medrecon.workflows.training import train_network
from tests.program import close, images, medrecon, simulate
from tests.settings import ct, mri
from tests.sinogram_files import write_scan
from tests.training.runs import TINY, TINY_CT, settings

T = TypeVar("T")

SMALL = {"features": 2, "pools": 1}
COILS = {"data__operator": "coils"}
MASK = ("--mask", "equispaced-fraction", "--acceleration", 3, "--center-fraction", 0.2)


def trained(folder: Path, values: dict[str, Any], network: dict[str, Any], **changes: object) -> Path:
    """Weights of one step of training."""
    changes = {"data__train": 1, "data__validation": 1, "training__max_steps": 1, **changes}
    train_network(settings(values, network=network, **changes), folder)
    return folder / "best.safetensors"


NETWORKS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "varnet": (TINY, {"kind": "varnet", "cascades": 2, "output": "rss", **SMALL}, {}),
    "e2e": (
        TINY,
        {"kind": "e2e-varnet", "cascades": 1, "sensitivity_features": 2, "sensitivity_pools": 1, **SMALL},
        COILS,
    ),
    "modl": (TINY, {"kind": "modl", "iterations": 2, **SMALL}, {}),
    "unet": (TINY, {"kind": "unet", "initial": "zero-filled", "consistency": "proximal", **SMALL}, {}),
    "varnet-wavelet": (
        TINY,
        {"kind": "varnet", "cascades": 1, "consistency": "proximal", "initial": "wavelet", **SMALL},
        {},
    ),
    "sense-unet": (TINY, {"kind": "unet", "initial": "sense", "residual": True, **SMALL}, {}),
    "rss-unet": (TINY, {"kind": "unet", "initial": "rss", "limit": 6, **SMALL}, COILS),
    "fbp-unet": (TINY_CT, {"kind": "unet", "initial": "fbp", **SMALL}, {}),
    "lpd": (TINY_CT, {"kind": "primal-dual", "iterations": 2, "features": 4, "initial": "fbp"}, {}),
    "ct-varnet": (TINY_CT, {"kind": "varnet", "cascades": 1, **SMALL}, {}),
}
METHOD = {
    "e2e": "varnet",
    "rss-unet": "unet",
    "sense-unet": "unet",
    "varnet-wavelet": "varnet",
    "fbp-unet": "unet",
    "lpd": "primal-dual",
    "ct-varnet": "varnet",
}
OF_CT = ("fbp-unet", "lpd", "ct-varnet")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    return {
        name: trained(folder / name, values, network, **changes)
        for name, (values, network, changes) in NETWORKS.items()
    }


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate(tmp_path_factory.mktemp("mri") / "scan.h5", slices=2)


@pytest.fixture(scope="module")
def sinograms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scan(tmp_path_factory.mktemp("ct") / "scan.h5", slices=3)


def attributes(path: Path) -> dict[str, Any]:
    with h5py.File(path) as file:
        return dict(file.attrs)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_program_gives_what_the_network_does(
    weights: Mapping[str, Path], scan: Path, sinograms: Path, tmp_path: Path, name: str
) -> None:
    out, report, picture = tmp_path / "o.h5", tmp_path / "r.json", tmp_path / "p.png"
    source, options = (sinograms, ()) if name in OF_CT else (scan, MASK)
    call = ("reconstruct", source, "-o", out, "--weights", weights[name], *options, "--json", report)
    done = medrecon(*call, *(("--preview", picture) if name in ("e2e", "lpd") else ()))
    assert (done.status, done.err) == (0, "")
    values, method = json.loads(report.read_text()), METHOD.get(name, name)
    assert (values["method"], values["weights"]) == (method, str(weights[name]))
    assert (attributes(out)["method"], attributes(out)["weights"]) == (method, str(weights[name]))
    assert f"method {method} (weights {weights[name]})" in done.out
    assert "were trained on 'random phantoms' (trained on 1 phantom, chosen on 1 other)" in done.out
    assert "PSNR" in done.out
    assert name not in ("e2e", "lpd") or picture.read_bytes().startswith(b"\x89PNG")
    found, network = images(out), load_network(weights[name])[0]
    if name in OF_CT:
        problem = ct_problem(list(SinogramFile(sinograms)))
        wanted = problem.display_image(network(problem.y / MU_MAX, problem.A) * MU_MAX)
    else:
        wanted = torch.stack([by_hand(network, scan, k, METHOD.get(name, name), weights[name]) for k in range(2)])
    assert close(found, wanted.detach())
    again = tmp_path / "again.h5"
    assert medrecon(*call[:2], "-o", again, "--method", method, "--weights", weights[name], *options).status == 0
    assert torch.equal(images(again), found)


def by_hand(network: Module, scan: Path, index: int, method: str, weights: Path) -> Tensor:
    sample = remove_oversampling(FastMRIFile(scan)[index])
    sample = undersample(sample, equispaced_fraction_mask(40, 3, 0.2, mask_seed("scan.h5")))
    problem = pose(sample, build_reconstructor(mri(method, weights=str(weights)).method, Modality.MRI))
    s = AdjointMaximum()(problem.y, problem.A)
    return problem.display_image(network(problem.y * s, problem.A) / s)


def test_the_family_of_the_card_decides_which_problem_is_posed(weights: Mapping[str, Path], scan: Path) -> None:
    sample = FastMRIFile(scan)[0]
    for name, maps in {"varnet": "espirit", "e2e": "none", "rss-unet": "none"}.items():
        kind = METHOD.get(name, name)
        reconstructor = build_reconstructor(mri(kind, weights=str(weights[name])).method, Modality.MRI)
        problem = pose(sample, reconstructor)
        assert problem.maps_origin == maps
        assert ("coil" in problem.A.domain.axes) == (maps == "none")
        assert isinstance(reconstructor, LearnedReconstructor)
        x = reconstructor(problem.y, problem.A)
        assert not x.requires_grad
        assert problem.display_image(x).shape == (48, 40)


def test_a_batch_is_what_a_loop_gives_and_brightness_passes_through(
    weights: Mapping[str, Path], sinograms: Path
) -> None:
    problem = ct_problem(list(SinogramFile(sinograms)))
    y = problem.y * torch.tensor([1.0, 30.0, 0.01])[:, None, None]
    reconstruct = build_reconstructor(ct("varnet", weights=str(weights["ct-varnet"])).method, Modality.CT)
    assert isinstance(reconstruct, LearnedReconstructor)
    assert reconstruct.normalization == Constant(1 / MU_MAX)
    adjoint = LearnedReconstructor(reconstruct.network, AdjointMaximum(0.5), reconstruct.weights)
    for each in (reconstruct, adjoint):
        batch = each(y, problem.A)
        assert batch.shape == (3, *problem.shape)
        for one, image in zip(y, batch, strict=True):
            assert close(image, each(one, problem.A), 1e-4)
    assert close(adjoint(1e3 * y, problem.A), 1e3 * adjoint(y, problem.A), 1e-4)
    assert not bool(adjoint(torch.zeros_like(y[0]), problem.A).isnan().any())


def test_weights_are_read_once_for_a_file(
    weights: Mapping[str, Path], scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []

    def counted(path: Path) -> Checkpoint:
        read.append(path)
        return read_checkpoint(path)

    monkeypatch.setattr("medrecon.weights.networks.read_checkpoint", counted)
    assert medrecon("reconstruct", scan, "-o", tmp_path / "o.h5", "--weights", weights["varnet"], *MASK).status == 0
    assert read == [weights["varnet"]]


def shipped(
    folder: Path, weights: Mapping[str, Path], names: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.mkdir()
    for name, of in names.items():
        (folder / f"{name}.safetensors").write_bytes(weights[of].read_bytes())
    monkeypatch.setattr("medrecon.weights.shipped.SHIPPED", folder)


def test_weights_that_come_with_the_package_have_names_and_are_the_default(
    weights: Mapping[str, Path], scan: Path, sinograms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {
        "varnet_brain_small": "varnet",
        "unet_brain_small": "unet",
        "modl_brain_small": "modl",
        "fbp_unet_lodopab_small": "fbp-unet",
        "lpd_lodopab_small": "lpd",
    }
    shipped(tmp_path / "shipped", weights, names, monkeypatch)
    for name in names:
        of_ct = "lodopab" in name
        method, source = METHOD.get(names[name], names[name]), sinograms if of_ct else scan
        for chosen in (("--method", method), ("--weights", name)):
            report = tmp_path / "r.json"
            call = ("reconstruct", source, "-o", tmp_path / "o.h5", "--overwrite", *chosen, "--json", report)
            done = medrecon(*call, *(() if of_ct else MASK))
            assert (done.status, done.err) == (0, "")
            values = json.loads(report.read_text())
            assert (values["method"], values["weights"]) == (method, name)
    listed = medrecon("weights", "list")
    assert all(name in listed.out for name in names)
    assert "1 samples" in listed.out
    assert '"operator": "radon"' in medrecon("weights", "show", "lpd_lodopab_small").out


@pytest.mark.parametrize(
    ("source", "arguments", "words"),
    [
        (
            "mri",
            ("--method", "varnet"),
            "varnet_brain_small do not come with this copy of medrecon; make them by `medrecon",
        ),
        (
            "mri",
            ("--method", "varnet"),
            "medrecon train varnet_brain_small` and give --weights runs/varnet_brain_small",
        ),
        ("ct", ("--method", "unet"), "the weights fbp_unet_lodopab_small do not come"),
        ("ct", ("--method", "modl"), "no weights of this method for CT come with medrecon; give --weights FILE"),
        ("mri", ("--method", "primal-dual"), "no weights of this method for MRI"),
        ("mri", ("--weights", "nothing"), "nothing: there are no weights of this name, and no such file"),
        ("mri", ("--weights", "lpd"), "was trained on CT (radon), and the scan is MRI"),
        ("ct", ("--weights", "varnet"), "was trained on MRI with coil maps (sense), and the scan is CT"),
        ("ct", ("--method", "varnet", "--weights", "e2e"), "without maps (coils), and the scan is CT"),
        (
            "mri",
            ("--method", "unet", "--weights", "modl"),
            "kind modl, which is not of --method unet; take --method modl",
        ),
        (
            "mri",
            ("--method", "modl", "--weights", "e2e"),
            "kind e2e-varnet, which is not of --method modl; take --method varnet",
        ),
        ("mri", ("--method", "tv", "--weights", "varnet"), "--weights: the method tv has no weights"),
        ("ct", ("--method", "fbp", "--weights", "lpd"), "--weights: the method fbp has no weights"),
        ("mri", ("--weights", "varnet", "--weight", "0.1"), "--weight: the method varnet has no weight"),
        ("mri", ("--weights", "varnet", "--iterations", "3"), "--iterations: the method varnet has no iterations"),
        ("ct", ("--weights", "lpd", "--window", "hann"), "--window: the method primal-dual has no window"),
        ("ct", ("--weights", "lpd", "--iterations", "3"), "--iterations: the method primal-dual has no iterations"),
        ("mri", ("--weights", "varnet", "--device", "cuda"), "no CUDA device"),
        ("mri", ("--weights", "last"), "holds the state of a training run"),
        ("mri", ("--weights", "cut"), "cut short"),
        ("mri", ("--weights", "pickle"), "holds pickled objects"),
        ("mri", ("--weights", "older"), "its card: network.cascade: there is no such key"),
        ("mri", ("--weights", "bare"), "has a card without a configuration"),
        ("mri", ("--weights", "other"), "the weights are of another network"),
        ("mri", ("--weights", "strange"), "its card: inference: crop: there is no such key"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line_and_nothing_is_written(
    weights: Mapping[str, Path],
    scan: Path,
    sinograms: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    arguments: tuple[str, ...],
    words: str,
) -> None:
    if "cuda" in arguments and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    monkeypatch.setattr("medrecon.weights.shipped.SHIPPED", tmp_path / "none")
    places = {**weights, **broken(weights["varnet"], tmp_path)}
    given = [places.get(text, text) if arguments[k - 1] == "--weights" else text for k, text in enumerate(arguments)]
    folder = tmp_path / "out"
    folder.mkdir()
    done = medrecon("reconstruct", scan if source == "mri" else sinograms, "-o", folder / "o.h5", *given)
    assert done.status == 2
    assert words in done.complaint
    assert not list(folder.iterdir())


def broken(good: Path, folder: Path) -> dict[str, Path]:
    places = {name: folder / f"{name}.safetensors" for name in ("cut", "pickle", "older", "bare", "other", "strange")}
    places["cut"].write_bytes(good.read_bytes()[:-40])
    torch.save({"a": torch.ones(1)}, places["pickle"])
    checkpoint = read_checkpoint(good)
    card = checkpoint.metadata["card"]
    configuration = card["configuration"]
    network = {**configuration["network"], "cascade": 3}
    cards = {
        "older": {**card, "configuration": {**configuration, "network": network}},
        "bare": {"name": "x"},
        "other": {**card, "configuration": {**configuration, "network": {**configuration["network"], "features": 3}}},
        "strange": {**card, "inference": {"crop": True}},
    }
    for name, other in cards.items():
        write_checkpoint(places[name], Checkpoint(checkpoint.tensors, {"card": other}))
    return {**places, "last": good.with_name("last.safetensors")}


def test_a_scan_that_is_unlike_the_training_is_noted(
    weights: Mapping[str, Path], scan: Path, sinograms: Path, tmp_path: Path
) -> None:
    out = ("-o", tmp_path / "o.h5", "--overwrite")
    few = ("--mask", "equispaced-fraction", "--center-fraction", 0.1, "--acceleration")
    told = "the weights were trained on 2: compare"
    assert told not in medrecon("reconstruct", scan, *out, "--weights", weights["varnet"], *few, 2).out
    assert told in medrecon("reconstruct", scan, *out, "--weights", weights["varnet"], *few, 4).out
    assert told in medrecon("reconstruct", scan, *out, "--weights", weights["varnet"]).out  # fully sampled
    done = medrecon("reconstruct", sinograms, *out, "--weights", weights["lpd"], "--views", 30)
    assert "30 views and not 12, 64 bins and not 36, pixels of 2 mm and not 1: compare" in done.out
    like = tmp_path / "like.h5"
    call = ("simulate", like, "--modality", "ct", "--size", 24, "--pixel", 1, "--views", 12, "--bins", 36)
    assert medrecon(*call).status == 0
    assert "the scan is unlike" not in medrecon("reconstruct", like, *out, "--weights", weights["lpd"]).out
    dose = ("--photons", 500)
    done = medrecon("reconstruct", like, *out, "--weights", weights["lpd"], *dose)
    assert "trained on: the noise of 500 photons a ray and not next to none: compare" in done.out


def test_a_mask_without_calibration_lines_is_refused(weights: Mapping[str, Path], scan: Path, tmp_path: Path) -> None:
    seed = next(seed for seed in range(99) if not equispaced_mask(40, 4, 0.0, seed).sampled[20])
    call = ("reconstruct", scan, "-o", tmp_path / "o.h5", "--weights", weights["e2e"])
    done = medrecon(*call, "--mask", "equispaced", "--acceleration", 4, "--center-fraction", 0, "--seed", seed)
    assert done.status == 2
    assert "scan.h5: slice 0: the sensitivity network takes a mask with calibration lines" in done.complaint


def test_methods_are_listed_with_their_needs() -> None:
    out = medrecon("methods").out
    assert all(f"MRI, CT  {method} " in out for method in ("unet", "modl", "varnet", "primal-dual"))
    said = " ".join(out.split())
    assert "no weights come with medrecon" in said
    assert "--weights FILE" in said
