"""Weights of the package fastmri, imported: what it gives, medrecon gives."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
import torch
from fastmri import ifft2c, rss_complex
from fastmri.data.transforms import center_crop, complex_center_crop, normalize_instance
from fastmri.models import Unet, VarNet
from torch import Tensor
from torch.nn import Module

from medrecon.data.mri.fastmri import FastMRIFile
from medrecon.data.mri.fastmri_header import make_header
from medrecon.data.mri.masks import equispaced_fraction_mask, mask_seed
from medrecon.data.mri.writing import write_fastmri
from tests.program import close, images, medrecon, simulate

T = TypeVar("T")

MASK = ("--mask", "equispaced-fraction", "--acceleration", 3, "--center-fraction", 0.2)


def seeded(build: Callable[[], T]) -> T:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return build()


def imported(network: Module, folder: Path, name: str) -> Path:
    torch.save({"state_dict": network.state_dict()}, folder / f"{name}.ckpt")
    out = folder / f"{name}.safetensors"
    done = medrecon("weights", "import", "fastmri", folder / f"{name}.ckpt", "--output", out)
    assert (done.status, done.err) == (0, "")
    assert f"use it by `medrecon reconstruct SCAN --output IMAGE --weights {out}`" in done.out
    assert json.loads(out.with_suffix(".json").read_text())["data"]["name"] == "fastMRI (imported)"
    return out


def measured(scan: Path, index: int) -> tuple[Tensor, Tensor]:
    """k-space `(coil, ky, kx, 2)` as fastmri has it, oversampled, and the mask `(1, 1, kx, 1)`."""
    sampled = equispaced_fraction_mask(40, 3, 0.2, mask_seed("scan.h5")).sampled
    kspace = FastMRIFile(scan)[index].kspace * sampled
    return torch.view_as_real(kspace), sampled.reshape(1, 1, 40, 1)


def test_a_varnet_of_fastmri_gives_what_fastmri_gives(tmp_path: Path) -> None:
    scan = simulate(tmp_path / "scan.h5", slices=2)
    peer = seeded(lambda: VarNet(num_cascades=2, sens_chans=2, sens_pools=2, chans=4, pools=2)).eval()
    weights, out, report = imported(peer, tmp_path, "varnet"), tmp_path / "o.h5", tmp_path / "r.json"
    done = medrecon("reconstruct", scan, "-o", out, "--weights", weights, *MASK, "--json", report)
    assert (done.status, done.err) == (0, "")
    assert "fastMRI (imported)" in done.out
    assert "compare with another method" not in done.out
    with torch.no_grad():
        pairs = (measured(scan, index) for index in range(2))
        wanted = torch.stack([center_crop(peer(kspace[None], mask[None])[0], (48, 40)) for kspace, mask in pairs])
    assert close(images(out), wanted)
    assert json.loads(report.read_text())["method"] == "varnet"
    assert '"keep_oversampling": true' in medrecon("weights", "show", weights).out
    points = medrecon(
        "reconstruct", scan, "-o", tmp_path / "p.h5", "--weights", weights, "--mask", "poisson", *MASK[2:]
    )
    assert (points.status, points.err) == (0, "")


@pytest.mark.parametrize("coils", [1, 3])
def test_a_unet_of_fastmri_gives_what_fastmri_gives(tmp_path: Path, coils: int) -> None:
    scan = simulate(tmp_path / "scan.h5", coils=coils)
    file = FastMRIFile(scan)
    narrow = tmp_path / "narrow" / "scan.h5"  # fewer columns than k-space has, and odd ones inside the network
    narrow.parent.mkdir()
    write_fastmri(narrow, [file[0].kspace], header=make_header((96, 40), (44, 34)))
    peer = seeded(lambda: Unet(1, 1, chans=4, num_pool_layers=2)).eval()
    weights, out = imported(peer, tmp_path, "unet"), tmp_path / "o.h5"
    done = medrecon("reconstruct", narrow, "-o", out, "--method", "unet", "--weights", weights, *MASK)
    assert (done.status, done.err) == (0, "")
    kspace, _ = measured(scan, 0)
    cropped = complex_center_crop(ifft2c(kspace), (44, 34))
    image, mean, std = normalize_instance(rss_complex(cropped), eps=1e-11)
    with torch.no_grad():
        wanted = peer(image.clamp(-6, 6)[None, None])[0] * std + mean
    assert close(images(out), wanted)


def test_what_cannot_be_imported_is_refused_in_one_line(tmp_path: Path) -> None:
    state = seeded(lambda: Unet(1, 1, chans=2, num_pool_layers=1)).state_dict()
    good = tmp_path / "good.pt"
    torch.save(state, good)
    (tmp_path / "cut.pt").write_bytes(good.read_bytes()[:-200])
    (tmp_path / "text.pt").write_text("no weights")
    torch.save({"a": Path("x")}, tmp_path / "objects.pt")
    torch.save({"layer.weight": torch.ones(2)}, tmp_path / "other.pt")
    torch.save(seeded(lambda: Unet(2, 2, chans=2, num_pool_layers=1)).state_dict(), tmp_path / "complex.pt")
    torch.save({**state, "conv.layers.0.weight": torch.ones(1)}, tmp_path / "shape.pt")
    torch.save({0: torch.ones(2)}, tmp_path / "numbered.pt")
    first, last = "down_sample_layers.0.layers.0.weight", "up_conv.0.1.weight"
    torch.save({**state, first: torch.ones(0, 1, 3, 3)}, tmp_path / "featureless.pt")
    torch.save({**state, last: torch.ones(0, 2, 1, 1)}, tmp_path / "imageless.pt")
    maps = seeded(lambda: VarNet(1, 2, 1, 2, 1)).state_dict()
    torch.save({**maps, f"sens_net.norm_unet.unet.{first}": torch.ones(0, 2, 3, 3)}, tmp_path / "mapless.pt")
    words = {
        "cut.pt": "cut short",
        "text.pt": "is no file of weights",
        "objects.pt": "could run code",
        "other.pt": "no network of fastmri of this kind",
        "complex.pt": "a U-Net of 2 to 2 channels",
        "shape.pt": "has other shapes",
        "numbered.pt": "holds no state_dict",
        "featureless.pt": f"{first} holds no numbers, its shape is (0, 1, 3, 3)",
        "imageless.pt": f"{last} holds no numbers",
        "mapless.pt": f"sens_net.norm_unet.unet.{first} holds no numbers",
        "none.pt": "no such file",
    }
    out = tmp_path / "out" / "w.safetensors"
    out.parent.mkdir()
    for name, word in words.items():
        done = medrecon("weights", "import", "fastmri", tmp_path / name, "-o", out)
        assert done.status == 2
        assert name in done.complaint
        assert word in done.complaint
    assert "called .safetensors" in medrecon("weights", "import", "fastmri", good, "-o", tmp_path / "w.pt").complaint
    assert not list(out.parent.iterdir())
    out.with_suffix(".json").write_text("mine")
    assert "w.json" in medrecon("weights", "import", "fastmri", good, "-o", out).complaint
    assert [path.name for path in out.parent.iterdir()] == ["w.json"]
    assert out.with_suffix(".json").read_text() == "mine"
    assert medrecon("weights", "import", "fastmri", good, "-o", out, "--overwrite").status == 0
    assert sorted(path.name for path in out.parent.iterdir()) == ["w.json", "w.safetensors"]
    out.with_suffix(".json").unlink()
    assert "w.safetensors" in medrecon("weights", "import", "fastmri", good, "-o", out).complaint
    assert [path.name for path in out.parent.iterdir()] == ["w.safetensors"]


def test_imported_weights_are_not_scored_by_masks_that_nobody_knows(tmp_path: Path) -> None:
    weights = imported(seeded(lambda: Unet(1, 1, chans=2, num_pool_layers=1)), tmp_path, "unet")
    done = medrecon("weights", "score", weights, "--folder", tmp_path)
    assert done.status == 2
    assert "was imported, and does not say its data and masks; score it by `medrecon benchmark`" in done.complaint
