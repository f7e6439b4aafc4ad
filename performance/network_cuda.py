"""The end-to-end VarNet on a CUDA card: slices per second, compiled and in bfloat16, beside fastMRI in float32.

Every figure is a median of alternating runs between two synchronizations, on data already there. Part of `networks.py --rows cuda`.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import replace
from pathlib import Path

import torch
from network_calls import Call, Pair, Size, inference, simulate
from tables import publish

from medrecon.metrics import ssim
from medrecon.networks import compile_unets

GOAL_RATIO, GOAL_MILLISECONDS = 2.0, 100.0
LEFT_OUT = "CUDA is left out: torch sees no card"


def milliseconds(call: Call) -> float:
    torch.cuda.synchronize()
    start = time.perf_counter()
    call()
    torch.cuda.synchronize()
    return 1e3 * (time.perf_counter() - start)


def on_cuda(size: Size, weights: Path | None, repeats: int, *, keep: bool) -> None:
    """Measure and publish, or say why not."""
    if not torch.cuda.is_available():
        print(LEFT_OUT)
        return
    pair, compiled = Pair.of_size(size, weights), Pair.of_size(size, weights)
    if pair is None or compiled is None:
        return
    scan = simulate(size.inference)
    scan = replace(scan, y=scan.y.cuda(), A=scan.A.to("cuda"), sampled=scan.sampled.cuda(), truth=scan.truth.cuda())
    for network in (pair.theirs, pair.ours, compiled.ours):
        network.cuda()
    compiled.ours.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    compile_unets(compiled.ours)
    calls = {
        "fastMRI float32": inference(pair, "fastmri", scan),
        "float32": inference(pair, "medrecon", scan),
        "bfloat16": inference(pair, "medrecon bfloat16", scan),
        "float32, compiled": inference(compiled, "medrecon", scan),
        "bfloat16, compiled": inference(compiled, "medrecon bfloat16", scan),
    }
    theirs, *ours = calls
    images = {name: call() for name, call in calls.items()}
    peaks = {}
    for name, call in calls.items():
        for _ in range(3):
            call()
        torch.cuda.synchronize()
        held = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        call()
        peaks[name] = (torch.cuda.max_memory_allocated() - held) / 2**20
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            times[name].append(milliseconds(call))
    medians = {name: statistics.median(values) for name, values in times.items()}
    wanted, rows = images[theirs], []
    for name in ours:
        mine, ratio = medians[name], medians[theirs] / medians[name]
        met = ratio >= GOAL_RATIO and mine <= GOAL_MILLISECONDS
        alike = ssim(images[name].cpu(), wanted.cpu(), data_range=float(wanted.max()))
        rows.append(
            [
                name,
                f"{1e3 / mine:.3g} / {1e3 / medians[theirs]:.3g}",
                f"{mine:.3g} ({min(times[name]):.3g}-{max(times[name]):.3g})",
                f"{ratio:.2f}x",
                f"{float((images[name] - wanted).norm() / wanted.norm()):.1e}",
                f"{alike:.5f}",
                f"{peaks[name]:.0f} / {peaks[theirs]:.0f}",
                f"{GOAL_RATIO:g}x and {GOAL_MILLISECONDS:g} ms: {'met' if met else 'not met'}"
                if name == "bfloat16, compiled"
                else "",
            ]
        )
    shape = " x ".join(map(str, size.inference))
    publish(
        "networks_cuda",
        f"End-to-end VarNet on {torch.cuda.get_device_name()}",
        f"python performance/networks.py --rows cuda --repeats {repeats} --keep",
        ["medrecon", "slices / s", "ms a slice", "ratio", "difference", "SSIM", "peak MiB", "goal"],
        rows,
        [
            f"{size.cascades} cascades, one slice of {shape}, data on the card. Pairs are medrecon / fastMRI in float32.",
            "Difference and SSIM are of the image to that of fastMRI.",
        ],
        keep=keep,
    )
