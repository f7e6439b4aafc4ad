"""Time, error and memory of the CT operators: medrecon beside ASTRA, RTK, scikit-image, DeepInverse, and a sparse matrix.

    python performance/ct_projectors.py [--repeats 5] [--scans lodopab sparse ...] [--threads 2] [--small] [--keep]

Every package projects the same disks on the same cores, on data already laid out for it; one without batches runs them as a loop.
medrecon and a peer run alternately, and the ratio is the median of the ratios of the pairs. Peers that are absent are left out.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import multiprocessing
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from math import pi
from pathlib import Path

import numpy as np
import torch
from ct_cuda import on_cuda
from ct_matrix import matrix
from ct_peers import OPERATIONS, PEERS, Peer, Scene, medrecon
from tables import FOLDER, publish

from medrecon.geometry import Arc, FanBeam, Grid, ParallelBeam, lodopab, lodopab_grid
from medrecon.operators import Radon

SCANS = {
    "lodopab": Scene("lodopab", lodopab_grid(), lodopab()),
    "sparse": Scene("sparse", lodopab_grid(), replace(lodopab(), angles=Arc(pi / 120, pi / 60, 60))),
    "parallel": Scene("parallel", Grid((512, 512), 0.5), ParallelBeam(Arc.half_turn(720), n_bins=736, spacing=0.5)),
    "fan": Scene("fan", Grid((512, 512), 0.5), FanBeam(Arc.full_turn(720), 736, 1.0, 500.0, 500.0)),
}
BATCHES = (1, 8)
GOALS = {  # how many times as fast as which peer, by batch
    ("forward", 1): [("ASTRA", 20.0)],
    ("adjoint", 1): [("ASTRA", 10.0)],
    ("fbp", 1): [("ASTRA", 10.0)],
    ("forward", 8): [("ASTRA", 40.0), ("CSR matrix", 1.0)],
    ("adjoint", 8): [("ASTRA", 20.0), ("CSR matrix", 1.0)],
}
LARGEST_ERROR, LARGEST_MEMORY = 3.0e-3, 64.0  # relative to the closed form of the disk; MiB
SHORT, LONG = (
    0.2,
    60.0,
)  # seconds that a figure takes at least, and after which a pair is not repeated beyond three times
COLUMNS = ("ASTRA", "RTK", "scikit-image", "DeepInverse", "CSR matrix")
TIME_COLUMNS = ["scan", "batch", "operation", "medrecon", *COLUMNS, "goal"]
ERROR_COLUMNS = ["scan", "package", "rays", *OPERATIONS, "goal"]
MEMORY = "CT operators: memory beyond input and output"
MEMORY_COLUMNS = ["scan", "batch", "operation", "MiB", "goal"]


@dataclass(frozen=True)
class Comparison:
    """Seconds an image of medrecon and of a peer, in pairs."""

    pairs: list[tuple[float, float]]

    @property
    def ours(self) -> float:
        return statistics.median(ours for ours, _ in self.pairs)

    @property
    def theirs(self) -> float:
        return statistics.median(theirs for _, theirs in self.pairs)

    @property
    def ratio(self) -> float:
        return statistics.median(theirs / ours for ours, theirs in self.pairs)


def seconds(run: Callable[[], object]) -> float:
    """The median over as many calls as fit in a fifth of a second, at least one."""
    times: list[float] = []
    while sum(times) < SHORT:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def compare(ours: Callable[[], object], theirs: Callable[[], object], batch: int, repeats: int) -> Comparison:
    start = time.perf_counter()
    pairs: list[tuple[float, float]] = []
    while len(pairs) < repeats and (len(pairs) < min(3, repeats) or time.perf_counter() - start < LONG):
        pairs.append((seconds(ours) / batch, seconds(theirs) / batch))
    return Comparison(pairs)


@dataclass
class Results:
    """What was measured of the packages on a scene."""

    scene: Scene
    ours: Peer
    times: dict[str, dict[str, Comparison]]  # by operation and peer
    errors: list[tuple[Peer, dict[str, float]]]


def measure(scene: Scene, repeats: int) -> Results:
    """Compare with one peer after another."""
    ours = medrecon(scene)
    results = Results(scene, ours, {operation: {} for operation in OPERATIONS}, [(ours, error_of(scene, ours))])
    for make in (*PEERS, matrix):
        _measure(make, results, repeats)
        gc.collect()  # some peers take gigabytes, in cycles
    return results


def _measure(make: Callable[[Scene], Peer | None], results: Results, repeats: int) -> None:
    """Compare with a peer that may go when this returns."""
    scene, peer = results.scene, make(results.scene)
    if peer is None:
        return
    results.errors.append((replace(peer, calls={}), error_of(scene, peer)))
    for operation, call in peer.calls.items():
        found = compare(results.ours.calls[operation].run, call.run, scene.batch, repeats)
        results.times[operation][peer.name] = found
        print(f"{scene.name} x {scene.batch}, {operation}: {peer.name} {found.ratio:.1f}x", flush=True)


def time_rows(results: Results) -> list[list[str]]:
    """One row an operation: milliseconds an image, and how many times as fast as each peer medrecon is."""
    rows, batch = [], results.scene.batch
    for operation, measured in results.times.items():
        mine = [ours for each in measured.values() for ours, _ in each.pairs]
        mine = mine or [seconds(results.ours.calls[operation].run) / batch]
        cells = [
            f"{1e3 * measured[name].theirs:.3g} ({measured[name].ratio:.1f}x)" if name in measured else ""
            for name in COLUMNS
        ]
        spread = f"{1e3 * statistics.median(mine):.3g} ({1e3 * min(mine):.3g}-{1e3 * max(mine):.3g})"
        goal = goals_met(operation, batch, {name: each.ratio for name, each in measured.items()})
        rows.append([results.scene.name, str(batch), operation, spread, *cells, goal])
    return rows


def goals_met(operation: str, batch: int, ratios: dict[str, float]) -> str:
    """What was aimed at, and whether it was reached."""
    return "; ".join(
        f"{goal:g}x {peer}: {'met' if ratios[peer] >= goal else 'not met'}"
        for peer, goal in GOALS.get((operation, batch), [])
        if peer in ratios
    )


def error_of(scene: Scene, peer: Peer) -> dict[str, float]:
    """How far a package is from the truth, by operation: it would show a peer that was set another problem than ours.

    forward: `|A x - p| / |p|`, p the closed form of the rays that it measures. adjoint: `|<A x, p> / <x, A' p> - 1|`.
    fbp: `|B p - x| / |x|` within 70 of the 80 mm of the disk.
    """
    found = {name: np.asarray(call.read(call.run()), np.float64) for name, call in peer.calls.items()}
    x, p, inside = scene.images(), scene.sinograms(peer.geometry, peer.shift), scene.inside(70.0)
    errors = {
        "forward": float(np.linalg.norm(found["forward"] - p) / np.linalg.norm(p)),
        "adjoint": abs(float(np.vdot(found["forward"], p) / np.vdot(x, found["adjoint"])) - 1),
    }
    if "fbp" in found:
        errors["fbp"] = float(np.linalg.norm((found["fbp"] - x)[inside]) / np.linalg.norm(x[inside]))
    return errors


def error_rows(results: Results) -> list[list[str]]:
    """One row a package."""
    errors = {peer.name: found for peer, found in results.errors}
    rows = []
    for peer, found in results.errors:
        goal = ""
        if peer.name == "medrecon" and results.scene.name == "lodopab":
            least = min(LARGEST_ERROR, errors["ASTRA"]["forward"] * 1.001 if "ASTRA" in errors else LARGEST_ERROR)
            goal = f"at most {least:.2e}: {'met' if found['forward'] <= least else 'not met'}"
        shown = [f"{found[name]:.2e}" if name in found else "" for name in OPERATIONS]
        rows.append([results.scene.name, peer.name, " x ".join(map(str, peer.geometry.shape)), *shown, goal])
    return rows


def peak_mebibytes() -> float:
    """The largest resident memory of this process since it was last reset (Linux)."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def memory_of(scene: Scene, operation: str, threads: int) -> float:
    """MiB that a call takes beyond its input and output, in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        mebibytes: float = pool.apply(_memory, ((scene, operation, threads),))
        return mebibytes


def _memory(task: tuple[Scene, str, int]) -> float:
    scene, operation, threads = task
    torch.set_num_threads(threads)
    with torch.inference_mode():
        warm = replace(scene, grid=Grid((64, 64), 4.0), geometry=scene.geometry[::30])
        medrecon(warm).calls[operation].run()
        call = medrecon(scene).calls[operation]
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)  # else freed memory would hide what the call takes
        Path("/proc/self/clear_refs").write_text("5")
        before = peak_mebibytes()
        outcome = call.run()
        return peak_mebibytes() - before - float(outcome.nbytes) / 2**20


def memory_rows(scene: Scene, threads: int) -> list[list[str]]:
    rows = []
    for operation in OPERATIONS:
        mebibytes = max(memory_of(scene, operation, threads), 0.0)
        goal = "" if operation == "fbp" else f"below 64: {'met' if mebibytes < LARGEST_MEMORY else 'not met'}"
        rows.append([scene.name, str(scene.batch), operation, f"{mebibytes:.0f}", goal])
    return rows


def linearity_rows(repeats: int) -> list[list[str]]:
    """Nanoseconds by (angles x side of the image x batch), the detector being LoDoPaB's: constant where the cost is linear."""
    rows = []
    for angles, side, batch in ((1000, 362, 1), (250, 362, 1), (1000, 181, 1), (1000, 724, 1), (1000, 362, 4)):
        A = Radon(Grid((side, side), 260 / side), replace(lodopab(), angles=Arc(pi / angles / 2, pi / angles, angles)))
        x, y = torch.rand(batch, side, side), torch.rand(batch, angles, A.geometry.n_bins)
        cells = []
        for call in (partial(A, x), partial(A.H, y)):
            call()
            spent = statistics.median(seconds(call) for _ in range(repeats))
            cells.append(f"{1e9 * spent / (angles * side * batch):.1f}")
        rows.append([str(angles), str(side), str(batch), *cells])
    return rows


