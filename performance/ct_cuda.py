"""The CT operators on a CUDA card, beside ASTRA's CUDA projector on data already there.

    python performance/ct_cuda.py [--repeats 20] [--keep]

Batches of 16 at LoDoPaB's size. ASTRA runs both ways that it has: `cuda` image by image, and `cuda3d` with the batch as the
slices of a volume under parallel beams. Every figure is a median of alternating runs between two synchronizations.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from ct_peers import Scene, optional
from tables import publish
from torch import Tensor

from medrecon.geometry import lodopab, lodopab_grid
from medrecon.operators import Radon

BATCH, GOAL_RATIO, GOAL_MILLISECONDS = 16, 1.5, 0.5


def astra_slices(scene: Scene, x: Tensor, y: Tensor) -> dict[str, Callable[[], None]]:
    """The batch as slices of a volume: forward writes `y (batch, angle, detector)` from x, adjoint x from y."""
    astra, direct = optional("astra"), optional("astra.experimental")
    (ny, nx), (height, width) = scene.grid.shape, scene.grid.extent
    sides = (-width / 2, width / 2, -height / 2, height / 2, -scene.batch / 2, scene.batch / 2)
    volume = astra.create_vol_geom(ny, nx, scene.batch, *sides)
    angles = -np.array(list(scene.geometry.angles))
    beam = astra.create_proj_geom("parallel3d", scene.geometry.spacing, 1.0, scene.batch, scene.geometry.n_bins, angles)
    projector = astra.create_projector("cuda3d", beam, volume)
    return {
        "forward": lambda: direct.direct_FP3D(projector, x, y),
        "adjoint": lambda: direct.direct_BP3D(projector, x, y),
    }


def astra_images(scene: Scene, x: Tensor, y: Tensor) -> dict[str, Callable[[], None]]:
    """Image by image: forward writes y from x, adjoint x from y."""
    astra, direct = optional("astra"), optional("astra.experimental")
    height, width = scene.grid.extent
    volume = astra.create_vol_geom(*scene.grid.shape, -width / 2, width / 2, -height / 2, height / 2)
    angles = -np.array(list(scene.geometry.angles))
    beam = astra.create_proj_geom("parallel", scene.geometry.spacing, scene.geometry.n_bins, angles)
    projector = astra.create_projector("cuda", beam, volume)

    def forward() -> None:
        for image, sinogram in zip(x, y, strict=True):
            direct.direct_FP2D(projector, image, sinogram)

    def adjoint() -> None:
        for image, sinogram in zip(x, y, strict=True):
            direct.direct_BP2D(projector, image, sinogram)

    return {"forward": forward, "adjoint": adjoint}


def milliseconds(run: Callable[[], object]) -> float:
    torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    torch.cuda.synchronize()
    return 1e3 * (time.perf_counter() - start)


def compare(scene: Scene, repeats: int) -> list[list[str]]:
    """A row an operation and a way of ASTRA's; milliseconds an image."""
    A = Radon(scene.grid, scene.geometry)
    x, p = (torch.from_numpy(data).cuda() for data in (scene.images(), scene.sinograms()))
    ours: dict[str, Callable[[], Tensor]] = {"forward": lambda: A(x), "adjoint": lambda: A.H(p)}
    error = float((A(x) - p).norm() / p.norm())
    rows = []
    for name, peer in (("cuda3d, the batch as slices", astra_slices), ("cuda, image by image", astra_images)):
        sinograms = torch.zeros_like(p)
        peer(scene, x.clone(), sinograms)["forward"]()
        their_error = float((sinograms - p).norm() / p.norm())
        runs = {
            "forward": peer(scene, x.clone(), torch.zeros_like(p))["forward"],
            "adjoint": peer(scene, torch.zeros_like(x), p.clone())["adjoint"],
        }
        for operation, run in runs.items():
            for warm in (ours[operation], run) * 3:
                warm()
            pairs = [(milliseconds(ours[operation]), milliseconds(run)) for _ in range(repeats)]
            mine, theirs = (statistics.median(values) / scene.batch for values in zip(*pairs, strict=True))
            ratio = statistics.median(b / a for a, b in pairs)
            met = mine <= GOAL_MILLISECONDS and ratio >= GOAL_RATIO
            rows.append(
                [
                    operation,
                    f"ASTRA {name}",
                    f"{error:.2e} / {their_error:.2e}",
                    f"{mine:.3f} / {theirs:.3f}",
                    f"{ratio:.2f}x",
                    f"{GOAL_MILLISECONDS} ms and {GOAL_RATIO}x: {'met' if met else 'not met'}",
                ]
            )
    return rows


def on_cuda(command: str, repeats: int, *, keep: bool) -> None:
    """Measure and publish, or say why not."""
    if not torch.cuda.is_available():
        print("CUDA is left out: torch sees no card")
        return
    astra = optional("astra")
    if astra is None or not astra.use_cuda():
        print("CUDA is left out: ASTRA is absent, or sees no card")
        return
    rows = compare(Scene("lodopab", lodopab_grid(), lodopab(), BATCH), repeats)
    publish(
        "ct_cuda",
        f"CT operators on {torch.cuda.get_device_name()}",
        command,
        ["operation", "peer", "error", "ms an image", "ratio", "goal"],
        rows,
        [
            f"LoDoPaB's size, batch {BATCH}, float32, data on the card. Pairs are medrecon / ASTRA.",
            "The error is that of the forward projection of disks against the closed form.",
        ],
        keep=keep,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--keep", action="store_true", help="write the table for the README")
    options = parser.parse_args()
    torch.set_grad_enabled(mode=False)
    on_cuda(f"python performance/ct_cuda.py --repeats {options.repeats} --keep", options.repeats, keep=options.keep)
