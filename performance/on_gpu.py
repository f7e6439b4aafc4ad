"""What a graphics card is needed for, in stages of at most five minutes, so that short visits to one add up.

    performance/on_gpu.sh pack          # before, where the data sets lie: packs images of training into runs/gpu/sets
    performance/on_gpu.sh check         # operators and methods on the card against the processor; stops at the first wrong number
    performance/on_gpu.sh denoiser      # trains, or goes on: runs/gpu/denoiser; so do varnet and primal-dual
    performance/on_gpu.sh time          # the tables of figures, with the card's name

Carry `runs/gpu` there and back: packed images are below 64 MiB, states of runs below 16 MiB each. `--device cpu --small` rehearses
a stage on a processor. A stage writes `runs/gpu/STAGE.json`, and ends with status 1 at a wrong number.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor

from medrecon.config.protocols import MRIProtocols
from medrecon.data.ct.lodopab import LoDoPaB
from medrecon.data.sets.ct_open import CTImages
from medrecon.data.sets.fetch import path as set_path
from medrecon.data.sets.head_images import HeadImages
from medrecon.drawn_scans import draw_mri
from medrecon.geometry import Arc, FanBeam, Geometry, Grid, ParallelBeam
from medrecon.networks import NormalizedUNet, UNet, VarNet
from medrecon.operators import LinearOperator, Radon
from medrecon.problem import sense_problem
from medrecon.reconstructors import FilteredBackprojection, Sense, TotalVariation, WaveletSparsity

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "runs" / "gpu"
SETS = FOLDER / "sets"
SECONDS = 280  # of a stage of training
TOLERANCE = 1e-5
HEADS, SLICES = 480, 70  # images that are packed of a part of training; a tenth of validation
SMALL_MRI = "data.protocols={matrix: [48, 64], coils: [2, 4], acceleration: [2, 3]}"
SMALL_CT = "data.protocols={matrix: [32, 40], views: [20, 40], spacing: [6, 8]}"
TRAINED = {"denoiser": "denoiser", "varnet": "varnet_heads", "primal-dual": "lpd_ct_open"}


@dataclass(frozen=True)
class Options:
    """Where a stage runs, whether at the size of a rehearsal, and for how many seconds it trains."""

    device: str
    small: bool
    seconds: float


def pack(_: Options) -> dict[str, object]:
    """Write some images of each set, evenly chosen, to within a hundredth of the head's mean, and one Hounsfield unit."""
    heads: dict[str, list[tuple[np.ndarray, str]]] = {"train": [], "validation": []}
    slices: dict[str, list[tuple[np.ndarray, str]]] = {"train": [], "validation": []}
    for part in heads:
        found = [HeadImages(set_path("heads-open"), part)]
        found += [HeadImages(set_path("brain-small"), part)] if part == "train" else []
        share = 1 if part == "train" else 10
        for images in found:
            for index in _some(len(images), HEADS // (share * len(found))):
                head = images[index]
                heads[part].append((head.image.numpy(), f"{head.subject},{head.contrast},{head.height:.4f}"))
        ct, chests = CTImages(set_path("ct-open"), part), LoDoPaB(set_path("lodopab-small"), part)
        for index in range(len(ct)):
            one = ct[index]
            slices[part].append((one.hounsfield.numpy(), f"{one.subject},{one.pixel:.6f}"))
        for index in _some(len(chests), SLICES // share):
            sample = chests[index]
            assert sample.target is not None
            image = np.zeros((512, 512), np.float32) - 1000
            image[75:437, 75:437] = (sample.target.numpy() / 0.0192 - 1) * 1000
            slices[part].append((image, f"chest{index},{sample.grid.spacing[0]:.6f}"))
    for part in heads:
        _write(SETS / "heads", part, "images_000.h5", "image", "sample,subject,contrast,height", heads[part], 2)
        _write(SETS / "ct", part, "slices_000.h5", "hounsfield", "sample,subject,pixel", slices[part], 0)
    size = sum(file.stat().st_size for file in SETS.rglob("*.h5"))
    print(f"{SETS}: {size / 2**20:.1f} MiB")
    return {"bytes": size}


def _some(count: int, wanted: int) -> Iterator[int]:
    kept = min(count, wanted)
    return (index * count // kept for index in range(kept))


def _write(
    folder: Path, part: str, file: str, name: str, header: str, images: list[tuple[np.ndarray, str]], digits: int
) -> None:
    (folder / part).mkdir(parents=True, exist_ok=True)
    with h5py.File(folder / part / file, "w") as output:
        shape = images[0][0].shape
        data = output.create_dataset(
            name, (len(images), *shape), np.float32, chunks=(1, *shape), scaleoffset=digits or 1, compression=9
        )
        for index, (image, _) in enumerate(images):
            data[index] = image if digits else np.round(image)
    lines = [header, *(f"{index},{row}" for index, (_, row) in enumerate(images))]
    (folder / f"slices_{part}.csv").write_text("\n".join(lines) + "\n")


def check(options: Options) -> dict[str, object]:
    """Operators, filtered backprojection, SENSE, wavelets, TV and a variational network on the card against the processor."""
    found: dict[str, object] = {}
    for name, difference in _differences(options):
        found[name] = difference
        print(f"{name}: {difference:.2e}")
        if not difference <= TOLERANCE * (10 if name in ("wavelet", "tv", "varnet") else 1):
            raise SystemExit(f"{name}: differs from the processor by {difference:.2e}")
    return found


def _differences(options: Options) -> Iterator[tuple[str, float]]:
    generator = torch.Generator().manual_seed(0)
    n, views = (48, 40) if options.small else (362, 1000)
    grid = Grid((n, n), 260 / n)
    bins = round(1.42 * n) + 1
    angles = tuple(torch.rand(views, generator=generator).mul(6).tolist())
    beams: dict[str, Geometry] = {
        "parallel": ParallelBeam(Arc.half_turn(views), bins, 260 / n),
        "uneven": ParallelBeam(angles, bins, 260 / n),
        "fan": FanBeam(Arc.full_turn(views), 2 * bins, 260 / n, 600.0, 600.0),
    }
    x = torch.rand(2, n, n, generator=generator)
    for name, geometry in beams.items():
        A = Radon(grid, geometry)
        y = A(x)
        yield f"{name} forward", _apart(lambda A, x: A(x), A, x, options)
        yield f"{name} adjoint", _apart(lambda A, y: A.H(y), A, y, options)
        if name != "uneven":
            yield f"{name} fbp", _apart(lambda A, y: FilteredBackprojection()(y, A), A, y, options)
    size = 64 if options.small else 320
    protocols = MRIProtocols(matrix=(size, size), coils=(8, 8), snr=(50, 50), acceleration=(4, 4), partial_share=0.0)
    up, right = torch.meshgrid(torch.linspace(-1, 1, size), torch.linspace(-1, 1, size), indexing="ij")
    head = ((up / 0.8).square() + (right / 0.6).square() < 1).float() * (1 + 0.3 * torch.sin(9 * right))
    problem = sense_problem(draw_mri(head, protocols, generator, "head"))
    torch.manual_seed(0)
    network = VarNet([NormalizedUNet(UNet(2, 2, 8, 2)) for _ in range(3)]).eval()
    methods: dict[str, Callable[[Tensor, LinearOperator], Tensor]] = {
        "sense": Sense(tolerance=0.0),
        "wavelet": WaveletSparsity(iterations=30, tolerance=0.0),
        "tv": TotalVariation(iterations=30, tolerance=0.0),
    }
    for name, method in methods.items():
        yield name, _apart(lambda A, y, method=method: method(y, A), problem.A, problem.y, options)  # type: ignore[misc]
    with torch.no_grad():
        here = network(problem.y, problem.A)
        there = network.to(options.device)(problem.y.to(options.device), problem.A.to(options.device)).cpu()
    yield "varnet", float((there - here).norm() / here.norm())


def _apart(
    compute: Callable[[LinearOperator, Tensor], Tensor], A: LinearOperator, x: Tensor, options: Options
) -> float:
    here = compute(A, x)
    there = compute(A.to(options.device), x.to(options.device)).cpu()
    return float((there - here).norm() / here.norm())


def trained(stage: str, options: Options) -> dict[str, object]:
    """Train, or go on, until the time is over; the state lies in the folder of the run."""
    run, config = FOLDER / stage, ROOT / "configs" / f"{TRAINED[stage]}.yaml"
    heads, ct = (
        {"name": name, "folder": str(SETS / kind)} for name, kind in (("heads-open", "heads"), ("ct-open", "ct"))
    )
    sets = {"denoiser": [heads, ct], "varnet": [heads], "primal-dual": [ct]}[stage]
    changes = [f"data.sets={json.dumps(sets)}", "training.save_every=25"]
    if options.device == "cuda":
        changes += ["training.workers=14", *(["training.batch_size=32"] if stage == "denoiser" else [])]
    if options.small:
        small = {
            "denoiser": ["network.features=[4, 8]", "network.blocks=1", "data.size=32"],
            "varnet": [
                "network.features=2",
                "network.cascades=1",
                "network.pools=1",
                "training.precision=fp32",
                SMALL_MRI,
            ],
            "primal-dual": ["network.iterations=1", "network.primal_pools=1", SMALL_CT],
        }[stage]
        changes += [*small, "data.validation=2", "training.max_steps=2", "training.workers=0"]
    command = [sys.executable, "-m", "medrecon", "train", str(config), "--output", str(run), "--resume"]
    command += ["--device", options.device, *(word for change in changes for word in ("--set", change))]
    start = time.perf_counter()
    with subprocess.Popen(command, cwd=ROOT) as process:
        try:
            status = process.wait(options.seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
            status = process.wait(60)
    if status not in (0, 143):
        raise SystemExit(f"{stage}: training ended with status {status}")
    rows = (run / "steps.csv").read_text().splitlines()
    return {"steps": len(rows) - 1, "last": rows[-1], "seconds": time.perf_counter() - start, "ended": status == 0}


def timed(_: Options) -> dict[str, object]:
    """Measure the tables of the card; their scripts say what is absent."""
    for script in ("ct_cuda.py", "networks.py --rows cuda"):
        name, *words = script.split()
        command = [sys.executable, str(ROOT / "performance" / name), *words, "--keep"]
        if subprocess.call(command, cwd=ROOT) != 0:
            raise SystemExit(f"{script}: failed")
    return {"card": torch.cuda.get_device_name() if torch.cuda.is_available() else "none"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("stage", choices=["pack", "check", *TRAINED, "time"])
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"], help="cpu rehearses")
    parser.add_argument("--small", action="store_true", help="at a size for a rehearsal")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of a stage of training")
    given = parser.parse_args()
    if given.stage != "pack" and given.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch sees no card here; rehearse with --device cpu --small")
    options = Options(given.device, given.small, given.seconds)
    stages: dict[str, Callable[[Options], dict[str, object]]] = {"pack": pack, "check": check, "time": timed}
    found = stages[given.stage](options) if given.stage in stages else trained(given.stage, options)
    FOLDER.mkdir(parents=True, exist_ok=True)
    card = torch.cuda.get_device_name() if given.device == "cuda" and torch.cuda.is_available() else "processor"
    (FOLDER / f"{given.stage}.json").write_text(json.dumps({"device": card, **found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