NOTES = [
    "Milliseconds an image, float32; in brackets the range of medrecon's, and how many times as long a peer takes.",
    "ASTRA's CPU projectors (`linear`, for a fan `line_fanflat`) use one core by design, and its CPU has no fan FBP.",
    "ASTRA, RTK and scikit-image take a batch as a loop, as do DeepInverse's adjoint and FBP, which would need 17 GiB for it.",
    "scikit-image and DeepInverse fix the bins of a parallel beam at one pixel across the diagonal: nearly as many rays.",
]
ERROR_NOTES = [
    "forward: relative L2 error of the sinogram of a disk against the closed form of the package's own rays.",
    "adjoint: relative difference of the inner products <A x, p> and <x, A' p>.",
    "fbp: relative L2 error within 70 of the 80 mm of the disk.",
]
LINEARITY = "CT operators: nanoseconds by (angles x side of the image x batch), 513 bins"


def beside(name: str, rows: list[list[str]]) -> list[list[str]]:
    """The rows, and those that the table of that name keeps of scans not among them, in the order of the scans."""
    measured, file = {row[0] for row in rows}, FOLDER / f"{name}.json"
    kept = json.loads(file.read_text())["rows"] if file.exists() else []
    return sorted([*rows, *(row for row in kept if row[0] not in measured)], key=lambda row: list(SCANS).index(row[0]))


