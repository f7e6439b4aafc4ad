"""Time and memory of the networks: the end-to-end VarNet beside fastMRI's, learned primal-dual beside other projectors.

    python performance/networks.py [--rows inference training primal-dual cuda] [--repeats 5] [--weights FILE] [--small] [--keep]

Both VarNets hold the same weights and see the same scan; learned primal-dual is the same network on another projector. The two
run alternately in one process, and the ratio is that of the medians. Peers that are absent are left out.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import multiprocessing
import statistics
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from ct_peers import Scene
from network_calls import SMALL, Call, Pair, Scan, Size, adam_step, inference, simulate, training_step
from network_cuda import on_cuda
from network_projectors import rivals
from tables import FOLDER, publish
from torch import Tensor

from medrecon.geometry import Grid, lodopab, lodopab_grid
from medrecon.metrics import ssim
from medrecon.networks import LearnedPrimalDual, PrimalDualSize, compile_unets

GROUPS = ("inference", "training", "primal-dual", "cuda")
COLUMNS = ["task", "medrecon", "beside", "seconds", "range", "ratio", "agreement", "peak MiB", "goal"]
LARGEST_DIFFERENCE, LARGEST_SSIM_CHANGE, LARGEST_MEMORY = 1e-5, 1e-3, 0.7
PEER = "fastmri"
NOTES = [
    "Pairs are medrecon / the other; the ratio is of the median times, above 1 where medrecon is faster.",
    "Peak MiB: growth of the peak resident set by one call, in a process of its own, weights and optimizer being there.",
    "Difference: |x - x'| / |x'|. SSIM: of the image in bfloat16, that in float32 being the truth.",
    "Learned primal-dual is the same network of medrecon in both, on its own projector and on the other's.",
]


@dataclass(frozen=True)
class Goal:
    """Something aimed at, and whether it was reached."""

    text: str
    met: bool

    def __str__(self) -> str:
        return f"{self.text}: {'met' if self.met else 'not met'}"


def alternate(calls: Mapping[str, Call], repeats: int) -> dict[str, list[float]]:
    """Seconds of each call, all taking turns after one round that does not count."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(repeats + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if number > 0:
                times[name].append(time.perf_counter() - start)
    return times


def row(
    task: tuple[str, str, str],
    times: tuple[list[float], list[float]],
    agreement: str,
    memory: tuple[float, float] | None,
    goals: Iterable[Goal],
) -> list[str]:
    """A row of the table; `task` is the group, what is ours, and what it is beside."""
    ours, theirs = (statistics.median(values) for values in times)
    spread = " / ".join(f"{min(values):.3g}-{max(values):.3g}" for values in times)
    peak = "" if memory is None else f"{memory[0]:.0f} / {memory[1]:.0f} ({memory[0] / max(memory[1], 0.1):.2f}x)"
    judged = "; ".join(map(str, goals))
    return [*task, f"{ours:.3g} / {theirs:.3g}", spread, f"{theirs / ours:.2f}x", agreement, peak, judged]


def faster(times: tuple[list[float], list[float]], goal: float) -> Goal:
    return Goal(f"{goal:g}x", statistics.median(times[1]) / statistics.median(times[0]) >= goal)


def lighter(memory: tuple[float, float]) -> Goal:
    return Goal(f"{LARGEST_MEMORY:g} of the memory", memory[0] <= LARGEST_MEMORY * memory[1])