def kept_notes(name: str) -> list[str]:
    file = FOLDER / f"{name}.json"
    notes = json.loads(file.read_text())["notes"] if file.exists() else []
    return [note for note in notes if not note.startswith("Measured again")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--scans", nargs="+", choices=SCANS, default=list(SCANS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--small", action="store_true", help="every 20th view, batches of 1 and 2: shows that all works"
    )
    parser.add_argument("--memory", action="store_true", help="the table of memory alone")
    parser.add_argument("--keep", action="store_true", help="write the tables for the README; rows of other scans stay")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.memory:
        rows = [
            row
            for name in options.scans
            for batch in BATCHES
            for row in memory_rows(replace(SCANS[name], batch=batch), options.threads)
        ]
        command = "python performance/ct_projectors.py --memory --keep"
        publish("ct_memory", MEMORY, command, MEMORY_COLUMNS, beside("ct_memory", rows), [], keep=options.keep)
        return
    times, errors, memory, notes = [], [], [], []
    for name in options.scans:
        for batch in BATCHES:
            scene = replace(SCANS[name], batch=batch)
            if options.small:
                scene = replace(scene, geometry=scene.geometry[::20], batch=min(batch, 2))
            results = measure(scene, options.repeats)
            times += time_rows(results)
            if batch == 1:
                errors += error_rows(results)
                notes += [note for peer, _ in results.errors for note in peer.notes]
            memory += memory_rows(scene, options.threads)
    command = f"python performance/ct_projectors.py --repeats {options.repeats} --keep"
    show = partial(publish, command=command, keep=options.keep)
    if set(options.scans) != set(SCANS):
        again = ", ".join(options.scans)
        notes = [*kept_notes("ct_projectors"), f"Measured again after the other rows, by `--scans`: {again}."]
    else:
        notes = [*NOTES, *notes]
    show("ct_projectors", "CT operators: time", columns=TIME_COLUMNS, rows=beside("ct_projectors", times), notes=notes)
    show("ct_errors", "CT operators: error", columns=ERROR_COLUMNS, rows=beside("ct_errors", errors), notes=ERROR_NOTES)
    show("ct_memory", MEMORY, columns=MEMORY_COLUMNS, rows=beside("ct_memory", memory), notes=[])
    if set(options.scans) != set(SCANS):
        return
    rows = linearity_rows(options.repeats)
    show("ct_linearity", LINEARITY, columns=["angles", "side", "batch", "forward", "adjoint"], rows=rows, notes=[])
    on_cuda(command, options.repeats, keep=options.keep)


if __name__ == "__main__":
    torch.set_grad_enabled(mode=False)
    main()