def difference(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


def inference_rows(size: Size, weights: Path | None, repeats: int) -> list[list[str]]:
    """One slice in float32 and in bfloat16, as it is and compiled, beside fastMRI in float32."""
    pair, scan = Pair.of_size(size, weights), simulate(size.inference)
    if pair is None:
        return []
    names = (PEER, "medrecon", "medrecon bfloat16")
    calls = {name: inference(pair, name, scan) for name in names}
    images = {name: call() for name, call in calls.items()}
    times = alternate(calls, repeats)
    peaks = {name: memory_of("inference", name, size, weights) for name in names}
    rows = [_inference_row(name, images, times, (peaks[name], peaks[PEER])) for name in names[1:]]
    return rows + _compiled_rows(pair, scan, images, repeats)


def _inference_row(
    name: str, images: Mapping[str, Tensor], times: Mapping[str, list[float]], memory: tuple[float, float] | None
) -> list[str]:
    pairs, image = (times[name], times[PEER]), images[name]
    goals = [faster(pairs, 2.0 if "bfloat16" in name else 1.3)]
    if "bfloat16" in name:
        single = images["medrecon"]
        alike = ssim(image, single, data_range=float(single.max()))
        goals.append(Goal(f"SSIM within {LARGEST_SSIM_CHANGE:g}", 1 - alike <= LARGEST_SSIM_CHANGE))
        agreement = f"SSIM {alike:.5f}"
    else:
        found = difference(image, images[PEER])
        goals.append(Goal(f"{LARGEST_DIFFERENCE:g}", found <= LARGEST_DIFFERENCE))
        agreement = f"difference {found:.1e}"
    goals += [] if memory is None else [lighter(memory)]
    ours = name.removeprefix("medrecon").strip() or "float32"
    return row(("inference", ours, "fastMRI float32"), pairs, agreement, memory, goals)


def _compiled_rows(pair: Pair, scan: Scan, images: Mapping[str, Tensor], repeats: int) -> list[list[str]]:
    """The same with compiled U-Nets, where a compiler is at hand; the networks stay compiled."""
    calls = {name: inference(pair, name, scan) for name in (PEER, "medrecon", "medrecon bfloat16")}
    compile_unets(pair.ours)
    try:
        found = {name: call() for name, call in calls.items()}
    except Exception as error:  # torch.compile raises many kinds where a compiler lacks or fails
        print(f"compiled U-Nets are left out: {type(error).__name__}: {str(error).splitlines()[0]}")
        return []
    times = alternate(calls, repeats)
    rows = [
        _inference_row(name, {**images, name: found[name]}, times, None) for name in ("medrecon", "medrecon bfloat16")
    ]
    return [[task, f"{ours}, compiled", *rest] for task, ours, *rest in rows]


def training_rows(size: Size, weights: Path | None, repeats: int) -> list[list[str]]:
    """A step of training, all kept for the gradient or all but the images between cascades computed again."""
    pair, scan = Pair.of_size(size, weights), simulate(size.training)
    if pair is None:
        return []
    names = (PEER, "medrecon", "medrecon recompute")
    calls = {name: training_step(pair, name, scan) for name in names}
    images = {name: call() for name, call in calls.items()}
    times = alternate(calls, repeats)
    del pair, calls
    peaks = {name: memory_of("training", name, size, weights) for name in names}
    rows = []
    for name in names[1:]:
        pairs, memory = (times[name], times[PEER]), (peaks[name], peaks[PEER])
        goal = lighter(memory) if "recompute" in name else faster(pairs, 1.2)
        agreement = f"difference {difference(images[name], images[PEER]):.1e}"
        ours = name.removeprefix("medrecon").strip() or "float32"
        rows.append(row(("training", ours, "fastMRI float32"), pairs, agreement, memory, [goal]))
    return rows


def primal_dual_rows(scene: Scene, size: PrimalDualSize, repeats: int) -> list[list[str]]:
    """Forward and a step of training of one network, on our projector and on another with the same rays."""
    rows = []
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = LearnedPrimalDual(size)
    truth = torch.from_numpy(scene.images())
    for rival in rivals(scene):
        y, A, theirs = rival.ours(truth), rival.ours, rival.A

        def forward(A: object, y: Tensor = y) -> Tensor:
            with torch.inference_mode():
                return network(y, A)  # type: ignore[no-any-return]

        def step(A: object, y: Tensor = y) -> Call:
            call = adam_step(network, lambda: network(y, A), truth)
            return torch.enable_grad()(call)

        found = difference(forward(theirs), forward(A))
        agreement = f"difference {found:.1e}"
        goal = Goal(f"{rival.tolerance:g}", found <= rival.tolerance)
        forwards = {"ours": lambda A=A: forward(A), "theirs": lambda A=theirs: forward(A)}
        for task, calls in (("forward", forwards), ("training step", {"ours": step(A), "theirs": step(theirs)})):
            times = alternate(calls, repeats)
            pairs = (times["ours"], times["theirs"])
            rows.append(row(("primal-dual", task, f"on {rival.name}"), pairs, agreement, None, [goal]))
    return rows


def peak_mebibytes() -> float:
    """The largest resident memory of this process since it was last reset (Linux)."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def memory_of(group: str, who: str, size: Size, weights: Path | None) -> float:
    """MiB by which one call raises the peak, in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        mebibytes: float = pool.apply(_memory, (group, who, size, weights, torch.get_num_threads()))
        return mebibytes


def _memory(group: str, who: str, size: Size, weights: Path | None, threads: int) -> float:
    torch.set_num_threads(threads)
    pair = Pair.of_size(size, weights)
    if pair is None:
        raise ValueError("memory is measured beside fastMRI, which is not installed")
    prepare = inference if group == "inference" else training_step
    small = prepare(pair, who, simulate((2, 64, 64)))
    small()  # loads and compiles what it takes
    call = prepare(pair, who, simulate(size.inference if group == "inference" else size.training))
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # else freed memory would hide what the call takes
    Path("/proc/self/clear_refs").write_text("5")
    before = peak_mebibytes()
    call()
    return peak_mebibytes() - before


def beside(rows: list[list[str]], groups: Iterable[str]) -> list[list[str]]:
    """The rows, and those that the kept table has of other groups, in the order of the groups."""
    file = FOLDER / "networks.json"
    kept = json.loads(file.read_text())["rows"] if file.exists() else []
    return sorted([*rows, *(one for one in kept if one[0] not in groups)], key=lambda one: GROUPS.index(one[0]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--rows", nargs="+", choices=GROUPS, default=list(GROUPS), help="these alone; the kept ones stay"
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--weights", type=Path, help="of a trained fastMRI VarNet of the published size (.pt)")
    parser.add_argument("--features", type=int, default=64, help="of learned primal-dual")
    parser.add_argument("--iterations", type=int, default=10, help="of learned primal-dual")
    parser.add_argument("--small", action="store_true", help="tiny scans and networks: shows that all works")
    parser.add_argument("--keep", action="store_true", help="write the table for the README")
    options = parser.parse_args()
    size, scene = Size(), Scene("lodopab", lodopab_grid(), lodopab())
    unrolled = PrimalDualSize(options.iterations, features=options.features)
    if options.small:
        size, unrolled = SMALL, PrimalDualSize(2, features=4)
        scene = replace(scene, grid=Grid((66, 66), 4.0), geometry=scene.geometry[::50])
    rows: list[list[str]] = []
    if "inference" in options.rows:
        rows += inference_rows(size, options.weights, options.repeats)
    if "training" in options.rows:
        rows += training_rows(size, options.weights, options.repeats)
    if "primal-dual" in options.rows:
        rows += primal_dual_rows(scene, unrolled, options.repeats)
    command = f"python performance/networks.py --repeats {options.repeats} --keep"
    if rows:
        shown = beside(rows, {one[0] for one in rows}) if options.keep else rows
        sizes = (
            f"VarNet: {size.cascades} cascades, one slice of {' x '.join(map(str, size.inference))}, training with "
            f"{' x '.join(map(str, size.training))}; learned primal-dual: {unrolled.n_iterations} iterations, "
            f"{unrolled.features} features, {' x '.join(map(str, scene.geometry.shape))} rays."
        )
        origin = "The weights are those of a seed." if options.weights is None else "The weights were trained."
        publish("networks", "Networks", command, COLUMNS, shown, [f"{sizes} {origin}", *NOTES], keep=options.keep)
    if "cuda" in options.rows:
        on_cuda(size, options.weights, options.repeats, keep=options.keep)


if __name__ == "__main__":
    torch.set_grad_enabled(mode=False)
    main()
